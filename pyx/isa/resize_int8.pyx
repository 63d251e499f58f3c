"""Resizes planes of quantized bytes, nhwc: an output row is a weighted sum of TH input rows, a pixel of TW pixels in each of them.

y = clip(rint(x * factor) + zero, low, high), where x is the sum over bytes less the source's zero point. Each product and each sum
is rounded once, in the order of the taps: bits are the same on every instruction set. Channels are filled up to blocks of 16.
Parallel over the output rows (n, oh).
"""

from libc.stdint cimport int64_t, uint8_t

from dot cimport product, vi, vload1, vset4, vstore1, vtofloat
from rounding cimport Rounding, rounded
from simd cimport V, vbroadcast, vf
from step cimport at, share
from view cimport View

cdef struct Args:
    # strides in bytes
    View src
    View dst
    int64_t rows  # int64 [oh][TH], in bytes from the first row of the plane
    int64_t row_weights  # [oh][TH]
    int64_t columns  # int64 [ow][TW], in bytes from the first pixel of the row
    int64_t column_weights  # [ow][TW]
    Py_ssize_t N
    Py_ssize_t channels  # with those that fill up the last block
    Py_ssize_t OH
    Py_ssize_t OW
    Py_ssize_t TH  # taps along a column
    Py_ssize_t TW  # taps along a row
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
    for ow in range(a.OW):
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
    cdef Py_ssize_t items = a.N * a.OH, item, oh
    cdef const int64_t* rows = <const int64_t*> at(bases, a.rows)
    cdef const int64_t* columns = <const int64_t*> at(bases, a.columns)
    cdef const float* row_weights = at(bases, a.row_weights)
    cdef const float* column_weights = at(bases, a.column_weights)
    cdef const uint8_t* src
    cdef uint8_t* dst
    for item in range(share(items, piece, pieces), share(items, piece + 1, pieces)):
        oh = item % a.OH
        src = <const uint8_t*> at(bases, a.src.address) + item // a.OH * a.src.n
        dst = <uint8_t*> at(bases, a.dst.address) + item // a.OH * a.dst.n + oh * a.dst.h
        if a.TH == 2 and a.TW == 2:
            resize_row(2, 2, a, src, dst, rows + oh * 2, row_weights + oh * 2, columns, column_weights)
        else:
            resize_row(a.TH, a.TW, a, src, dst, rows + oh * a.TH, row_weights + oh * a.TH, columns, column_weights)


include "step.pxi"
