# The register tile that all sums of products run on: R pixels x J vectors of output channels.
#
# Pixel i of the tile reads its operands at px[i] + taps[s] + c for every segment s and c < length, in that order. The weights lie
# in the same order, J vectors for each: wei[segment][c][J*V]. The caller decides what a segment is: the V channels of a block at
# one tap for a blocked source, a kernel row for a planar one, all of K for a matrix. The segments of a last, partly filled block
# (`tail_length` channels) come last. The pixels of near tiles lie evenly in one row: the address of the first pixel is enough, and
# one call computes several of them.
#
# R and J are literals in every call and `tiles` is inlined (into the functions of tiles.pxi), so that the compiler keeps acc in
# registers: 6 x 2 of 16 registers, 14 x 2 of 32. Two vectors of weights and R broadcasts feed 2R multiply-adds: the FMA
# units are busy before the load units are. An odd number of channel blocks ends in a panel of three, and a single block takes a tall
# tile one vector wide: fewer than 8 sums in flight would wait for each other.

from libc.math cimport INFINITY
from libc.stdint cimport int64_t

from activation cimport Activation
from constants cimport CLIP
from simd cimport FMA, PREFETCH, PREFETCH0, REGS, V, load, store, vbroadcast, vf, vfma1, vmax, vmin


cdef enum:
    ROWS = 14  # most pixels of a register tile


# What a tile reads.
cdef struct Taps:
    const int64_t* offset  # of each segment, in floats from px[i]; then of the tail segments
    Py_ssize_t src_w  # floats from a near tile's pixel to the next
    const float* ahead  # the weights that are needed next, to be prefetched
    Py_ssize_t lines  # of 64 bytes that are left to prefetch in each segment of `ahead`
    # lines of each segment that one tile prefetches. All tiles prefetch as many: otherwise the first tile would wait for memory,
    # and memory would be idle during the others
    Py_ssize_t fetch
    Py_ssize_t segments
    Py_ssize_t length  # channels of a segment
    Py_ssize_t tail_segments  # 0: no block is partly filled
    Py_ssize_t tail_length


# Where a tile's sums go: those of pixel i and channel block j to dst[i] + j * dst_c. Long sums are split into K blocks, which
# bounds their rounding: each call adds one.
cdef struct Store:
    const float* bia  # J vectors
    const float* add[ROWS]
    float* dst[ROWS]
    Py_ssize_t add_c
    Py_ssize_t dst_c
    bint has_add  # add[i] + j * add_c is added to the sums
    bint resume  # not the first K block: dst holds the sums so far
    bint final  # the last K block: `add` and the activation follow
    Activation act


# A walk over the output pixels, row by row: the place of the next pixel and the floats to the one after it.
cdef struct Walk:
    const float* src
    float* dst
    const float* add
    Py_ssize_t ow  # the next pixel's
    Py_ssize_t OW
    Py_ssize_t src_w  # from a pixel to the next in its row
    Py_ssize_t dst_w
    Py_ssize_t add_w
    Py_ssize_t src_wrap  # from behind a row's last pixel to the next row's first
    Py_ssize_t dst_wrap
    Py_ssize_t add_wrap
    bint dense  # dst_w and add_w are V


# Give up to `most` tiles their next r pixels each, and return how many near tiles these are. Near tiles are possible where pixels
# are dense within a row; px and `to` then hold the first pixel alone. 0: one tile, whose pixels lie anywhere.
cdef inline Py_ssize_t take(Walk* walk, int r, Py_ssize_t most, const float** px, Store* to) noexcept nogil:
    cdef Py_ssize_t near = min(most, (walk.OW - walk.ow) // r) if walk.dense else 0, pixels = r * near if near else 1
    cdef int i = 0
    while i < r:
        px[i] = walk.src
        to.dst[i] = walk.dst
        to.add[i] = walk.add
        i += r if near else 1
        walk.src += pixels * walk.src_w
        walk.dst += pixels * walk.dst_w
        walk.add += pixels * walk.add_w
        walk.ow += pixels
        if walk.ow == walk.OW:
            walk.ow = 0
            walk.src += walk.src_wrap
            walk.dst += walk.dst_wrap
            walk.add += walk.add_wrap
    return near


# Most pixels of a tile of `width` blocks.
cdef inline int rows(int width) noexcept nogil:
    if REGS == 32:
        return ROWS if width < 3 else 9
    return 12 if width == 1 else 6 if width == 2 else 4 if FMA else 3


# The address of pixel i: `stride` floats from one to the next, beginning with `first`, in a near tile, p[i] in any other.
cdef inline const float* place(const bint NEAR, const float* first, Py_ssize_t stride, const float** p, int i) noexcept nogil:
    return first + i * stride if NEAR else p[i]


cdef inline void sweep(const int R, const int J, const bint NEAR, const Py_ssize_t stride, const float* first, const float** px,
                       const float* wei, vf* acc, const Taps* taps, Py_ssize_t fetch, const int64_t* offset, Py_ssize_t segments,
                       const Py_ssize_t length) noexcept nogil:
    # `spread` lines of a segment are prefetched one by one: a burst would delay the loads of its own weights
    cdef Py_ssize_t s, c, at, _line, coming, spread = min(fetch, V) if V == 16 else 0
    cdef const float* ahead = taps.ahead
    cdef int k
    for s in range(segments):
        at = offset[s]
        for _line in range(fetch - spread):
            PREFETCH(ahead)
            ahead += 16
        if V == 16 and (not NEAR or stride >= V):  # the next segment's pixels, each a cache line, or the next tile's
            coming = offset[s + 1] if s + 1 < segments else offset[0] + R * stride
            for k in range(R):
                PREFETCH0(place(NEAR, first, stride, px, k) + coming)
        for c in range(length):
            if V == 16:
                PREFETCH(ahead)
                ahead += spread
            for k in range(R * J):
                acc[k] = vfma1(acc[k], place(NEAR, first, stride, px, k // J)[at + c], load(wei + k % J * V))
            wei += J * V


# acc[k] is pixel k // J's sum of channel block k % J. Each loop over it is a single one with literal bounds, and its address is
# not taken: otherwise the compiler would keep it in memory and copy it to registers and back around each loop.
cdef inline void tiles(const int R, const int J, const bint NEAR, const Py_ssize_t stride, Py_ssize_t count, const float** px,
                       const float* wei, Taps* taps, Store* to) noexcept nogil:
    cdef int k
    cdef Py_ssize_t fetch, _tile
    cdef const float** adds = <const float**> to.add
    cdef const float** dsts = <const float**> to.dst
    cdef const float* src = px[0]
    cdef const float* add = to.add[0] if to.has_add else NULL
    cdef const float* dst = to.dst[0]
    cdef vf acc[28]
    for _tile in range(count if NEAR else 1):
        fetch = min(taps.fetch, taps.lines)
        if to.resume:
            for k in range(R * J):
                acc[k] = vbroadcast(0)
        else:
            for k in range(R * J):
                acc[k] = load(to.bia + k % J * V)
        if FMA and V < 16 and taps.length == V:  # a literal: the loop over it unrolls; one of 16 channels would only compile longer
            sweep(R, J, NEAR, stride, src, px, wei, acc, taps, fetch, taps.offset, taps.segments, V)
        else:
            sweep(R, J, NEAR, stride, src, px, wei, acc, taps, fetch, taps.offset, taps.segments, taps.length)
        if taps.tail_segments:
            sweep(R, J, NEAR, stride, src, px, wei + taps.segments * taps.length * J * V, acc, taps, fetch,
                  taps.offset + taps.segments, taps.tail_segments, taps.tail_length)
        if to.resume:
            for k in range(R * J):
                acc[k] = acc[k] + load(place(NEAR, dst, V, dsts, k // J) + k % J * to.dst_c)
        if to.final and to.has_add:
            for k in range(R * J):
                acc[k] = acc[k] + load(place(NEAR, add, V, adds, k // J) + k % J * to.add_c)
        if to.final and to.act.kind == CLIP and to.act.a > -INFINITY:
            for k in range(R * J):
                acc[k] = vmax(vbroadcast(to.act.a), acc[k])
        if to.final and to.act.kind == CLIP and to.act.b < INFINITY:
            for k in range(R * J):
                acc[k] = vmin(vbroadcast(to.act.b), acc[k])
        for k in range(R * J):
            store(<float*> place(NEAR, dst, V, dsts, k // J) + k % J * to.dst_c, acc[k])
        taps.ahead += taps.segments * fetch * 16
        taps.lines -= fetch
        src += R * stride
        dst += R * V
        if to.has_add:
            add += R * V


# `tiles` for a number of pixels and a width that are known only at run time.
cdef inline void choose(int r, int width, const bint NEAR, const Py_ssize_t stride, Py_ssize_t count, const float** px,
                        const float* wei, Taps* taps, Store* to) noexcept nogil:
    if width == 2:
        if REGS == 32 and r == 14: tiles(14, 2, NEAR, stride, count, px, wei, taps, to)
        elif REGS == 32 and r == 13: tiles(13, 2, NEAR, stride, count, px, wei, taps, to)
        elif REGS == 32 and r == 12: tiles(12, 2, NEAR, stride, count, px, wei, taps, to)
        elif REGS == 32 and r == 11: tiles(11, 2, NEAR, stride, count, px, wei, taps, to)
        elif REGS == 32 and r == 10: tiles(10, 2, NEAR, stride, count, px, wei, taps, to)
        elif REGS == 32 and r == 9: tiles(9, 2, NEAR, stride, count, px, wei, taps, to)
        elif REGS == 32 and r == 8: tiles(8, 2, NEAR, stride, count, px, wei, taps, to)
        elif REGS == 32 and r == 7: tiles(7, 2, NEAR, stride, count, px, wei, taps, to)
        elif r == 6: tiles(6, 2, NEAR, stride, count, px, wei, taps, to)
        elif r == 5: tiles(5, 2, NEAR, stride, count, px, wei, taps, to)
        elif r == 4: tiles(4, 2, NEAR, stride, count, px, wei, taps, to)
        elif r == 3: tiles(3, 2, NEAR, stride, count, px, wei, taps, to)
        elif r == 2: tiles(2, 2, NEAR, stride, count, px, wei, taps, to)
        else: tiles(1, 2, NEAR, stride, count, px, wei, taps, to)
    elif width == 3:
        if REGS == 32 and r == 9: tiles(9, 3, NEAR, stride, count, px, wei, taps, to)
        elif REGS == 32 and r == 8: tiles(8, 3, NEAR, stride, count, px, wei, taps, to)
        elif REGS == 32 and r == 7: tiles(7, 3, NEAR, stride, count, px, wei, taps, to)
        elif REGS == 32 and r == 6: tiles(6, 3, NEAR, stride, count, px, wei, taps, to)
        elif REGS == 32 and r == 5: tiles(5, 3, NEAR, stride, count, px, wei, taps, to)
        elif FMA and r == 4: tiles(4, 3, NEAR, stride, count, px, wei, taps, to)
        elif r == 3: tiles(3, 3, NEAR, stride, count, px, wei, taps, to)
        elif r == 2: tiles(2, 3, NEAR, stride, count, px, wei, taps, to)
        else: tiles(1, 3, NEAR, stride, count, px, wei, taps, to)
    else:
        if REGS == 32 and r == 14: tiles(14, 1, NEAR, stride, count, px, wei, taps, to)
        elif REGS == 32 and r == 13: tiles(13, 1, NEAR, stride, count, px, wei, taps, to)
        elif r == 12: tiles(12, 1, NEAR, stride, count, px, wei, taps, to)
        elif r == 11: tiles(11, 1, NEAR, stride, count, px, wei, taps, to)
        elif r == 10: tiles(10, 1, NEAR, stride, count, px, wei, taps, to)
        elif r == 9: tiles(9, 1, NEAR, stride, count, px, wei, taps, to)
        elif r == 8: tiles(8, 1, NEAR, stride, count, px, wei, taps, to)
        elif r == 7: tiles(7, 1, NEAR, stride, count, px, wei, taps, to)
        elif r == 6: tiles(6, 1, NEAR, stride, count, px, wei, taps, to)
        elif r == 5: tiles(5, 1, NEAR, stride, count, px, wei, taps, to)
        elif r == 4: tiles(4, 1, NEAR, stride, count, px, wei, taps, to)
        elif r == 3: tiles(3, 1, NEAR, stride, count, px, wei, taps, to)
        elif r == 2: tiles(2, 1, NEAR, stride, count, px, wei, taps, to)
        else: tiles(1, 1, NEAR, stride, count, px, wei, taps, to)
