"""Copies between any two strided arrangements of up to six axes: reorders between layouts, transposes, slices, concatenation.

src and dst are addressed as base + sum of index * stride over the axes, `dims` long; the binder puts the axis with the smallest
stride in dst last. Parallel over items of `rows` x `chunk` elements of the last two axes: so small that what src has in a cache
line is all taken before the line is gone.
"""

from libc.stdint cimport int64_t
from libc.string cimport memcpy

from step cimport Run, at, share

cdef enum:
    AXES = 6
    SHORT = 32  # a call of memcpy costs more than as many elements

cdef struct Args:
    int64_t src
    int64_t dst
    Py_ssize_t rows
    Py_ssize_t chunk
    Py_ssize_t dims[AXES]
    Py_ssize_t src_strides[AXES]
    Py_ssize_t dst_strides[AXES]


cdef void run(const Args* a, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil:
    cdef Py_ssize_t M = a.dims[4], L = a.dims[5]
    cdef Py_ssize_t PARTS = (M + a.rows - 1) // a.rows, CHUNKS = (L + a.chunk - 1) // a.chunk
    cdef Py_ssize_t items = a.dims[0] * a.dims[1] * a.dims[2] * a.dims[3] * PARTS * CHUNKS
    cdef Py_ssize_t sl = a.src_strides[5], dl = a.dst_strides[5]
    cdef Py_ssize_t item, rest, i, axis, m, l, k
    cdef const float* src
    cdef float* dst
    for item in range(share(items, piece, pieces), share(items, piece + 1, pieces)):
        l = item % CHUNKS * a.chunk
        rest = item // CHUNKS
        m = rest % PARTS * a.rows
        rest = rest // PARTS
        src = at(bases, a.src) + m * a.src_strides[4] + l * sl
        dst = at(bases, a.dst) + m * a.dst_strides[4] + l * dl
        for axis in range(3, -1, -1):
            i = rest % a.dims[axis]
            rest = rest // a.dims[axis]
            src += i * a.src_strides[axis]
            dst += i * a.dst_strides[axis]
        m = min(M - m, a.rows)
        l = min(L - l, a.chunk)
        for _ in range(m):
            if sl == 1 and dl == 1 and l > SHORT:
                memcpy(dst, src, l * sizeof(float))
            elif dl == 1:
                for k in range(l):
                    dst[k] = src[k * sl]
            else:
                for k in range(l):
                    dst[k * dl] = src[k * sl]
            src += a.src_strides[4]
            dst += a.dst_strides[4]


def step(dict fields):
    """(address of the kernel, bytes of its arguments); see step.pxd."""
    cdef Args args = fields
    return <size_t> <Run> &run, (<char*> &args)[:sizeof(Args)]
