"""Packs weights in the order in which the register tile reads them (pyx/tile.pxd), times a factor for each output channel.

src = [OC][IC][KH][KW] with any strides: all input channels of some panels, or some whole ic blocks of all panels.
dst = [panel][ic block][KH][KW][ic of the block][lane], where the lanes are the output channels of the panel (panels.pxd). Lanes
without a channel are 0. The last ic block has only the channels that there are.

Products with the factors are computed in float64 and rounded once to float32; where weights are stored in 16 bits, that is rounded
to the nearest of these, halves to even. The cache lines of source and destination that an ic block touches stay in L1: each is
read, or written, once.
"""

from libc.stdint cimport uint16_t

from constants cimport BF16_WEIGHTS, FLOAT16_WEIGHTS, FLOAT32_WEIGHTS
from half cimport to_bfloat, to_half
from panels cimport width_of

cdef extern from *:
    """
    #include <stdlib.h>
    #ifdef __GLIBC__
      #include <malloc.h>
      static void trim_heap(void) { malloc_trim(0); }
    #else
      static void trim_heap(void) {}
    #endif
    """
    void trim_heap() nogil

cdef struct Weights:
    const float* src
    const double* scale  # a factor for each output channel
    void* dst
    Py_ssize_t OC
    Py_ssize_t IC  # of dst
    Py_ssize_t some  # the input channels of src, which begin with `first`
    Py_ssize_t first
    Py_ssize_t KH
    Py_ssize_t KW
    # strides in floats
    Py_ssize_t oc
    Py_ssize_t ic
    Py_ssize_t kh
    Py_ssize_t kw


cdef inline void put(const int STORED, void* dst, Py_ssize_t i, double x) noexcept nogil:
    if STORED == BF16_WEIGHTS:
        (<uint16_t*> dst)[i] = to_bfloat(<float> x)
    elif STORED == FLOAT16_WEIGHTS:
        (<uint16_t*> dst)[i] = to_half(<float> x)
    else:
        (<float*> dst)[i] = <float> x


# One ic block of a panel of L lanes, of which `lanes` have a channel; it begins with element `to`. If the taps of a channel follow
# each other, and the channels too, TAPS is a literal, so that the compiler unrolls the loop over them; otherwise it is 0.
cdef inline void pack_block(const int STORED, const int TAPS, const Weights* p, Py_ssize_t oc, Py_ssize_t lanes, Py_ssize_t ic,
                            Py_ssize_t width, Py_ssize_t L, Py_ssize_t to) noexcept nogil:
    cdef Py_ssize_t lane, c, i, kh, kw
    cdef int tap
    cdef const float* src = p.src + oc * p.oc + ic * p.ic
    cdef const double* scale = p.scale + oc
    if TAPS:
        for lane in range(lanes):
            for c in range(width):
                for tap in range(TAPS):
                    put(STORED, p.dst, to + (tap * width + c) * L + lane, src[lane * p.oc + c * TAPS + tap] * scale[lane])
    for i in range(p.KH * p.KW * width):
        if not TAPS:
            kh = i // width // p.KW
            kw = i // width % p.KW
            c = i % width
            for lane in range(lanes):
                put(STORED, p.dst, to + i * L + lane, src[lane * p.oc + c * p.ic + kh * p.kh + kw * p.kw] * scale[lane])
        for lane in range(lanes, L):
            put(STORED, p.dst, to + i * L + lane, 0)


cdef inline void pack_panels(const int STORED, const Weights* p, Py_ssize_t size, Py_ssize_t V) noexcept nogil:
    cdef Py_ssize_t TAPS = p.KH * p.KW, OCB = (p.OC + V - 1) // V, block = 0, panel = 0, oc, ic, L, lanes, width, to
    cdef bint near = p.ic == TAPS and (TAPS == 1 or (p.kh == p.KW and p.kw == 1))
    while block < OCB:
        oc = block * V
        L = width_of(OCB, block) * V
        lanes = min(L, p.OC - oc)
        to = panel + p.first * TAPS * L
        ic = 0
        while ic < p.some:
            width = min(size, p.some - ic)
            if near and TAPS == 1:
                pack_block(STORED, 1, p, oc, lanes, ic, width, L, to)
            elif near and TAPS == 9:
                pack_block(STORED, 9, p, oc, lanes, ic, width, L, to)
            else:
                pack_block(STORED, 0, p, oc, lanes, ic, width, L, to)
            to += TAPS * width * L
            ic += width
        panel += p.IC * TAPS * L
        block += L // V


def pack(const float[:, :, :, :] src, const double[::1] scale, Py_ssize_t IC, Py_ssize_t first, Py_ssize_t size, Py_ssize_t V,
         unsigned char[::1] dst, int stored):
    """Pack the weights of one job.

    src: OC IC KH KW, which begins with input channel `first` of IC; scale: a factor for each OC; dst: the bytes from the first
    panel of the job on. size: input channels of a block; V: floats in a vector; stored: how the packed weights are stored.
    """
    cdef Weights p
    cdef Py_ssize_t OCB = (src.shape[0] + V - 1) // V, taps = src.shape[2] * src.shape[3]
    cdef Py_ssize_t itemsize = 4 if stored == FLOAT32_WEIGHTS else 2
    if scale.shape[0] < src.shape[0] or dst.shape[0] < IC * taps * OCB * V * itemsize or first + src.shape[1] > IC:
        raise ValueError("scale or dst is too short")
    if not src.shape[0] * src.shape[1] * taps:
        return
    p.src, p.scale, p.dst = &src[0, 0, 0, 0], &scale[0], &dst[0]
    p.OC, p.IC, p.some, p.first, p.KH, p.KW = src.shape[0], IC, src.shape[1], first, src.shape[2], src.shape[3]
    p.oc, p.ic, p.kh, p.kw = src.strides[0] // 4, src.strides[1] // 4, src.strides[2] // 4, src.strides[3] // 4
    if taps == 1:
        size = 16  # blocks of any size give the same order: take a cache line
    with nogil:
        if stored == BF16_WEIGHTS:
            pack_panels(BF16_WEIGHTS, &p, size, V)
        elif stored == FLOAT16_WEIGHTS:
            pack_panels(FLOAT16_WEIGHTS, &p, size, V)
        else:
            pack_panels(FLOAT32_WEIGHTS, &p, size, V)


def trim():
    """Return the memory of deleted arrays to the system, where the C library would keep it."""
    with nogil:
        trim_heap()
