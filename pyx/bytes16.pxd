# 16 bytes: a pixel of a blocked tensor of bytes, nChw16c, on every instruction set.

from libc.stdint cimport uint8_t

from step cimport at
from view cimport View

cdef extern from *:
    """
    #if defined(__SSE2__)
      #include <immintrin.h>
    #endif
    typedef unsigned char Bytes __attribute__((vector_size(16), aligned(1), may_alias));
    #ifdef __clang__
      #define INTERLEAVE(x, y, ...) __builtin_shufflevector(x, y, __VA_ARGS__)
    #else
      #define INTERLEAVE(x, y, ...) __builtin_shuffle(x, y, (Bytes){__VA_ARGS__})
    #endif
    /* the first, or the last, 8 bytes of x and y in turn */
    #define interleave_first(x, y) INTERLEAVE(x, y, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
    #define interleave_last(x, y) INTERLEAVE(x, y, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
    /* GCC makes four instructions of a comparison and a choice */
    #if defined(__SSE2__)
      #define larger_bytes(x, y) ((Bytes)_mm_max_epu8((__m128i)(x), (__m128i)(y)))
    #else
      #define larger_bytes(x, y) (((x) & (Bytes)((x) > (y))) | ((y) & ~(Bytes)((x) > (y))))
    #endif
    """
    ctypedef struct Bytes:  # at any address
        pass
    Bytes interleave_first(Bytes x, Bytes y) nogil
    Bytes interleave_last(Bytes x, Bytes y) nogil
    Bytes larger_bytes(Bytes x, Bytes y) nogil


# The first channel of block c at a pixel of an image, as `view.pixel` for floats.
cdef inline uint8_t* byte_pixel(char** bases, const View* v, Py_ssize_t n, Py_ssize_t c, Py_ssize_t h, Py_ssize_t w) noexcept nogil:
    return <uint8_t*> at(bases, v.address) + n * v.n + c * v.c + h * v.h + w * v.w
