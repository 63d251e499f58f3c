"""Zeroes the halo of a tensor: the rows and columns around each plane that taps of a convolution read as padding.

dst is the memory of a blocked or planar tensor from its first float on: `planes` planes of `rows` rows of `pitch` floats, of
which the first `top` and last `bottom` rows, and in each row the first `left` and last `right` floats, are the halo.
Parallel over planes.
"""

from libc.stdint cimport int64_t
from libc.string cimport memset

from step cimport at, share

cdef struct Args:
    int64_t dst
    Py_ssize_t planes
    Py_ssize_t rows
    Py_ssize_t pitch
    Py_ssize_t top
    Py_ssize_t left
    Py_ssize_t bottom
    Py_ssize_t right


cdef void run(const Args* a, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil:
    cdef Py_ssize_t plane, row
    cdef float* dst
    for plane in range(share(a.planes, piece, pieces), share(a.planes, piece + 1, pieces)):
        dst = at(bases, a.dst) + plane * a.rows * a.pitch
        memset(dst, 0, a.top * a.pitch * sizeof(float))
        memset(dst + (a.rows - a.bottom) * a.pitch, 0, a.bottom * a.pitch * sizeof(float))
        if a.left + a.right:
            for row in range(a.top, a.rows - a.bottom):
                memset(dst + row * a.pitch, 0, a.left * sizeof(float))
                memset(dst + (row + 1) * a.pitch - a.right, 0, a.right * sizeof(float))


include "step.pxi"
