# The register tiles of tile.pxd as functions. They must not be inlined, as everything in a .pxd is: the other variables of a kernel
# would take registers from the tiles.

from constants cimport CLIP
from simd cimport V, noinline
from tile cimport Store, Taps, choose

include "finish.pxi"


cdef enum:
    FINISH_TILES = 4  # near tiles between two sweeps of an activation other than CLIP: their sums are still in L1


# Apply the activation to `pixels` of a panel of `width` blocks, after their last K block.
cdef inline void finish_pixels(Py_ssize_t pixels, int width, bint near, Store* to) noexcept nogil:
    cdef Py_ssize_t i
    cdef int j
    if to.act.kind == CLIP or not to.final:
        return
    for j in range(width):
        for i in range(1 if near else pixels):
            finish(&to.act, to.dst[i] + j * to.dst_c, pixels if near else 1)


# `count` near tiles of r pixels each.
cdef noinline near_tiles(int r, int width, Py_ssize_t count, const float** px, const float* wei, Taps* taps,
                         Store* to) noexcept nogil:
    if taps.src_w == V:  # a literal goes into the addresses
        choose(r, width, True, V, count, px, wei, taps, to)
    else:
        choose(r, width, True, taps.src_w, count, px, wei, taps, to)
    finish_pixels(r * count, width, True, to)
    return 0


# One tile of r pixels that lie anywhere.
cdef noinline far_tile(int r, int width, const float** px, const float* wei, Taps* taps, Store* to) noexcept nogil:
    choose(r, width, False, 0, 1, px, wei, taps, to)
    finish_pixels(r, width, False, to)
    return 0


# One tile of r rows of a matrix, whose K elements are contiguous: its products from `first` to `last`, in K blocks of `k_block`.
cdef inline void matrix_tile(int r, int width, const float** px, const float* wei, int64_t first, int64_t last, Py_ssize_t K,
                             Py_ssize_t k_block, Store* to) noexcept nogil:
    cdef Taps taps
    taps.offset = &first
    taps.src_w = 0
    taps.segments = 1
    taps.lines = 0
    taps.fetch = 0
    taps.tail_segments = 0
    while first < last:
        taps.length = min(k_block, last - first)
        to.resume = first > 0
        to.final = first + taps.length == K
        far_tile(r, width, px, wei, &taps, to)
        wei += taps.length * width * V
        first += taps.length
