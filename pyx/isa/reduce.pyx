"""Sums, means, largest and smallest elements along the middle one of three axes: outer, K, inner.

With inner = 1 the K elements lie along the vectors, in V parts that are joined in the order of the lanes. Else a vector is V
neighbours on the inner axis, each lane an output of its own. A NaN in a part makes its result NaN. `factor` scales sums, to means.
Parallel over outputs: rows, or blocks of the inner axis, whose bounds do not depend on the number of threads.
"""

from libc.math cimport INFINITY
from libc.stdint cimport int64_t

from simd cimport V, load, load_part, store_part, vbroadcast, vf, vmaxnan, vminnan
from step cimport Run, at, share

cdef enum:
    VECTORS = 8  # of the inner axis in an item: whole cache lines of each row, and room for their results in registers

# FUNCTIONS in fastconv/ops/reduce_strided.py lists them in the same order
cdef enum Function:
    SUM
    MAX
    MIN

cdef struct Args:
    int64_t src
    int64_t dst
    int function
    float factor
    Py_ssize_t outer
    Py_ssize_t K
    Py_ssize_t inner


cdef inline float neutral(const int F) noexcept nogil:
    return 0 if F == SUM else -INFINITY if F == MAX else INFINITY


cdef inline vf join(const int F, vf x, vf y) noexcept nogil:
    return x + y if F == SUM else vmaxnan(x, y) if F == MAX else vminnan(x, y)


cdef inline void row(const int F, const float* src, float* dst, Py_ssize_t K, float factor) noexcept nogil:
    cdef Py_ssize_t k = 0
    cdef int i
    cdef vf y = vbroadcast(neutral(F)), lane
    while k + V <= K:
        y = join(F, y, load(src + k))
        k += V
    if k < K:
        y = join(F, y, load_part(src + k, K - k, neutral(F)))
    lane = vbroadcast((<float*> &y)[0])
    for i in range(1, V):
        lane = join(F, lane, vbroadcast((<float*> &y)[i]))
    dst[0] = (<float*> &lane)[0] * factor


# `width` outputs side by side, at most VECTORS vectors of them, `step` floats from one of their elements to the next.
cdef inline void columns(const int F, const float* src, float* dst, Py_ssize_t K, Py_ssize_t step, Py_ssize_t width,
                         float factor) noexcept nogil:
    cdef Py_ssize_t k
    cdef int COUNT = <int> ((width + V - 1) // V), i
    cdef Py_ssize_t lanes = width - (COUNT - 1) * V
    cdef vf y[VECTORS]
    for i in range(COUNT):
        y[i] = vbroadcast(neutral(F))
    for k in range(K):
        for i in range(COUNT):
            y[i] = join(F, y[i], load_part(src + k * step + i * V, V if i + 1 < COUNT else lanes, 0))
    for i in range(COUNT):
        store_part(dst + i * V, y[i] * factor, V if i + 1 < COUNT else lanes)


cdef inline void reduce(const int F, const Args* a, const float* src, float* dst, Py_ssize_t width) noexcept nogil:
    if a.inner == 1:
        row(F, src, dst, a.K, a.factor)
    elif width == VECTORS * V:
        columns(F, src, dst, a.K, a.inner, VECTORS * V, a.factor)
    else:
        columns(F, src, dst, a.K, a.inner, width, a.factor)


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
        else:
            reduce(MIN, a, src, dst, width)


def step(dict fields):
    """(address of the kernel, bytes of its arguments); see step.pxd."""
    cdef Args args = fields
    return <size_t> <Run> &run, (<char*> &args)[:sizeof(Args)]
