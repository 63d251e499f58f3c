"""Depthwise convolution: each channel by itself, so the channels are the vector.

Layouts: src, add and dst are nChw{V}c, src with a halo of zeros wide enough for every tap; wei = [channel block][tap][V] and
bia = [channel block][V]. R pixels of a row are summed in registers; a multiply-add takes its source from L1, which the units can
do twice a cycle, so nothing is gained by keeping rows. Every tap's offset stands in a table, as in conv_direct.pyx.

Parallel over (image, channel block, output row).
"""

from libc.stdint cimport int64_t

from activation cimport CLIP, Activation, activate, clip
from simd cimport REGS, V, load, store, vf
from step cimport Run, at, share

cdef struct Args:
    int64_t src
    int64_t wei
    int64_t bia
    int64_t add
    int64_t dst
    int64_t taps
    Py_ssize_t TAPS
    Py_ssize_t N
    Py_ssize_t CB
    Py_ssize_t OH
    Py_ssize_t OW
    # strides in floats; src_h and src_w are from one output row and pixel to the next
    Py_ssize_t src_n
    Py_ssize_t src_c
    Py_ssize_t src_h
    Py_ssize_t src_w
    Py_ssize_t add_n
    Py_ssize_t add_c
    Py_ssize_t add_h
    Py_ssize_t add_w
    Py_ssize_t dst_n
    Py_ssize_t dst_c
    Py_ssize_t dst_h
    Py_ssize_t dst_w
    bint has_add
    Activation act


# R pixels, `step` floats of the source apart (a literal, so that it goes into the addresses).
cdef inline void tile(const int R, const Py_ssize_t step, const Args* a, const int64_t* taps, const float* src, const float* wei,
                      vf bias, const float* add, float* dst) noexcept nogil:
    # read here, as the compiler takes dst for a part of *a
    cdef float lo = a.act.a, hi = a.act.b
    cdef int i
    cdef Py_ssize_t t
    cdef vf w
    cdef vf acc[14]
    cdef const float* p
    for i in range(R):
        acc[i] = bias
    for t in range(a.TAPS):
        w = load(wei + t * V)
        p = src + taps[t]
        for i in range(R):
            acc[i] = acc[i] + w * load(p + i * step)
    if a.has_add:
        for i in range(R):
            acc[i] = acc[i] + load(add + i * V)
    if a.act.kind == CLIP:
        for i in range(R):
            store(dst + i * V, clip(acc[i], lo, hi))
    else:
        for i in range(R):
            store(dst + i * V, acc[i])


cdef inline void choose(int r, const Py_ssize_t step, const Args* a, const int64_t* taps, const float* src, const float* wei,
                        vf bias, const float* add, float* dst) noexcept nogil:
    if REGS == 32 and r == 14: tile(14, step, a, taps, src, wei, bias, add, dst)
    elif REGS == 32 and r == 13: tile(13, step, a, taps, src, wei, bias, add, dst)
    elif r == 12: tile(12, step, a, taps, src, wei, bias, add, dst)
    elif r == 11: tile(11, step, a, taps, src, wei, bias, add, dst)
    elif r == 10: tile(10, step, a, taps, src, wei, bias, add, dst)
    elif r == 9: tile(9, step, a, taps, src, wei, bias, add, dst)
    elif r == 8: tile(8, step, a, taps, src, wei, bias, add, dst)
    elif r == 7: tile(7, step, a, taps, src, wei, bias, add, dst)
    elif r == 6: tile(6, step, a, taps, src, wei, bias, add, dst)
    elif r == 5: tile(5, step, a, taps, src, wei, bias, add, dst)
    elif r == 4: tile(4, step, a, taps, src, wei, bias, add, dst)
    elif r == 3: tile(3, step, a, taps, src, wei, bias, add, dst)
    elif r == 2: tile(2, step, a, taps, src, wei, bias, add, dst)
    else: tile(1, step, a, taps, src, wei, bias, add, dst)


cdef void run(const Args* a, char** bases, Py_ssize_t thread, Py_ssize_t threads) noexcept nogil:
    cdef Py_ssize_t items = a.N * a.CB * a.OH, item, n, cb, oh, ow, i
    cdef int most = 14 if REGS == 32 else 12, r, left
    cdef const int64_t* taps = <const int64_t*> at(bases, a.taps)
    cdef const float* src
    cdef const float* wei
    cdef const float* add
    cdef float* dst
    cdef vf bias
    for item in range(share(items, thread, threads), share(items, thread + 1, threads)):
        oh = item % a.OH
        cb = item // a.OH % a.CB
        n = item // a.OH // a.CB
        src = at(bases, a.src) + n * a.src_n + cb * a.src_c + oh * a.src_h
        add = at(bases, a.add) + n * a.add_n + cb * a.add_c + oh * a.add_h
        dst = at(bases, a.dst) + n * a.dst_n + cb * a.dst_c + oh * a.dst_h
        wei = at(bases, a.wei) + cb * a.TAPS * V
        bias = load(at(bases, a.bia) + cb * V)
        ow = 0
        left = <int> ((a.OW + most - 1) // most)
        while left:
            r = <int> ((a.OW - ow + left - 1) // left)
            if a.src_w == V:
                choose(r, V, a, taps, src + ow * V, wei, bias, add + ow * V, dst + ow * V)
            elif a.src_w == 2 * V:
                choose(r, 2 * V, a, taps, src + ow * 2 * V, wei, bias, add + ow * V, dst + ow * V)
            else:
                for i in range(ow, ow + r):
                    tile(1, V, a, taps, src + i * a.src_w, wei, bias, add + i * V, dst + i * V)
            ow += r
            left -= 1
        if a.act.kind != CLIP:
            for ow in range(a.OW):
                store(dst + ow * V, activate(load(dst + ow * V), a.act.kind, a.act.a, a.act.b))


def step(dict fields):
    """(address of the kernel, bytes of its arguments); see step.pxd."""
    cdef Args args = fields
    return <size_t> <Run> &run, (<char*> &args)[:sizeof(Args)]
