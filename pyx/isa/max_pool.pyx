"""Max pooling: the largest element of each window, NaN where it holds one, -inf where the padding is all it holds.

The loops, layouts and what runs in parallel: pool.pxd.
"""

from pool cimport Args, pool


cdef void run(const Args* a, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil:
    pool(False, a, bases, piece, pieces)


include "step.pxi"
