"""Sums, products, largest and smallest elements of integers along the middle one of three axes: outer, K, inner.

Sums and products keep their low bits.
Parallel over items of WIDTH neighbours on the inner axis, whose results stay in L1 while the K rows are read.
"""

from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.string cimport memcpy

from step cimport at, share

cdef enum:
    WIDTH = 1024

# what `function` may be
cpdef enum:
    SUM
    MAX
    MIN
    PROD

ctypedef fused integer:
    int32_t
    int64_t

cdef struct Args:
    int64_t src
    int64_t dst
    int function
    Py_ssize_t itemsize  # bytes of an element: 4 or 8
    Py_ssize_t outer
    Py_ssize_t K
    Py_ssize_t inner


cdef inline integer join(const int F, integer x, integer y) noexcept nogil:
    if F == SUM:
        return <integer> (<uint64_t> x + <uint64_t> y)
    if F == PROD:
        return <integer> (<uint64_t> x * <uint64_t> y)
    if F == MAX:
        return x if x > y else y
    return x if x < y else y


# `width` neighbours of K rows, `stride` elements apart.
cdef inline void rows(const int F, const integer* src, integer* dst, Py_ssize_t K, Py_ssize_t stride, Py_ssize_t width) noexcept nogil:
    cdef Py_ssize_t k, i
    cdef integer y
    if stride == 1:
        y = src[0]
        for k in range(1, K):
            y = join(F, y, src[k])
        dst[0] = y
        return
    memcpy(dst, src, width * sizeof(integer))
    for k in range(1, K):
        for i in range(width):
            dst[i] = join(F, dst[i], src[k * stride + i])


cdef inline void reduce(const Args* a, const integer* src, integer* dst, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    cdef Py_ssize_t BLOCKS = (a.inner + WIDTH - 1) // WIDTH, item, i, width
    cdef const integer* x
    cdef integer* y
    for item in range(first, last):
        i = item % BLOCKS * WIDTH
        width = min(WIDTH, a.inner - i)
        x = src + item // BLOCKS * a.K * a.inner + i
        y = dst + item // BLOCKS * a.inner + i
        if a.function == SUM:
            rows(SUM, x, y, a.K, a.inner, width)
        elif a.function == MAX:
            rows(MAX, x, y, a.K, a.inner, width)
        elif a.function == MIN:
            rows(MIN, x, y, a.K, a.inner, width)
        else:
            rows(PROD, x, y, a.K, a.inner, width)


cdef void run(const Args* a, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil:
    cdef Py_ssize_t items = a.outer * ((a.inner + WIDTH - 1) // WIDTH)
    cdef Py_ssize_t first = share(items, piece, pieces), last = share(items, piece + 1, pieces)
    if a.itemsize == 4:
        reduce(a, <const int32_t*> at(bases, a.src), <int32_t*> at(bases, a.dst), first, last)
    else:
        reduce(a, <const int64_t*> at(bases, a.src), <int64_t*> at(bases, a.dst), first, last)


include "step.pxi"
