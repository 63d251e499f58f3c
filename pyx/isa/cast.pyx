"""Conversions of contiguous tensors between float32 and the other element types, and between integers.

Floats are rounded to 16 bits, halves to even, by operations on their bits: the loops have no branch, and the compiler vectorizes
them with or without instructions for these types. Floats become integers by truncation. A value that an integer type cannot hold
keeps its low bits, as in NumPy. Conversions between integers go through int64, in a buffer that stays in L1.
Parallel over items of ITEM elements, so that no two threads write to one cache line.
"""

from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy

from step cimport at, share

cdef extern from *:
    """
    static inline __attribute__((always_inline)) uint32_t bits_of(float x) { uint32_t b; __builtin_memcpy(&b, &x, 4); return b; }
    static inline __attribute__((always_inline)) float of_bits(uint32_t b) { float x; __builtin_memcpy(&x, &b, 4); return x; }
    """
    uint32_t bits_of(float x) nogil
    float of_bits(uint32_t b) nogil

cdef enum:
    ITEM = 1024

# what `src_type` and `dst_type` may be
cpdef enum:
    FLOAT16
    BFLOAT16
    FLOAT64
    UINT8
    INT8
    INT32
    INT64
    BOOL
    FLOAT32

cdef struct half:
    uint16_t bits

cdef struct bfloat:
    uint16_t bits

cdef struct truth:
    uint8_t bits

ctypedef fused other:
    half
    bfloat
    double
    uint8_t
    int8_t
    int32_t
    int64_t
    truth

ctypedef fused integer:
    uint8_t
    int8_t
    int32_t

ctypedef fused narrower:
    uint8_t
    int32_t
    truth

cdef struct Args:
    int64_t src
    int64_t dst
    int src_type
    int dst_type
    Py_ssize_t count  # elements


# The bias of the exponent is 15 in a half and 127 in a float: exponents differ by 112, those of infinity and NaN by twice that.
cdef inline float from_half(uint16_t h) noexcept nogil:
    cdef uint32_t sign = <uint32_t> (h & 0x8000) << 16, size = <uint32_t> (h & 0x7fff) << 13
    # a denormal is 2^-14 times its fraction, without the leading 1
    cdef uint32_t denormal = bits_of(of_bits(size + (113 << 23)) - of_bits(113 << 23))
    cdef uint32_t finite = denormal if size < 1 << 23 else size + (112 << 23)
    return of_bits(sign | (size + (224 << 23) if size >= 31 << 23 else finite))


cdef inline uint16_t to_half(float x) noexcept nogil:
    cdef uint32_t bits = bits_of(x), size = bits & 0x7fffffff, fraction = size >> 13 & 0x3ff
    # the last bit of 0.5 is the smallest half: the sum is rounded to multiples of it
    cdef uint32_t denormal = bits_of(of_bits(size) + <float> 0.5) - bits_of(0.5)
    cdef uint32_t normal = (size - (112 << 23) + 0xfff + (size >> 13 & 1)) >> 13
    cdef uint32_t finite = denormal if size < 113 << 23 else normal
    cdef uint32_t nan = 0x7c00 + (fraction if fraction else 1)
    cdef uint32_t beyond = nan if size > 255 << 23 else 0x7c00
    return <uint16_t> ((bits >> 16 & 0x8000) | (beyond if size >= 0x477ff000 else finite))  # from 65520 on


cdef inline uint16_t to_bfloat(float x) noexcept nogil:
    cdef uint32_t bits = bits_of(x)
    cdef uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16, nan = (bits >> 16 & 0x8000) | 0x7fc0
    return <uint16_t> (nan if (bits & 0x7fffffff) > 255 << 23 else rounded)


cdef void convert(bint widens, float* floats, other* others, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    if widens:
        for i in range(n):
            if other is half:
                floats[i] = from_half(others[i].bits)
            elif other is bfloat:
                floats[i] = of_bits(<uint32_t> others[i].bits << 16)
            elif other is truth:
                floats[i] = others[i].bits
            else:
                floats[i] = <float> others[i]
    else:
        for i in range(n):
            if other is half:
                others[i].bits = to_half(floats[i])
            elif other is bfloat:
                others[i].bits = to_bfloat(floats[i])
            elif other is truth:
                others[i].bits = floats[i] != 0
            elif other is uint8_t or other is int8_t:
                others[i] = <other> <int32_t> floats[i]
            else:
                others[i] = <other> floats[i]


# Convert n elements from `first` on, from or to float32.
cdef void convert_floats(const Args* a, void* src, void* dst, Py_ssize_t first, Py_ssize_t n) noexcept nogil:
    cdef bint widens = a.dst_type == FLOAT32
    cdef float* floats = <float*> (dst if widens else src) + first
    cdef void* others = src if widens else dst
    cdef int type = a.src_type if widens else a.dst_type
    if type == FLOAT16:
        convert(widens, floats, <half*> others + first, n)
    elif type == BFLOAT16:
        convert(widens, floats, <bfloat*> others + first, n)
    elif type == FLOAT64:
        convert(widens, floats, <double*> others + first, n)
    elif type == UINT8:
        convert(widens, floats, <uint8_t*> others + first, n)
    elif type == INT8:
        convert(widens, floats, <int8_t*> others + first, n)
    elif type == INT32:
        convert(widens, floats, <int32_t*> others + first, n)
    elif type == INT64:
        convert(widens, floats, <int64_t*> others + first, n)
    else:
        convert(widens, floats, <truth*> others + first, n)


cdef inline void widen(const integer* src, int64_t* dst, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        dst[i] = src[i]


cdef inline void narrow(const int64_t* src, narrower* dst, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        if narrower is truth:
            dst[i].bits = src[i] != 0
        else:
            dst[i] = <narrower> src[i]


# Convert n <= ITEM integers from `first` on.
cdef void convert_integers(const Args* a, void* src, void* dst, Py_ssize_t first, Py_ssize_t n) noexcept nogil:
    cdef int64_t room[ITEM]
    cdef const int64_t* wide = room
    if a.src_type == INT64:
        wide = <const int64_t*> src + first
    elif a.src_type == INT32:
        widen(<const int32_t*> src + first, room, n)
    elif a.src_type == INT8:
        widen(<const int8_t*> src + first, room, n)
    else:
        widen(<const uint8_t*> src + first, room, n)
    if a.dst_type == INT64:
        memcpy(<int64_t*> dst + first, wide, n * sizeof(int64_t))
    elif a.dst_type == INT32:
        narrow(wide, <int32_t*> dst + first, n)
    elif a.dst_type == BOOL:
        narrow(wide, <truth*> dst + first, n)
    else:  # the low bits are the same with a sign
        narrow(wide, <uint8_t*> dst + first, n)


cdef void run(const Args* a, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil:
    cdef Py_ssize_t items = (a.count + ITEM - 1) // ITEM, item, first
    cdef void* src = at(bases, a.src)
    cdef void* dst = at(bases, a.dst)
    for item in range(share(items, piece, pieces), share(items, piece + 1, pieces)):
        first = item * ITEM
        if a.src_type == FLOAT32 or a.dst_type == FLOAT32:
            convert_floats(a, src, dst, first, min(a.count - first, ITEM))
        else:
            convert_integers(a, src, dst, first, min(a.count - first, ITEM))


include "step.pxi"
