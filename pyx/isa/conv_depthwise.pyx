"""Depthwise convolution: one filter for each channel, so that vectors are channels.

Layouts: src, add and dst are nChw{V}c, src with a halo of zeros that covers every tap; wei = [channel block][tap][V],
bia = [channel block][V]. R pixels of a row are summed in registers. A segment is KW taps that are neighbours in the source: a
kernel row of 3 or 5 taps, otherwise a single tap. Each pixel of the source is loaded once in a segment, for all sums that it is
part of. A table has the offset of every segment, as in conv_direct.pyx.

Parallel over (image, channel block, output row).
"""

from libc.stdint cimport int64_t

from activation cimport Activation, clip
from constants cimport CLIP
from simd cimport FMA, REGS, V, load, store, vf, vfma
from step cimport at, share
from view cimport View, pixel

include "finish.pxi"

# widths of the kernels whose rows are one segment
ROW_WIDTHS = 3, 5

cdef struct Args:
    View src  # first tap of the first pixel; h, w: to the next output row or pixel
    View add
    View dst
    int64_t wei
    int64_t bia
    int64_t taps  # int64 offset of each segment, in floats
    Py_ssize_t segments  # of a filter
    int KW  # taps of a segment: 1, 3 or 5
    Py_ssize_t N
    Py_ssize_t CB  # blocks of channels
    Py_ssize_t OH
    Py_ssize_t OW
    bint has_add
    Activation act


# R pixels of a row, which are S pixels apart in the source. KW, S and R are literals, so that the compiler unrolls the loops over
# them and loads no pixel that is not used.
cdef inline void tile(const int R, const int KW, const int S, const Args* a, const int64_t* taps, const float* src,
                      const float* wei, vf bias, const float* add, float* dst) noexcept nogil:
    # copies: the compiler must assume that stores to dst change *a
    cdef float lo = a.act.a, hi = a.act.b
    cdef int i, k, c
    cdef Py_ssize_t segment
    cdef vf x
    cdef vf w[5]
    cdef vf acc[14]
    for i in range(R):
        acc[i] = bias
    for segment in range(a.segments):
        for k in range(KW):
            w[k] = load(wei + (segment * KW + k) * V)
        for c in range((R - 1) * S + KW):
            x = load(src + taps[segment] + c * V)
            for i in range(R):
                if i * S <= c and c < i * S + KW:
                    acc[i] = vfma(acc[i], w[c - i * S], x)
    if a.has_add:
        for i in range(R):
            acc[i] = acc[i] + load(add + i * V)
    if a.act.kind == CLIP:
        for i in range(R):
            store(dst + i * V, clip(acc[i], lo, hi))
    else:
        for i in range(R):
            store(dst + i * V, acc[i])


# Most pixels of a tile: their sums, the weights of a segment and a pixel of the source stay in registers.
cdef inline int most_pixels() noexcept nogil:
    return 14 if REGS == 32 else 8 if FMA else 6


cdef inline void choose(int r, const int KW, const int S, const Args* a, const int64_t* taps, const float* src, const float* wei,
                        vf bias, const float* add, float* dst) noexcept nogil:
    if REGS == 32 and r == 14: tile(14, KW, S, a, taps, src, wei, bias, add, dst)
    elif REGS == 32 and r == 13: tile(13, KW, S, a, taps, src, wei, bias, add, dst)
    elif REGS == 32 and r == 12: tile(12, KW, S, a, taps, src, wei, bias, add, dst)
    elif REGS == 32 and r == 11: tile(11, KW, S, a, taps, src, wei, bias, add, dst)
    elif REGS == 32 and r == 10: tile(10, KW, S, a, taps, src, wei, bias, add, dst)
    elif REGS == 32 and r == 9: tile(9, KW, S, a, taps, src, wei, bias, add, dst)
    elif FMA and r == 8: tile(8, KW, S, a, taps, src, wei, bias, add, dst)
    elif FMA and r == 7: tile(7, KW, S, a, taps, src, wei, bias, add, dst)
    elif r == 6: tile(6, KW, S, a, taps, src, wei, bias, add, dst)
    elif r == 5: tile(5, KW, S, a, taps, src, wei, bias, add, dst)
    elif r == 4: tile(4, KW, S, a, taps, src, wei, bias, add, dst)
    elif r == 3: tile(3, KW, S, a, taps, src, wei, bias, add, dst)
    elif r == 2: tile(2, KW, S, a, taps, src, wei, bias, add, dst)
    else: tile(1, KW, S, a, taps, src, wei, bias, add, dst)


# Pixels ow to ow + r of a row.
cdef inline void pixels(int r, Py_ssize_t ow, const int KW, const Args* a, const int64_t* taps, const float* src,
                        const float* wei, vf bias, const float* add, float* dst) noexcept nogil:
    cdef Py_ssize_t i
    if a.src.w == V:
        choose(r, KW, 1, a, taps, src + ow * V, wei, bias, add + ow * V, dst + ow * V)
    elif a.src.w == 2 * V:
        choose(r, KW, 2, a, taps, src + ow * 2 * V, wei, bias, add + ow * V, dst + ow * V)
    else:
        for i in range(ow, ow + r):
            tile(1, KW, 1, a, taps, src + i * a.src.w, wei, bias, add + i * V, dst + i * V)


cdef void run(const Args* a, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil:
    cdef Py_ssize_t items = a.N * a.CB * a.OH, item, n, cb, oh, ow, i
    # the pixels of two tiles differ by at most one
    cdef Py_ssize_t tiles = (a.OW + most_pixels() - 1) // most_pixels()
    cdef int least = <int> (a.OW // tiles), longer = <int> (a.OW % tiles), r
    cdef const int64_t* taps = <const int64_t*> at(bases, a.taps)
    cdef const float* src
    cdef const float* wei
    cdef const float* add
    cdef float* dst
    cdef vf bias
    for item in range(share(items, piece, pieces), share(items, piece + 1, pieces)):
        oh = item % a.OH
        cb = item // a.OH % a.CB
        n = item // a.OH // a.CB
        src = pixel(bases, &a.src, n, cb, oh, 0)
        add = pixel(bases, &a.add, n, cb, oh, 0)
        dst = pixel(bases, &a.dst, n, cb, oh, 0)
        wei = at(bases, a.wei) + cb * a.segments * a.KW * V
        bias = load(at(bases, a.bia) + cb * V)
        ow = 0
        for i in range(tiles):
            r = least + (i < longer)
            if a.KW == 3:
                pixels(r, ow, 3, a, taps, src, wei, bias, add, dst)
            elif a.KW == 5:
                pixels(r, ow, 5, a, taps, src, wei, bias, add, dst)
            else:
                pixels(r, ow, 1, a, taps, src, wei, bias, add, dst)
            ow += r
        finish(&a.act, dst, a.OW)


def tile_pixels():
    """Most pixels of a tile."""
    return most_pixels()


include "step.pxi"
