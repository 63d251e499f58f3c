"""Convolution as a matrix product: the windows of a chunk of output pixels are copied to rows, which are multiplied by the weights.

Layouts: src is nChw{V}c without a halo: taps outside of it are written as zeros. A row is a window in the order of the weights,
[ic block][KH][KW][channel]; these are packed as for conv_direct.pyx. add and dst are nChw{V}c.

Parallel over (image, group, chunk of output pixels). Each thread copies the windows of its chunk to scratch memory of its own.
"""

from libc.stdint cimport int64_t
from libc.string cimport memset

from activation cimport Activation
from panels cimport panels, width_of
from simd cimport V, load, store
from step cimport at, share
from tile cimport ROWS, Store, Walk, rows, take
from view cimport View, pixel

include "tiles.pxi"

cdef struct Args:
    View src
    View add
    View dst
    int64_t wei
    int64_t bia
    int64_t workspace  # the windows of a chunk, for each thread
    Py_ssize_t N
    Py_ssize_t G  # groups
    Py_ssize_t IC  # input channels of a group
    Py_ssize_t IH
    Py_ssize_t IW
    Py_ssize_t OCB  # blocks of output channels of a group
    Py_ssize_t OH
    Py_ssize_t OW
    Py_ssize_t KH
    Py_ssize_t KW
    Py_ssize_t stride_h
    Py_ssize_t stride_w
    Py_ssize_t dilation_h
    Py_ssize_t dilation_w
    Py_ssize_t pad_h  # rows of padding at the top
    Py_ssize_t pad_w  # columns of padding at the left
    Py_ssize_t chunk  # output pixels of an item
    Py_ssize_t k_block  # products of a K block
    bint has_add
    Activation act


# Copy the window of output pixel (oh, ow), IC * KH * KW floats. src is the first channel block of the group.
cdef inline void window(const Args* a, const float* src, Py_ssize_t oh, Py_ssize_t ow, float* dst) noexcept nogil:
    cdef Py_ssize_t c, width, kh, kw, ih, iw, lane
    cdef const float* p
    c = 0
    while c < a.IC:
        width = min(a.IC - c, V)
        for kh in range(a.KH):
            ih = oh * a.stride_h + kh * a.dilation_h - a.pad_h
            if ih < 0 or ih >= a.IH:
                memset(dst, 0, a.KW * width * sizeof(float))
                dst += a.KW * width
                continue
            for kw in range(a.KW):
                iw = ow * a.stride_w + kw * a.dilation_w - a.pad_w
                if iw < 0 or iw >= a.IW:
                    memset(dst, 0, width * sizeof(float))
                else:
                    p = src + c // V * a.src.c + ih * a.src.h + iw * V
                    if width == V:
                        store(dst, load(p))
                    else:
                        for lane in range(width):
                            dst[lane] = p[lane]
                dst += width
        c += V


cdef void run(const Args* a, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil:
    cdef Py_ssize_t K = a.IC * a.KH * a.KW, P = a.OH * a.OW, CHUNKS = (P + a.chunk - 1) // a.chunk
    cdef Py_ssize_t PANELS = panels(a.OCB), items = a.N * a.G * CHUNKS
    cdef Py_ssize_t item, n, g, first, end, panel, block, p, oh, tiles, least, longer, i
    cdef int width, r
    cdef float* scratch = at(bases, a.workspace) + thread * a.chunk * K
    cdef const float* src
    cdef const float* wei
    cdef const float* px[ROWS]
    cdef Store to
    cdef Walk walk
    walk.OW = a.OW
    walk.src_w = K
    walk.dst_w = a.dst.w
    walk.add_w = a.add.w
    walk.src_wrap = 0
    walk.dst_wrap = a.dst.h - a.OW * a.dst.w
    walk.add_wrap = a.add.h - a.OW * a.add.w
    walk.dense = False
    to.add_c = a.add.c
    to.dst_c = a.dst.c
    to.has_add = a.has_add
    to.act = a.act
    for item in range(share(items, piece, pieces), share(items, piece + 1, pieces)):
        first = item % CHUNKS * a.chunk
        end = min(first + a.chunk, P)
        g = item // CHUNKS % a.G
        n = item // CHUNKS // a.G
        src = pixel(bases, &a.src, n, g * a.IC // V, 0, 0)
        for p in range(first, end):
            window(a, src, p // a.OW, p % a.OW, scratch + (p - first) * K)
        for panel in range(PANELS):
            block = panel * 2
            width = width_of(a.OCB, block)
            to.bia = at(bases, a.bia) + (g * a.OCB + block) * V
            wei = at(bases, a.wei) + (g * a.OCB + block) * V * K
            oh = first // a.OW
            walk.ow = first - oh * a.OW
            walk.src = scratch
            walk.dst = pixel(bases, &a.dst, n, g * a.OCB + block, oh, walk.ow)
            walk.add = pixel(bases, &a.add, n, g * a.OCB + block, oh, walk.ow)
            tiles = (end - first + rows(width) - 1) // rows(width)
            least = (end - first) // tiles
            longer = (end - first) % tiles
            for i in range(tiles):
                r = <int> least + (i < longer)
                take(&walk, r, 1, px, &to)
                matrix_tile(r, width, px, wei, 0, K, K, a.k_block, &to)


include "step.pxi"
