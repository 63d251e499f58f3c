"""Max pooling of bytes: the largest of each window; 0 if the window has only padding.

See pool_int8.pxd for the loops, the layouts and what runs in parallel.
"""

from pool_int8 cimport Args, pool


cdef void run(const Args* a, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil:
    pool(False, a, bases, piece, pieces)


include "step.pxi"
