"""Sums and products of quantized bytes: y = clip(rint(x) + zero, low, high), where x is

    ADD  (a - a_zero) * a_scale + (b - b_zero) * b_scale, two products and their sum, rounded each
    MUL  (a - a_zero) * (b - b_zero) * a_scale, of which the first product is exact

Operands have strides along six axes: those of broadcast axes are 0. Along the last axis the stride of dst is 1, those of the
operands are 1 or 0.
Parallel over items of `rows` x `chunk` elements of the last two axes.
"""

from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcpy, memset

from axes cimport Item, item_at, item_count, place
from constants cimport AXES
from dot cimport product, vi, vload1, vset4, vstore1, vtofloat
from rounding cimport Rounding, rounded
from simd cimport V, vbroadcast, vf
from step cimport at, share

# what `function` may be
cpdef enum:
    ADD
    MUL

cdef struct Args:
    int64_t dst
    int64_t a
    int64_t b
    int function
    int a_zero
    int b_zero
    float a_scale
    float b_scale
    Rounding rounding
    Py_ssize_t rows  # of an item
    Py_ssize_t chunk  # elements of each row of an item
    Py_ssize_t dims[AXES]
    Py_ssize_t dst_strides[AXES]
    Py_ssize_t a_strides[AXES]
    Py_ssize_t b_strides[AXES]


# V elements.
cdef inline vi calculate(const int F, const Args* g, const uint8_t* a, const uint8_t* b) noexcept nogil:
    cdef vf x = vtofloat(vload1(a) - vset4(g.a_zero)), y = vtofloat(vload1(b) - vset4(g.b_zero))
    if F == ADD:
        return rounded(product(x, vbroadcast(g.a_scale)) + product(y, vbroadcast(g.b_scale)), &g.rounding)
    return rounded(x * y * g.a_scale, &g.rounding)


# n elements; the operands of stride 0 are V times the same byte.
cdef inline void line(const int F, const Args* g, const uint8_t* a, const uint8_t* b, uint8_t* dst, Py_ssize_t n) noexcept nogil:
    cdef Args own = g[0]  # a copy: the compiler must assume that stores to dst change *g
    cdef uint8_t rest[3][V]
    cdef Py_ssize_t i = 0
    if g.a_strides[AXES - 1] == 0:
        memset(rest[0], a[0], V)
        a = rest[0]
    if g.b_strides[AXES - 1] == 0:
        memset(rest[1], b[0], V)
        b = rest[1]
    while i + V <= n:
        vstore1(dst + i, calculate(F, &own, a + i * g.a_strides[AXES - 1], b + i * g.b_strides[AXES - 1]))
        i += V
    if i < n:
        if g.a_strides[AXES - 1]:
            memcpy(rest[0], a + i, n - i)
        if g.b_strides[AXES - 1]:
            memcpy(rest[1], b + i, n - i)
        vstore1(rest[2], calculate(F, &own, rest[0], rest[1]))
        memcpy(dst + i, rest[2], n - i)


cdef void run(const Args* g, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil:
    cdef Py_ssize_t items = item_count(g.dims, g.rows, g.chunk), i
    cdef const uint8_t* a
    cdef const uint8_t* b
    cdef uint8_t* dst
    cdef Item item
    for i in range(share(items, piece, pieces), share(items, piece + 1, pieces)):
        item = item_at(g.dims, g.rows, g.chunk, i)
        a = <const uint8_t*> at(bases, g.a) + place(&item, g.a_strides)
        b = <const uint8_t*> at(bases, g.b) + place(&item, g.b_strides)
        dst = <uint8_t*> at(bases, g.dst) + place(&item, g.dst_strides)
        for _ in range(item.rows):
            if g.function == ADD:
                line(ADD, g, a, b, dst, item.chunk)
            else:
                line(MUL, g, a, b, dst, item.chunk)
            a += g.a_strides[AXES - 2]
            b += g.b_strides[AXES - 2]
            dst += g.dst_strides[AXES - 2]


include "step.pxi"
