"""Average pooling of quantized bytes: the sum of each window, divided by the number of elements that the operator counts.

See pool_int8.pxd for the loops, the layouts and what runs in parallel.
"""

from pool_int8 cimport Args, pool


cdef void run(const Args* a, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil:
    pool(True, a, bases, piece, pieces)


include "step.pxi"
