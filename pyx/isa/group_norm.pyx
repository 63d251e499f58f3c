"""Group normalization: dst = act((src - mean) / sqrt(variance + epsilon) * scale + bias [+ add]), with the moments of a group.

An image is CB blocks of D x H rows of L floats. In a blocked tensor vectors are pixels. In a row-major one (`row_major`) a block is
one channel, whose last vector may have fewer lanes, and lanes are added up. A group has C / G channels of an image; in instance
normalization it has one. Three steps share the arguments:

- MOMENTS: for each item of `rows` x `chunk` floats, which stay in L1, the mean of each channel, then the sums of the differences
  from it and of their squares.
- JOIN: from these, in double, the mean and variance of each group, and from them three values for each channel: the mean as a
  float, the factor, and the shift, which is the bias minus the rounding error of the mean times the factor.
- NORMALIZE: (src - mean) * factor + shift, and the epilogue.

So the result is precise even if the mean is large beside the deviation. Parallel over items in MOMENTS and NORMALIZE, which do not
depend on the number of threads, and over groups in JOIN.
"""

from libc.math cimport INFINITY, sqrt
from libc.stdint cimport int64_t

from activation cimport Activation, activate, clip
from constants cimport CLIP
from lanes cimport total
from simd cimport V, load, load_part, store, store_part, vbroadcast, vf
from step cimport at, share
from view cimport View, pixel

include "finish.pxi"

cdef enum:
    SUMS = 4  # side by side, as each addition waits for the one before

# what `stage` may be
cpdef enum:
    MOMENTS
    JOIN
    NORMALIZE

cdef struct Args:
    View src
    View dst
    View add
    int64_t scale
    int64_t bias
    int64_t moments  # scratch memory [n][item of the channel][3][channel]
    int64_t params  # scratch memory [n][3][channel]: mean, factor, shift
    int stage
    bint row_major
    bint has_add
    Py_ssize_t N
    Py_ssize_t C
    Py_ssize_t G  # groups
    Py_ssize_t CB  # blocks
    Py_ssize_t D
    Py_ssize_t H
    Py_ssize_t L  # floats of a row
    Py_ssize_t rows  # of an item
    Py_ssize_t chunk  # floats of each row of an item
    double epsilon
    Activation act

# An item: n floats from l on of the rows h to h + m.
cdef struct Item:
    Py_ssize_t image
    Py_ssize_t cb
    Py_ssize_t number
    Py_ssize_t d
    Py_ssize_t h
    Py_ssize_t l
    Py_ssize_t m
    Py_ssize_t n


cdef inline Py_ssize_t items_of_channel(const Args* a) noexcept nogil:
    return a.D * ((a.H + a.rows - 1) // a.rows) * ((a.L + a.chunk - 1) // a.chunk)


# Item `number` of a block. The caller sets image and cb.
cdef inline Item item_of(const Args* a, Py_ssize_t number) noexcept nogil:
    cdef Py_ssize_t CHUNKS = (a.L + a.chunk - 1) // a.chunk, ROW_GROUPS = (a.H + a.rows - 1) // a.rows
    cdef Item i
    i.number = number
    i.l = number % CHUNKS * a.chunk
    i.h = number // CHUNKS % ROW_GROUPS * a.rows
    i.d = number // CHUNKS // ROW_GROUPS
    i.m = min(a.H - i.h, a.rows)
    i.n = min(a.L - i.l, a.chunk)
    return i


# The first float of an item.
cdef inline float* first(char** bases, const View* v, const Item* i) noexcept nogil:
    return pixel(bases, v, i.image, i.cb, i.h, 0) + i.d * v.d + i.l


cdef inline vf joined(const bint ROW_MAJOR, const vf* sum) noexcept nogil:
    cdef vf y = (sum[0] + sum[1]) + (sum[2] + sum[3])
    return vbroadcast(total(y)) if ROW_MAJOR else y


# The moments of m rows of n floats, `stride` apart, to dst.
cdef inline void moments(const bint ROW_MAJOR, const float* src, Py_ssize_t stride, Py_ssize_t m, Py_ssize_t n, float* dst,
                         Py_ssize_t channels) noexcept nogil:
    cdef Py_ssize_t k, lanes = n % V, full = n - lanes, row
    cdef int i
    cdef float share_of = <float> 1.0 / (m * n if ROW_MAJOR else m * (n // V))
    cdef vf sum[SUMS]
    cdef vf squares[SUMS]
    cdef vf mean, d
    for i in range(SUMS):
        sum[i] = vbroadcast(0)
        squares[i] = vbroadcast(0)
    for row in range(m):
        k = 0
        while k + SUMS * V <= full:
            for i in range(SUMS):
                sum[i] = sum[i] + load(src + row * stride + k + i * V)
            k += SUMS * V
        while k < full:
            sum[0] = sum[0] + load(src + row * stride + k)
            k += V
        if ROW_MAJOR and lanes:
            sum[1] = sum[1] + load_part(src + row * stride + k, lanes, 0)
    mean = joined(ROW_MAJOR, sum) * share_of
    for i in range(SUMS):
        sum[i] = vbroadcast(0)
    for row in range(m):
        k = 0
        while k + SUMS * V <= full:
            for i in range(SUMS):
                d = load(src + row * stride + k + i * V) - mean
                sum[i] = sum[i] + d
                squares[i] = squares[i] + d * d
            k += SUMS * V
        while k < full:
            d = load(src + row * stride + k) - mean
            sum[0] = sum[0] + d
            squares[0] = squares[0] + d * d
            k += V
        if ROW_MAJOR and lanes:
            d = load_part(src + row * stride + k, lanes, (<float*> &mean)[0]) - mean
            sum[1] = sum[1] + d
            squares[1] = squares[1] + d * d
    store_part(dst, mean, 1 if ROW_MAJOR else V)
    store_part(dst + channels, joined(ROW_MAJOR, sum), 1 if ROW_MAJOR else V)
    store_part(dst + 2 * channels, joined(ROW_MAJOR, squares), 1 if ROW_MAJOR else V)


# Join the moments of group g of an image. `channels` is the length of each row of moments and params.
cdef void join(const Args* a, const float* moments, float* params, const float* scale, const float* bias, Py_ssize_t g,
               Py_ssize_t channels) noexcept nogil:
    cdef Py_ssize_t ITEMS = items_of_channel(a), SIZE = a.C // a.G, c, number
    cdef double K = <double> SIZE * a.D * a.H * (a.L if a.row_major else a.L // V), sum = 0, squares = 0, mean, variance, d, count
    cdef const float* own
    cdef float rounded, factor
    cdef Item i
    for number in range(ITEMS):
        i = item_of(a, number)
        count = i.m * (i.n if a.row_major else i.n // V)
        own = moments + number * 3 * channels
        for c in range(g * SIZE, (g + 1) * SIZE):
            sum += count * own[c] + own[channels + c]
    mean = sum / K
    for number in range(ITEMS):
        i = item_of(a, number)
        count = i.m * (i.n if a.row_major else i.n // V)
        own = moments + number * 3 * channels
        for c in range(g * SIZE, (g + 1) * SIZE):
            d = own[c] - mean
            squares += own[2 * channels + c] + d * (2 * own[channels + c] + count * d)
    variance = squares / K
    if variance < 0:
        variance = 0
    rounded = <float> mean
    for c in range(g * SIZE, (g + 1) * SIZE):
        factor = <float> (scale[c] / sqrt(variance + a.epsilon))
        params[c] = rounded
        params[channels + c] = factor
        params[2 * channels + c] = <float> (bias[c] - (mean - rounded) * factor)


cdef inline void normalize(const bint ROW_MAJOR, const bint ADD, const Args* a, const Item* i, const float* params,
                           Py_ssize_t channels, const float* src, const float* add, float* dst, float low,
                           float high) noexcept nogil:
    cdef Py_ssize_t k, lanes = i.n % V, full = i.n - lanes
    cdef vf mean = vbroadcast(params[0]) if ROW_MAJOR else load(params)
    cdef vf factor = vbroadcast(params[channels]) if ROW_MAJOR else load(params + channels)
    cdef vf shift = vbroadcast(params[2 * channels]) if ROW_MAJOR else load(params + 2 * channels)
    cdef vf y
    for _ in range(i.m):
        k = 0
        while k < full:
            y = (load(src + k) - mean) * factor + shift
            if ADD:
                y = y + load(add + k)
            store(dst + k, clip(y, low, high))
            k += V
        if ROW_MAJOR and lanes:
            y = (load_part(src + k, lanes, 0) - mean) * factor + shift
            if ADD:
                y = y + load_part(add + k, lanes, 0)
            store_part(dst + k, activate(y, a.act.kind, a.act.a, a.act.b, a.act.c), lanes)
        finish(&a.act, dst, full // V)
        src += a.src.h
        add += a.add.h
        dst += a.dst.h


cdef void run(const Args* a, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil:
    cdef Py_ssize_t ITEMS = items_of_channel(a), LANES = 1 if a.row_major else V, channels = a.CB * LANES, item, image
    cdef Py_ssize_t items = a.N * (a.G if a.stage == JOIN else a.CB * ITEMS)
    cdef float low = a.act.a if a.act.kind == CLIP else -INFINITY, high = a.act.b if a.act.kind == CLIP else INFINITY
    cdef float* sums = at(bases, a.moments)
    cdef float* params = at(bases, a.params)
    cdef const float* own
    cdef const float* src
    cdef const float* add
    cdef float* dst
    cdef Item i
    for item in range(share(items, piece, pieces), share(items, piece + 1, pieces)):
        if a.stage == JOIN:
            image = item // a.G
            join(a, sums + image * ITEMS * 3 * channels, params + image * 3 * channels, at(bases, a.scale), at(bases, a.bias),
                 item % a.G, channels)
            continue
        i = item_of(a, item % ITEMS)
        i.cb = item // ITEMS % a.CB
        i.image = item // ITEMS // a.CB
        src = first(bases, &a.src, &i)
        if a.stage == MOMENTS:
            dst = sums + (i.image * ITEMS + i.number) * 3 * channels + i.cb * LANES
            if a.row_major:
                moments(True, src, a.src.h, i.m, i.n, dst, channels)
            else:
                moments(False, src, a.src.h, i.m, i.n, dst, channels)
            continue
        own = params + i.image * 3 * channels + i.cb * LANES
        add = first(bases, &a.add, &i)
        dst = first(bases, &a.dst, &i)
        if a.row_major and a.has_add:
            normalize(True, True, a, &i, own, channels, src, add, dst, low, high)
        elif a.row_major:
            normalize(True, False, a, &i, own, channels, src, add, dst, low, high)
        elif a.has_add:
            normalize(False, True, a, &i, own, channels, src, add, dst, low, high)
        else:
            normalize(False, False, a, &i, own, channels, src, add, dst, low, high)


include "step.pxi"
