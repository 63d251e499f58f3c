"""Copies between any two strided arrangements of up to six axes: reorders between layouts, transposes, slices, concatenation.

The plan puts the axis with the smallest stride in dst last. Elements are of any type: only their bits are moved.
Parallel over items of `rows` x `chunk` elements of the last two axes. An item is so small that all elements of a cache line of src
are read before the line leaves the cache.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from constants cimport AXES
from step cimport at, share

cdef enum:
    SHORT = 32  # a call of memcpy costs more than as many elements

# elements of each size
ctypedef fused element:
    uint8_t
    uint16_t
    uint32_t
    uint64_t

cdef struct Args:
    int64_t src
    int64_t dst
    Py_ssize_t itemsize  # bytes of an element: 1, 2, 4 or 8
    Py_ssize_t rows  # of an item
    Py_ssize_t chunk  # elements of each row of an item
    Py_ssize_t dims[AXES]
    # strides in elements
    Py_ssize_t src_strides[AXES]
    Py_ssize_t dst_strides[AXES]


# Copy m rows of l elements, which begin s elements behind src and d behind dst.
cdef inline void move(const Args* a, const element* src, Py_ssize_t s, element* dst, Py_ssize_t d, Py_ssize_t m,
                      Py_ssize_t l) noexcept nogil:
    cdef Py_ssize_t sl = a.src_strides[5], dl = a.dst_strides[5], k
    src += s
    dst += d
    for _ in range(m):
        if sl == 1 and dl == 1 and l > SHORT:
            memcpy(dst, src, l * sizeof(element))
        elif dl == 1:
            for k in range(l):
                dst[k] = src[k * sl]
        else:
            for k in range(l):
                dst[k * dl] = src[k * sl]
        src += a.src_strides[4]
        dst += a.dst_strides[4]


cdef void run(const Args* a, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil:
    cdef Py_ssize_t M = a.dims[4], L = a.dims[5]
    cdef Py_ssize_t ROW_GROUPS = (M + a.rows - 1) // a.rows, CHUNKS = (L + a.chunk - 1) // a.chunk
    cdef Py_ssize_t items = a.dims[0] * a.dims[1] * a.dims[2] * a.dims[3] * ROW_GROUPS * CHUNKS
    cdef Py_ssize_t item, rest, i, axis, m, l, s, d
    cdef const void* src = at(bases, a.src)
    cdef void* dst = at(bases, a.dst)
    for item in range(share(items, piece, pieces), share(items, piece + 1, pieces)):
        l = item % CHUNKS * a.chunk
        rest = item // CHUNKS
        m = rest % ROW_GROUPS * a.rows
        rest = rest // ROW_GROUPS
        s = m * a.src_strides[4] + l * a.src_strides[5]
        d = m * a.dst_strides[4] + l * a.dst_strides[5]
        for axis in range(3, -1, -1):
            i = rest % a.dims[axis]
            rest = rest // a.dims[axis]
            s += i * a.src_strides[axis]
            d += i * a.dst_strides[axis]
        m = min(M - m, a.rows)
        l = min(L - l, a.chunk)
        if a.itemsize == 1:
            move(a, <const uint8_t*> src, s, <uint8_t*> dst, d, m, l)
        elif a.itemsize == 2:
            move(a, <const uint16_t*> src, s, <uint16_t*> dst, d, m, l)
        elif a.itemsize == 4:
            move(a, <const uint32_t*> src, s, <uint32_t*> dst, d, m, l)
        else:
            move(a, <const uint64_t*> src, s, <uint64_t*> dst, d, m, l)


include "step.pxi"
