"""Products of matrices: dst (M OC) = src (M K) x weights (K OC) + bias, with the residual and the activation in the store.

Layouts: rows of src, add and dst are contiguous; wei = [panel][K][width * V] and bia are as for conv_direct.pyx. With `packs`,
wei is a matrix of any strides: each item packs a panel of it, times `alpha`, to scratch memory of its thread. There is a product
for each index of the axes `dims`, along which the operands have strides of their own.
One row is bound by memory: the weights of STREAMS panels are read side by side, so that enough loads are in flight. More rows go
through the register tile, and the weights of a panel are read from memory once for all of them.

Parallel over (product, chunk of rows, group of panels). Both ways sum over k in order, in the same K blocks: a row has the same
bits alone and among others.
"""

from libc.stdint cimport int64_t
from libc.string cimport memcpy

from activation cimport Activation, clip
from constants cimport AXES, CLIP, WIDEST_PANEL
from panels cimport panels, width_of
from simd cimport PREFETCH, V, load, load_part, store, vbroadcast, vf, vfma1
from step cimport at, share
from tile cimport ROWS, Store, rows

include "tiles.pxi"

cpdef enum:
    STREAMS = 4  # panels that are read side by side

cdef enum:
    AHEAD = 128  # floats from a load to the prefetch
    LINE = 16  # floats of a column that are packed before the next column's

cdef struct Args:
    int64_t src
    int64_t wei  # packed, or a matrix (`packs`)
    int64_t bia
    int64_t add
    int64_t dst
    int64_t workspace  # a packed panel for each thread, with `packs`
    Py_ssize_t M  # rows of a product
    Py_ssize_t K  # products of a sum
    Py_ssize_t OC  # columns of a product
    Py_ssize_t chunk  # rows of an item
    Py_ssize_t panels  # of an item
    Py_ssize_t k_block  # products of a K block
    # strides in floats; add has those of dst
    Py_ssize_t src_m
    Py_ssize_t wei_k  # with `packs`
    Py_ssize_t wei_n  # with `packs`
    Py_ssize_t dst_m
    Py_ssize_t dims[AXES]  # axes that number the products
    Py_ssize_t src_strides[AXES]
    Py_ssize_t wei_strides[AXES]
    Py_ssize_t dst_strides[AXES]
    float alpha  # factor of the weights, with `packs`
    bint packs
    bint has_add
    Activation act


# One row and STREAMS panels of two blocks: products `first` to `last` of each sum.
cdef inline void stream(const Args* a, const float* src, Py_ssize_t first, Py_ssize_t last, const float* wei,
                        Store* to) noexcept nogil:
    cdef Py_ssize_t k, p
    cdef int s, j
    cdef float x
    cdef vf acc[STREAMS][2]
    for s in range(STREAMS):
        for j in range(2):
            acc[s][j] = vbroadcast(0) if to.resume else load(to.bia + (2 * s + j) * V)
    for k in range(first, last):
        x = src[k]
        for s in range(STREAMS):
            p = (s * a.K + k) * 2 * V
            PREFETCH(wei + p + AHEAD)
            for j in range(2):
                acc[s][j] = vfma1(acc[s][j], x, load(wei + p + j * V))
    for s in range(STREAMS):
        for j in range(2):
            if to.resume:
                acc[s][j] = acc[s][j] + load(to.dst[0] + (2 * s + j) * V)
            if a.has_add and to.final:
                acc[s][j] = acc[s][j] + load(to.add[0] + (2 * s + j) * V)
            if a.act.kind == CLIP and to.final:
                acc[s][j] = clip(acc[s][j], a.act.a, a.act.b)
            store(to.dst[0] + (2 * s + j) * V, acc[s][j])


# Pack `count` columns of a matrix to a panel of `lanes` floats a row. Lanes without a column are 0.
cdef noinline pack(const Args* a, const float* src, Py_ssize_t count, Py_ssize_t lanes, float* dst) noexcept nogil:
    cdef Py_ssize_t k, n, first, last
    if a.wei_n == 1:
        for k in range(a.K):
            n = 0
            while n < lanes:
                store(dst + k * lanes + n, a.alpha * load_part(src + k * a.wei_k + n, max(min(count - n, V), 0), 0))
                n += V
        return 0
    last = 0
    while last < a.K:
        first = last
        last = min(first + LINE, a.K)
        for n in range(count):
            for k in range(first, last):
                dst[k * lanes + n] = a.alpha * src[k * a.wei_k + n * a.wei_n]
        for k in range(first, last):
            for n in range(count, lanes):
                dst[k * lanes + n] = 0
    return 0


cdef void run(const Args* a, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil:
    cdef Py_ssize_t OCB = (a.OC + V - 1) // V, PANELS = panels(OCB), GROUPS = (PANELS + a.panels - 1) // a.panels
    cdef Py_ssize_t CHUNKS = (a.M + a.chunk - 1) // a.chunk, items = CHUNKS * GROUPS
    cdef Py_ssize_t item, rest, axis, i, panel, behind, m, begin, end, block, tiles, least, longer, t, OC, first, last
    cdef int width, r, row
    cdef float* scratch = at(bases, a.workspace) + thread * a.K * min(OCB, WIDEST_PANEL) * V
    cdef const float* px[ROWS]
    # rows of a last panel with fewer columns than lanes, as whole vectors
    cdef vf adds[ROWS][WIDEST_PANEL], dsts[ROWS][WIDEST_PANEL]
    cdef Store to
    cdef const float* src
    cdef const float* matrix
    cdef const float* wei
    cdef const float* add
    cdef float* dst
    to.add_c = V
    to.dst_c = V
    to.has_add = a.has_add
    to.act = a.act
    for axis in range(AXES):
        items *= a.dims[axis]
    for item in range(share(items, piece, pieces), share(items, piece + 1, pieces)):
        panel = item % GROUPS * a.panels
        behind = min(panel + a.panels, PANELS)
        rest = item // GROUPS
        begin = rest % CHUNKS * a.chunk
        end = min(begin + a.chunk, a.M)
        rest = rest // CHUNKS
        src = at(bases, a.src)
        matrix = at(bases, a.wei)
        add = at(bases, a.add)
        dst = at(bases, a.dst)
        for axis in range(AXES - 1, -1, -1):
            i = rest % a.dims[axis]
            rest = rest // a.dims[axis]
            src += i * a.src_strides[axis]
            matrix += i * a.wei_strides[axis]
            add += i * a.dst_strides[axis]
            dst += i * a.dst_strides[axis]
        while panel < behind:
            block = panel * 2
            width = width_of(OCB, block)
            OC = min(a.OC - block * V, width * V)
            to.bia = at(bases, a.bia) + block * V
            if a.packs:
                pack(a, matrix + block * V * a.wei_n, OC, width * V, scratch)
                wei = scratch
            else:
                wei = matrix + block * V * a.K
            m = begin
            if end - m == 1 and panel + STREAMS < PANELS and panel + STREAMS <= behind:
                to.dst[0] = dst + m * a.dst_m + block * V
                to.add[0] = add + m * a.dst_m + block * V
                last = 0
                to.final = False
                while not to.final:
                    first = last
                    last = min(first + a.k_block, a.K)
                    to.resume = first > 0
                    to.final = last == a.K
                    stream(a, src + m * a.src_m, first, last, wei, &to)
                finish(&to.act, to.dst[0], 2 * STREAMS)
                panel += STREAMS
                continue
            tiles = (end - m + rows(width) - 1) // rows(width)
            least = (end - m) // tiles
            longer = (end - m) % tiles
            for t in range(tiles):
                r = <int> least + (t < longer)
                for row in range(r):
                    px[row] = src + (m + row) * a.src_m
                    to.dst[row] = dst + (m + row) * a.dst_m + block * V
                    to.add[row] = add + (m + row) * a.dst_m + block * V
                    if OC < width * V:
                        if a.has_add:
                            memcpy(&adds[row][0], to.add[row], OC * sizeof(float))
                        to.dst[row] = <float*> &dsts[row][0]
                        to.add[row] = <float*> &adds[row][0]
                matrix_tile(r, width, px, wei, a.K, a.k_block, &to)
                if OC < width * V:
                    for row in range(r):
                        memcpy(dst + (m + row) * a.dst_m + block * V, &dsts[row][0], OC * sizeof(float))
                m += r
            panel += 1


include "step.pxi"
