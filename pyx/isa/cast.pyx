"""Conversions between float32 and the other element types, of tensors whose elements follow each other.

Floats of 16 bits are rounded to the nearest, halves to even, by operations on their bits: the loops have no branch, and the
compiler makes vectors of them with or without instructions for these types. Integers are cut towards 0; what an integer of one
byte does not hold keeps its low bits, as NumPy has it. Parallel over items of ITEM elements, so that no two threads write to
one cache line.
"""

from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t

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

# TYPES in fastconv/ops/cast.py lists them in the same order
cdef enum Type:
    FLOAT16
    BFLOAT16
    FLOAT64
    UINT8
    INT8
    INT32
    INT64
    BOOL

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

cdef struct Args:
    int64_t floats
    int64_t others
    int type
    bint widens  # the others are read and the floats written
    Py_ssize_t count


# The exponent's bias is 15 in a half, 127 in a float: they differ by 112, and for infinity and NaN by twice that.
cdef inline float from_half(uint16_t h) noexcept nogil:
    cdef uint32_t sign = <uint32_t> (h & 0x8000) << 16, size = <uint32_t> (h & 0x7fff) << 13
    # of a denormal, these are 2^-14 times the fraction, and not 2^-14 times 1 and the fraction
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


cdef void run(const Args* a, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil:
    cdef Py_ssize_t items = (a.count + ITEM - 1) // ITEM
    cdef Py_ssize_t first = share(items, piece, pieces) * ITEM
    cdef Py_ssize_t n = min(share(items, piece + 1, pieces) * ITEM, a.count) - first
    cdef float* floats = at(bases, a.floats) + first
    cdef void* others = at(bases, a.others)
    if a.type == FLOAT16:
        convert(a.widens, floats, <half*> others + first, n)
    elif a.type == BFLOAT16:
        convert(a.widens, floats, <bfloat*> others + first, n)
    elif a.type == FLOAT64:
        convert(a.widens, floats, <double*> others + first, n)
    elif a.type == UINT8:
        convert(a.widens, floats, <uint8_t*> others + first, n)
    elif a.type == INT8:
        convert(a.widens, floats, <int8_t*> others + first, n)
    elif a.type == INT32:
        convert(a.widens, floats, <int32_t*> others + first, n)
    elif a.type == INT64:
        convert(a.widens, floats, <int64_t*> others + first, n)
    else:
        convert(a.widens, floats, <truth*> others + first, n)


include "step.pxi"
