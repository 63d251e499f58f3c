"""Fully connected layers: dst (M OC) = src (M K) x packed weights + bias, with add and activation in the store.

Layouts: src, add and dst are row-major; wei = [oc part][K][width * V] and bia as in conv_direct.pyx, whose parts these are.
One row is bound by memory: eight vectors of four parts stream at once, so that enough loads are on their way. More rows go through
the register tile, and a part's weights are read from memory once for all of them.

Parallel over (chunk of rows, four parts). Every output is summed over k in order, in runs of `run`, whichever way it takes: a
row has the same bits alone and among others.
"""

from libc.stdint cimport int64_t
from libc.string cimport memcpy

from activation cimport CLIP, Activation, clip
from simd cimport PREFETCH, V, load, store, vbroadcast, vf
from step cimport Run, at, share
from tile cimport Store, parts, rows, width_of

include "tiles.pxi"

cdef enum:
    STREAMS = 4  # parts that one item reads side by side
    AHEAD = 128  # floats that the prefetch is ahead of the loads

cdef struct Args:
    int64_t src
    int64_t wei
    int64_t bia
    int64_t add
    int64_t dst
    Py_ssize_t M
    Py_ssize_t K
    Py_ssize_t OC
    Py_ssize_t chunk
    Py_ssize_t run
    bint has_add
    Activation act


# One row through STREAMS parts of two vectors, none of them the last: products `first` to `last` of each sum.
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
                acc[s][j] = acc[s][j] + x * load(wei + p + j * V)
    for s in range(STREAMS):
        for j in range(2):
            if to.resume:
                acc[s][j] = acc[s][j] + load(to.dst[0] + (2 * s + j) * V)
            if a.has_add and to.final:
                acc[s][j] = acc[s][j] + load(to.add[0] + (2 * s + j) * V)
            if a.act.kind == CLIP and to.final:
                acc[s][j] = clip(acc[s][j], a.act.a, a.act.b)
            store(to.dst[0] + (2 * s + j) * V, acc[s][j])


cdef void run(const Args* a, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil:
    cdef Py_ssize_t OCB = (a.OC + V - 1) // V, PARTS = parts(OCB), FOURS = (PARTS + STREAMS - 1) // STREAMS
    cdef Py_ssize_t CHUNKS = (a.M + a.chunk - 1) // a.chunk, item, part, m, end, block, tiles, least, longer, t, OC, first, last
    cdef int width, i, r
    cdef const float* px[14]
    # rows of a last part that does not fill its vectors, as whole vectors
    cdef vf add[14][3], dst[14][3]
    cdef Store to
    cdef const float* src = at(bases, a.src)
    cdef const float* wei
    to.add_c = V
    to.dst_c = V
    to.has_add = a.has_add
    to.act = a.act
    for item in range(share(CHUNKS * FOURS, piece, pieces), share(CHUNKS * FOURS, piece + 1, pieces)):
        part = item % FOURS * STREAMS
        while part < min(item % FOURS * STREAMS + STREAMS, PARTS):
            block = part * 2
            wei = at(bases, a.wei) + block * V * a.K
            to.bia = at(bases, a.bia) + block * V
            m = item // FOURS * a.chunk
            end = min(m + a.chunk, a.M)
            if end - m == 1 and part + STREAMS < PARTS:
                to.dst[0] = at(bases, a.dst) + m * a.OC + block * V
                to.add[0] = at(bases, a.add) + m * a.OC + block * V
                last = 0
                to.final = False
                while not to.final:
                    first = last
                    last = min(first + a.run, a.K)
                    to.resume = first > 0
                    to.final = last == a.K
                    stream(a, src + m * a.K, first, last, wei, &to)
                if a.act.kind != CLIP:
                    finish(&to.act, to.dst[0], 2 * STREAMS)
                part += STREAMS
                continue
            width = width_of(OCB, block)
            OC = min(a.OC - block * V, width * V)
            tiles = (end - m + rows(width) - 1) // rows(width)
            least = (end - m) // tiles
            longer = (end - m) % tiles
            for t in range(tiles):
                r = <int> least + (t < longer)
                for i in range(r):
                    px[i] = src + (m + i) * a.K
                    to.dst[i] = at(bases, a.dst) + (m + i) * a.OC + block * V
                    to.add[i] = at(bases, a.add) + (m + i) * a.OC + block * V
                    if OC < width * V:
                        if a.has_add:
                            memcpy(&add[i][0], to.add[i], OC * sizeof(float))
                        to.dst[i] = <float*> &dst[i][0]
                        to.add[i] = <float*> &add[i][0]
                run_rows(r, width, px, wei, a.K, a.run, &to)
                if OC < width * V:
                    for i in range(r):
                        memcpy(at(bases, a.dst) + (m + i) * a.OC + block * V, &dst[i][0], OC * sizeof(float))
                m += r
            part += 1


def step(dict fields):
    """(address of the kernel, bytes of its arguments); see step.pxd."""
    cdef Args args = fields
    return <size_t> <Run> &run, (<char*> &args)[:sizeof(Args)]
