"""QuantizeLinear and DequantizeLinear: float32 to integers with scales and zero points, and back.

Both tensors have strides along six axes, of which the last is contiguous, and so have the scales and the zero points: 0 along the
last axis. So layouts change on the way, too. Planes of floats may become pixels of 4 bytes (nhwc4), which are then the elements of
dst; the last bytes of a pixel of fewer channels are 0.
Parallel over items of `rows` x `chunk` elements of the last two axes.
"""

from libc.math cimport INFINITY
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t
from libc.string cimport memcpy

from activation cimport clip, divide
from axes cimport Item, item_at, item_count, place
from constants cimport AXES
from dot cimport vi, vload1, vround, vset4, vstore1, vtofloat
from simd cimport V, load, load_part, store, store_part, vbroadcast, vf, vless
from step cimport at, share

# what `dtype`, that of the integers, may be
cpdef enum:
    UINT8
    INT8
    INT32

cdef struct Args:
    int64_t src
    int64_t dst
    int64_t scale
    int64_t zero  # address 0: all zero points are 0
    bint quantizes  # float32 to integers, otherwise back
    int dtype  # of the integers
    int channels  # of pixels of 4 bytes that planes become; 0: elements stay apart
    Py_ssize_t plane  # from one to the next
    Py_ssize_t rows  # of an item
    Py_ssize_t chunk  # elements of each row of an item
    Py_ssize_t dims[AXES]
    # strides in elements
    Py_ssize_t src_strides[AXES]
    Py_ssize_t dst_strides[AXES]
    Py_ssize_t scale_strides[AXES]


# The scales whose quotients `divide` rounds as a division does: no number on the way is subnormal, or beyond float32.
cdef inline bint is_near(float scale) noexcept nogil:
    cdef float least = 1.262177448e-29, most = 7.922816251e28  # 2^-96 and 2^96
    return least <= scale <= most


# x / scale as integers from `least` to `most`, halves to even, NaN as 0. The quotients of a NEAR scale need no division.
cdef inline vi steps(const bint NEAR, vf x, float scale, float least, float most) noexcept nogil:
    cdef vf n
    if NEAR:
        n = divide(clip(x, least * scale, most * scale), scale)
    else:
        n = clip(x / vbroadcast(scale), least, most)
    return vround(vless(n, vbroadcast(INFINITY), n, vbroadcast(0)))


# n elements as int8 or uint8, which is from `least` on: their low bytes.
cdef inline void quantize(const bint NEAR, const float* src, uint8_t* dst, Py_ssize_t n, float scale, int zero,
                          int least) noexcept nogil:
    cdef float low = least - zero, high = least + 255 - zero
    cdef uint8_t rest[V]
    cdef Py_ssize_t i = 0
    while i + V <= n:
        vstore1(dst + i, (steps(NEAR, load(src + i), scale, low, high) + vset4(zero)) & vset4(255))
        i += V
    if i < n:
        vstore1(rest, (steps(NEAR, load_part(src + i, n - i, 0), scale, low, high) + vset4(zero)) & vset4(255))
        memcpy(dst + i, rest, n - i)


# n pixels of 4 bytes, from as many planes as there are channels.
cdef inline void quantize_pixels(const bint NEAR, const Args* a, const float* src, int32_t* dst, Py_ssize_t n, float scale,
                                 int zero) noexcept nogil:
    cdef float low = -zero, high = 255 - zero
    cdef Py_ssize_t i = 0, lanes
    cdef int32_t rest[V]
    cdef vi pixels
    cdef int c
    while i < n:
        lanes = min(n - i, V)
        pixels = vset4(0)
        for c in range(a.channels):
            pixels = pixels | (steps(NEAR, load_part(src + c * a.plane + i, lanes, 0), scale, low, high) + vset4(zero)) << 8 * c
        if lanes == V:
            (<vi*> (dst + i))[0] = pixels
        else:
            (<vi*> rest)[0] = pixels
            memcpy(dst + i, rest, lanes * sizeof(int32_t))
        i += V


# Bytes as floats. An int8 is a uint8 with its highest bit flipped, less 128.
cdef inline void dequantize(const uint8_t* src, float* dst, Py_ssize_t n, float scale, int zero, int least) noexcept nogil:
    cdef vi flip = vset4(-least), zeros = vset4(zero - least)
    cdef uint8_t rest[V]
    cdef Py_ssize_t i = 0
    while i + V <= n:
        store(dst + i, vtofloat((vload1(src + i) ^ flip) - zeros) * scale)
        i += V
    if i < n:
        memcpy(rest, src + i, n - i)
        store_part(dst + i, vtofloat((vload1(rest) ^ flip) - zeros) * scale, n - i)


# The difference of two int32 is exact as a double: it is rounded once, to float.
cdef inline void dequantize_int32(const int32_t* src, float* dst, Py_ssize_t n, float scale, double zero) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        dst[i] = <float> (<double> src[i] - zero) * scale


# The zero point c.
cdef inline int zero_at(const Args* a, char** bases, Py_ssize_t c) noexcept nogil:
    cdef const void* zero = at(bases, a.zero)
    if not a.zero:
        return 0
    if a.dtype == UINT8:
        return (<const uint8_t*> zero)[c]
    return (<const int8_t*> zero)[c] if a.dtype == INT8 else (<const int32_t*> zero)[c]


# `rows` rows of n elements, from s of src on, with scale and zero point c.
cdef inline void convert(const Args* a, char** bases, Py_ssize_t s, Py_ssize_t d, Py_ssize_t c, Py_ssize_t rows,
                         Py_ssize_t n) noexcept nogil:
    cdef float scale = at(bases, a.scale)[c]
    cdef int zero = zero_at(a, bases, c), least = -128 if a.dtype == INT8 else 0
    cdef bint near = is_near(scale)
    cdef const void* src = at(bases, a.src)
    cdef void* dst = at(bases, a.dst)
    for _ in range(rows):
        if a.dtype == INT32:
            dequantize_int32(<const int32_t*> src + s, <float*> dst + d, n, scale, zero)
        elif not a.quantizes:
            dequantize(<const uint8_t*> src + s, <float*> dst + d, n, scale, zero, least)
        elif a.channels and near:
            quantize_pixels(True, a, <const float*> src + s, <int32_t*> dst + d, n, scale, zero)
        elif a.channels:
            quantize_pixels(False, a, <const float*> src + s, <int32_t*> dst + d, n, scale, zero)
        elif near:
            quantize(True, <const float*> src + s, <uint8_t*> dst + d, n, scale, zero, least)
        else:
            quantize(False, <const float*> src + s, <uint8_t*> dst + d, n, scale, zero, least)
        s += a.src_strides[AXES - 2]
        d += a.dst_strides[AXES - 2]


cdef void run(const Args* a, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil:
    cdef Py_ssize_t items = item_count(a.dims, a.rows, a.chunk), i, row, s, d, c
    cdef Item item
    for i in range(share(items, piece, pieces), share(items, piece + 1, pieces)):
        item = item_at(a.dims, a.rows, a.chunk, i)
        s = place(&item, a.src_strides)
        d = place(&item, a.dst_strides)
        c = place(&item, a.scale_strides)
        if a.scale_strides[AXES - 2] == 0:
            convert(a, bases, s, d, c, item.rows, item.chunk)
        else:
            for row in range(item.rows):
                convert(a, bases, s + row * a.src_strides[AXES - 2], d + row * a.dst_strides[AXES - 2], c + row, 1, item.chunk)


include "step.pxi"
