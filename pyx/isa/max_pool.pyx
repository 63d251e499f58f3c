"""Max pooling: the largest element of each window, NaN where it holds one, -inf where the padding is all it holds.

The loops, layouts and what runs in parallel: pool.pxd.
"""

from pool cimport Args, pool
from step cimport Run


cdef void run(const Args* a, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil:
    pool(False, a, bases, piece, pieces)


def step(dict fields):
    """(address of the kernel, bytes of its arguments); see step.pxd."""
    cdef Args args = fields
    return <size_t> <Run> &run, (<char*> &args)[:sizeof(Args)]
