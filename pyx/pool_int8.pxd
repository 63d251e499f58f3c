# The loops of max and average pooling over bytes, nhwc: vectors are channels, and windows are cut at the borders.
#
# dst is nhwc or, if each plane has one window, a matrix N C. Channels are filled up to blocks of 16 in src, and in dst where
# `channels` says so. A mean is the sum of the window in int32 without the zero points, exact in any order, and one product.
# Parallel over output rows and chunks of CHUNK channels.

from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcpy

from dot cimport VBYTES, vi, vload1, vset4, vstore1, vtofloat
from pool cimport first_tap
from rounding cimport Rounding, rounded
from simd cimport V
from step cimport at, share
from vectors cimport ZEROS, ZEROS16, Bytes, larger, larger16, vb
from view cimport View

cdef enum:
    BLOCK = 16
    CHUNK = 64  # channels

cdef struct Args:
    # strides in bytes
    View src
    View dst
    # a mean is the sum of the window divided by heights[oh] * widths[ow]
    int64_t heights
    int64_t widths
    float scale  # of src
    float dst_scale
    int zero  # of src
    Rounding rounding
    Py_ssize_t N
    Py_ssize_t channels  # of dst that are written
    Py_ssize_t H
    Py_ssize_t W
    Py_ssize_t OH
    Py_ssize_t OW
    Py_ssize_t KH
    Py_ssize_t KW
    Py_ssize_t stride_h
    Py_ssize_t stride_w
    Py_ssize_t dilation_h
    Py_ssize_t dilation_w
    Py_ssize_t top  # rows of padding
    Py_ssize_t left  # columns of padding
    # the columns of output pixels whose kernel rows lie inside the source
    Py_ssize_t inner_begin
    Py_ssize_t inner_end

ctypedef fused vector:
    Bytes
    vb

# The taps of a window that lie inside the source, strides in bytes.
cdef struct Taps:
    Py_ssize_t rows
    Py_ssize_t columns
    Py_ssize_t row
    Py_ssize_t column


# The largest bytes of a window, COUNT vectors of channels; 0 if it has no tap.
cdef inline void largest(const int COUNT, const Taps* t, const uint8_t* src, vector* dst) noexcept nogil:
    cdef Py_ssize_t r, c
    cdef const vector* x
    cdef vector y[4]
    cdef int i
    for i in range(COUNT):
        if vector is Bytes:
            y[i] = ZEROS16
        else:
            y[i] = ZEROS
    for r in range(t.rows):
        for c in range(t.columns):
            x = <const vector*> (src + r * t.row + c * t.column)
            for i in range(COUNT):
                if vector is Bytes:
                    y[i] = larger16(y[i], x[i])
                else:
                    y[i] = larger(y[i], x[i])
    for i in range(COUNT):
        dst[i] = y[i]


# The mean of a window, COUNT vectors of channels, of which `channels` are written.
cdef inline void mean(const int COUNT, const Taps* t, const uint8_t* src, uint8_t* dst, Py_ssize_t channels, int zero,
                      float factor, const Rounding* rounding) noexcept nogil:
    cdef Py_ssize_t r, c
    cdef const uint8_t* x
    cdef uint8_t lanes[V]
    cdef vi acc[16]
    cdef vi y
    cdef int i
    for i in range(COUNT):
        acc[i] = vset4(<int> (-zero * t.rows * t.columns))
    for r in range(t.rows):
        for c in range(t.columns):
            x = src + r * t.row + c * t.column
            for i in range(COUNT):
                acc[i] = acc[i] + vload1(x + i * V)
    for i in range(COUNT):
        y = rounded(vtofloat(acc[i]) * factor, rounding)
        if (i + 1) * V <= channels:
            vstore1(dst + i * V, y)
        else:
            vstore1(lanes, y)
            memcpy(dst + i * V, lanes, max(channels - i * V, 0))


cdef inline void pool(const bint MEAN, const Args* a, char** bases, Py_ssize_t piece, Py_ssize_t pieces) noexcept nogil:
    cdef Py_ssize_t CHUNKS = (a.channels + CHUNK - 1) // CHUNK, items = a.N * a.OH * CHUNKS, item, oh, ow, first, left, channel, end
    cdef const uint8_t* plane
    cdef const uint8_t* src
    cdef uint8_t* row
    cdef uint8_t* dst
    cdef float factor = 0
    cdef Taps t
    t.row = a.dilation_h * a.src.h
    t.column = a.dilation_w * a.src.w
    for item in range(share(items, piece, pieces), share(items, piece + 1, pieces)):
        oh = item // CHUNKS % a.OH
        first = oh * a.stride_h - a.top
        t.rows = first_tap(first, a.H, a.dilation_h, a.KH)
        left = first_tap(first, 0, a.dilation_h, a.KH)
        t.rows -= left
        plane = <const uint8_t*> at(bases, a.src.address) + item // CHUNKS // a.OH * a.src.n + (first + left * a.dilation_h) * a.src.h
        row = <uint8_t*> at(bases, a.dst.address) + item // CHUNKS // a.OH * a.dst.n + oh * a.dst.h
        end = min(item % CHUNKS * CHUNK + CHUNK, a.channels)
        for ow in range(a.OW):
            first = ow * a.stride_w - a.left
            t.columns = a.KW
            left = 0
            if not a.inner_begin <= ow < a.inner_end:
                left = first_tap(first, 0, a.dilation_w, a.KW)
                t.columns = first_tap(first, a.W, a.dilation_w, a.KW) - left
            if MEAN:
                factor = a.scale / (a.dst_scale * (at(bases, a.heights)[oh] * at(bases, a.widths)[ow]))
            src = plane + (first + left * a.dilation_w) * a.src.w
            dst = row + ow * a.dst.w
            channel = item % CHUNKS * CHUNK
            if channel + CHUNK <= end:
                if MEAN:
                    mean(CHUNK // V, &t, src + channel, dst + channel, CHUNK, a.zero, factor, &a.rounding)
                else:
                    largest(CHUNK // VBYTES, &t, src + channel, <vb*> (dst + channel))
                continue
            while channel < end:
                if MEAN:
                    mean(BLOCK // V, &t, src + channel, dst + channel, end - channel, a.zero, factor, &a.rounding)
                else:
                    largest(1, &t, src + channel, <Bytes*> (dst + channel))
                channel += BLOCK
