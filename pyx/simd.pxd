# The vector type: the only file that knows an instruction set.
#
# `vf` is a vector of V floats, as wide as the registers of the build (a wider one would be split by the compiler, and slow).
# It is declared to Cython as a float, so that `+ - *` and a product with a float (which broadcasts) compile to vector code.
# Write constants as float variables: a double literal does not mix with a vector. REGS is how many vector registers there are; FMA
# says that a multiply-add is one instruction: without it, a product takes a register of its own before it is added.

from libc.math cimport INFINITY
from libc.stdint cimport uint16_t
from libc.string cimport memcpy

cdef extern from *:
    """
    #undef CYTHON_INLINE
    #define CYTHON_INLINE inline __attribute__((always_inline))
    #if defined(LOWERED)
      /* VBYTES and REGS are those of another machine: setup.py says so, and the compiler splits the vectors */
    #elif defined(__AVX512F__)
      #define VBYTES 64
      #define REGS 32
    #elif defined(__AVX2__)
      #define VBYTES 32
      #define REGS 16
    #elif defined(__aarch64__)
      #define VBYTES 16
      #define REGS 32
    #else
      #define VBYTES 16
      #define REGS 16
    #endif
    #define V (VBYTES / 4)
    #if defined(__FMA__) || defined(__aarch64__) || defined(LOWERED)
      #define FMA 1
    #else
      #define FMA 0
    #endif
    typedef float vf __attribute__((vector_size(VBYTES), aligned(4), may_alias));
    typedef int vi __attribute__((vector_size(VBYTES), aligned(4), may_alias));
    typedef unsigned short v16 __attribute__((vector_size(VBYTES / 2), aligned(2), may_alias));
    #define AI static inline __attribute__((always_inline))

    /* x where the lane of m is all ones, else y */
    AI vf vselect(vi m, vf x, vf y) { return (vf)(((vi)x & m) | ((vi)y & ~m)); }
    /* max(bound, x) and min(bound, x): a NaN in x wins, as x86 returns the second operand when either is NaN */
    #if defined(__SSE2__) && !defined(LOWERED)
      #include <immintrin.h>
      #if defined(__AVX512F__)
        AI vf vmax(vf bound, vf x) { return (vf)_mm512_max_ps((__m512)bound, (__m512)x); }
        AI vf vmin(vf bound, vf x) { return (vf)_mm512_min_ps((__m512)bound, (__m512)x); }
        AI vf vsqrt(vf x) { return (vf)_mm512_sqrt_ps((__m512)x); }
      #elif defined(__AVX2__)
        AI vf vmax(vf bound, vf x) { return (vf)_mm256_max_ps((__m256)bound, (__m256)x); }
        AI vf vmin(vf bound, vf x) { return (vf)_mm256_min_ps((__m256)bound, (__m256)x); }
        AI vf vsqrt(vf x) { return (vf)_mm256_sqrt_ps((__m256)x); }
      #else
        AI vf vmax(vf bound, vf x) { return (vf)_mm_max_ps((__m128)bound, (__m128)x); }
        AI vf vmin(vf bound, vf x) { return (vf)_mm_min_ps((__m128)bound, (__m128)x); }
        AI vf vsqrt(vf x) { return (vf)_mm_sqrt_ps((__m128)x); }
      #endif
    #else
      AI vf vmax(vf bound, vf x) { return vselect(bound > x, bound, x); }
      AI vf vmin(vf bound, vf x) { return vselect(bound < x, bound, x); }
      AI vf vsqrt(vf x) { vf y; for (int i = 0; i < V; i++) y[i] = __builtin_sqrtf(x[i]); return y; }
    #endif
    /* the larger of two data values, NaN if either is: for pooling, where both may hold one */
    AI vf vmaxnan(vf a, vf x) { return (vf)((vi)vmax(a, x) | (a != a)); }
    AI vf vminnan(vf a, vf x) { return (vf)((vi)vmin(a, x) | (a != a)); }
    /* into L2, and into L1 */
    #define PREFETCH(p) __builtin_prefetch((p), 0, 2)
    #define PREFETCH0(p) __builtin_prefetch((p), 0, 3)
    /* acc + x * y. GCC picks other forms of the instruction, which overwrite a factor, and pays with moves and spills in the tiles */
    #if defined(__FMA__) && !defined(__AVX512F__) && !defined(LOWERED)
      AI vf vfma(vf acc, vf x, vf y) { __asm__ ("vfmadd231ps %2, %1, %0" : "+x" (acc) : "x" (x), "x" (y)); return acc; }
    #elif defined(__aarch64__) && !defined(LOWERED)
      AI vf vfma(vf acc, vf x, vf y) { __asm__ ("fmla %0.4s, %1.4s, %2.4s" : "+w" (acc) : "w" (x), "w" (y)); return acc; }
    #else
      AI vf vfma(vf acc, vf x, vf y) { return acc + x * y; }
    #endif
    AI vf vbroadcast(float x) { return x - (vf){0}; }
    /* acc + x * y for one x: NEON's instruction takes it from a lane, and a register that holds it in all of them is not needed */
    #if defined(__aarch64__) && !defined(LOWERED)
      AI vf vfma1(vf acc, float x, vf y) { __asm__ ("fmla %0.4s, %2.4s, %1.s[0]" : "+w" (acc) : "w" (x), "w" (y)); return acc; }
    #else
      AI vf vfma1(vf acc, float x, vf y) { return vfma(acc, vbroadcast(x), y); }
    #endif
    /* x where p < q, else y, lane by lane */
    #if defined(__AVX512F__) && !defined(LOWERED)
      AI vf vless(vf p, vf q, vf x, vf y) {
          return (vf)_mm512_mask_blend_ps(_mm512_cmp_ps_mask((__m512)p, (__m512)q, _CMP_LT_OQ), (__m512)y, (__m512)x);
      }
    #else
      AI vf vless(vf p, vf q, vf x, vf y) { return vselect(p < q, x, y); }
    #endif
    AI vf vabs(vf x) { return (vf)((vi)x & 0x7fffffff); }
    AI vf vcopysign(vf x, vf sign) { return (vf)(((vi)x & 0x7fffffff) | ((vi)sign & (int)0x80000000)); }
    /* y, but NaN where x is */
    AI vf vnan(vf x, vf y) { return vselect(x != x, x, y); }
    /* A float's low bits hold the integer n where it is MAGIC + n. These are the exponent's of 2^n, as MAGIC is 1.5 * 2^23 + 127. */
    #define MAGIC 12583039.0f
    /* 2^n for MAGIC + n, n in [-126, 127] */
    AI vf vexp2i(vf shifted) { return (vf)((vi)shifted << 23); }
    /* y * 2^n for MAGIC + n, n in [-126, 128], y in [0.5, 2] */
    #if defined(__AVX512F__) && !defined(LOWERED)
      AI vf vscale2(vf y, vf shifted) { return (vf)_mm512_scalef_ps((__m512)y, (__m512)(shifted - MAGIC)); }
    #else
      AI vf vscale2(vf y, vf shifted) {
          vf n = vmin(vbroadcast(MAGIC + 127), shifted);
          return y * vexp2i(n) * vexp2i(shifted - n + MAGIC);
      }
    #endif
    /* 1 / x for normal x whose reciprocal is normal, to 1 ulp. Where a division takes ten cycles or more, an estimate to 14 bits
       and a step of Newton's take three. (AVX2's estimate has 12 bits, and other ones on each maker's CPUs.) */
    #if defined(__AVX512F__) && !defined(LOWERED)
      AI vf vreciprocal(vf x) { vf y = (vf)_mm512_rcp14_ps((__m512)x); return y + y * (1.0f - x * y); }
    #else
      AI vf vreciprocal(vf x) { return 1.0f / x; }
    #endif
    /* V floats of 16 bits. LOADS_FLOAT16: one instruction widens float16. */
    #define LOADS_FLOAT16 1
    #if defined(__AVX512F__) && !defined(LOWERED)
      AI vi vload16(const void* p) { return (vi)_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)p)); }
      AI vf load_float16(const void* p) { return (vf)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)p)); }
    #elif defined(__F16C__) && !defined(LOWERED)
      AI vi vload16(const void* p) { return (vi)_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i*)p)); }
      AI vf load_float16(const void* p) { return (vf)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)p)); }
    #elif defined(__aarch64__) && !defined(LOWERED)
      AI vi vload16(const void* p) { vi x; __asm__ ("ushll %0.4s, %1.4h, #0" : "=w" (x) : "w" (*(const v16*)p)); return x; }
      AI vf load_float16(const void* p) { vf x; __asm__ ("fcvtl %0.4s, %1.4h" : "=w" (x) : "w" (*(const v16*)p)); return x; }
    #else
      #undef LOADS_FLOAT16
      #define LOADS_FLOAT16 0
      #if defined(__SSE2__) && !defined(LOWERED)
        AI vi vload16(const void* p) { return (vi)_mm_unpacklo_epi16(_mm_loadl_epi64((const __m128i*)p), _mm_setzero_si128()); }
      #else
        AI vi vload16(const void* p) { return __builtin_convertvector(*(const v16*)p, vi); }
      #endif
      /* as from_half of half.pxd */
      AI vf load_float16(const void* p) {
          vi h = vload16(p), size = (h & 0x7fff) << 13;
          vf denormal = (vf)(size + (113 << 23)) - 0x1p-14f;
          vf finite = vselect(size < 1 << 23, denormal, (vf)(size + (112 << 23)));
          return (vf)((vi)vselect(size < 31 << 23, finite, (vf)(size + (224 << 23))) | (h & 0x8000) << 16);
      }
    #endif
    AI vf load_bf16(const void* p) { return (vf)(vload16(p) << 16); }
    """
    ctypedef float vf
    ctypedef int noinline "__attribute__((noinline)) int"  # returned by a function that is to stay out of its callers
    enum: V
    enum: REGS
    enum: FMA
    enum: LOADS_FLOAT16
    void PREFETCH(const void* p) nogil
    void PREFETCH0(const void* p) nogil
    vf vfma(vf acc, vf x, vf y) nogil
    vf vfma1(vf acc, float x, vf y) nogil
    vf vmax(vf bound, vf x) nogil
    vf vmin(vf bound, vf x) nogil
    vf vmaxnan(vf a, vf x) nogil
    vf vminnan(vf a, vf x) nogil
    vf vsqrt(vf x) nogil
    vf vbroadcast(float x) nogil
    vf vless(vf p, vf q, vf x, vf y) nogil
    vf vabs(vf x) nogil
    vf vcopysign(vf x, vf sign) nogil
    vf vnan(vf x, vf y) nogil
    const float MAGIC
    vf vexp2i(vf shifted) nogil
    vf vscale2(vf y, vf shifted) nogil
    vf vreciprocal(vf x) nogil
    vf load_bf16(const uint16_t* p) nogil
    vf load_float16(const uint16_t* p) nogil


cdef inline vf load(const float* p) noexcept nogil:
    return (<const vf*> p)[0]


cdef inline void store(float* p, vf x) noexcept nogil:
    (<vf*> p)[0] = x


# n < V floats; a call of memcpy for an unknown number of them would take longer.
cdef inline void copy_part(float* dst, const float* src, Py_ssize_t n) noexcept nogil:
    if V > 8 and n & 8:
        memcpy(dst, src, 32)
        dst += 8
        src += 8
    if V > 4 and n & 4:
        memcpy(dst, src, 16)
        dst += 4
        src += 4
    if n & 2:
        memcpy(dst, src, 8)
        dst += 2
        src += 2
    if n & 1:
        dst[0] = src[0]


# Of the memory at p only the first `lanes` floats are touched; the other lanes of the vector are `rest`.
cdef inline vf load_part(const float* p, Py_ssize_t lanes, float rest) noexcept nogil:
    cdef vf x
    if lanes == V:
        return load(p)
    x = vbroadcast(rest)
    copy_part(<float*> &x, p, lanes)
    return x


cdef inline void store_part(float* p, vf x, Py_ssize_t lanes) noexcept nogil:
    cdef vf y
    if lanes == V:
        store(p, x)
    else:
        y = x
        copy_part(p, <float*> &y, lanes)


# MAGIC + n for x = n ln(2) + r, where |r| <= ln(2) / 2.
cdef inline vf vround_log2(vf x) noexcept nogil:
    cdef float log2e = 1.44269504088896341
    return x * log2e + MAGIC


# e^r, given MAGIC + n: r is x minus n times the high and the low bits of ln(2). Of the polynomials of degree 6 that begin with 1
# this one has the least relative error (3e-9).
cdef inline vf vexp_rest(vf x, vf shifted) noexcept nogil:
    cdef float ln2_hi = 0.693359375, ln2_lo = -2.12194440e-4, one = 1.0, c2 = 0.5000000596046448, c3 = 0.16666364669799805
    cdef float c4 = 0.04166477173566818, c5 = 0.008379058912396431, c6 = 0.0014061422552913427
    cdef vf n = shifted - MAGIC
    cdef vf r = x - n * ln2_hi - n * ln2_lo
    return (((((c6 * r + c5) * r + c4) * r + c3) * r + c2) * r + one) * r + one


# e^x for -87.33 <= x <= 88.02, whose powers of two are one factor; error below 2 ulp. NaN stays NaN.
cdef inline vf vexp_normal(vf x) noexcept nogil:
    cdef vf shifted = vround_log2(x)
    return vexp_rest(x, shifted) * vexp2i(shifted)


# e^x for any x; error below 2 ulp. Below -87.3 the result is 0 (a denormal is slow and means nothing here), above 88.7 it is
# infinite, NaN stays NaN.
cdef inline vf vexp(vf x) noexcept nogil:
    cdef vf lo = vbroadcast(<float> -87.33654)
    cdef vf t = vmin(vbroadcast(89), vmax(lo, x))
    cdef vf shifted = vround_log2(t)
    return vless(x, lo, vbroadcast(0), vscale2(vexp_rest(t, shifted), shifted))
