"""Convolution of bytes: uint8 activations, int8 weights, sums in int32, rounded to uint8 as they are stored.

Layouts: src is nhwc, uint8, with a halo of its zero point that covers every tap, and channels filled up to whole blocks (or a
matrix, each row a pixel); lanes without a channel hold anything, as their weights are 0. wei = [group][panel][group of 4 bytes]
[vector][lane][4], see dot.pxd, or as tile_amx.pxd has it; start (int32) and factor (float32) have a lane for each output channel
of a group: `start` is the bias minus the source's zero point times the sum of the weights. add and dst are nhwc.
Panels are those of panels.pxd, of vectors.

y = clip(rint(sum * factor) + zero, low, high), or the float sum * factor; with a residual, see `added` in tile_int8.pxd. The sums
are exact, so that y does not depend on the instruction set, nor on the order of the products.

Parallel over (image, group, chunk of output rows or, where rows have no gaps, of pixels, panel).
"""

from libc.stdint cimport int64_t, uint8_t

from dot cimport AMX, BYTES, FLIP, GROUP_VECTORS, HAS_PAIRS, VBYTES, WEIGHTS, WORDS, dot, dot_pairs, vi, vload4, vtofloat
from panels cimport panels, width_of
from simd cimport PREFETCH0, V, load, noinline, store
from step cimport at, share
from tile_amx cimport TILE, Sums, Unit, multiply, store_sums, tiles_begin, tiles_end, tiles_store
from tile_int8 cimport BLOCK, ROW, Tile, choose, most_pixels, rounded, store_bytes, tile, wide_bound, wide_zero
from view cimport View

cpdef enum:
    STREAMS = 4  # panels that are read side by side for a single pixel

cdef enum:
    AHEAD = 512  # bytes from a load to the prefetch

cdef struct Args:
    # strides in bytes
    View src  # the first tap of the first pixel; c: to the next group; h, w: to the next output row or pixel
    View add
    View dst
    int64_t wei
    int64_t start
    int64_t factor
    int64_t offsets  # int64 offset of each segment and single group, in bytes
    Py_ssize_t segments  # of 16 channels
    Py_ssize_t groups  # of 4 bytes, that follow
    Py_ssize_t N
    Py_ssize_t G  # groups of channels
    Py_ssize_t OCB  # vectors of output channels of a group
    Py_ssize_t OH
    Py_ssize_t OW
    Py_ssize_t rows  # of a chunk
    Py_ssize_t cols  # of a chunk
    bint tiles  # by AMX: the weights are TILES, and a unit has M pixels, see tile_amx.pxd
    Py_ssize_t M
    Py_ssize_t panels  # of an item: 1, or STREAMS for single pixels without a residual
    bint floats  # the results are floats: of single pixels, whose STREAMS panels are whole
    bint fetch  # the weights come from beyond L2
    bint pairs  # the weights are BYTES of which no pair passes 16 bits, see dot.pxd
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


# `count` tiles of r pixels of a row, J vectors wide. Each J has a function of its own, see tile_int8.pxd.
cdef inline void near(const int J, int r, Py_ssize_t count, const uint8_t* src, const char* wei, const Tile* t, uint8_t* dst,
                      const uint8_t* add, const char* ahead) noexcept nogil:
    if HAS_PAIRS and t.pairs:
        choose(r, J, True, count, src, wei, t, dst, add, ahead)
    else:
        choose(r, J, False, count, src, wei, t, dst, add, ahead)


cdef noinline near_1(int r, Py_ssize_t count, const uint8_t* src, const char* wei, const Tile* t, uint8_t* dst,
                     const uint8_t* add, const char* ahead) noexcept nogil:
    near(1, r, count, src, wei, t, dst, add, ahead)
    return 0


cdef noinline near_2(int r, Py_ssize_t count, const uint8_t* src, const char* wei, const Tile* t, uint8_t* dst,
                     const uint8_t* add, const char* ahead) noexcept nogil:
    near(2, r, count, src, wei, t, dst, add, ahead)
    return 0


cdef noinline near_3(int r, Py_ssize_t count, const uint8_t* src, const char* wei, const Tile* t, uint8_t* dst,
                     const uint8_t* add, const char* ahead) noexcept nogil:
    near(3, r, count, src, wei, t, dst, add, ahead)
    return 0


# Two rows of ROW pixels, 2 vectors wide.
cdef noinline two_rows(const uint8_t* src, const char* wei, const Tile* t, uint8_t* dst, const uint8_t* add,
                       const char* ahead) noexcept nogil:
    if WEIGHTS == BYTES:  # WORDS have no tile of so many pixels
        tile(2 * ROW, 2, True, False, src, wei, t, dst, add, ahead)
    return 0


# A single pixel and STREAMS panels of two vectors, whose weights are `size` bytes each: they come from memory, and one panel alone
# would keep too few loads on their way.
cdef inline void stream(const bint PAIRS, const Tile* t, const uint8_t* src, const char* wei, Py_ssize_t size,
                        vi* acc) noexcept nogil:
    cdef Py_ssize_t s, c, width = VBYTES if PAIRS else VBYTES * GROUP_VECTORS
    cdef int k, line
    cdef const char* w
    cdef const uint8_t* x
    for s in range(4 * t.segments + t.groups):
        c = s & 3 if s < 4 * t.segments else 0
        x = src + t.offset[s // 4 if s < 4 * t.segments else s - 3 * t.segments] + 4 * c
        for k in range(2 * STREAMS):
            w = wei + k // 2 * size + k % 2 * width
            if k % 2 == 0:
                for line in range(2 * width // 64):
                    PREFETCH0(w + AHEAD + line * 64)
            acc[k] = dot_pairs(acc[k], x, w) if PAIRS else dot(acc[k], x, w)
        wei += 2 * width


cdef noinline streams(bint floats, const Tile* t, const uint8_t* src, const char* wei, Py_ssize_t size,
                      uint8_t* dst) noexcept nogil:
    cdef vi acc[2 * STREAMS]
    cdef vi zero = t.zero, low = t.low, high = t.high
    cdef uint8_t* to
    cdef int k
    for k in range(2 * STREAMS):
        acc[k] = vload4(t.start + k * V)
    if HAS_PAIRS and t.pairs:
        stream(True, t, src, wei, size, acc)
    else:
        stream(False, t, src, wei, size, acc)
    if floats:
        for k in range(2 * STREAMS):
            store(<float*> dst + k * V, vtofloat(acc[k]) * load(t.factor + k * V))
        return 0
    for k in range(2 * STREAMS):
        acc[k] = rounded(acc[k], load(t.factor + k * V))
    for k in range(STREAMS):
        to = dst + k * 2 * V
        store_bytes(2, to, to, NULL, NULL, acc[2 * k], acc[2 * k + 1], acc[2 * k], acc[2 * k + 1], zero, low, high)
    return 0


# Round and store the sums that wait, of units of M pixels.
cdef noinline store_waiting(int M, const Tile* t, Sums* s) noexcept nogil:
    if t.has_add:
        if s.vectors == 2:
            store_sums(True, 2, M, t, s)
        else:
            store_sums(True, 1, M, t, s)
    elif s.vectors == 2:
        store_sums(False, 2, M, t, s)
    else:
        store_sums(False, 1, M, t, s)
    s.units = 0
    return 0


# Multiply `count` units of M pixels with a panel of J vectors, by AMX, and store the sums before: they are read before the new
# ones are written, as a load waits for a store to an address with the same last 12 bits.
cdef noinline multiply_units(int count, int M, int J, const Unit* unit, const char* wei, const Tile* t, Sums* waiting,
                             const char* ahead) noexcept nogil:
    cdef Sums s
    cdef int i, j
    s.sums = waiting.sums
    for j in range(0, J, 2):
        s.units = count
        s.vectors = min(J - j, 2)
        s.j = j
        for i in range(count):
            s.unit[i] = unit[i]
        if count == 2 and s.vectors == 2:
            multiply(2, 2, J, t, &s, wei, ahead)
            store_waiting(M, t, waiting)
            tiles_store(2, 2, s.sums)
        elif count == 2:
            multiply(2, 1, J, t, &s, wei, ahead)
            store_waiting(M, t, waiting)
            tiles_store(2, 1, s.sums)
        elif s.vectors == 2:
            multiply(1, 2, J, t, &s, wei, ahead)
            store_waiting(M, t, waiting)
            tiles_store(1, 2, s.sums)
        else:
            multiply(1, 1, J, t, &s, wei, ahead)
            store_waiting(M, t, waiting)
            tiles_store(1, 1, s.sums)
        waiting[0] = s
    return 0


# A panel of J vectors, from `vector` on, and the rows and columns of a chunk.
cdef struct Part:
    Py_ssize_t n
    Py_ssize_t g
    Py_ssize_t vector
    int J
    Py_ssize_t first_row
    Py_ssize_t last_row
    Py_ssize_t begin
    Py_ssize_t end
    const char* wei
    const char* ahead  # the next panel's weights, prefetched


# The first byte of a view at a part's first pixel of a row: of its group, or of its first vector.
cdef inline const uint8_t* source(char** bases, const View* v, const Part* p, Py_ssize_t oh) noexcept nogil:
    return <const uint8_t*> at(bases, v.address) + p.n * v.n + p.g * v.c + oh * v.h + p.begin * v.w


cdef inline uint8_t* result(char** bases, const View* v, const Part* p, Py_ssize_t oh) noexcept nogil:
    cdef Py_ssize_t channel = p.vector * V
    return <uint8_t*> at(bases, v.address) + p.n * v.n + channel // BLOCK * v.c + channel % BLOCK + oh * v.h + p.begin * v.w


# Let each of `tiles` tiles prefetch so many lines that together they fetch the next panel's weights of `size` bytes.
cdef inline void prefetch(const Args* a, Tile* t, Py_ssize_t size, Py_ssize_t tiles) noexcept nogil:
    t.fetch = (size // 64 // max(a.segments, 1) + tiles - 1) // tiles if a.fetch else 0


cdef void by_vectors(const Args* a, char** bases, Part* p, Tile* t) noexcept nogil:
    cdef Py_ssize_t most = most_pixels(p.J), width = p.end - p.begin, oh = p.first_row, tiles, left, count
    cdef int r
    cdef const uint8_t* src
    cdef const uint8_t* add
    cdef uint8_t* dst
    prefetch(a, t, p.ahead - p.wei, (p.last_row - p.first_row) * ((width + most - 1) // most))
    while oh < p.last_row:
        src = source(bases, &a.src, p, oh)
        dst = result(bases, &a.dst, p, oh)
        add = result(bases, &a.add, p, oh)
        if most == 2 * ROW and a.OW == ROW and p.J == 2 and oh + 2 <= p.last_row:
            two_rows(src, p.wei, t, dst, add, p.ahead)
            p.ahead += 64 * t.fetch * t.segments
            oh += 2
            continue
        left = width
        tiles = (left + most - 1) // most
        while tiles:
            r = <int> ((left + tiles - 1) // tiles)
            count = left - (r - 1) * tiles  # so many of r pixels; the others have one less
            if V < BLOCK or p.J == 2:  # a block of narrow vectors has two or four
                near_2(r, count, src, p.wei, t, dst, add, p.ahead)
            elif p.J == 1:
                near_1(r, count, src, p.wei, t, dst, add, p.ahead)
            else:
                near_3(r, count, src, p.wei, t, dst, add, p.ahead)
            p.ahead += 64 * t.fetch * t.segments * count
            src += r * count * a.src.w
            dst += r * count * a.dst.w
            add += r * count * a.add.w
            left -= r * count
            tiles -= count
        oh += 1


# By AMX: units of M pixels in pairs, which may lie in two rows. The last unit of a row may begin among the pixels before it.
cdef void by_tiles(const Args* a, char** bases, Part* p, Tile* t, Sums* waiting) noexcept nogil:
    cdef Py_ssize_t units = (p.end - p.begin + a.M - 1) // a.M, oh, i, w
    cdef Unit unit[2]
    cdef int ready = 0
    prefetch(a, t, p.ahead - p.wei, ((p.last_row - p.first_row) * units + 1) // 2)
    for oh in range(p.first_row, p.last_row):
        for i in range(units):
            w = min(i * a.M, p.end - p.begin - a.M)
            unit[ready].src = source(bases, &a.src, p, oh) + w * a.src.w
            unit[ready].dst = result(bases, &a.dst, p, oh) + w * a.dst.w
            unit[ready].add = result(bases, &a.add, p, oh) + w * a.add.w
            ready += 1
            if ready == 2 or (i + 1 == units and oh + 1 == p.last_row):
                multiply_units(ready, <int> a.M, p.J, unit, p.wei, t, waiting, p.ahead)
                p.ahead += 64 * t.fetch * t.segments
                ready = 0
    store_waiting(<int> a.M, t, waiting)  # the next part has another panel


cdef void run(const Args* a, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil:
    cdef Py_ssize_t ROWS = (a.OH + a.rows - 1) // a.rows, COLS = (a.OW + a.cols - 1) // a.cols, PANELS = panels(a.OCB)
    cdef Py_ssize_t GROUPS = (PANELS + a.panels - 1) // a.panels, items = a.N * a.G * ROWS * COLS * GROUPS, item, rest
    cdef Py_ssize_t panel, behind
    cdef bint amx = AMX and a.tiles
    # bytes of a vector's weights
    cdef Py_ssize_t K = a.segments * 4 * TILE if amx else (a.segments * 4 + a.groups) * VBYTES * (1 if a.pairs else GROUP_VECTORS)
    cdef Part p
    cdef Tile t
    cdef int sums[4 * TILE + 16]
    cdef Sums waiting
    t.offset = <const int64_t*> at(bases, a.offsets)
    t.segments = a.segments
    t.groups = a.groups
    t.src_w = a.src.w
    t.dst_w = a.dst.w
    t.add_w = a.add.w
    t.src_h = a.src.h
    t.dst_h = a.dst.h
    t.add_h = a.add.h
    t.pairs = a.pairs
    t.has_add = a.has_add
    t.between = a.between
    t.between_low = a.between_low
    t.between_high = a.between_high
    t.own_scale = a.own_scale
    t.add_scale = a.add_scale
    t.add_zero = a.add_zero
    t.zero = wide_zero(a.zero)
    t.low = wide_bound(a.low)
    t.high = wide_bound(a.high)
    waiting.units = 0
    waiting.sums = <int*> ((<size_t> sums + 63) // 64 * 64)
    if amx:
        tiles_begin(<int> a.M)
    for item in range(share(items, piece, pieces), share(items, piece + 1, pieces)):
        panel = item % GROUPS * a.panels
        behind = min(panel + a.panels, PANELS)
        rest = item // GROUPS
        p.begin = rest % COLS * a.cols
        p.end = min(p.begin + a.cols, a.OW)
        rest = rest // COLS
        p.first_row = rest % ROWS * a.rows
        p.last_row = min(p.first_row + a.rows, a.OH)
        rest = rest // ROWS
        p.g = rest % a.G
        p.n = rest // a.G
        while panel < behind:
            p.J = width_of(a.OCB, panel * 2)
            p.vector = p.g * a.OCB + panel * 2
            p.wei = <const char*> at(bases, a.wei) + p.vector * K
            p.ahead = p.wei + p.J * K
            t.start = <const int*> at(bases, a.start) + p.vector * V
            t.factor = at(bases, a.factor) + p.vector * V
            if panel + STREAMS <= behind and width_of(a.OCB, (panel + STREAMS - 1) * 2) == 2:
                streams(a.floats, &t, source(bases, &a.src, &p, 0), p.wei, 2 * K, result(bases, &a.dst, &p, 0))
                panel += STREAMS
                continue
            if amx:
                by_tiles(a, bases, &p, &t, &waiting)
            else:
                by_vectors(a, bases, &p, &t)
            panel += 1
    if amx:
        tiles_end()


include "step.pxi"


def packing():
    """(lanes of a vector, form of the weights, FLIP, whether `pairs` and `tiles` are possible), see dot.pxd."""
    return V, "words" if WEIGHTS == WORDS else "bytes", FLIP, bool(HAS_PAIRS), bool(AMX)


def tile_rows():
    """Most pixels of a tile of one, two and three vectors."""
    return most_pixels(1), most_pixels(2), most_pixels(3)
