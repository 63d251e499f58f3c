# The register tile for bytes: R pixels x J vectors of output channels, sums of uint8 x int8 in int32.
#
# The pixels of a tile lie in one row, `step` bytes apart, or (TWO) in two rows of ROW: whole rows of a map that is so narrow. A
# pixel's operands are the groups of 4 bytes (dot.pxd) at offset[s] + 4 c for every segment s and c < 4, then single groups. The
# weights lie in the same order, J times GROUP_VECTORS vectors for each group (PAIRS: J vectors, see dot.pxd).
#
# R, J, TWO, PAIRS and `step` are literals in most calls, and `tile` is inlined into functions for each J and step: in a function
# with more loops GCC 12 copies accumulators.

from libc.stdint cimport int64_t, uint8_t

from dot cimport GROUP_VECTORS, VBYTES, dot, dot_pairs, product, vi, vload1, vload4, vmax4, vmin4, vround, vset4, vstore1, vtofloat
from simd cimport PREFETCH, REGS, V, load, vbroadcast, vf


cdef extern from *:
    """
    /* The last part of the store: sums, rounded, become bytes with the zero point added, clipped to low..high. Both packs saturate,
       and so does the sum: only the clip is left to do. 4 vectors are 64, 32 or 16 bytes that follow each other. */
    #if defined(LOWERED) || !defined(__SSE2__)
      AI void store_bytes(const int n, void* p, vi a, vi b, vi c, vi d, int zero, int low, int high) {
          vi x[4] = {a, b, c, d};
          for (int i = 0; i < n; i++) {
              vi lo = vset4(low), hi = vset4(high), y = x[i];
              /* beyond 16 bits the packs of other sets saturate before the sum; the clip gives the same */
              y = y + zero;
              vi m = y > lo; y = (y & m) | (lo & ~m);
              m = y < hi; y = (y & m) | (hi & ~m);
              vstore1((char*)p + i * V, y);
          }
      }
    #elif VBYTES == 64
      AI void store_bytes(const int n, void* p, vi a, vi b, vi c, vi d, int zero, int low, int high) {
          __m512i z = _mm512_set1_epi16(zero);
          __m512i ab = _mm512_adds_epi16(_mm512_packs_epi32(IMM(a), IMM(b)), z);
          __m512i cd = n > 2 ? _mm512_adds_epi16(_mm512_packs_epi32(IMM(c), IMM(d)), z) : ab;
          __m512i q = _mm512_packus_epi16(ab, cd);
          q = _mm512_min_epu8(_mm512_max_epu8(q, _mm512_set1_epi8(low)), _mm512_set1_epi8(high));
          q = _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), q);
          if (n == 4) _mm512_storeu_si512(p, q);
          else if (n == 2) _mm256_storeu_si256((__m256i*)p, _mm512_castsi512_si256(q));
          else _mm_storeu_si128((__m128i*)p, _mm512_castsi512_si128(q));
      }
    #elif VBYTES == 32
      AI void store_bytes(const int n, void* p, vi a, vi b, vi c, vi d, int zero, int low, int high) {
          __m256i z = _mm256_set1_epi16(zero);
          __m256i ab = _mm256_adds_epi16(_mm256_packs_epi32(IMM(a), IMM(b)), z);
          __m256i cd = n > 2 ? _mm256_adds_epi16(_mm256_packs_epi32(IMM(c), IMM(d)), z) : ab;
          __m256i q = _mm256_packus_epi16(ab, cd);
          q = _mm256_min_epu8(_mm256_max_epu8(q, _mm256_set1_epi8(low)), _mm256_set1_epi8(high));
          q = _mm256_permutevar8x32_epi32(q, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
          if (n == 4) _mm256_storeu_si256((__m256i*)p, q);
          else if (n == 2) _mm_storeu_si128((__m128i*)p, _mm256_castsi256_si128(q));
          else _mm_storel_epi64((__m128i*)p, _mm256_castsi256_si128(q));
      }
    #else
      AI void store_bytes(const int n, void* p, vi a, vi b, vi c, vi d, int zero, int low, int high) {
          __m128i z = _mm_set1_epi16(zero);
          __m128i ab = _mm_adds_epi16(_mm_packs_epi32(IMM(a), IMM(b)), z);
          __m128i cd = n > 2 ? _mm_adds_epi16(_mm_packs_epi32(IMM(c), IMM(d)), z) : ab;
          __m128i q = _mm_packus_epi16(ab, cd);
          q = _mm_min_epu8(_mm_max_epu8(q, _mm_set1_epi8(low)), _mm_set1_epi8(high));
          if (n == 4) _mm_storeu_si128((__m128i*)p, q);
          else if (n == 2) _mm_storel_epi64((__m128i*)p, q);
          else { int x = _mm_cvtsi128_si32(q); __builtin_memcpy(p, &x, 4); }
      }
    #endif
    """
    void store_bytes(const int n, void* p, vi a, vi b, vi c, vi d, int zero, int low, int high) nogil


cdef enum:
    BLOCK = 16  # channels of a block, bytes of a pixel
    ROW = 7  # pixels of a row, of the tiles that have two


# What a tile reads, and how it rounds its sums.
cdef struct Tile:
    const int64_t* offset  # of each segment in bytes from a pixel's first; then of each single group
    Py_ssize_t segments  # of 4 groups
    Py_ssize_t groups  # single ones
    Py_ssize_t src_w  # bytes from a pixel to the next
    Py_ssize_t dst_c  # from a block of output channels to the next
    Py_ssize_t add_c
    Py_ssize_t fetch  # lines of 64 bytes of the weights at `ahead` that a tile prefetches for each of its segments
    const int* start  # of the sums, J vectors
    const float* factor  # of the sums, J vectors
    bint has_add
    bint between  # the sums are rounded before the residual is added
    int between_low  # bounds of what is rounded between, without its zero point
    int between_high
    float own_scale  # of what is rounded between
    float add_scale
    int add_zero
    int zero  # of the result
    int low
    int high


# Most pixels of a tile of J vectors.
cdef inline int most_pixels(int J) noexcept nogil:
    if REGS == 32:
        return 14 if J < 3 else 9
    return 12 if J == 1 else 6 if J == 2 else 4


# The first byte of pixel i.
cdef inline const uint8_t* place(const bint TWO, const Py_ssize_t step, const uint8_t* p, const uint8_t* q, int i) noexcept nogil:
    return q + (i - ROW) * step if TWO and i >= ROW else p + i * step


cdef inline void sweep(const int R, const int J, const bint TWO, const bint PAIRS, const Py_ssize_t step, const uint8_t* src,
                       const uint8_t* below, const char* wei, vi* acc, const int64_t* offset, Py_ssize_t segments,
                       const Py_ssize_t length, const char* ahead, Py_ssize_t fetch) noexcept nogil:
    cdef Py_ssize_t s, c, _line
    cdef const uint8_t* p
    cdef const uint8_t* q
    cdef int k
    cdef int width = VBYTES if PAIRS else VBYTES * GROUP_VECTORS
    for s in range(segments):
        p = src + offset[s]
        q = below + offset[s] if TWO else NULL
        for _line in range(fetch):
            PREFETCH(ahead)
            ahead += 64
        for c in range(length):
            for k in range(R * J):
                if PAIRS:
                    acc[k] = dot_pairs(acc[k], place(TWO, step, p + 4 * c, q + 4 * c, k // J), wei + k % J * width)
                else:
                    acc[k] = dot(acc[k], place(TWO, step, p + 4 * c, q + 4 * c, k // J), wei + k % J * width)
            wei += J * width


# Store `count` pixels of the sums that follow each other, from acc[first * J] on: rounded, if nothing was added.
cdef inline void store_row(const int first, const int count, const int J, const Tile* t, const vi* acc, uint8_t* dst) noexcept nogil:
    cdef int i, j, k
    if V == BLOCK:
        for k in range(J * (count // 4)):
            i = k % (count // 4) * 4
            j = k // (count // 4)
            store_bytes(4, dst + i * BLOCK + j * t.dst_c, acc[(first + i) * J + j], acc[(first + i + 1) * J + j],
                        acc[(first + i + 2) * J + j], acc[(first + i + 3) * J + j], t.zero, t.low, t.high)
        if count % 4 >= 2:
            i = count // 4 * 4
            for j in range(J):
                store_bytes(2, dst + i * BLOCK + j * t.dst_c, acc[(first + i) * J + j], acc[(first + i + 1) * J + j],
                            acc[(first + i) * J + j], acc[(first + i) * J + j], t.zero, t.low, t.high)
        if count % 2:
            i = count - 1
            for j in range(J):
                store_bytes(1, dst + i * BLOCK + j * t.dst_c, acc[(first + i) * J + j], acc[(first + i) * J + j],
                            acc[(first + i) * J + j], acc[(first + i) * J + j], t.zero, t.low, t.high)
    elif V == 8 and J == 2:
        for k in range(count // 2):
            i = (first + 2 * k) * J
            store_bytes(4, dst + 2 * k * BLOCK, acc[i], acc[i + 1], acc[i + 2], acc[i + 3], t.zero, t.low, t.high)
        if count % 2:
            i = (first + count - 1) * J
            store_bytes(2, dst + (count - 1) * BLOCK, acc[i], acc[i + 1], acc[i], acc[i], t.zero, t.low, t.high)
    elif J == 2:
        for k in range(count):
            i = (first + k) * J
            store_bytes(2, dst + k * BLOCK, acc[i], acc[i + 1], acc[i], acc[i], t.zero, t.low, t.high)


cdef inline void tile(const int R, const int J, const bint TWO, const bint PAIRS, const Py_ssize_t step, const uint8_t* src,
                      const uint8_t* below, const char* wei, const Tile* t, uint8_t* dst, uint8_t* dst_below,
                      const uint8_t* add, const uint8_t* add_below, const char* ahead) noexcept nogil:
    cdef int k
    cdef vf sums, residual
    cdef vi acc[28]
    cdef int width = VBYTES if PAIRS else VBYTES * GROUP_VECTORS
    for k in range(R * J):
        acc[k] = vload4(t.start + k % J * V)
    sweep(R, J, TWO, PAIRS, step, src, below, wei, acc, t.offset, t.segments, 4, ahead, t.fetch)
    sweep(R, J, TWO, PAIRS, step, src, below, wei + t.segments * 4 * J * width, acc, t.offset + t.segments, t.groups, 1, ahead, 0)
    if t.has_add:
        for k in range(R * J):
            sums = product(vtofloat(acc[k]), load(t.factor + k % J * V))
            if t.between:
                acc[k] = vmin4(vset4(t.between_high), vmax4(vset4(t.between_low), vround(sums)))
                sums = product(vtofloat(acc[k]), vbroadcast(t.own_scale))
            residual = vtofloat(vload1(place(TWO, BLOCK, add, add_below, k // J) + k % J * V // BLOCK * t.add_c
                                       + k % J * V % BLOCK) - vset4(t.add_zero))
            acc[k] = vround(sums + product(residual, vbroadcast(t.add_scale)))
    else:
        for k in range(R * J):
            acc[k] = vround(vtofloat(acc[k]) * load(t.factor + k % J * V))
    if TWO:
        store_row(0, ROW, J, t, acc, dst)
        store_row(ROW, ROW, J, t, acc, dst_below)
    else:
        store_row(0, R, J, t, acc, dst)


# `count` tiles of r pixels, one behind the other.
cdef inline void tiles(const int R, const int J, const bint PAIRS, const Py_ssize_t step, Py_ssize_t count, const uint8_t* src,
                       const char* wei, const Tile* t, uint8_t* dst, const uint8_t* add, const char* ahead) noexcept nogil:
    cdef Py_ssize_t _tile
    for _tile in range(count):
        tile(R, J, False, PAIRS, step, src, NULL, wei, t, dst, NULL, add, NULL, ahead)
        src += R * step
        dst += R * BLOCK
        add += R * BLOCK
        ahead += 64 * t.fetch * t.segments


# `tiles` for a number of pixels that is known only at run time.
cdef inline void choose(int r, const int J, const bint PAIRS, const Py_ssize_t step, Py_ssize_t count, const uint8_t* src,
                        const char* wei, const Tile* t, uint8_t* dst, const uint8_t* add, const char* ahead) noexcept nogil:
    if REGS == 32 and J < 3 and r == 14: tiles(14, J, PAIRS, step, count, src, wei, t, dst, add, ahead)
    elif REGS == 32 and J < 3 and r == 13: tiles(13, J, PAIRS, step, count, src, wei, t, dst, add, ahead)
    elif J < 2 + (REGS == 32) and r == 12: tiles(12, J, PAIRS, step, count, src, wei, t, dst, add, ahead)
    elif J < 2 + (REGS == 32) and r == 11: tiles(11, J, PAIRS, step, count, src, wei, t, dst, add, ahead)
    elif J < 2 + (REGS == 32) and r == 10: tiles(10, J, PAIRS, step, count, src, wei, t, dst, add, ahead)
    elif (J == 1 or REGS == 32) and r == 9: tiles(9, J, PAIRS, step, count, src, wei, t, dst, add, ahead)
    elif (J == 1 or REGS == 32) and r == 8: tiles(8, J, PAIRS, step, count, src, wei, t, dst, add, ahead)
    elif (J == 1 or REGS == 32) and r == 7: tiles(7, J, PAIRS, step, count, src, wei, t, dst, add, ahead)
    elif (J < 3 or REGS == 32) and r == 6: tiles(6, J, PAIRS, step, count, src, wei, t, dst, add, ahead)
    elif (J < 3 or REGS == 32) and r == 5: tiles(5, J, PAIRS, step, count, src, wei, t, dst, add, ahead)
    elif r == 4: tiles(4, J, PAIRS, step, count, src, wei, t, dst, add, ahead)
    elif r == 3: tiles(3, J, PAIRS, step, count, src, wei, t, dst, add, ahead)
    elif r == 2: tiles(2, J, PAIRS, step, count, src, wei, t, dst, add, ahead)
    else: tiles(1, J, PAIRS, step, count, src, wei, t, dst, add, ahead)
