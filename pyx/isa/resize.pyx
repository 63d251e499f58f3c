"""Resizes planes of a tensor nChw{V}c: an output row is a weighted sum of TH input rows, a pixel of TW pixels in each of them.

One tap along both axes is a copy (its weight is 1), two are bilinear interpolation.
Parallel over the output rows (n, c/V, oh).
"""

from libc.stdint cimport int64_t

from axis_taps cimport AxisTaps
from simd cimport V, load, store, vbroadcast, vf
from step cimport at, share
from view cimport View, pixel

cdef struct Args:
    View src
    View dst
    AxisTaps rows
    AxisTaps columns
    Py_ssize_t N
    Py_ssize_t CB  # blocks of channels


# One output row; called with TH and TW as literals for the usual two.
cdef inline void resize_row(const Py_ssize_t TH, const Py_ssize_t TW, const Args* a, const float* src, float* dst,
                            const int64_t* rows, const float* row_weights, const int64_t* columns,
                            const float* column_weights) noexcept nogil:
    cdef Py_ssize_t ow, h, w
    cdef const float* p
    cdef vf y, row
    for ow in range(a.columns.out):
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
    cdef Py_ssize_t OH = a.rows.out, TH = a.rows.count, TW = a.columns.count
    cdef Py_ssize_t items = a.N * a.CB * OH, item, rest, oh, cb, n
    cdef const int64_t* rows = <const int64_t*> at(bases, a.rows.places)
    cdef const int64_t* columns = <const int64_t*> at(bases, a.columns.places)
    cdef const float* row_weights = at(bases, a.rows.weights)
    cdef const float* column_weights = at(bases, a.columns.weights)
    cdef const float* src
    cdef float* dst
    for item in range(share(items, piece, pieces), share(items, piece + 1, pieces)):
        oh = item % OH
        rest = item // OH
        cb = rest % a.CB
        n = rest // a.CB
        src = pixel(bases, &a.src, n, cb, 0, 0)
        dst = pixel(bases, &a.dst, n, cb, oh, 0)
        if TH == 1 and TW == 1:
            resize_row(1, 1, a, src, dst, rows + oh, row_weights + oh, columns, column_weights)
        elif TH == 2 and TW == 2:
            resize_row(2, 2, a, src, dst, rows + oh * 2, row_weights + oh * 2, columns, column_weights)
        else:
            resize_row(TH, TW, a, src, dst, rows + oh * TH, row_weights + oh * TH, columns, column_weights)


include "step.pxi"
