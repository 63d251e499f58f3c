"""Products of matrices: dst (M OC) = src (M K) x weights (K OC) + bias, with the residual and the activation in the store.

Layouts: rows of src, add and dst are contiguous; wei = [panel][K][width * V] and bia are as for conv_direct.pyx. With `packs`,
wei is a matrix of any strides: each item packs a panel of it, times `alpha`, to scratch memory of its thread. There is a product
for each index of the axes `dims`, along which the operands have strides of their own.
One row is bound by memory: the weights of STREAMS panels are read side by side, so that enough loads are in flight. More rows go
through the register tile, and the weights of a panel are read from memory once for all of them.
Packed weights may be stored in 16 bits: half as much is read from memory. They are widened as they are loaded, or for the register
tile a K block at a time, to scratch memory, for all rows of the chunk. All arithmetic is float32.

Parallel over (product, chunk of rows, group of panels). Both ways sum over k in order, in the same K blocks: a row has the same
bits alone and among others.
"""

from libc.stdint cimport int64_t, uint16_t
from libc.string cimport memcpy

from activation cimport Activation, clip
from constants cimport AXES, BF16_WEIGHTS, CLIP, FLOAT16_WEIGHTS, FLOAT32_WEIGHTS, WIDEST_PANEL
from panels cimport panels, width_of
from simd cimport LOADS_FLOAT16, PREFETCH, V, load, load_bf16, load_float16, load_part, store, vbroadcast, vf, vfma1
from step cimport at, share
from tile cimport ROWS, Store, rows

include "tiles.pxi"

cpdef enum:
    STREAMS = 4  # panels that are read side by side
    WIDENS_FLOAT16 = LOADS_FLOAT16  # whether float16 weights are as fast as bfloat16

cdef enum:
    AHEAD = 512  # bytes from a load to the prefetch
    LINE = 16  # floats of a column that are packed before the next column's

cdef struct Args:
    int64_t src
    int64_t wei  # packed, or a matrix (`packs`)
    int64_t bia
    int64_t add
    int64_t dst
    int64_t workspace  # for each thread a packed panel, with `packs`, or a K block of one, where weights have 16 bits
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
    int stored  # how packed weights are stored
    bint packs
    bint has_add
    Activation act


# V packed weights from element i on.
cdef inline vf load_weights(const int STORED, const void* wei, Py_ssize_t i) noexcept nogil:
    if STORED == BF16_WEIGHTS:
        return load_bf16(<const uint16_t*> wei + i)
    if STORED == FLOAT16_WEIGHTS:
        return load_float16(<const uint16_t*> wei + i)
    return load(<const float*> wei + i)


# One row and STREAMS panels of two blocks: products `first` to `last` of each sum.
cdef inline void stream_block(const int STORED, const Args* a, const float* src, Py_ssize_t first, Py_ssize_t last,
                              const char* wei, Store* to) noexcept nogil:
    cdef Py_ssize_t k, p
    cdef int s, j
    cdef int itemsize = 4 if STORED == FLOAT32_WEIGHTS else 2
    cdef float x
    cdef vf acc[STREAMS][2]
    for s in range(STREAMS):
        for j in range(2):
            acc[s][j] = vbroadcast(0) if to.resume else load(to.bia + (2 * s + j) * V)
    for k in range(first, last):
        x = src[k]
        for s in range(STREAMS):
            p = (s * a.K + k) * 2 * V
            PREFETCH(wei + p * itemsize + AHEAD)
            for j in range(2):
                acc[s][j] = vfma1(acc[s][j], x, load_weights(STORED, wei, p + j * V))
    for s in range(STREAMS):
        for j in range(2):
            if to.resume:
                acc[s][j] = acc[s][j] + load(to.dst[0] + (2 * s + j) * V)
            if a.has_add and to.final:
                acc[s][j] = acc[s][j] + load(to.add[0] + (2 * s + j) * V)
            if a.act.kind == CLIP and to.final:
                acc[s][j] = clip(acc[s][j], a.act.a, a.act.b)
            store(to.dst[0] + (2 * s + j) * V, acc[s][j])


# One row and STREAMS panels: all K blocks.
cdef inline void stream(const int STORED, const Args* a, const float* src, const char* wei, Store* to) noexcept nogil:
    cdef Py_ssize_t first, last = 0
    to.final = False
    while not to.final:
        first = last
        last = min(first + a.k_block, a.K)
        to.resume = first > 0
        to.final = last == a.K
        stream_block(STORED, a, src, first, last, wei, to)
    finish(&to.act, to.dst[0], 2 * STREAMS)


# Widen n packed weights of 16 bits.
cdef inline void widen(int stored, const char* wei, Py_ssize_t n, float* dst) noexcept nogil:
    cdef Py_ssize_t i = 0
    while i < n:
        store(dst + i, load_weights(stored, wei, i))
        i += V


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
    cdef bint whole = a.stored == FLOAT32_WEIGHTS  # a panel goes through the tile at once
    cdef bint streams = a.stored != FLOAT16_WEIGHTS or LOADS_FLOAT16  # otherwise widening takes the registers of the sums
    cdef float* scratch = at(bases, a.workspace) + thread * (a.K if a.packs else a.k_block) * min(OCB, WIDEST_PANEL) * V
    cdef const float* px[ROWS]
    # rows of a last panel with fewer columns than lanes, as whole vectors
    cdef vf adds[ROWS][WIDEST_PANEL], dsts[ROWS][WIDEST_PANEL]
    cdef Store to
    cdef const float* src
    cdef const float* matrix
    cdef const char* wei
    cdef const float* floats  # of wei
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
                wei = <const char*> scratch
            else:
                wei = <const char*> matrix + block * V * a.K * (4 if whole else 2)
            floats = <const float*> wei if whole else scratch
            if end - begin == 1 and panel + STREAMS < PANELS and panel + STREAMS <= behind and streams:
                to.dst[0] = dst + begin * a.dst_m + block * V
                to.add[0] = add + begin * a.dst_m + block * V
                if a.stored == BF16_WEIGHTS:
                    stream(BF16_WEIGHTS, a, src + begin * a.src_m, wei, &to)
                elif LOADS_FLOAT16 and a.stored == FLOAT16_WEIGHTS:
                    stream(FLOAT16_WEIGHTS, a, src + begin * a.src_m, wei, &to)
                else:
                    stream(FLOAT32_WEIGHTS, a, src + begin * a.src_m, wei, &to)
                panel += STREAMS
                continue
            tiles = (end - begin + rows(width) - 1) // rows(width)
            least = (end - begin) // tiles
            longer = (end - begin) % tiles
            last = 0
            while last < a.K:
                first = last
                last = a.K if whole else min(first + a.k_block, a.K)
                if not whole:
                    widen(a.stored, wei + first * width * V * 2, (last - first) * width * V, scratch)
                m = begin
                for t in range(tiles):
                    r = <int> least + (t < longer)
                    for row in range(r):
                        px[row] = src + (m + row) * a.src_m
                        to.dst[row] = dst + (m + row) * a.dst_m + block * V
                        to.add[row] = add + (m + row) * a.dst_m + block * V
                        if OC < width * V:
                            if first > 0:
                                memcpy(&dsts[row][0], to.dst[row], OC * sizeof(float))
                            if a.has_add:
                                memcpy(&adds[row][0], to.add[row], OC * sizeof(float))
                            to.dst[row] = <float*> &dsts[row][0]
                            to.add[row] = <float*> &adds[row][0]
                    matrix_tile(r, width, px, floats, first, last, a.K, a.k_block, &to)
                    if OC < width * V:
                        for row in range(r):
                            memcpy(dst + (m + row) * a.dst_m + block * V, &dsts[row][0], OC * sizeof(float))
                    m += r
            panel += 1


include "step.pxi"
