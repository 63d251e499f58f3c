"""Layer normalization: dst = (src - mean) / sqrt(variance + epsilon) * scale + bias, over the K elements of a row.

In a blocked tensor a row is the channels of a pixel, and its vectors are a channel block apart. In a row-major tensor a row is the
last axes, and its vectors follow each other. The last vector may have fewer lanes. scale and bias are in whole vectors. Mean and
variance take a sweep each, with a sum for each lane; the lanes are added in order.
Parallel over groups of neighbouring rows, whose vectors share cache lines in the blocked layout.
"""

from libc.math cimport sqrtf
from libc.stdint cimport int64_t

from lanes cimport total
from simd cimport FMA, V, load, load_part, store, store_part, vbroadcast, vf
from step cimport at, share
from view cimport View, pixel

cdef enum:
    MOST_PIXELS = 8

cdef struct Args:
    View src  # c: to the next vector of a row; n, h, w: to the next row
    View dst
    int64_t scale
    int64_t bias
    Py_ssize_t N  # N x H x W rows
    Py_ssize_t H
    Py_ssize_t W
    Py_ssize_t K  # elements of a row
    float epsilon


# Rows that are normalized side by side: their sums and means stay in registers.
cdef inline int pixels() noexcept nogil:
    return MOST_PIXELS if FMA else 4


# P neighbouring rows. A lane without an element counts as the mean.
cdef inline void normalize(const int P, const Args* a, const float* src, float* dst, const float* scale,
                           const float* bias) noexcept nogil:
    cdef Py_ssize_t BLOCKS = a.K // V, lanes = a.K % V, k, c
    cdef int p
    cdef float one = 1.0
    cdef vf sum[MOST_PIXELS]
    cdef vf mean[MOST_PIXELS]
    cdef vf inverse[MOST_PIXELS]
    cdef vf d
    for p in range(P):
        sum[p] = vbroadcast(0)
    for k in range(BLOCKS):
        for p in range(P):
            sum[p] = sum[p] + load(src + k * a.src.c + p * a.src.w)
    for p in range(P):
        if lanes:
            sum[p] = sum[p] + load_part(src + BLOCKS * a.src.c + p * a.src.w, lanes, 0)
        mean[p] = vbroadcast(total(sum[p]) / a.K)
        sum[p] = vbroadcast(0)
    for k in range(BLOCKS):
        for p in range(P):
            d = load(src + k * a.src.c + p * a.src.w) - mean[p]
            sum[p] = sum[p] + d * d
    for p in range(P):
        if lanes:
            d = load_part(src + BLOCKS * a.src.c + p * a.src.w, lanes, (<float*> &mean[p])[0]) - mean[p]
            sum[p] = sum[p] + d * d
        inverse[p] = vbroadcast(one / sqrtf(total(sum[p]) / a.K + a.epsilon))
    for k in range(BLOCKS):
        c = k * V
        for p in range(P):
            d = (load(src + k * a.src.c + p * a.src.w) - mean[p]) * inverse[p]
            store(dst + k * a.dst.c + p * a.dst.w, d * load(scale + c) + load(bias + c))
    if lanes:
        c = BLOCKS * V
        for p in range(P):
            d = (load_part(src + BLOCKS * a.src.c + p * a.src.w, lanes, 0) - mean[p]) * inverse[p]
            store_part(dst + BLOCKS * a.dst.c + p * a.dst.w, d * load(scale + c) + load(bias + c), lanes)


cdef void run(const Args* a, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil:
    cdef Py_ssize_t PIXELS = pixels(), GROUPS = (a.W + PIXELS - 1) // PIXELS, items = a.N * a.H * GROUPS, item, n, h, w
    cdef const float* src
    cdef float* dst
    cdef const float* scale = at(bases, a.scale)
    cdef const float* bias = at(bases, a.bias)
    for item in range(share(items, piece, pieces), share(items, piece + 1, pieces)):
        w = item % GROUPS * PIXELS
        h = item // GROUPS % a.H
        n = item // GROUPS // a.H
        src = pixel(bases, &a.src, n, 0, h, w)
        dst = pixel(bases, &a.dst, n, 0, h, w)
        if a.W - w >= PIXELS:
            normalize(pixels(), a, src, dst, scale, bias)
        else:
            for _ in range(a.W - w):
                normalize(1, a, src, dst, scale, bias)
                src += a.src.w
                dst += a.dst.w


include "step.pxi"
