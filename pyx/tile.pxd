# The register tile that all sums of products run on: R pixels x J vectors of output channels.
#
# Pixel i of the tile reads its operands at px[i] + taps[s] + c for every segment s and c < length, in that order; the weights
# lie in the same order, J vectors for each: wei[segment][c][J*V]. What a segment is, the caller decides: the V channels of a
# block at one (kh, kw) for a blocked source, a kernel row for a planar one, all of K for a matrix. The segments of a last,
# partly filled block (`tail_length` channels) stand at the end.
#
# R and J are literals in every call and the function is inlined, so that the compiler keeps acc in registers: 6 x 2 of 16
# registers, 14 x 2 of 32. Two vectors of weights and R broadcasts feed 2R multiply-adds: the loads stay below what the FMA
# units need. Odd numbers of channel blocks end in a 3-wide tile, a single one takes a tall 1-wide tile: fewer than 8 sums in
# flight would wait for each other.

from libc.stdint cimport int64_t

from activation cimport CLIP, Activation, clip
from simd cimport PREFETCH, REGS, V, load, store, vbroadcast, vf


# The weights that come next begin at `ahead`: every segment fetches `fetch` lines of 64 bytes of them, that memory be busy all the
# time and not only while the first tile reads weights that the others find in L2.
cdef struct Taps:
    const int64_t* offset
    const float* ahead
    Py_ssize_t fetch
    Py_ssize_t segments
    Py_ssize_t length
    Py_ssize_t tail_segments
    Py_ssize_t tail_length

# Where a tile's sums go: pixel i's channel block j to dst[i] + j * dst_c, after adding add[i] + j * add_c where there is one.
# Long sums go in runs, which bounds their rounding: all but the first `resume`, which adds them to the sums in dst, and only the
# `final` one adds and activates.
cdef struct Store:
    const float* bia
    const float* add[14]
    float* dst[14]
    Py_ssize_t add_c
    Py_ssize_t dst_c
    bint has_add
    bint resume
    bint final
    Activation act

# The output pixels, walked row by row: where the next one reads, writes and adds, and the floats from one to the next, `_wrap`
# more from behind a row's last to the next row's first. `dense` says that all three are V apart within a row.
cdef struct Walk:
    const float* src
    float* dst
    const float* add
    Py_ssize_t ow
    Py_ssize_t OW
    Py_ssize_t src_w
    Py_ssize_t dst_w
    Py_ssize_t add_w
    Py_ssize_t src_wrap
    Py_ssize_t dst_wrap
    Py_ssize_t add_wrap
    bint dense


# Give a tile its next r pixels. True says that each lies V floats behind the one before: then only the first is told.
cdef inline bint take(Walk* walk, int r, const float** px, Store* to) noexcept nogil:
    cdef bint near = walk.dense and walk.ow + r <= walk.OW
    cdef int i = 0, step = r if near else 1
    while i < r:
        px[i] = walk.src
        to.dst[i] = walk.dst
        to.add[i] = walk.add
        i += step
        walk.src += step * walk.src_w
        walk.dst += step * walk.dst_w
        walk.add += step * walk.add_w
        walk.ow += step
        if walk.ow == walk.OW:
            walk.ow = 0
            walk.src += walk.src_wrap
            walk.dst += walk.dst_wrap
            walk.add += walk.add_wrap
    return near


# Output channels go in parts of two blocks of V; an odd count ends in a part of three, or is one part of one.
cdef inline Py_ssize_t parts(Py_ssize_t OCB) noexcept nogil:
    return OCB // 2 if OCB > 1 else 1


# The channel blocks of the part that begins at `block`.
cdef inline int width_of(Py_ssize_t OCB, Py_ssize_t block) noexcept nogil:
    return <int> (OCB - block) if OCB - block <= 3 else 2


# Most rows of a tile of `width` channel blocks.
cdef inline int rows(int width) noexcept nogil:
    if REGS == 32:
        return 14 if width < 3 else 9
    return 12 if width == 1 else 6 if width == 2 else 4


# Pixel i's place, where a `NEAR` one lies V floats behind the one before.
cdef inline const float* place(const bint NEAR, const float** p, int i) noexcept nogil:
    return p[0] + i * V if NEAR else p[i]


cdef inline void sweep(const int R, const int J, const bint NEAR, const float** px, const float* wei, vf* acc, const Taps* taps,
                       const int64_t* offset, Py_ssize_t segments, const Py_ssize_t length) noexcept nogil:
    cdef Py_ssize_t s, c, at, _line
    cdef const float* ahead = taps.ahead
    cdef int k
    for s in range(segments):
        at = offset[s]
        for _line in range(taps.fetch):
            PREFETCH(ahead)
            ahead += 16
        for c in range(length):
            for k in range(R * J):
                acc[k] = acc[k] + place(NEAR, px, k // J)[at + c] * load(wei + k % J * V)
            wei += J * V


# acc[k] is pixel k // J's sum of channel block k % J. Each loop over it is a single one with literal bounds, and its address is
# not taken: else the compiler would keep it in memory and copy it to registers and back around each loop.
cdef inline void tile(const int R, const int J, const bint NEAR, const float** px, const float* wei, const Taps* taps,
                      Store* to) noexcept nogil:
    cdef int k
    cdef const float** add = <const float**> to.add
    cdef const float** dst = <const float**> to.dst
    cdef vf acc[28]
    if to.resume:
        for k in range(R * J):
            acc[k] = vbroadcast(0)
    else:
        for k in range(R * J):
            acc[k] = load(to.bia + k % J * V)
    if V < 16 and taps.length == V:  # a literal: the loop over it unrolls; one of 16 channels would only compile longer
        sweep(R, J, NEAR, px, wei, acc, taps, taps.offset, taps.segments, V)
    else:
        sweep(R, J, NEAR, px, wei, acc, taps, taps.offset, taps.segments, taps.length)
    if taps.tail_segments:
        sweep(R, J, NEAR, px, wei + taps.segments * taps.length * J * V, acc, taps,
              taps.offset + taps.segments, taps.tail_segments, taps.tail_length)
    if to.resume:
        for k in range(R * J):
            acc[k] = acc[k] + load(place(NEAR, dst, k // J) + k % J * to.dst_c)
    if to.has_add and to.final:
        for k in range(R * J):
            acc[k] = acc[k] + load(place(NEAR, add, k // J) + k % J * to.add_c)
    if to.act.kind == CLIP and to.final:
        for k in range(R * J):
            acc[k] = clip(acc[k], to.act.a, to.act.b)
    for k in range(R * J):
        store(<float*> place(NEAR, dst, k // J) + k % J * to.dst_c, acc[k])


# The tile for a number of rows and a width known only now.
cdef inline void choose(int r, int width, const bint NEAR, const float** px, const float* wei, const Taps* taps,
                        Store* to) noexcept nogil:
    if width == 2:
        if REGS == 32 and r == 14: tile(14, 2, NEAR, px, wei, taps, to)
        elif REGS == 32 and r == 13: tile(13, 2, NEAR, px, wei, taps, to)
        elif REGS == 32 and r == 12: tile(12, 2, NEAR, px, wei, taps, to)
        elif REGS == 32 and r == 11: tile(11, 2, NEAR, px, wei, taps, to)
        elif REGS == 32 and r == 10: tile(10, 2, NEAR, px, wei, taps, to)
        elif REGS == 32 and r == 9: tile(9, 2, NEAR, px, wei, taps, to)
        elif REGS == 32 and r == 8: tile(8, 2, NEAR, px, wei, taps, to)
        elif REGS == 32 and r == 7: tile(7, 2, NEAR, px, wei, taps, to)
        elif r == 6: tile(6, 2, NEAR, px, wei, taps, to)
        elif r == 5: tile(5, 2, NEAR, px, wei, taps, to)
        elif r == 4: tile(4, 2, NEAR, px, wei, taps, to)
        elif r == 3: tile(3, 2, NEAR, px, wei, taps, to)
        elif r == 2: tile(2, 2, NEAR, px, wei, taps, to)
        else: tile(1, 2, NEAR, px, wei, taps, to)
    elif width == 3:
        if REGS == 32 and r == 9: tile(9, 3, NEAR, px, wei, taps, to)
        elif REGS == 32 and r == 8: tile(8, 3, NEAR, px, wei, taps, to)
        elif REGS == 32 and r == 7: tile(7, 3, NEAR, px, wei, taps, to)
        elif REGS == 32 and r == 6: tile(6, 3, NEAR, px, wei, taps, to)
        elif REGS == 32 and r == 5: tile(5, 3, NEAR, px, wei, taps, to)
        elif r == 4: tile(4, 3, NEAR, px, wei, taps, to)
        elif r == 3: tile(3, 3, NEAR, px, wei, taps, to)
        elif r == 2: tile(2, 3, NEAR, px, wei, taps, to)
        else: tile(1, 3, NEAR, px, wei, taps, to)
    else:
        if REGS == 32 and r == 14: tile(14, 1, NEAR, px, wei, taps, to)
        elif REGS == 32 and r == 13: tile(13, 1, NEAR, px, wei, taps, to)
        elif r == 12: tile(12, 1, NEAR, px, wei, taps, to)
        elif r == 11: tile(11, 1, NEAR, px, wei, taps, to)
        elif r == 10: tile(10, 1, NEAR, px, wei, taps, to)
        elif r == 9: tile(9, 1, NEAR, px, wei, taps, to)
        elif r == 8: tile(8, 1, NEAR, px, wei, taps, to)
        elif r == 7: tile(7, 1, NEAR, px, wei, taps, to)
        elif r == 6: tile(6, 1, NEAR, px, wei, taps, to)
        elif r == 5: tile(5, 1, NEAR, px, wei, taps, to)
        elif r == 4: tile(4, 1, NEAR, px, wei, taps, to)
        elif r == 3: tile(3, 1, NEAR, px, wei, taps, to)
        elif r == 2: tile(2, 1, NEAR, px, wei, taps, to)
        else: tile(1, 1, NEAR, px, wei, taps, to)


# CLIP is done; another activation is for `finish` to do (finish.pxi).
cdef inline void run_tile(int r, int width, bint near, const float** px, const float* wei, const Taps* taps,
                          Store* to) noexcept nogil:
    if near:
        choose(r, width, True, px, wei, taps, to)
    else:
        choose(r, width, False, px, wei, taps, to)


# A tile of K products that lie side by side, in runs of `run`.
cdef inline void run_rows(int r, int width, const float** px, const float* wei, Py_ssize_t K, Py_ssize_t run,
                          Store* to) noexcept nogil:
    cdef int64_t first = 0
    cdef Taps taps
    taps.offset = &first
    taps.segments = 1
    taps.fetch = 0
    taps.tail_segments = 0
    to.final = False
    while not to.final:
        taps.length = min(run, K - first)
        to.resume = first > 0
        to.final = first + taps.length == K
        run_tile(r, width, False, px, wei + first * width * V, &taps, to)
        first += taps.length
