"""Copies between any two strided arrangements of up to six axes: reorders between layouts, transposes, slices, concatenation.

The plan puts the axis with the smallest stride in dst last. Elements are of any type: only their bits are moved.
Parallel over items of `rows` x `chunk` elements of the last two axes. An item is so small that all elements of a cache line of src
are read before the line leaves the cache. Bytes whose rows lie across those of src are transposed in registers, 16 x 16 of them.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from constants cimport AXES
from step cimport at, share
from vectors cimport Bytes, interleave_first, interleave_last

cdef enum:
    SHORT = 32  # a call of memcpy costs more than as many elements

# elements of each size
ctypedef fused element:
    uint8_t
    uint16_t
    uint32_t
    uint64_t
    Bytes

cdef struct Args:
    int64_t src
    int64_t dst
    Py_ssize_t itemsize  # bytes of an element: 1, 2, 4, 8 or 16
    Py_ssize_t rows  # of an item
    Py_ssize_t chunk  # elements of each row of an item
    Py_ssize_t dims[AXES]
    # strides in elements
    Py_ssize_t src_strides[AXES]
    Py_ssize_t dst_strides[AXES]


# The transpose of 16 rows of 16 bytes; the rows are `from_row` apart in src and `to_row` in dst.
cdef inline void transpose(const uint8_t* src, Py_ssize_t from_row, uint8_t* dst, Py_ssize_t to_row) noexcept nogil:
    cdef Bytes rows[16]
    cdef Bytes mixed[16]
    cdef int i
    for i in range(16):
        rows[i] = (<const Bytes*> (src + i * from_row))[0]
    for _ in range(2):
        for i in range(8):
            mixed[2 * i] = interleave_first(rows[i], rows[i + 8])
            mixed[2 * i + 1] = interleave_last(rows[i], rows[i + 8])
        for i in range(8):
            rows[2 * i] = interleave_first(mixed[i], mixed[i + 8])
            rows[2 * i + 1] = interleave_last(mixed[i], mixed[i + 8])
    for i in range(16):
        (<Bytes*> (dst + i * to_row))[0] = rows[i]


# The same for m rows of l bytes of dst.
cdef inline void transpose_all(const Args* a, const uint8_t* src, uint8_t* dst, Py_ssize_t m, Py_ssize_t l) noexcept nogil:
    cdef Py_ssize_t from_row = a.src_strides[5], to_row = a.dst_strides[4], i, k
    for i in range(0, m - 15, 16):
        for k in range(0, l - 15, 16):
            transpose(src + i + k * from_row, from_row, dst + i * to_row + k, to_row)
    for i in range(m):
        for k in range(l & ~15 if i < m & ~15 else 0, l):
            dst[i * to_row + k] = src[i + k * from_row]


# Copy m rows of l elements, which begin s elements behind src and d behind dst.
cdef inline void move(const Args* a, const element* src, Py_ssize_t s, element* dst, Py_ssize_t d, Py_ssize_t m,
                      Py_ssize_t l) noexcept nogil:
    cdef Py_ssize_t sl = a.src_strides[5], dl = a.dst_strides[5], k
    src += s
    dst += d
    if element is uint8_t:
        if a.src_strides[4] == 1 and dl == 1 and sl != 1:
            transpose_all(a, src, dst, m, l)
            return
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
        elif a.itemsize == 8:
            move(a, <const uint64_t*> src, s, <uint64_t*> dst, d, m, l)
        else:
            move(a, <const Bytes*> src, s, <Bytes*> dst, d, m, l)


include "step.pxi"
