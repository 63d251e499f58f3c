# The loops of max and average pooling over a tensor nChw{V}c: vectors are channels, and windows are cut at the borders.
#
# dst is nChw{V}c or, if each plane has one window, a matrix N C. If whole kernel rows are inside the source, R pixels are computed
# at once: for the usual kernels their columns are reduced first, and neighbouring windows share them. Any other pixel is computed
# alone, in partial sums of at most PARTIAL elements on four accumulators, so that the rounding error of a sum stays small however
# large the window is. The order of a sum depends on the shapes alone.
# Parallel over the rows of output pixels (n, c/V, oh).

from libc.math cimport INFINITY
from libc.stdint cimport int64_t

from simd cimport V, load, store, store_part, vbroadcast, vf, vmaxnan
from step cimport at, share
from view cimport View, pixel

cdef enum:
    R = 4  # pixels at once
    PARTIAL = 64

cdef struct Args:
    View src
    View dst
    # a mean is the sum of the window divided by heights[oh] * widths[ow]
    int64_t heights
    int64_t widths
    Py_ssize_t N
    Py_ssize_t CB  # blocks of channels
    Py_ssize_t H
    Py_ssize_t W
    Py_ssize_t OH
    Py_ssize_t OW
    Py_ssize_t KH
    Py_ssize_t KW
    Py_ssize_t stride_h
    Py_ssize_t stride_w
    Py_ssize_t dilation_h
    Py_ssize_t dilation_w
    Py_ssize_t top  # rows of padding
    Py_ssize_t left  # columns of padding
    # the columns of output pixels whose kernel rows lie inside the source
    Py_ssize_t inner_begin
    Py_ssize_t inner_end
    Py_ssize_t lanes  # channels of the last block that are written


cdef inline vf combine(const bint MEAN, vf x, vf y) noexcept nogil:
    return x + y if MEAN else vmaxnan(x, y)


cdef inline vf neutral(const bint MEAN) noexcept nogil:
    return vbroadcast(0 if MEAN else -INFINITY)


# R windows of KW columns, SW apart, from src on. KW = 0: of any width, stride and dilation.
cdef inline void windows(const bint MEAN, const int KW, const int SW, const Args* a, const float* src, Py_ssize_t rows,
                         float* dst, float height, const float* widths) noexcept nogil:
    cdef int COLUMNS = (R - 1) * SW + KW, c, i, k
    cdef Py_ssize_t row = a.dilation_h * a.src.h, r, kw
    cdef vf column[16]
    cdef vf y[R]
    if KW:
        for c in range(COLUMNS):
            column[c] = neutral(MEAN)
        for r in range(rows):
            for c in range(COLUMNS):
                column[c] = combine(MEAN, column[c], load(src + r * row + c * V))
        for i in range(R):
            y[i] = column[i * SW]
            for k in range(1, KW):
                y[i] = combine(MEAN, y[i], column[i * SW + k])
    else:
        for i in range(R):
            y[i] = neutral(MEAN)
        for r in range(rows):
            for kw in range(a.KW):
                for i in range(R):
                    y[i] = combine(MEAN, y[i], load(src + r * row + (kw * a.dilation_w + i * a.stride_w) * V))
    for i in range(R):
        store(dst + i * V, y[i] / vbroadcast(height * widths[i]) if MEAN else y[i])


# One window: `rows` rows, `row` floats apart, of `count` elements, `stride` floats apart.
cdef inline vf window(const bint MEAN, const float* src, Py_ssize_t rows, Py_ssize_t row, Py_ssize_t count,
                      Py_ssize_t stride) noexcept nogil:
    cdef Py_ssize_t r, k, end
    cdef int i
    cdef const float* p
    cdef vf total = neutral(MEAN)
    cdef vf acc[4]
    for r in range(rows):
        k = 0
        while k < count:
            p = src + r * row
            end = min(k + PARTIAL, count)
            for i in range(4):
                acc[i] = neutral(MEAN)
            while k + 4 <= end:
                for i in range(4):
                    acc[i] = combine(MEAN, acc[i], load(p + (k + i) * stride))
                k += 4
            while k < end:
                acc[0] = combine(MEAN, acc[0], load(p + k * stride))
                k += 1
            total = combine(MEAN, total, combine(MEAN, combine(MEAN, acc[0], acc[1]), combine(MEAN, acc[2], acc[3])))
    return total


# The first tap of a window beginning at `begin` that is not before 0, and the first not before `size`.
cdef inline Py_ssize_t first_tap(Py_ssize_t begin, Py_ssize_t size, Py_ssize_t dilation, Py_ssize_t taps) noexcept nogil:
    cdef Py_ssize_t gap = size - begin
    return 0 if gap <= 0 else min((gap + dilation - 1) // dilation, taps)


cdef inline void pool(const bint MEAN, const Args* a, char** bases, Py_ssize_t piece, Py_ssize_t pieces) noexcept nogil:
    cdef Py_ssize_t items = a.N * a.CB * a.OH, item, rest, n, cb, oh, ow, top, left, kh, kw, rows, count
    cdef const float* plane
    cdef const float* src
    cdef const float* widths = at(bases, a.widths)
    cdef float* dst
    cdef float height = 1.0
    cdef vf y
    for item in range(share(items, piece, pieces), share(items, piece + 1, pieces)):
        oh = item % a.OH
        rest = item // a.OH
        cb = rest % a.CB
        n = rest // a.CB
        top = oh * a.stride_h - a.top
        kh = first_tap(top, 0, a.dilation_h, a.KH)
        rows = first_tap(top, a.H, a.dilation_h, a.KH) - kh
        plane = pixel(bases, &a.src, n, cb, 0, 0)
        dst = pixel(bases, &a.dst, n, cb, oh, 0)
        if MEAN:
            height = at(bases, a.heights)[oh]
        ow = 0
        while ow < a.OW:
            if a.inner_begin <= ow < a.inner_end and a.inner_end - a.inner_begin >= R and rows:
                ow = min(ow, a.inner_end - R)  # the last R pixels of a row may overlap those before
                src = plane + (top + kh * a.dilation_h) * a.src.h + (ow * a.stride_w - a.left) * V
                if a.dilation_w > 1:
                    windows(MEAN, 0, 0, a, src, rows, dst + ow * V, height, widths + ow)
                elif a.KW == 3 and a.stride_w == 2:
                    windows(MEAN, 3, 2, a, src, rows, dst + ow * V, height, widths + ow)
                elif a.KW == 2 and a.stride_w == 2:
                    windows(MEAN, 2, 2, a, src, rows, dst + ow * V, height, widths + ow)
                elif a.KW == 3 and a.stride_w == 1:
                    windows(MEAN, 3, 1, a, src, rows, dst + ow * V, height, widths + ow)
                elif a.KW == 5 and a.stride_w == 1:
                    windows(MEAN, 5, 1, a, src, rows, dst + ow * V, height, widths + ow)
                else:
                    windows(MEAN, 0, 0, a, src, rows, dst + ow * V, height, widths + ow)
                ow += R
            else:
                left = ow * a.stride_w - a.left
                kw = first_tap(left, 0, a.dilation_w, a.KW)
                count = first_tap(left, a.W, a.dilation_w, a.KW) - kw
                src = plane + (top + kh * a.dilation_h) * a.src.h + (left + kw * a.dilation_w) * V
                y = window(MEAN, src, rows, a.dilation_h * a.src.h, count, a.dilation_w * V)
                if MEAN:
                    y = y / vbroadcast(height * widths[ow])
                store_part(dst + ow * V, y, V if cb + 1 < a.CB else a.lanes)
                ow += 1
