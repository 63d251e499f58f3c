"""Fills the halo of a tensor: the rows and columns around each plane that taps of a convolution read as padding.

dst is the memory of a blocked or planar tensor from its first byte on: `planes` planes of `rows` rows of `pitch` bytes, of
which the first `top` and last `bottom` rows, and in each row the first `left` and last `right` bytes, are the halo.
Parallel over planes.
"""

from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memset

from step cimport at, share

cdef struct Args:
    int64_t dst
    int value  # of every byte of the halo
    Py_ssize_t planes
    Py_ssize_t rows
    Py_ssize_t pitch
    Py_ssize_t top
    Py_ssize_t left
    Py_ssize_t bottom
    Py_ssize_t right


cdef void run(const Args* a, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil:
    cdef Py_ssize_t plane, row
    cdef uint8_t* dst
    for plane in range(share(a.planes, piece, pieces), share(a.planes, piece + 1, pieces)):
        dst = <uint8_t*> at(bases, a.dst) + plane * a.rows * a.pitch
        memset(dst, a.value, a.top * a.pitch)
        memset(dst + (a.rows - a.bottom) * a.pitch, a.value, a.bottom * a.pitch)
        if a.left + a.right:
            for row in range(a.top, a.rows - a.bottom):
                memset(dst + row * a.pitch, a.value, a.left)
                memset(dst + (row + 1) * a.pitch - a.right, a.value, a.right)


include "step.pxi"
