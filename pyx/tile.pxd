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

from activation cimport CLIP, Activation, activate, clip
from simd cimport REGS, V, load, store, vbroadcast, vf

cdef struct Taps:
    const int64_t* offset
    Py_ssize_t segments
    Py_ssize_t length
    Py_ssize_t tail_segments
    Py_ssize_t tail_length

# Where a tile's sums go: pixel i's channel block j to dst[i] + j * dst_c, after adding add[i] + j * add_c where there is one.
# The last vector of a tile writes `lanes` floats. Where the segments of a tile come in several passes, all but the first `resume`
# from the sums in dst, and only the `final` one adds and activates: the sums are the same to the bit.
cdef struct Store:
    const float* bia
    const float* add[14]
    float* dst[14]
    Py_ssize_t add_c
    Py_ssize_t dst_c
    Py_ssize_t lanes
    bint has_add
    bint resume
    bint final
    Activation act

# The output pixels, walked row by row: where the next one reads, writes and adds, and the floats from one to the next, `_wrap`
# more from behind a row's last to the next row's first.
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


# Give a tile its next r pixels.
cdef inline void take(Walk* walk, int r, const float** px, Store* to) noexcept nogil:
    cdef int i
    for i in range(r):
        px[i] = walk.src
        to.dst[i] = walk.dst
        to.add[i] = walk.add
        walk.src += walk.src_w
        walk.dst += walk.dst_w
        walk.add += walk.add_w
        walk.ow += 1
        if walk.ow == walk.OW:
            walk.ow = 0
            walk.src += walk.src_wrap
            walk.dst += walk.dst_wrap
            walk.add += walk.add_wrap


# Most rows of a tile of `width` channel blocks.
cdef inline int rows(int width) noexcept nogil:
    if REGS == 32:
        return 14 if width < 3 else 9
    return 12 if width == 1 else 6 if width == 2 else 4


cdef inline void sweep(const int R, const int J, const int STEP, const float** px, const float* wei, vf (*acc)[3],
                       const int64_t* offset, Py_ssize_t segments, const Py_ssize_t length) noexcept nogil:
    cdef Py_ssize_t s, c, at
    cdef int i, j
    cdef float x
    cdef vf w[3]
    for s in range(segments):
        at = offset[s]
        for c in range(length):
            for j in range(J):
                w[j] = load(wei + j * V)
            for i in range(R):
                x = (px[0] + i * STEP)[at + c] if STEP > 0 else px[i][at + c]
                for j in range(J):
                    acc[i][j] = acc[i][j] + x * w[j]
            wei += J * V


cdef inline void tile(const int R, const int J, const int STEP, const float** px, const float* wei, const Taps* taps,
                      const Store* to) noexcept nogil:
    cdef int i, j
    cdef Py_ssize_t lane
    cdef vf acc[14][3]
    cdef vf last  # acc's own address must not be taken: it would no longer be kept in registers
    if to.resume:
        for i in range(R):
            for j in range(J):
                acc[i][j] = load(to.dst[i] + j * to.dst_c)
    else:
        for i in range(R):
            for j in range(J):
                acc[i][j] = load(to.bia + j * V)
    if taps.length == V:  # a literal: the loop over it unrolls
        sweep(R, J, STEP, px, wei, acc, taps.offset, taps.segments, V)
    else:
        sweep(R, J, STEP, px, wei, acc, taps.offset, taps.segments, taps.length)
    if taps.tail_segments:
        sweep(R, J, STEP, px, wei + taps.segments * taps.length * J * V, acc, taps.offset + taps.segments,
              taps.tail_segments, taps.tail_length)
    if to.has_add and to.final:
        for i in range(R):
            for j in range(J):
                acc[i][j] = acc[i][j] + load(to.add[i] + j * to.add_c)
    if to.act.kind == CLIP and to.final:
        for i in range(R):
            for j in range(J):
                acc[i][j] = clip(acc[i][j], to.act.a, to.act.b)
    for i in range(R):
        for j in range(J - 1):
            store(to.dst[i] + j * to.dst_c, acc[i][j])
    if to.lanes == V:
        for i in range(R):
            store(to.dst[i] + (J - 1) * to.dst_c, acc[i][J - 1])
    else:
        for i in range(R):
            last = acc[i][J - 1]
            for lane in range(to.lanes):
                (to.dst[i] + (J - 1) * to.dst_c)[lane] = (<float*> &last)[lane]


cdef inline void short_tile(int r, const int J, const float** px, const float* wei, const Taps* taps, const Store* to) noexcept nogil:
    if r == 6: tile(6, J, 0, px, wei, taps, to)
    elif r == 5: tile(5, J, 0, px, wei, taps, to)
    elif r == 4: tile(4, J, 0, px, wei, taps, to)
    elif r == 3: tile(3, J, 0, px, wei, taps, to)
    elif r == 2: tile(2, J, 0, px, wei, taps, to)
    else: tile(1, J, 0, px, wei, taps, to)


# The tile for a number of rows and a width known only now; `near` says that pixel i reads V floats after pixel i - 1, so that a build
# with room for more pixels than there are pointer registers can do with one pointer.
cdef inline void choose(int r, int width, bint near, const float** px, const float* wei, const Taps* taps,
                        const Store* to) noexcept nogil:
    if width == 2:
        if REGS == 32 and near:
            if r == 14: tile(14, 2, V, px, wei, taps, to)
            elif r == 13: tile(13, 2, V, px, wei, taps, to)
            elif r == 12: tile(12, 2, V, px, wei, taps, to)
            elif r == 11: tile(11, 2, V, px, wei, taps, to)
            elif r == 10: tile(10, 2, V, px, wei, taps, to)
            elif r == 9: tile(9, 2, V, px, wei, taps, to)
            elif r == 8: tile(8, 2, V, px, wei, taps, to)
            elif r == 7: tile(7, 2, V, px, wei, taps, to)
            else: short_tile(r, 2, px, wei, taps, to)
        elif REGS == 32 and r > 6:
            if r == 14: tile(14, 2, 0, px, wei, taps, to)
            elif r == 13: tile(13, 2, 0, px, wei, taps, to)
            elif r == 12: tile(12, 2, 0, px, wei, taps, to)
            elif r == 11: tile(11, 2, 0, px, wei, taps, to)
            elif r == 10: tile(10, 2, 0, px, wei, taps, to)
            elif r == 9: tile(9, 2, 0, px, wei, taps, to)
            elif r == 8: tile(8, 2, 0, px, wei, taps, to)
            else: tile(7, 2, 0, px, wei, taps, to)
        else:
            short_tile(r, 2, px, wei, taps, to)
    elif width == 3:
        if REGS == 32 and r > 4:
            if r == 9: tile(9, 3, 0, px, wei, taps, to)
            elif r == 8: tile(8, 3, 0, px, wei, taps, to)
            elif r == 7: tile(7, 3, 0, px, wei, taps, to)
            elif r == 6: tile(6, 3, 0, px, wei, taps, to)
            else: tile(5, 3, 0, px, wei, taps, to)
        elif r == 4: tile(4, 3, 0, px, wei, taps, to)
        elif r == 3: tile(3, 3, 0, px, wei, taps, to)
        elif r == 2: tile(2, 3, 0, px, wei, taps, to)
        else: tile(1, 3, 0, px, wei, taps, to)
    elif r > 6:
        if REGS == 32 and r == 14: tile(14, 1, 0, px, wei, taps, to)
        elif REGS == 32 and r == 13: tile(13, 1, 0, px, wei, taps, to)
        elif r == 12: tile(12, 1, 0, px, wei, taps, to)
        elif r == 11: tile(11, 1, 0, px, wei, taps, to)
        elif r == 10: tile(10, 1, 0, px, wei, taps, to)
        elif r == 9: tile(9, 1, 0, px, wei, taps, to)
        elif r == 8: tile(8, 1, 0, px, wei, taps, to)
        else: tile(7, 1, 0, px, wei, taps, to)
    else:
        short_tile(r, 1, px, wei, taps, to)


# Any activation but CLIP: over the tile's outputs while they are in L1, as its code is too large to stand in every tile.
cdef inline void finish(int r, int width, const Store* to) noexcept nogil:
    cdef int i, j
    cdef Py_ssize_t lane, lanes
    cdef vf x
    cdef float* p
    for i in range(r):
        for j in range(width):
            p = to.dst[i] + j * to.dst_c
            lanes = to.lanes if j == width - 1 else V
            if lanes == V:
                store(p, activate(load(p), to.act.kind, to.act.a, to.act.b))
            else:
                x = vbroadcast(0)
                for lane in range(lanes):
                    (<float*> &x)[lane] = p[lane]
                x = activate(x, to.act.kind, to.act.a, to.act.b)
                for lane in range(lanes):
                    p[lane] = (<float*> &x)[lane]


cdef inline void run_tile(int r, int width, bint near, const float** px, const float* wei, const Taps* taps,
                          const Store* to) noexcept nogil:
    choose(r, width, near, px, wei, taps, to)
    if to.act.kind != CLIP and to.final:
        finish(r, width, to)
