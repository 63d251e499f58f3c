"""Softmax and its logarithm along the middle one of three axes: outer, K, inner.

e^(x - max) over its sum, or x - max - log(sum): nothing overflows, and a NaN or +inf in a row makes all of it NaN. With inner = 1
a vector is V elements of a row, and the lanes of the sum are added in order. Otherwise a vector is V neighbours on the inner
axis, and each lane is a row; short rows are transposed for that.
Parallel over rows, groups of short rows, or blocks of the inner axis.
"""

from libc.math cimport INFINITY, logf
from libc.stdint cimport int64_t

from lanes cimport total
from simd cimport V, load, load_part, store, store_part, vbroadcast, vexp, vf, vmax
from step cimport at, share

cdef enum:
    SHORT = 24  # elements of a row up to which V rows are computed at once
    VECTORS = 8  # of the inner axis in an item: whole cache lines of each row, and room for their sums in registers

cdef struct Args:
    int64_t src
    int64_t dst
    Py_ssize_t outer
    Py_ssize_t K
    Py_ssize_t inner
    bint log  # the logarithm of softmax


cdef inline vf logarithm(vf x) noexcept nogil:
    cdef int i
    cdef vf y = x
    for i in range(V):
        (<float*> &y)[i] = logf((<float*> &y)[i])
    return y


# A NaN may be lost here; the sum has it again.
cdef inline float largest(vf x) noexcept nogil:
    cdef int i
    cdef float lanes[16]
    cdef float top = -INFINITY
    store(lanes, x)
    for i in range(V):
        if lanes[i] > top:
            top = lanes[i]
    return top


cdef void row(const float* src, float* dst, Py_ssize_t K, bint log) noexcept nogil:
    cdef Py_ssize_t FULL = K // V, left = K % V, tail = FULL * V, k
    cdef vf top = vbroadcast(-INFINITY), sum = vbroadcast(0), e, low
    for k in range(FULL):
        top = vmax(top, load(src + k * V))
    if left:
        top = vmax(top, load_part(src + tail, left, -INFINITY))
    top = vbroadcast(largest(top))
    for k in range(FULL):
        e = vexp(load(src + k * V) - top)
        sum = sum + e
        if not log:
            store(dst + k * V, e)
    if left:
        e = vexp(load_part(src + tail, left, -INFINITY) - top)
        sum = sum + e
        if not log:
            store_part(dst + tail, e, left)
    sum = vbroadcast(total(sum))
    if log:
        low = logarithm(sum)
        for k in range(FULL):
            store(dst + k * V, load(src + k * V) - top - low)
        if left:
            store_part(dst + tail, load_part(src + tail, left, 0) - top - low, left)
    else:
        for k in range(FULL):
            store(dst + k * V, load(dst + k * V) / sum)
        if left:
            store_part(dst + tail, load_part(dst + tail, left, 0) / sum, left)


# `width` rows side by side, at most VECTORS vectors of them, `stride` floats from one of their elements to the next.
cdef inline void columns(const float* src, float* dst, Py_ssize_t K, Py_ssize_t stride, Py_ssize_t width,
                         bint log) noexcept nogil:
    cdef Py_ssize_t k
    cdef int COUNT = <int> ((width + V - 1) // V), i
    cdef Py_ssize_t lanes = width - (COUNT - 1) * V
    cdef vf top[VECTORS]
    cdef vf sum[VECTORS]
    cdef vf e
    for i in range(COUNT):
        top[i] = vbroadcast(-INFINITY)
        sum[i] = vbroadcast(0)
    for k in range(K):
        for i in range(COUNT):
            top[i] = vmax(top[i], load_part(src + k * stride + i * V, V if i + 1 < COUNT else lanes, 0))
    for k in range(K):
        for i in range(COUNT):
            e = vexp(load_part(src + k * stride + i * V, V if i + 1 < COUNT else lanes, 0) - top[i])
            sum[i] = sum[i] + e
            if not log:
                store_part(dst + k * stride + i * V, e, V if i + 1 < COUNT else lanes)
    for i in range(COUNT):
        if log:
            sum[i] = logarithm(sum[i])
    for k in range(K):
        for i in range(COUNT):
            if log:
                e = load_part(src + k * stride + i * V, V if i + 1 < COUNT else lanes, 0) - top[i] - sum[i]
            else:
                e = load_part(dst + k * stride + i * V, V if i + 1 < COUNT else lanes, 0) / sum[i]
            store_part(dst + k * stride + i * V, e, V if i + 1 < COUNT else lanes)


# `rows` <= V short rows, transposed so that each is a lane.
cdef void short_rows(const float* src, float* dst, Py_ssize_t K, Py_ssize_t rows, bint log) noexcept nogil:
    cdef Py_ssize_t i, k
    cdef float lanes[SHORT * 16]
    for i in range(V):
        for k in range(K):
            lanes[k * V + i] = src[i * K + k] if i < rows else 0
    columns(lanes, lanes, K, V, V, log)
    for i in range(rows):
        for k in range(K):
            dst[i * K + k] = lanes[k * V + i]


cdef void run(const Args* a, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil:
    cdef Py_ssize_t WIDTH = VECTORS * V, GROUP = V if a.inner == 1 and a.K <= SHORT else 1
    cdef Py_ssize_t BLOCKS = (a.inner + WIDTH - 1) // WIDTH, items = (a.outer + GROUP - 1) // GROUP * BLOCKS, item, outer, i
    cdef const float* src
    cdef float* dst
    for item in range(share(items, piece, pieces), share(items, piece + 1, pieces)):
        outer = item // BLOCKS * GROUP
        i = item % BLOCKS * WIDTH
        src = at(bases, a.src) + outer * a.K * a.inner + i
        dst = at(bases, a.dst) + outer * a.K * a.inner + i
        if GROUP > 1:
            short_rows(src, dst, a.K, min(a.outer - outer, GROUP), a.log)
        elif a.inner == 1:
            row(src, dst, a.K, a.log)
        elif a.inner - i >= WIDTH:
            columns(src, dst, a.K, a.inner, WIDTH, a.log)
        else:
            columns(src, dst, a.K, a.inner, a.inner - i, a.log)


include "step.pxi"
