"""Resizes planes of a tensor nChw{V}c: an output row is a weighted sum of TH input rows, a pixel of TW pixels in each of them.

One tap along both axes is a copy (its weight is 1), two are bilinear interpolation.
Parallel over the output rows (n, c/V, oh).
"""

from libc.stdint cimport int64_t

from simd cimport V, load, store, vbroadcast, vf
from step cimport at, share
from view cimport View, pixel

cdef struct Args:
    View src
    View dst
    int64_t rows  # int64 [oh][TH], in floats from the first row of the plane
    int64_t row_weights  # [oh][TH]
    int64_t columns  # int64 [ow][TW], in floats from the first pixel of the row
    int64_t column_weights  # [ow][TW]
    Py_ssize_t N
    Py_ssize_t CB  # blocks of channels
    Py_ssize_t OH
    Py_ssize_t OW
    Py_ssize_t TH  # taps along a column
    Py_ssize_t TW  # taps along a row


# One output row; called with TH and TW as literals for the usual two.
cdef inline void resize_row(const Py_ssize_t TH, const Py_ssize_t TW, const Args* a, const float* src, float* dst,
                            const int64_t* rows, const float* row_weights, const int64_t* columns,
                            const float* column_weights) noexcept nogil:
    cdef Py_ssize_t ow, h, w
    cdef const float* p
    cdef vf y, row
    for ow in range(a.OW):
        if TH == 1 and TW == 1:
            y = load(src + rows[0] + columns[ow])
        else:
            y = vbroadcast(0)
            for h in range(TH):
                p = src + rows[h]
                row = load(p + columns[ow * TW]) * column_weights[ow * TW]
                for w in range(1, TW):
                    row = row + load(p + columns[ow * TW + w]) * column_weights[ow * TW + w]
                y = y + row * row_weights[h]
        store(dst + ow * V, y)


cdef void run(const Args* a, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil:
    cdef Py_ssize_t items = a.N * a.CB * a.OH, item, rest, oh, cb, n
    cdef const int64_t* rows = <const int64_t*> at(bases, a.rows)
    cdef const int64_t* columns = <const int64_t*> at(bases, a.columns)
    cdef const float* row_weights = at(bases, a.row_weights)
    cdef const float* column_weights = at(bases, a.column_weights)
    cdef const float* src
    cdef float* dst
    for item in range(share(items, piece, pieces), share(items, piece + 1, pieces)):
        oh = item % a.OH
        rest = item // a.OH
        cb = rest % a.CB
        n = rest // a.CB
        src = pixel(bases, &a.src, n, cb, 0, 0)
        dst = pixel(bases, &a.dst, n, cb, oh, 0)
        if a.TH == 1 and a.TW == 1:
            resize_row(1, 1, a, src, dst, rows + oh, row_weights + oh, columns, column_weights)
        elif a.TH == 2 and a.TW == 2:
            resize_row(2, 2, a, src, dst, rows + oh * 2, row_weights + oh * 2, columns, column_weights)
        else:
            resize_row(a.TH, a.TW, a, src, dst, rows + oh * a.TH, row_weights + oh * a.TH, columns, column_weights)


include "step.pxi"
