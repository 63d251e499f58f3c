"""Depthwise convolution of bytes: one filter for each channel, so that vectors are channels.

Layouts: src, add and dst are nhwc, uint8, src with a halo of its zero point that covers every tap. A segment is SEGMENT_ROWS kernel
rows of KW taps that are neighbours in the source, or (KW 1) as many taps of any place; those that are missing have weights of 0. The
bytes of its rows at a column are interleaved to groups, one in each lane: one product of groups adds them all. A table has the offset
of each row of each segment. wei = [chunk of VBYTES channels][segment][KW][quad], of which each has the weights of its lanes as dot.pxd
says, start and factor = [chunk][quad][lane].

Interleaving works on 16 channels at a time: lane 4 i + j of quad q is channel 16 i + 4 q + j of a chunk. Packing the sums to bytes
undoes that. The sums and their rounding are those of conv_int8.pyx.

Parallel over (image, output row, chunk).
"""

from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcpy

from dot cimport FLIP, GROUP_VECTORS, VBYTES, WEIGHTS, WORDS, dot_groups, vi, vload4
from simd cimport REGS, V, load, noinline
from step cimport at, share
from tile_int8 cimport Tile, added, rounded, wide_bound, wide_zero
from view cimport View

cdef extern from *:
    """
    typedef struct { vi part[4]; } Quads;
    #if defined(__SSE2__) && !defined(LOWERED)
      #if VBYTES == 64
        #define LOAD_BYTES(p) _mm512_loadu_si512(p)
      #elif VBYTES == 32
        #define LOAD_BYTES(p) _mm256_loadu_si256((const __m256i*)(p))
      #else
        #define LOAD_BYTES(p) _mm_loadu_si128((const __m128i*)(p))
      #endif
      /* the groups (a, b, c, 0) of VBYTES channels */
      AI Quads interleave(const void* a, const void* b, const void* c) {
          vi none = {0};
          vi low = (vi)OP(unpacklo_epi8)(LOAD_BYTES(a), LOAD_BYTES(b)), high = (vi)OP(unpackhi_epi8)(LOAD_BYTES(a), LOAD_BYTES(b));
          vi third = (vi)OP(unpacklo_epi8)(LOAD_BYTES(c), IMM(none)), last = (vi)OP(unpackhi_epi8)(LOAD_BYTES(c), IMM(none));
          Quads x = {{(vi)OP(unpacklo_epi16)(IMM(low), IMM(third)), (vi)OP(unpackhi_epi16)(IMM(low), IMM(third)),
                      (vi)OP(unpacklo_epi16)(IMM(high), IMM(last)), (vi)OP(unpackhi_epi16)(IMM(high), IMM(last))}};
          return x;
      }
      /* rounded sums as bytes, as store_bytes of tile_int8.pxd: all that there are of n channels, a multiple of 16 */
      AI void store_quads(void* p, vi a, vi b, vi c, vi d, vi zero, vi low, vi high, Py_ssize_t n) {
          vi ab = (vi)OP(adds_epi16)(OP(packs_epi32)(IMM(a), IMM(b)), IMM(zero));
          vi cd = (vi)OP(adds_epi16)(OP(packs_epi32)(IMM(c), IMM(d)), IMM(zero));
          vi x = (vi)OP(min_epu8)(OP(max_epu8)(OP(packus_epi16)(IMM(ab), IMM(cd)), IMM(low)), IMM(high));
          #if VBYTES == 64
            _mm512_mask_storeu_epi8(p, n >= 64 ? -1 : ((__mmask64)1 << n) - 1, (__m512i)x);
          #elif VBYTES == 32
            if (n >= 32) _mm256_storeu_si256((__m256i*)p, (__m256i)x);
            else _mm_storeu_si128((__m128i*)p, _mm256_castsi256_si128((__m256i)x));
          #else
            _mm_storeu_si128((__m128i*)p, (__m128i)x);
          #endif
      }
    #else
      AI Quads interleave(const void* a, const void* b, const void* c) {
          const unsigned char *p = (const unsigned char*)a, *q = (const unsigned char*)b, *r = (const unsigned char*)c;
          Quads x;
          for (int i = 0; i < VBYTES; i++) x.part[i / 4 % 4][i / 16 * 4 + i % 4] = p[i] | q[i] << 8 | r[i] << 16;
          return x;
      }
      AI void store_quads(void* p, vi a, vi b, vi c, vi d, vi zero, vi low, vi high, Py_ssize_t n) {
          vi x[4] = {a, b, c, d};
          for (int q = 0; q < 4; q++) x[q] = vmin4(high, vmax4(low, x[q] + zero));
          for (int i = 0; i < (n < VBYTES ? n : VBYTES); i++) ((unsigned char*)p)[i] = (unsigned char)x[i / 4 % 4][i / 16 * 4 + i % 4];
      }
    #endif
    """
    ctypedef struct Quads:
        vi part[4]
    Quads interleave(const void* a, const void* b, const void* c) nogil
    void store_quads(void* p, vi a, vi b, vi c, vi d, vi zero, vi low, vi high, Py_ssize_t n) nogil

cpdef enum:
    SEGMENT_ROWS = 3

# widths of the kernels whose rows lie in a segment
ROW_WIDTHS = 3, 5

cdef struct Args:
    # strides in bytes
    View src  # first tap of the first pixel; h, w: to the next output row or pixel
    View add
    View dst
    int64_t wei
    int64_t start
    int64_t factor
    int64_t offsets  # int64, of the SEGMENT_ROWS rows of each segment
    Py_ssize_t segments
    int KW  # taps of a segment's rows: 1, 3 or 5
    Py_ssize_t column  # of the source, from one to the next
    Py_ssize_t N
    Py_ssize_t channels  # with those that fill up the last block
    Py_ssize_t OH
    Py_ssize_t OW
    bint has_add
    bint between
    float between_low
    float between_high
    float own_scale
    float add_scale
    int add_zero
    int zero
    int low
    int high

# What the tiles of a chunk share. Of `tile`, offsets and segments are those of Args.
cdef struct Chunk:
    Tile tile
    const char* wei
    Py_ssize_t column
    Py_ssize_t channels  # from the first one of the chunk on


# The bytes of quad q at `add`, in the order of its lanes.
cdef inline void pick(const uint8_t* add, int q, uint8_t* lanes) noexcept nogil:
    cdef int i
    for i in range(V // 4):
        memcpy(lanes + 4 * i, add + 16 * i + 4 * q, 4)


# R pixels of a row, which are S columns apart in the source. KW, S and R are literals.
cdef inline void tile(const int R, const int KW, const int S, const Chunk* g, const uint8_t* src, uint8_t* dst,
                      const uint8_t* add) noexcept nogil:
    cdef Py_ssize_t segment
    cdef const char* wei = g.wei
    cdef const uint8_t* a
    cdef const uint8_t* b
    cdef const uint8_t* c
    cdef uint8_t lanes[V]
    cdef vi acc[16]
    cdef Quads x
    cdef int i, k, q, QUAD = VBYTES * GROUP_VECTORS
    for i in range(R):
        for q in range(4):
            acc[4 * i + q] = vload4(g.tile.start + q * V)
    for segment in range(g.tile.segments):
        a = src + g.tile.offset[SEGMENT_ROWS * segment]
        b = src + g.tile.offset[SEGMENT_ROWS * segment + 1]
        c = src + g.tile.offset[SEGMENT_ROWS * segment + 2]
        for k in range((R - 1) * S + KW):
            x = interleave(a + k * g.column, b + k * g.column, c + k * g.column)
            for i in range(R):
                if i * S <= k and k < i * S + KW:
                    for q in range(4):
                        acc[4 * i + q] = dot_groups(acc[4 * i + q], x.part[q], wei + ((k - i * S) * 4 + q) * QUAD)
        wei += KW * 4 * QUAD
    if g.tile.has_add:
        for i in range(R):
            for q in range(4):
                pick(add + i * g.tile.add_w, q, lanes)
                acc[4 * i + q] = added(&g.tile, acc[4 * i + q], load(g.tile.factor + q * V), lanes)
    else:
        for i in range(R):
            for q in range(4):
                acc[4 * i + q] = rounded(acc[4 * i + q], load(g.tile.factor + q * V))
    for i in range(R):
        store_quads(dst + i * g.tile.dst_w, acc[4 * i], acc[4 * i + 1], acc[4 * i + 2], acc[4 * i + 3], g.tile.zero, g.tile.low,
                    g.tile.high, g.channels)


# Most pixels of a tile: four vectors of sums each, and the groups of a column, stay in registers.
cdef inline int most_pixels() noexcept nogil:
    return 4 if REGS == 32 else 2


# A row of OW pixels, in tiles that differ by at most one pixel.
cdef inline void row(const int KW, const int S, const Chunk* g, const uint8_t* src, uint8_t* dst, const uint8_t* add,
                     Py_ssize_t OW) noexcept nogil:
    cdef Py_ssize_t tiles = (OW + most_pixels() - 1) // most_pixels(), longer = OW % tiles, i
    cdef int least = <int> (OW // tiles), r
    for i in range(tiles):
        r = least + (i < longer)
        if REGS == 32 and r == 4:
            tile(4, KW, S, g, src, dst, add)
        elif REGS == 32 and r == 3:
            tile(3, KW, S, g, src, dst, add)
        elif r == 2:
            tile(2, KW, S, g, src, dst, add)
        else:
            tile(1, KW, S, g, src, dst, add)
        src += r * g.tile.src_w
        dst += r * g.tile.dst_w
        add += r * g.tile.add_w


# Each width and stride has a function of its own: in a function with more loops GCC copies sums.
cdef noinline row_3_1(const Chunk* g, const uint8_t* src, uint8_t* dst, const uint8_t* add, Py_ssize_t OW) noexcept nogil:
    row(3, 1, g, src, dst, add, OW)
    return 0


cdef noinline row_3_2(const Chunk* g, const uint8_t* src, uint8_t* dst, const uint8_t* add, Py_ssize_t OW) noexcept nogil:
    row(3, 2, g, src, dst, add, OW)
    return 0


cdef noinline row_5_1(const Chunk* g, const uint8_t* src, uint8_t* dst, const uint8_t* add, Py_ssize_t OW) noexcept nogil:
    row(5, 1, g, src, dst, add, OW)
    return 0


cdef noinline row_5_2(const Chunk* g, const uint8_t* src, uint8_t* dst, const uint8_t* add, Py_ssize_t OW) noexcept nogil:
    row(5, 2, g, src, dst, add, OW)
    return 0


# Any stride, pixel by pixel.
cdef noinline row_any(int KW, const Chunk* g, const uint8_t* src, uint8_t* dst, const uint8_t* add, Py_ssize_t OW) noexcept nogil:
    for _ in range(OW):
        if KW == 3:
            tile(1, 3, 1, g, src, dst, add)
        elif KW == 5:
            tile(1, 5, 1, g, src, dst, add)
        else:
            tile(1, 1, 1, g, src, dst, add)
        src += g.tile.src_w
        dst += g.tile.dst_w
        add += g.tile.add_w
    return 0


cdef void run(const Args* a, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil:
    cdef Py_ssize_t CHUNKS = (a.channels + VBYTES - 1) // VBYTES, items = a.N * a.OH * CHUNKS, item, oh, n, c
    cdef Py_ssize_t weights = a.segments * a.KW * 4 * VBYTES * GROUP_VECTORS, S = a.src.w // a.column if a.src.w % a.column == 0 else 0
    cdef const uint8_t* src
    cdef const uint8_t* add
    cdef uint8_t* dst
    cdef Chunk g
    g.column = a.column
    g.tile.offset = <const int64_t*> at(bases, a.offsets)
    g.tile.segments = a.segments
    g.tile.src_w = a.src.w
    g.tile.dst_w = a.dst.w
    g.tile.add_w = a.add.w
    g.tile.has_add = a.has_add
    g.tile.between = a.between
    g.tile.between_low = a.between_low
    g.tile.between_high = a.between_high
    g.tile.own_scale = a.own_scale
    g.tile.add_scale = a.add_scale
    g.tile.add_zero = a.add_zero
    g.tile.zero = wide_zero(a.zero)
    g.tile.low = wide_bound(a.low)
    g.tile.high = wide_bound(a.high)
    for item in range(share(items, piece, pieces), share(items, piece + 1, pieces)):
        c = item % CHUNKS * VBYTES
        oh = item // CHUNKS % a.OH
        n = item // CHUNKS // a.OH
        src = <const uint8_t*> at(bases, a.src.address) + n * a.src.n + oh * a.src.h + c
        dst = <uint8_t*> at(bases, a.dst.address) + n * a.dst.n + oh * a.dst.h + c
        add = <const uint8_t*> at(bases, a.add.address) + n * a.add.n + oh * a.add.h + c
        g.channels = a.channels - c
        g.wei = <const char*> at(bases, a.wei) + item % CHUNKS * weights
        g.tile.start = <const int*> at(bases, a.start) + c
        g.tile.factor = at(bases, a.factor) + c
        if a.KW == 3 and S == 1:
            row_3_1(&g, src, dst, add, a.OW)
        elif a.KW == 3 and S == 2:
            row_3_2(&g, src, dst, add, a.OW)
        elif a.KW == 5 and S == 1:
            row_5_1(&g, src, dst, add, a.OW)
        elif a.KW == 5 and S == 2:
            row_5_2(&g, src, dst, add, a.OW)
        else:
            row_any(a.KW, &g, src, dst, add, a.OW)


include "step.pxi"


def packing():
    """(channels of a chunk, whether weights are WORDS, FLIP), see dot.pxd."""
    return VBYTES, WEIGHTS == WORDS, FLIP
