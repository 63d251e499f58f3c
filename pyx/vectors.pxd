# Vectors of bytes: `Bytes` has 16 of them on every instruction set, `vb` fills a register.

from simd cimport V

cdef extern from *:
    """
    typedef unsigned char Bytes __attribute__((vector_size(16), aligned(1), may_alias));
    typedef unsigned char vb __attribute__((vector_size(VBYTES), aligned(1), may_alias));
    #ifdef __clang__
      #define INTERLEAVE(x, y, ...) __builtin_shufflevector(x, y, __VA_ARGS__)
    #else
      #define INTERLEAVE(x, y, ...) __builtin_shuffle(x, y, (Bytes){__VA_ARGS__})
    #endif
    /* the first, or the last, 8 bytes of x and y in turn */
    #define interleave_first(x, y) INTERLEAVE(x, y, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
    #define interleave_last(x, y) INTERLEAVE(x, y, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
    /* the larger byte in each lane: GCC makes four instructions of a comparison and a choice */
    #if defined(__SSE2__)
      #include <immintrin.h>
      AI Bytes larger16(Bytes x, Bytes y) { return (Bytes)_mm_max_epu8((__m128i)x, (__m128i)y); }
    #else
      AI Bytes larger16(Bytes x, Bytes y) { Bytes m = (Bytes)(x > y); return (x & m) | (y & ~m); }
    #endif
    #if defined(__AVX512BW__) && !defined(LOWERED)
      AI vb larger(vb x, vb y) { return (vb)_mm512_max_epu8((__m512i)x, (__m512i)y); }
    #elif defined(__AVX2__) && !defined(LOWERED)
      AI vb larger(vb x, vb y) { return (vb)_mm256_max_epu8((__m256i)x, (__m256i)y); }
    #elif VBYTES == 16
      AI vb larger(vb x, vb y) { return larger16(x, y); }
    #else
      AI vb larger(vb x, vb y) { vb m = (vb)(x > y); return (x & m) | (y & ~m); }
    #endif
    """
    ctypedef struct Bytes:  # at any address
        pass
    ctypedef struct vb:  # at any address
        pass
    const Bytes ZEROS16 "((Bytes){0})"
    const vb ZEROS "((vb){0})"
    Bytes interleave_first(Bytes x, Bytes y) nogil
    Bytes interleave_last(Bytes x, Bytes y) nogil
    Bytes larger16(Bytes x, Bytes y) nogil
    vb larger(vb x, vb y) nogil
