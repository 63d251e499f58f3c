"""QuantizeLinear of images with up to 4 channels: float32 planes to uint8 pixels of 4 bytes, as a first layer reads them.

src is row-major; dst is nhwc4, with a halo or without. Lanes without a channel become 0. Parallel over rows.
"""

from libc.stdint cimport uint8_t
from libc.string cimport memcpy

from dot cimport vi, vset4
from rounding cimport is_near, steps
from simd cimport V, load_part
from step cimport at, share
from view cimport View, pixel

cdef enum:
    GROUP = 4  # bytes of a pixel

cdef struct Args:
    View src
    View dst  # strides in bytes
    Py_ssize_t N
    Py_ssize_t C
    Py_ssize_t H
    Py_ssize_t W
    float scale
    int zero


# `count` pixels of a row.
cdef inline void pixels(const bint NEAR, const Args* a, const float* src, uint8_t* dst, Py_ssize_t count) noexcept nogil:
    cdef vi x = vset4(0)
    cdef Py_ssize_t c
    for c in range(a.C):
        x = x | (steps(NEAR, load_part(src + c * a.src.c, count, 0), a.scale, -a.zero, 255 - a.zero) + vset4(a.zero)) << (8 * c)
    memcpy(dst, &x, count * GROUP)


cdef void run(const Args* a, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil:
    cdef Py_ssize_t rows = a.N * a.H, row, w
    cdef const float* src
    cdef uint8_t* dst
    cdef bint near = is_near(a.scale)
    for row in range(share(rows, piece, pieces), share(rows, piece + 1, pieces)):
        src = pixel(bases, &a.src, row // a.H, 0, row % a.H, 0)
        dst = <uint8_t*> at(bases, a.dst.address) + row // a.H * a.dst.n + row % a.H * a.dst.h
        w = 0
        while w + V <= a.W:
            if near:
                pixels(True, a, src + w, dst + w * GROUP, V)
            else:
                pixels(False, a, src + w, dst + w * GROUP, V)
            w += V
        if w < a.W:
            pixels(False, a, src + w, dst + w * GROUP, a.W - w)


include "step.pxi"
