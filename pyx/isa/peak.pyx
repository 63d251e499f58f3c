"""The most that the machine can do: products of registers, of each kind that kernels sum, and floats read from memory.

fastconv/peak.py runs them as steps of a plan. A piece does its share of the loops of each kind, then reads its share of the
`lines` groups of cache lines at src. dst has three doubles for each piece: the seconds at which it began and ended, and the sum
of all that it computed and read, so that the compiler keeps the loops.
"""

from libc.stdint cimport int64_t
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from dot cimport AMX, HAS_PAIRS, WEIGHTS, WORDS, vi, vset4
from simd cimport V, load, vbroadcast, vf
from step cimport at, share
from tile_amx cimport TILE, tiles_begin, tiles_end

# Sums in flight: a multiply-add takes 4 or 5 cycles and two start in each, four on some arm64. On x86 without FMA it is a copy,
# a multiplication and an addition, as in the kernels.
cdef extern from *:
    """
    #define SUMS (REGS == 32 ? 16 : 12)
    /* of products of bytes: registers are left for two vectors of weights and their product */
    #define DOTS (SUMS - 2)
    /* weights that the compiler does not know: else it would multiply once for all sums */
    #if defined(__aarch64__) && !defined(LOWERED)
      #define PLACE "+w"
    #elif defined(__SSE2__) && !defined(LOWERED)
      #define PLACE "+v"
    #else
      #define PLACE "+m"
    #endif
    AI void unknown(vi* w) {
        __asm__ volatile ("" : PLACE (w[0]));
        if (GROUP_VECTORS == 2) __asm__ volatile ("" : PLACE (w[1]));
    }
    /* the instructions of `dot` and `dot_pairs` on registers, without those that prepare x */
    #if WEIGHTS == WORDS
      #define MADD(x, w) ((vi)OP(madd_epi16)(IMM(x), IMM(w)))
      AI vi bare_dot(vi acc, vi x, const vi* w) { return sum(sum(acc, MADD(x, w[0])), MADD(x, w[1])); }
    #else
      AI vi bare_dot(vi acc, vi x, const vi* w) { return dot_lanes(acc, x, w[0]); }
    #endif
    #if HAS_PAIRS
      AI vi bare_pairs(vi acc, vi x, const vi* w) { return sum(acc, MADD(OP(maddubs_epi16)(IMM(x), IMM(w[0])), 1 - (vh){0})); }
    #else
      AI vi bare_pairs(vi acc, vi x, const vi* w) { return acc; }
    #endif
    #if WEIGHTS == WORDS
      #define DOT_NAME (VBYTES > 16 ? "vpmaddwd" : "pmaddwd")
    #elif defined(__ARM_FEATURE_DOTPROD)
      #define DOT_NAME "sdot"
    #elif defined(DOT_LOWERED)
      #define DOT_NAME "multiplication of int32"
    #else
      #define DOT_NAME "vpdpbusd"
    #endif
    #ifdef __AMX_INT8__
      AI void dot_tiles(Py_ssize_t loops, const char* ones, int* sums) {
          TILE_LOAD(4, ones, 0L); TILE_LOAD(5, ones, 0L); TILE_LOAD(6, ones, 0L); TILE_LOAD(7, ones, 0L);
          for (; loops; loops--) { TILE_DOT(0, 4, 6); TILE_DOT(1, 4, 7); TILE_DOT(2, 5, 6); TILE_DOT(3, 5, 7); }
          TILE_STORE(0, sums); TILE_STORE(1, sums + 256); TILE_STORE(2, sums + 512); TILE_STORE(3, sums + 768);
      }
    #else
      AI void dot_tiles(Py_ssize_t loops, const char* ones, int* sums) {}
    #endif
    """
    enum: SUMS
    enum: DOTS
    const char* DOT_NAME
    void unknown(vi* w) nogil
    vi bare_dot(vi acc, vi x, const vi* w) nogil
    vi bare_pairs(vi acc, vi x, const vi* w) nogil
    void dot_tiles(Py_ssize_t loops, const char* ones, int* sums) nogil

cdef enum:
    TILES = 4  # of sums, see tile_amx.pxd
    ROWS = 16  # of a tile
    # parts of memory that are read at once: one alone keeps too few lines on their way, whatever is prefetched
    STREAMS = 6
    LINE = 16  # floats of a cache line

cdef struct Args:
    # loops: SUMS multiply-adds of vectors of floats; DOTS vectors of `dot`, and of `dot_pairs`; TILES products of tiles
    Py_ssize_t floats
    Py_ssize_t dots
    Py_ssize_t pairs
    Py_ssize_t tiles
    int64_t src
    Py_ssize_t lines  # in each of the STREAMS that src is cut into
    int64_t dst


cdef inline float total(vf* acc) noexcept nogil:
    cdef vf s = acc[0]
    cdef int i
    cdef float y = 0
    for i in range(1, SUMS):
        s = s + acc[i]
    for i in range(V):
        y += (<float*> &s)[i]
    return y


cdef float multiply_add(Py_ssize_t loops) noexcept nogil:
    cdef vf acc[SUMS]
    cdef vf tiny = vbroadcast(<float> 1e-9)  # 1 + 1e-9 rounds to 1: the sums stay where they are, and normal numbers
    cdef Py_ssize_t _
    cdef int i
    for i in range(SUMS):
        acc[i] = vbroadcast(<float> (loops * i))  # all different, or the compiler keeps one of them
    for _ in range(loops):
        for i in range(SUMS):
            acc[i] = acc[i] + acc[i] * tiny  # one instruction on every ISA that has it: both sources are the target
    return total(acc)


# Products of ones: as `dot`, or as `dot_pairs`, which takes weights as BYTES on every set.
cdef inline double products(const bint PAIRS, Py_ssize_t loops) noexcept nogil:
    cdef vi acc[DOTS]
    cdef vi w[2]
    cdef vi x = vset4(0x00010001 if WEIGHTS == WORDS and not PAIRS else 0x01010101)
    cdef Py_ssize_t _
    cdef int i, v
    cdef double y = 0
    w[0] = x
    w[1] = x
    for i in range(DOTS):
        acc[i] = vset4(i)
    for _ in range(loops):
        for i in range(DOTS):
            unknown(w)
            if PAIRS:
                acc[i] = bare_pairs(acc[i], x, w)
            else:
                acc[i] = bare_dot(acc[i], x, w)
    for i in range(DOTS):
        for v in range(V):
            y += (<int*> &acc[i])[v]
    return y


cdef double tile_products(Py_ssize_t loops) noexcept nogil:
    cdef char ones[64]
    cdef int sums[TILES * TILE]
    cdef int i
    cdef double y = 0
    for i in range(64):
        ones[i] = 1
    tiles_begin(ROWS)
    dot_tiles(loops, ones, sums)
    tiles_end()
    for i in range(TILES * TILE):
        y += sums[i]
    return y


cdef float read(const float* src, Py_ssize_t lines) noexcept nogil:
    cdef vf acc[SUMS]
    cdef Py_ssize_t i
    cdef int s, v
    for s in range(SUMS):
        acc[s] = vbroadcast(0)
    for i in range(lines):
        for s in range(STREAMS):
            for v in range(LINE // V):
                acc[s] = acc[s] + load(src + (s * lines + i) * LINE + v * V)
    return total(acc)


cdef inline double now() noexcept nogil:
    cdef timespec t
    clock_gettime(CLOCK_MONOTONIC, &t)
    return t.tv_sec + 1e-9 * t.tv_nsec


cdef inline Py_ssize_t own(Py_ssize_t n, Py_ssize_t piece, Py_ssize_t pieces) noexcept nogil:
    return share(n, piece + 1, pieces) - share(n, piece, pieces)


cdef void run(const Args* a, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil:
    cdef Py_ssize_t begin = share(a.lines, piece, pieces), end = share(a.lines, piece + 1, pieces)
    cdef double* dst = <double*> at(bases, a.dst) + 3 * piece
    dst[0] = now()
    dst[2] = read(at(bases, a.src) + begin * STREAMS * LINE, end - begin)
    dst[2] += multiply_add(own(a.floats, piece, pieces))
    if a.dots:
        dst[2] += products(False, own(a.dots, piece, pieces))
    if a.pairs:
        dst[2] += products(True, own(a.pairs, piece, pieces))
    if a.tiles:
        dst[2] += tile_products(own(a.tiles, piece, pieces))
    dst[1] = now()


def kinds():
    """The kinds of products of this build: field of Args -> (operations of a loop, the instruction).

    A product and its sum are two operations.
    """
    found = {"floats": (2 * SUMS * V, "multiply-add"), "dots": (2 * DOTS * V * 4, DOT_NAME.decode())}
    if HAS_PAIRS:
        found["pairs"] = (2 * DOTS * V * 4, "vpmaddubsw")
    if AMX:
        found["tiles"] = (2 * TILES * TILE * 64, "tdpbusd")
    return found


def group_floats():
    """The floats of which `lines` counts groups."""
    return STREAMS * LINE


include "step.pxi"
