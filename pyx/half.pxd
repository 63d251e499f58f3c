# Floats of 16 bits: rounded to the nearest, halves to even, and widened exactly, by operations on their bits. There is no branch, and
# the compiler vectorizes loops over them with or without instructions for these types. NaN stays NaN.

from libc.stdint cimport uint16_t, uint32_t

cdef extern from *:
    """
    static inline __attribute__((always_inline)) uint32_t bits_of(float x) { uint32_t b; __builtin_memcpy(&b, &x, 4); return b; }
    static inline __attribute__((always_inline)) float of_bits(uint32_t b) { float x; __builtin_memcpy(&x, &b, 4); return x; }
    """
    uint32_t bits_of(float x) nogil
    float of_bits(uint32_t b) nogil


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
