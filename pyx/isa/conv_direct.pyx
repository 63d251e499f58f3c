"""Direct convolution: the sums of the definition on the register tile of tile.pxd, without a copy of the source.

Layouts: src is nChw{V}c, or planar (then a segment is a kernel row of one channel, or a tap), with a halo of zeros that covers
every tap; wei = [group][panel][segment][channel][width * V] and bia = [group][oc], where `width` is the number of blocks of a
panel (panels.pxd); add and dst are nChw{V}c. A table has the offset of every segment, so that stride, dilation and kernel size
cost nothing in the loops, and a 1x1 kernel is one tap.

Long sums are computed in K blocks of `k_block` segments: a panel's weights for one K block stay in the caches while the pixels of a
chunk pass, and the sums wait in dst for the next K block.

Parallel over (image, group, chunk of output pixels, panel). The panels of a chunk follow each other: the source of the chunk
stays in L2 while the weights are streamed. Pixels are numbered through all rows, so that tiles are full even in short rows.
"""

from libc.stdint cimport int64_t

from activation cimport Activation
from constants cimport CLIP
from panels cimport panels, width_of
from simd cimport V
from step cimport at, share
from tile cimport ROWS, Store, Taps, Walk, rows, take
from view cimport View, pixel

include "tiles.pxi"

# Weights, in floats, that stay in L2 beside the source of a chunk.
cdef Py_ssize_t FEW_WEIGHTS = 48 * 1024

cdef struct Args:
    View src  # first tap of the first pixel; c: to the next group; h, w: to the next output row or pixel
    View add
    View dst
    int64_t wei
    int64_t bia
    int64_t taps  # int64 offset of each segment, in floats
    Py_ssize_t segments  # of `length` channels: those of full blocks
    Py_ssize_t length
    Py_ssize_t tail_segments  # of `tail_length` channels: those of a partly filled last block; 0: there is none
    Py_ssize_t tail_length
    Py_ssize_t k_block  # segments of a K block
    Py_ssize_t N
    Py_ssize_t G  # groups
    Py_ssize_t OCB  # blocks of output channels of a group
    Py_ssize_t OH
    Py_ssize_t OW
    Py_ssize_t chunk  # output pixels of an item
    bint has_add
    Activation act


# The next `count` pixels of a walk and a panel of `width` blocks. Together, the tiles prefetch `lines` of 64 bytes for each segment
# from behind its weights.
cdef inline void pixels(const Walk* start, Py_ssize_t count, int width, const float* wei, Py_ssize_t lines, Taps* taps,
                        Store* to) noexcept nogil:
    cdef Walk walk = start[0]
    cdef const float* px[ROWS]
    cdef Py_ssize_t most = FINISH_TILES if to.act.kind != CLIP else count
    # the pixels of two tiles differ by at most one, so that no tile is much shorter than the others
    cdef Py_ssize_t tiles = (count + rows(width) - 1) // rows(width), least = count // tiles, longer = count % tiles, i = 0, near
    cdef int r
    taps.ahead = wei + taps.segments * taps.length * width * V
    taps.lines = lines
    taps.fetch = (lines + tiles - 1) // tiles
    while i < tiles:
        r = <int> least + (i < longer)
        near = take(&walk, r, min((longer if i < longer else tiles) - i, most), px, to)
        if near:
            near_tiles(r, width, near, px, wei, taps, to)
        else:
            far_tile(r, width, px, wei, taps, to)
        i += max(near, 1)


cdef void run(const Args* a, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil:
    cdef Py_ssize_t K = a.segments * a.length + a.tail_segments * a.tail_length
    cdef Py_ssize_t P = a.OH * a.OW, CHUNKS = (P + a.chunk - 1) // a.chunk, PANELS = panels(a.OCB)
    cdef Py_ssize_t items = a.N * a.G * CHUNKS * PANELS, item, n, g, rest, block, p, end, oh, first, lines
    # weights that stay in L2 are prefetched for the first chunk only
    cdef Py_ssize_t fetching = PANELS if a.OCB * V * K < FEW_WEIGHTS else items, begin = share(items, piece, pieces)
    cdef int width
    cdef const float* wei
    cdef const int64_t* offsets = <const int64_t*> at(bases, a.taps)
    cdef Taps taps
    cdef Store to
    cdef Walk walk
    walk.src_w = a.src.w
    walk.dst_w = a.dst.w
    walk.add_w = a.add.w
    walk.src_wrap = a.src.h - a.OW * a.src.w
    walk.dst_wrap = a.dst.h - a.OW * a.dst.w
    walk.add_wrap = a.add.h - a.OW * a.add.w if a.has_add else 0
    # rows without gaps are one long row
    walk.OW = a.OW if walk.src_wrap or walk.dst_wrap or walk.add_wrap else P
    walk.dense = a.dst.w == V and (a.add.w == V or not a.has_add)
    taps.src_w = a.src.w
    taps.length = a.length
    taps.tail_length = a.tail_length
    to.add_c = a.add.c
    to.dst_c = a.dst.c
    to.has_add = a.has_add
    to.act = a.act
    for item in range(begin, share(items, piece + 1, pieces)):
        block = item % PANELS * 2
        width = width_of(a.OCB, block)
        rest = item // PANELS
        p = rest % CHUNKS * a.chunk
        rest = rest // CHUNKS
        g = rest % a.G
        n = rest // a.G
        end = min(p + a.chunk, P)
        wei = at(bases, a.wei) + (g * a.OCB + block) * V * K
        to.bia = at(bases, a.bia) + (g * a.OCB + block) * V
        oh = p // walk.OW
        walk.ow = p - oh * walk.OW
        walk.src = pixel(bases, &a.src, n, g, oh, walk.ow)
        walk.dst = pixel(bases, &a.dst, n, g * a.OCB + block, oh, walk.ow)
        walk.add = pixel(bases, &a.add, n, g * a.OCB + block, oh, walk.ow)
        first = 0
        lines = V * width * V // 16 if a.length == V and item - begin < fetching else 0
        while True:
            taps.offset = offsets + first
            taps.segments = min(a.k_block, a.segments - first)
            to.resume = first > 0
            to.final = first + taps.segments == a.segments
            taps.tail_segments = a.tail_segments if to.final else 0
            pixels(&walk, end - p, width, wei + first * a.length * width * V, lines, &taps, &to)
            first += taps.segments
            if to.final:
                break


include "step.pxi"


def vector_floats():
    """V, the floats in a vector of this build."""
    return V


def tile_rows():
    """Most pixels of a register tile whose panel has one, two and three blocks."""
    return rows(1), rows(2), rows(3)
