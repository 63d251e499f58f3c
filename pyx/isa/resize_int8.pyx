"""Resizes planes of quantized bytes, nhwc: an output row is a weighted sum of TH input rows, a pixel of TW pixels in each of them.

y = clip(rint(x * factor) + zero, low, high), where x is the sum over bytes less the source's zero point. Each product and each sum
is rounded once, in the order of the taps: bits are the same on every instruction set. Channels are filled up to blocks of 16.
Parallel over the output rows (n, oh).
"""

from libc.stdint cimport int64_t, uint8_t

from axis_taps cimport AxisTaps
from dot cimport product, vi, vload1, vset4, vstore1, vtofloat
from rounding cimport Rounding, rounded
from simd cimport V, vbroadcast, vf
from step cimport at, share
from view cimport View

cdef struct Args:
    # strides in bytes
    View src
    View dst
    AxisTaps rows
    AxisTaps columns
    Py_ssize_t N
    Py_ssize_t channels  # with those that fill up the last block
    int src_zero
    float factor  # the scale of src over that of dst
    Rounding rounding


# One output row; called with TH and TW as literals for the usual two.
cdef inline void resize_row(const Py_ssize_t TH, const Py_ssize_t TW, const Args* g, const uint8_t* src, uint8_t* dst,
                            const int64_t* rows, const float* row_weights, const int64_t* columns,
                            const float* column_weights) noexcept nogil:
    cdef Args a = g[0]  # a copy: the compiler must assume that stores to dst change *g
    cdef Py_ssize_t ow, vector, channel, h, w
    cdef const uint8_t* p
    cdef vi zero = vset4(a.src_zero)
    cdef vf y, row
    for ow in range(a.columns.out):
        for vector in range(a.channels // V):
            channel = vector * V
            y = vbroadcast(0)
            for h in range(TH):
                p = src + rows[h] + channel
                row = product(vtofloat(vload1(p + columns[ow * TW]) - zero), vbroadcast(column_weights[ow * TW]))
                for w in range(1, TW):
                    row = row + product(vtofloat(vload1(p + columns[ow * TW + w]) - zero),
                                        vbroadcast(column_weights[ow * TW + w]))
                y = y + product(row, vbroadcast(row_weights[h]))
            vstore1(dst + ow * a.dst.w + channel, rounded(product(y, vbroadcast(a.factor)), &a.rounding))


cdef void run(const Args* a, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil:
    cdef Py_ssize_t OH = a.rows.out, TH = a.rows.count, TW = a.columns.count
    cdef Py_ssize_t items = a.N * OH, item, oh
    cdef const int64_t* rows = <const int64_t*> at(bases, a.rows.places)
    cdef const int64_t* columns = <const int64_t*> at(bases, a.columns.places)
    cdef const float* row_weights = at(bases, a.rows.weights)
    cdef const float* column_weights = at(bases, a.columns.weights)
    cdef const uint8_t* src
    cdef uint8_t* dst
    for item in range(share(items, piece, pieces), share(items, piece + 1, pieces)):
        oh = item % OH
        src = <const uint8_t*> at(bases, a.src.address) + item // OH * a.src.n
        dst = <uint8_t*> at(bases, a.dst.address) + item // OH * a.dst.n + oh * a.dst.h
        if TH == 2 and TW == 2:
            resize_row(2, 2, a, src, dst, rows + oh * 2, row_weights + oh * 2, columns, column_weights)
        else:
            resize_row(TH, TW, a, src, dst, rows + oh * TH, row_weights + oh * TH, columns, column_weights)


include "step.pxi"
