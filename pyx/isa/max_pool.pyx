"""Max pooling: the largest element of each window; NaN if the window has one, -inf if it has only padding.

See pool.pxd for the loops, the layouts and what runs in parallel.
"""

from pool cimport Args, pool


cdef void run(const Args* a, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil:
    pool(False, a, bases, piece, pieces)


include "step.pxi"
