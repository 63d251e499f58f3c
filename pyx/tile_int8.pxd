# The register tile for bytes: R pixels x J vectors of output channels, sums of uint8 x int8 in int32.
#
# The pixels of a tile lie evenly in one row, or (TWO) in two rows of ROW: whole rows of a map that is so narrow. A pixel's operands
# are the groups of 4 bytes (dot.pxd) at offset[s] + 4 c for every segment s and c < 4, then single groups. The weights lie in the
# same order, J times GROUP_VECTORS vectors for each group (PAIRS: J vectors, see dot.pxd).
#
# R, J, TWO and PAIRS are literals in every call, and `tile` is inlined into functions for each J: in a function with more loops
# GCC 12 copies accumulators.

from libc.stdint cimport int64_t, uint8_t

from dot cimport BYTES, GROUP_VECTORS, VBYTES, WEIGHTS, dot, dot_pairs, product, vi, vload1, vload4, vround, vset4, vstore1, vtofloat
from simd cimport PREFETCH, REGS, V, load, vbroadcast, vf, vmax, vmin


cdef extern from *:
    """
    /* The last part of the store: J vectors of sums of each pixel, rounded, become bytes with the zero point added, clipped to
       low..high, at p and, of a second pixel, at q. All packs and the sum saturate: only the clip is left to do. J 1: of 4 pixels
       at p, q, r and s. `zero` is made by wide_zero, the bounds by wide_bound. */
    #if defined(LOWERED) || !defined(__SSE2__)
      AI vi wide_zero(int x) { return vset4(x); }
      AI vi wide_bound(int x) { return vset4(x); }
      AI void store_bytes(const int J, void* p, void* q, void* r, void* s, vi a, vi b, vi c, vi d, vi zero, vi low, vi high) {
          vi x[4] = {a, b, c, d};
          char* to[4] = {(char*)p, J == 1 ? (char*)q : (char*)p + V, J == 1 ? (char*)r : J == 3 ? (char*)p + 2 * V : (char*)q,
                         J == 1 ? (char*)s : (char*)q + V};
          for (int i = 0; i < (J == 3 ? 3 : 4); i++) vstore1(to[i], vmin4(high, vmax4(low, x[i] + zero)));
      }
    #else
      AI vi wide_zero(int x) { return vset4((x & 0xffff) * 0x10001); }
      AI vi wide_bound(int x) { return vset4((int)(x * 0x01010101u)); }
      #if VBYTES == 64
        AI __m512i packed(vi a, vi b, vi c, vi d, vi zero, vi low, vi high) {
            __m512i ab = _mm512_adds_epi16(_mm512_packs_epi32(IMM(a), IMM(b)), IMM(zero));
            __m512i cd = _mm512_adds_epi16(_mm512_packs_epi32(IMM(c), IMM(d)), IMM(zero));
            __m512i x = _mm512_packus_epi16(ab, cd);
            x = _mm512_min_epu8(_mm512_max_epu8(x, IMM(low)), IMM(high));
            return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), x);
        }
        #define PART(x, i) _mm512_extracti32x4_epi32(x, i)
        #define HALF(x, i) _mm512_extracti64x4_epi64(x, i)
        #define STORE_PART(p, x) _mm_storeu_si128((__m128i*)(p), x)
        #define STORE_HALF(p, x) _mm256_storeu_si256((__m256i*)(p), x)
      #elif VBYTES == 32
        AI __m256i packed(vi a, vi b, vi c, vi d, vi zero, vi low, vi high) {
            __m256i ab = _mm256_adds_epi16(_mm256_packs_epi32(IMM(a), IMM(b)), IMM(zero));
            __m256i cd = _mm256_adds_epi16(_mm256_packs_epi32(IMM(c), IMM(d)), IMM(zero));
            __m256i x = _mm256_packus_epi16(ab, cd);
            x = _mm256_min_epu8(_mm256_max_epu8(x, IMM(low)), IMM(high));
            return _mm256_permutevar8x32_epi32(x, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
        }
        #define PART(x, i) _mm_cvtsi64_si128(_mm256_extract_epi64(x, i))
        #define HALF(x, i) _mm256_extracti128_si256(x, i)
        #define STORE_PART(p, x) _mm_storel_epi64((__m128i*)(p), x)
        #define STORE_HALF(p, x) _mm_storeu_si128((__m128i*)(p), x)
      #else
        AI __m128i packed(vi a, vi b, vi c, vi d, vi zero, vi low, vi high) {
            __m128i ab = _mm_adds_epi16(_mm_packs_epi32(IMM(a), IMM(b)), IMM(zero));
            __m128i cd = _mm_adds_epi16(_mm_packs_epi32(IMM(c), IMM(d)), IMM(zero));
            return _mm_min_epu8(_mm_max_epu8(_mm_packus_epi16(ab, cd), IMM(low)), IMM(high));
        }
        #define PART(x, i) _mm_srli_si128(x, 4 * (i))
        #define HALF(x, i) _mm_srli_si128(x, 8 * (i))
        AI void store_part(void* p, __m128i x) { int y = _mm_cvtsi128_si32(x); __builtin_memcpy(p, &y, 4); }
        #define STORE_PART(p, x) store_part(p, x)
        #define STORE_HALF(p, x) _mm_storel_epi64((__m128i*)(p), x)
      #endif
      AI void store_bytes(const int J, void* p, void* q, void* r, void* s, vi a, vi b, vi c, vi d, vi zero, vi low, vi high) {
          if (J == 1) {
              STORE_PART(p, PART(packed(a, b, c, d, zero, low, high), 0));
              STORE_PART(q, PART(packed(a, b, c, d, zero, low, high), 1));
              STORE_PART(r, PART(packed(a, b, c, d, zero, low, high), 2));
              STORE_PART(s, PART(packed(a, b, c, d, zero, low, high), 3));
          } else {
              STORE_HALF(p, HALF(packed(a, b, c, d, zero, low, high), 0));
              if (J == 2) STORE_HALF(q, HALF(packed(a, b, c, d, zero, low, high), 1));
              else STORE_PART((char*)p + 2 * V, PART(packed(a, b, c, d, zero, low, high), 2));
          }
      }
    #endif
    """
    vi wide_zero(int x) nogil
    vi wide_bound(int x) nogil
    void store_bytes(const int J, void* p, void* q, void* r, void* s, vi a, vi b, vi c, vi d, vi zero, vi low, vi high) nogil


cdef enum:
    BLOCK = 16  # channels of a block
    ROW = 7  # pixels of a row, of the tiles that have two
    STEPS = 3  # pixels that are reached from one pointer


# What a tile reads, and how it rounds its sums.
cdef struct Tile:
    const int64_t* offset  # of each segment in bytes from a pixel's first; then of each single group
    Py_ssize_t segments  # of 4 groups
    Py_ssize_t groups  # single ones
    # bytes from a pixel to the next
    Py_ssize_t src_w
    Py_ssize_t dst_w
    Py_ssize_t add_w
    # from a row to the next, of tiles that have two
    Py_ssize_t src_h
    Py_ssize_t dst_h
    Py_ssize_t add_h
    Py_ssize_t fetch  # lines of 64 bytes of the weights at `ahead` that a tile prefetches for each of its segments
    bint pairs  # the weights are BYTES of which no pair passes 16 bits, see dot.pxd
    const int* start  # of the sums, J vectors
    const float* factor  # of the sums, J vectors
    bint has_add
    bint between  # the sums are rounded before the residual is added
    float between_low  # bounds of what is rounded between, without its zero point
    float between_high
    float own_scale  # of what is rounded between
    float add_scale
    int add_zero
    vi zero  # of the result, and its bounds, as `store_bytes` takes them
    vi low
    vi high


# Most pixels of a tile of J vectors.
cdef inline int most_pixels(int J) noexcept nogil:
    if REGS == 32:  # WORDS take registers for the halves of a group
        return 9 if J == 3 else 14 if WEIGHTS == BYTES else 12
    return 12 if J == 1 else 6 if J == 2 else 4


# The offset of pixel i from the first one, by its row and column.
cdef inline Py_ssize_t place(const bint TWO, int i, Py_ssize_t w, Py_ssize_t h) noexcept nogil:
    return h + (i - ROW) * w if TWO and i >= ROW else i * w


cdef inline void sweep(const int R, const int J, const bint TWO, const bint PAIRS, const Tile* t, const uint8_t* src,
                       const char* wei, vi* acc, const int64_t* offset, Py_ssize_t segments, const Py_ssize_t length,
                       const char* ahead, Py_ssize_t fetch) noexcept nogil:
    cdef Py_ssize_t s, c, _line, step = t.src_w
    cdef const uint8_t* p[6]  # every third pixel's; of two rows, 3 of each
    cdef const uint8_t* x
    cdef int k, i, width = VBYTES if PAIRS else VBYTES * GROUP_VECTORS
    for s in range(segments):
        for k in range(6 if TWO else (R + STEPS - 1) // STEPS):
            p[k] = src + offset[s] + (place(True, k // 3 * ROW + k % 3 * STEPS, step, t.src_h) if TWO else k * STEPS * step)
        for _line in range(fetch):
            PREFETCH(ahead)
            ahead += 64
        for c in range(length):
            for k in range(R * J):
                i = k // J
                x = p[i // ROW * 3 + i % ROW // STEPS] + i % ROW % STEPS * step if TWO else p[i // STEPS] + i % STEPS * step
                if PAIRS:
                    acc[k] = dot_pairs(acc[k], x + 4 * c, wei + k % J * width)
                else:
                    acc[k] = dot(acc[k], x + 4 * c, wei + k % J * width)
            wei += J * width


# The sums times the factor, rounded.
cdef inline vi rounded(vi acc, vf factor) noexcept nogil:
    return vround(vtofloat(acc) * factor)


# The sums times the factor and the residual at `add`, rounded. The sum with 1.5 * 2^23 has no fraction: it rounds what is in bounds.
cdef inline vi added(const Tile* t, vi acc, vf factor, const uint8_t* add) noexcept nogil:
    cdef vf sums = product(vtofloat(acc), factor), residual, whole = vbroadcast(12582912)
    if t.between:
        sums = vmin(vbroadcast(t.between_high), vmax(vbroadcast(t.between_low), sums))
        sums = product(sums + whole - whole, vbroadcast(t.own_scale))
    residual = vtofloat(vload1(add) - vset4(t.add_zero))
    return vround(sums + product(residual, vbroadcast(t.add_scale)))


cdef inline void tile(const int R, const int J, const bint TWO, const bint PAIRS, const uint8_t* src, const char* wei,
                      const Tile* t, uint8_t* dst, const uint8_t* add, const char* ahead) noexcept nogil:
    cdef int k, i, j, last = R - 1
    cdef vi zero, low, high
    cdef vi acc[28]
    cdef int width = VBYTES if PAIRS else VBYTES * GROUP_VECTORS
    for k in range(R * J):
        acc[k] = vload4(t.start + k % J * V)
    sweep(R, J, TWO, PAIRS, t, src, wei, acc, t.offset, t.segments, 4, ahead, t.fetch)
    sweep(R, J, TWO, PAIRS, t, src, wei + t.segments * 4 * J * width, acc, t.offset + t.segments, t.groups, 1, ahead, 0)
    if t.has_add:
        for k in range(R * J):
            acc[k] = added(t, acc[k], load(t.factor + k % J * V), add + place(TWO, k // J, t.add_w, t.add_h) + k % J * V)
    else:
        for k in range(R * J):
            acc[k] = rounded(acc[k], load(t.factor + k % J * V))
    zero = t.zero
    low = t.low
    high = t.high
    # the pixels of the last vectors are stored again where they do not fill all four
    if J == 1:
        for k in range((R + 3) // 4):
            i = k * 4
            store_bytes(1, dst + place(TWO, i, t.dst_w, t.dst_h), dst + place(TWO, min(i + 1, last), t.dst_w, t.dst_h),
                        dst + place(TWO, min(i + 2, last), t.dst_w, t.dst_h), dst + place(TWO, min(i + 3, last), t.dst_w, t.dst_h),
                        acc[i], acc[min(i + 1, last)], acc[min(i + 2, last)], acc[min(i + 3, last)], zero, low, high)
    elif J == 2:
        for k in range((R + 1) // 2):
            i = k * 2
            j = min(i + 1, last)
            store_bytes(2, dst + place(TWO, i, t.dst_w, t.dst_h), dst + place(TWO, j, t.dst_w, t.dst_h), NULL, NULL,
                        acc[2 * i], acc[2 * i + 1], acc[2 * j], acc[2 * j + 1], zero, low, high)
    else:
        for i in range(R if J == 3 else 0):
            store_bytes(3, dst + i * t.dst_w, NULL, NULL, NULL, acc[3 * i], acc[3 * i + 1], acc[3 * i + 2], acc[3 * i + 2],
                        zero, low, high)


# `count` tiles of r pixels, one behind the other.
cdef inline void tiles(const int R, const int J, const bint PAIRS, Py_ssize_t count, const uint8_t* src, const char* wei,
                       const Tile* t, uint8_t* dst, const uint8_t* add, const char* ahead) noexcept nogil:
    cdef Py_ssize_t _tile
    for _tile in range(count):
        tile(R, J, False, PAIRS, src, wei, t, dst, add, ahead)
        src += R * t.src_w
        dst += R * t.dst_w
        add += R * t.add_w
        ahead += 64 * t.fetch * t.segments


# `tiles` for a number of pixels that is known only at run time.
cdef inline void choose(int r, const int J, const bint PAIRS, Py_ssize_t count, const uint8_t* src, const char* wei,
                        const Tile* t, uint8_t* dst, const uint8_t* add, const char* ahead) noexcept nogil:
    if REGS == 32 and WEIGHTS == BYTES and J < 3 and r == 14: tiles(14, J, PAIRS, count, src, wei, t, dst, add, ahead)
    elif REGS == 32 and WEIGHTS == BYTES and J < 3 and r == 13: tiles(13, J, PAIRS, count, src, wei, t, dst, add, ahead)
    elif (J == 1 or REGS == 32 and J == 2) and r == 12: tiles(12, J, PAIRS, count, src, wei, t, dst, add, ahead)
    elif (J == 1 or REGS == 32 and J == 2) and r == 11: tiles(11, J, PAIRS, count, src, wei, t, dst, add, ahead)
    elif (J == 1 or REGS == 32 and J == 2) and r == 10: tiles(10, J, PAIRS, count, src, wei, t, dst, add, ahead)
    elif (J == 1 or REGS == 32) and r == 9: tiles(9, J, PAIRS, count, src, wei, t, dst, add, ahead)
    elif (J == 1 or REGS == 32) and r == 8: tiles(8, J, PAIRS, count, src, wei, t, dst, add, ahead)
    elif (J == 1 or REGS == 32) and r == 7: tiles(7, J, PAIRS, count, src, wei, t, dst, add, ahead)
    elif (J < 3 or REGS == 32) and r == 6: tiles(6, J, PAIRS, count, src, wei, t, dst, add, ahead)
    elif (J < 3 or REGS == 32) and r == 5: tiles(5, J, PAIRS, count, src, wei, t, dst, add, ahead)
    elif r == 4: tiles(4, J, PAIRS, count, src, wei, t, dst, add, ahead)
    elif r == 3: tiles(3, J, PAIRS, count, src, wei, t, dst, add, ahead)
    elif r == 2: tiles(2, J, PAIRS, count, src, wei, t, dst, add, ahead)
    else: tiles(1, J, PAIRS, count, src, wei, t, dst, add, ahead)
