"""Sums, products, norms, largest and smallest elements along the middle one of three axes: outer, K, inner.

With inner = 1 each lane reduces every V-th of the K elements, and the lanes are joined in order. Otherwise a vector is V neighbours
on the inner axis, and each lane is an output. A NaN makes the result NaN.
Parallel over outputs: rows, or blocks of the inner axis, whose bounds do not depend on the number of threads.
"""

from libc.math cimport INFINITY
from libc.stdint cimport int64_t

from simd cimport V, load, load_part, store_part, vabs, vbroadcast, vf, vmaxnan, vminnan, vsqrt
from step cimport at, share

cdef enum:
    VECTORS = 8  # of the inner axis in an item: whole cache lines of each row, and room for their results in registers

# what `function` may be
cpdef enum:
    SUM
    MAX
    MIN
    PROD
    SUM_ABS
    SUM_SQUARE
    L2

cdef struct Args:
    int64_t src
    int64_t dst
    int function
    float factor  # of sums: 1 / K for means
    Py_ssize_t outer
    Py_ssize_t K
    Py_ssize_t inner


cdef inline float neutral(const int F) noexcept nogil:
    return -INFINITY if F == MAX else INFINITY if F == MIN else 1 if F == PROD else 0


# What an element adds to the result.
cdef inline vf term(const int F, vf x) noexcept nogil:
    return vabs(x) if F == SUM_ABS else x * x if F == SUM_SQUARE or F == L2 else x


cdef inline vf join(const int F, vf x, vf y) noexcept nogil:
    return vmaxnan(x, y) if F == MAX else vminnan(x, y) if F == MIN else x * y if F == PROD else x + y


cdef inline vf result(const int F, vf y, float factor) noexcept nogil:
    return vsqrt(y) if F == L2 else y * factor


cdef inline void row(const int F, const float* src, float* dst, Py_ssize_t K, float factor) noexcept nogil:
    cdef Py_ssize_t k = 0
    cdef int i
    cdef vf y = vbroadcast(neutral(F)), lane
    while k + V <= K:
        y = join(F, y, term(F, load(src + k)))
        k += V
    if k < K:
        y = join(F, y, term(F, load_part(src + k, K - k, neutral(F))))
    lane = vbroadcast((<float*> &y)[0])
    for i in range(1, V):
        lane = join(F, lane, vbroadcast((<float*> &y)[i]))
    lane = result(F, lane, factor)
    dst[0] = (<float*> &lane)[0]


# COUNT vectors of outputs side by side, the last of `lanes`; `stride` floats from one of their elements to the next.
cdef inline void columns(const int F, const int COUNT, const float* src, float* dst, Py_ssize_t K, Py_ssize_t stride,
                         const Py_ssize_t lanes, float factor) noexcept nogil:
    cdef Py_ssize_t k
    cdef int i
    cdef vf y[VECTORS]
    for i in range(COUNT):
        y[i] = vbroadcast(neutral(F))
    for k in range(K):
        for i in range(COUNT):
            y[i] = join(F, y[i], term(F, load_part(src + k * stride + i * V, V if i + 1 < COUNT else lanes, 0)))
    for i in range(COUNT):
        store_part(dst + i * V, result(F, y[i], factor), V if i + 1 < COUNT else lanes)


cdef inline void reduce(const int F, const Args* a, const float* src, float* dst, Py_ssize_t width) noexcept nogil:
    cdef Py_ssize_t i = 0
    if a.inner == 1:
        row(F, src, dst, a.K, a.factor)
        return
    if width == VECTORS * V:
        columns(F, VECTORS, src, dst, a.K, a.inner, V, a.factor)
        return
    while i < width:
        columns(F, 1, src + i, dst + i, a.K, a.inner, min(V, width - i), a.factor)
        i += V


cdef void run(const Args* a, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil:
    cdef Py_ssize_t WIDTH = VECTORS * V, BLOCKS = (a.inner + WIDTH - 1) // WIDTH, items = a.outer * BLOCKS, item, outer, i, width
    cdef const float* src
    cdef float* dst
    for item in range(share(items, piece, pieces), share(items, piece + 1, pieces)):
        outer = item // BLOCKS
        i = item % BLOCKS * WIDTH
        width = min(WIDTH, a.inner - i)
        src = at(bases, a.src) + outer * a.K * a.inner + i
        dst = at(bases, a.dst) + outer * a.inner + i
        if a.function == SUM:
            reduce(SUM, a, src, dst, width)
        elif a.function == MAX:
            reduce(MAX, a, src, dst, width)
        elif a.function == MIN:
            reduce(MIN, a, src, dst, width)
        elif a.function == PROD:
            reduce(PROD, a, src, dst, width)
        elif a.function == SUM_ABS:
            reduce(SUM_ABS, a, src, dst, width)
        elif a.function == SUM_SQUARE:
            reduce(SUM_SQUARE, a, src, dst, width)
        else:
            reduce(L2, a, src, dst, width)


include "step.pxi"
