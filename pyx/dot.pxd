# Products of bytes: the only file that knows which instruction multiplies them.
#
# A group is 4 neighbouring bytes of a pixel: 4 channels (or columns of a planar row), uint8. Weights are int8. `dot` adds in each
# lane of an int32 vector the products of a group with the lane's 4 weights: exactly, on every instruction set. The weights of a
# group for V lanes take GROUP_VECTORS vectors, in the order `WEIGHTS` (see fastconv/implementations/int8.py, which packs them):
#
# - BYTES: [lane][4] int8.
# - WORDS: two vectors of int16, [lane][channels 0, 2] and [lane][channels 1, 3]: without an instruction for bytes that cannot
#   saturate, pairs of 16 bits are multiplied.
# - TILES: for AMX, see tile_amx.pxd.
#
# `dot_pairs` takes BYTES and multiplies by vpmaddubsw, which is exact where no pair of neighbouring weights (channels 0 and 1, or
# 2 and 3) can pass 16 bits: |a| + |b| <= 128.
#
# Where the instruction multiplies int8 by int8, `dot` flips the highest bit of the activations: it sums (x - FLIP) * w, and the
# start of the sums is larger by FLIP times the sum of the weights.
#
# Instructions that add into their first operand are written in assembly: for the intrinsics GCC 12 copies accumulators to other
# registers and back.

from simd cimport V, vf

cdef extern from *:
    """
    typedef short vh __attribute__((vector_size(VBYTES), aligned(2), may_alias));
    typedef unsigned short vuh __attribute__((vector_size(VBYTES), aligned(2), may_alias));
    #define BYTES 0
    #define WORDS 1
    #define TILES 2
    #if defined(__AMX_INT8__) || defined(AMX_LOWERED)
      #define AMX 1
    #else
      #define AMX 0
    #endif
    #if defined(LOWERED)
      #define WEIGHTS BYTES
    #elif VBYTES == 64
      #define IMM(x) ((__m512i)(x))
      #define OP(name) _mm512_##name
    #elif VBYTES == 32
      #define IMM(x) ((__m256i)(x))
      #define OP(name) _mm256_##name
    #elif defined(__SSE2__)
      #define IMM(x) ((__m128i)(x))
      #define OP(name) _mm_##name
    #endif

    AI vi vload4(const void* p) { vi x; __builtin_memcpy(&x, p, VBYTES); return x; }
    AI vi vbroadcast4(const void* p) { int x; __builtin_memcpy(&x, p, 4); return x - (vi){0}; }
    AI vi vset4(int x) { return x - (vi){0}; }

    #if defined(LOWERED)
      #define DOT_LOWERED
    #elif VBYTES == 64 && defined(__AVX512VNNI__)
      AI vi dot_lanes(vi acc, vi x, vi w) { __asm__ ("vpdpbusd %2, %1, %0" : "+v" (acc) : "v" (x), "v" (w)); return acc; }
      #define WEIGHTS BYTES
    #elif VBYTES == 32 && defined(__AVXVNNI__)
      AI vi dot_lanes(vi acc, vi x, vi w) { __asm__ ("%{vex%} vpdpbusd %2, %1, %0" : "+x" (acc) : "x" (x), "x" (w)); return acc; }
      #define WEIGHTS BYTES
    #elif defined(__ARM_FEATURE_DOTPROD)
      AI vi dot_lanes(vi acc, vi x, vi w) {
          __asm__ ("sdot %0.4s, %1.16b, %2.16b" : "+w" (acc) : "w" (x ^ (int)0x80808080), "w" (w));
          return acc;
      }
      #define WEIGHTS BYTES
      #define FLIP 128
    #elif defined(__SSE2__)
      #define WEIGHTS WORDS
      /* weights from memory: in registers they would take the place of sums */
      #ifdef __AVX2__
        /* GCC would load an integer register, as the group is masked, and pass that to a vector */
        AI vi group(const void* p) { vi x; __asm__ ("vpbroadcastd %1, %0" : "=v" (x) : "m" (*(const int*)p)); return x; }
        AI vi madd(vi x, const void* w) { vi y; __asm__ ("vpmaddwd %2, %1, %0" : "=v" (y) : "v" (x), "m" (*(const vi*)w)); return y; }
        AI vi maddubs(vi x, const void* w) {
            vi y;
            __asm__ ("vpmaddubsw %2, %1, %0" : "=v" (y) : "v" (x), "m" (*(const vi*)w));
            return y;
        }
        /* GCC would sum the products of several groups first, which takes more registers than there are */
        AI vi sum(vi acc, vi x) { __asm__ ("vpaddd %1, %0, %0" : "+v" (acc) : "v" (x)); return acc; }
      #else
        AI vi group(const void* p) { return vbroadcast4(p); }
        AI vi sum(vi acc, vi x) { __asm__ ("paddd %1, %0" : "+x" (acc) : "x" (x)); return acc; }
        AI vi madd(vi x, const void* w) { return (vi)OP(madd_epi16)(IMM(x), IMM(vload4(w))); }
      #endif
    #else
      #define DOT_LOWERED
    #endif
    #if !defined(WEIGHTS) || WEIGHTS == BYTES
      AI vi group(const void* p) { return vbroadcast4(p); }
    #endif
    #ifdef DOT_LOWERED
      #ifndef WEIGHTS
        #define WEIGHTS BYTES
      #endif
      AI vi dot_lanes(vi acc, vi x, vi w) {
          acc += (x & 255) * ((w << 24) >> 24);
          acc += ((x >> 8) & 255) * ((w << 16) >> 24);
          acc += ((x >> 16) & 255) * ((w << 8) >> 24);
          return acc + ((x >> 24) & 255) * (w >> 24);
      }
    #endif
    #ifndef FLIP
      #define FLIP 0
    #endif
    #if WEIGHTS == WORDS
      #define GROUP_VECTORS 2
      AI vi dot_groups(vi acc, vi x, const char* w) {
          return sum(sum(acc, madd(x & 0x00ff00ff, w)), madd((vi)((vuh)x >> 8), w + VBYTES));
      }
    #else
      #define GROUP_VECTORS 1
      AI vi dot_groups(vi acc, vi x, const char* w) { return dot_lanes(acc, x, vload4(w)); }
    #endif
    AI vi dot(vi acc, const void* x, const char* w) { return dot_groups(acc, group(x), w); }
    #if WEIGHTS == WORDS && (VBYTES == 64 || defined(__AVX2__))
      #define HAS_PAIRS 1
      AI vi dot_pairs(vi acc, const void* x, const char* w) {
          vh ones = 1 - (vh){0};
          return sum(acc, (vi)OP(madd_epi16)(IMM(maddubs(group(x), w)), IMM(ones)));
      }
    #else
      #define HAS_PAIRS 0
      AI vi dot_pairs(vi acc, const void* x, const char* w) { return dot(acc, x, w); }
    #endif

    /* a product that is rounded before it is added, also where the compiler contracts: sets with FMA would give other bits */
    #if defined(LOWERED)
      AI vf product(vf x, vf y) {
          vf p;
          for (int i = 0; i < V; i++) { float q = x[i] * y[i]; __asm__ ("" : "+m" (q)); p[i] = q; }
          return p;
      }
    #elif defined(__SSE2__)
      AI vf product(vf x, vf y) { vf p = x * y; __asm__ ("" : "+v" (p)); return p; }
    #elif defined(__aarch64__)
      AI vf product(vf x, vf y) { vf p = x * y; __asm__ ("" : "+w" (p)); return p; }
    #else
      AI vf product(vf x, vf y) { volatile vf p = x * y; return p; }
    #endif
    AI vf vtofloat(vi x) { return __builtin_convertvector(x, vf); }
    /* to integers, halves to even; of a magnitude below 2^31 */
    #if defined(__SSE2__) && !defined(LOWERED)
      #if VBYTES == 64
        AI vi vround(vf x) { return (vi)_mm512_cvtps_epi32((__m512)x); }
      #elif VBYTES == 32
        AI vi vround(vf x) { return (vi)_mm256_cvtps_epi32((__m256)x); }
      #else
        AI vi vround(vf x) { return (vi)_mm_cvtps_epi32((__m128)x); }
      #endif
    #elif defined(__aarch64__) && !defined(LOWERED)
      AI vi vround(vf x) { vi y; __asm__ ("fcvtns %0.4s, %1.4s" : "=w" (y) : "w" (x)); return y; }
    #else
      AI vi vround(vf x) { vi y; for (int i = 0; i < V; i++) y[i] = (int)__builtin_rintf(x[i]); return y; }
    #endif
    #if defined(__AVX2__) && !defined(LOWERED)
      AI vi vmax4(vi a, vi b) { return (vi)OP(max_epi32)(IMM(a), IMM(b)); }
      AI vi vmin4(vi a, vi b) { return (vi)OP(min_epi32)(IMM(a), IMM(b)); }
    #else
      AI vi vmax4(vi a, vi b) { vi m = a > b; return (a & m) | (b & ~m); }
      AI vi vmin4(vi a, vi b) { vi m = a < b; return (a & m) | (b & ~m); }
    #endif

    /* V bytes as int32, and V int32 of 0 to 255 as bytes */
    #if defined(__AVX2__) && !defined(LOWERED)
      #if VBYTES == 64
        AI vi vload1(const void* p) { return (vi)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)p)); }
        AI void vstore1(void* p, vi x) { _mm_storeu_si128((__m128i*)p, _mm512_cvtepi32_epi8((__m512i)x)); }
      #else
        AI vi vload1(const void* p) { return (vi)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)p)); }
        AI void vstore1(void* p, vi x) {
            __m128i w = _mm_packus_epi32(_mm256_castsi256_si128((__m256i)x), _mm256_extracti128_si256((__m256i)x, 1));
            _mm_storel_epi64((__m128i*)p, _mm_packus_epi16(w, w));
        }
      #endif
    #else
      AI vi vload1(const void* p) { vi x; for (int i = 0; i < V; i++) x[i] = ((const unsigned char*)p)[i]; return x; }
      AI void vstore1(void* p, vi x) { for (int i = 0; i < V; i++) ((unsigned char*)p)[i] = (unsigned char)x[i]; }
    #endif
    """
    ctypedef int vi
    enum: BYTES
    enum: WORDS
    enum: TILES
    enum: AMX
    enum: WEIGHTS
    enum: GROUP_VECTORS
    enum: HAS_PAIRS
    enum: FLIP
    enum: VBYTES
    vi vload4(const void* p) nogil
    vi vbroadcast4(const void* p) nogil
    vi vset4(int x) nogil
    vi dot(vi acc, const void* x, const char* w) nogil
    vi dot_pairs(vi acc, const void* x, const char* w) nogil
    vi dot_groups(vi acc, vi x, const char* w) nogil  # as `dot`, of lanes of x with groups of their own
    vf product(vf x, vf y) nogil
    vf vtofloat(vi x) nogil
    vi vround(vf x) nogil
    vi vmax4(vi a, vi b) nogil
    vi vmin4(vi a, vi b) nogil
    vi vload1(const void* p) nogil
    void vstore1(void* p, vi x) nogil
