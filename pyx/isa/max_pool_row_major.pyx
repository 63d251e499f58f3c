"""Max pooling of row-major tensors of any element type: windows over three spatial axes, of which missing ones have size 1.

A window with a NaN gives NaN. Padding is left out; a window of padding alone gives the least number of the type. Of two equal
elements (0 and -0, two NaN) the first one stays. Halves are compared as integers in the same order.
Parallel over the rows of the result. For each element of the window, there is one sweep over the row, which stays in L1.
"""

from libc.math cimport INFINITY
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint64_t

from step cimport at, share

cpdef enum:
    AXES = 3  # spatial axes

# what `type` may be
cpdef enum:
    FLOAT16
    FLOAT32
    UINT8
    INT8
    INT32
    INT64

ctypedef fused element:
    uint16_t  # the bits of a half
    float
    uint8_t
    int8_t
    int32_t
    int64_t

cdef struct Args:
    int64_t src
    int64_t dst
    int type
    Py_ssize_t planes  # images x channels
    Py_ssize_t size[AXES]  # of the source
    Py_ssize_t out[AXES]  # size of the result
    Py_ssize_t window[AXES]
    Py_ssize_t strides[AXES]
    Py_ssize_t dilations[AXES]
    Py_ssize_t begin[AXES]  # the padding in front


# An integer for a half, in the same order: 0 for both zeros, the largest for every NaN.
cdef inline int16_t order(uint16_t bits) noexcept nogil:
    cdef int16_t size = bits & 0x7fff, sign = -(bits >> 15), number = (size ^ sign) - sign
    return 0x7fff if size > 0x7c00 else number


cdef inline element larger(element x, element y) noexcept nogil:
    if element is uint16_t:
        return x if order(x) > order(y) else y
    elif element is float:
        return x if x > y or (x != x and y == y) else y
    else:
        return x if x > y else y


cdef inline element least(const element* any) noexcept nogil:
    cdef element x
    if element is uint16_t:
        x = 0xfc00
    elif element is float:
        x = -INFINITY
    elif element is uint8_t:
        x = 0
    else:
        x = <element> (<uint64_t> 1 << (8 * sizeof(element) - 1))  # unsigned: the shift reaches the bit of the sign
    return x


# `count` windows of a row and one element of each: src[0] in the first window, `stride` elements on in the next.
cdef inline void sweep(const Py_ssize_t stride, const element* src, element* dst, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(count):
        dst[i] = larger(src[i * stride], dst[i])


# The first window of which the element `offset` from its beginning is not before 0, and the first where it is not before `size`.
cdef inline Py_ssize_t first_window(Py_ssize_t offset, Py_ssize_t size, Py_ssize_t stride, Py_ssize_t out) noexcept nogil:
    cdef Py_ssize_t gap = size - offset
    return 0 if gap <= 0 else min((gap + stride - 1) // stride, out)


cdef inline void pool(const Args* a, const element* src, element* dst, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    cdef Py_ssize_t D = a.size[0], H = a.size[1], W = a.size[2], OD = a.out[0], OH = a.out[1], OW = a.out[2], stride = a.strides[2]
    cdef Py_ssize_t row, plane, d, h, w, kd, kh, kw, i, n
    cdef const element* p
    cdef element* y
    for row in range(first, last):
        plane = row // OH // OD
        y = dst + row * OW
        for i in range(OW):
            y[i] = least(src)
        for kd in range(a.window[0]):
            d = row // OH % OD * a.strides[0] + kd * a.dilations[0] - a.begin[0]
            if not 0 <= d < D:
                continue
            for kh in range(a.window[1]):
                h = row % OH * a.strides[1] + kh * a.dilations[1] - a.begin[1]
                if not 0 <= h < H:
                    continue
                for kw in range(a.window[2]):
                    w = kw * a.dilations[2] - a.begin[2]
                    i = first_window(w, 0, stride, OW)
                    n = first_window(w, W, stride, OW) - i
                    p = src + ((plane * D + d) * H + h) * W + w + i * stride
                    if stride == 1:
                        sweep(1, p, y + i, n)
                    elif stride == 2:
                        sweep(2, p, y + i, n)
                    else:
                        sweep(stride, p, y + i, n)


cdef void run(const Args* a, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil:
    cdef Py_ssize_t rows = a.planes * a.out[0] * a.out[1]
    cdef Py_ssize_t first = share(rows, piece, pieces), last = share(rows, piece + 1, pieces)
    cdef const void* src = at(bases, a.src)
    cdef void* dst = at(bases, a.dst)
    if a.type == FLOAT16:
        pool(a, <const uint16_t*> src, <uint16_t*> dst, first, last)
    elif a.type == FLOAT32:
        pool(a, <const float*> src, <float*> dst, first, last)
    elif a.type == UINT8:
        pool(a, <const uint8_t*> src, <uint8_t*> dst, first, last)
    elif a.type == INT8:
        pool(a, <const int8_t*> src, <int8_t*> dst, first, last)
    elif a.type == INT32:
        pool(a, <const int32_t*> src, <int32_t*> dst, first, last)
    else:
        pool(a, <const int64_t*> src, <int64_t*> dst, first, last)


include "step.pxi"
