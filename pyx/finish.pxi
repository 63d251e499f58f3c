# Any activation but CLIP, over a tile's outputs while they are in L1. The code is too large to stand in every tile, and it must not
# be inlined (as everything in a .pxd is): its constants would take registers from the tiles.

from activation cimport CLIP, activate
from simd cimport V, load, noinline, store


cdef noinline finish(int r, int width, bint near, Store* to) noexcept nogil:
    cdef int i, j
    cdef float* p
    if to.act.kind == CLIP or not to.final:
        return 0
    for i in range(r):
        for j in range(width):
            p = (to.dst[0] + i * V if near else to.dst[i]) + j * to.dst_c
            store(p, activate(load(p), to.act.kind, to.act.a, to.act.b))
    return 0
