"""Packs weights in the order in which the register tile reads them (pyx/tile.pxd), times a factor for each output channel.

src = [OC][IC][KH][KW] with any strides: all input channels of some panels, or some whole ic blocks of all panels.
dst = [panel][ic block][KH][KW][ic of the block][lane], where the lanes are the output channels of the panel (panels.pxd). Lanes
without a channel are 0. The last ic block has only the channels that there are.

Products with the factors are computed in float64 and rounded once. The cache lines of source and destination that an ic block
touches stay in L1: each is read, or written, once.
"""

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
    Py_ssize_t KH
    Py_ssize_t KW
    # strides in floats
    Py_ssize_t oc
    Py_ssize_t ic
    Py_ssize_t kh
    Py_ssize_t kw


# One ic block of a panel of L lanes, of which `lanes` have a channel. If the taps of a channel follow each other, and the channels
# too, TAPS is a literal, so that the compiler unrolls the loop over them; otherwise it is 0.
cdef inline void pack_block(const int TAPS, const Weights* p, Py_ssize_t oc, Py_ssize_t lanes, Py_ssize_t ic,
                            Py_ssize_t width, Py_ssize_t L, float* dst) noexcept nogil:
    cdef Py_ssize_t lane, c, i, kh, kw
    cdef int tap
    cdef const float* src = p.src + oc * p.oc + ic * p.ic
    cdef const double* scale = p.scale + oc
    if TAPS:
        for lane in range(lanes):
            for c in range(width):
                for tap in range(TAPS):
                    dst[(tap * width + c) * L + lane] = <float> (src[lane * p.oc + c * TAPS + tap] * scale[lane])
    for i in range(p.KH * p.KW * width):
        if not TAPS:
            kh = i // width // p.KW
            kw = i // width % p.KW
            c = i % width
            for lane in range(lanes):
                dst[i * L + lane] = <float> (src[lane * p.oc + c * p.ic + kh * p.kh + kw * p.kw] * scale[lane])
        for lane in range(lanes, L):
            dst[i * L + lane] = 0


def pack(const float[:, :, :, :] src, const double[::1] scale, Py_ssize_t IC, Py_ssize_t first, Py_ssize_t size, Py_ssize_t V,
         float[::1] dst):
    """Pack the weights of one job.

    src: OC IC KH KW, which begins with input channel `first` of IC; scale: a factor for each OC; dst: from the first panel of
    the job on. size: input channels of a block; V: floats in a vector.
    """
    cdef Weights p
    cdef Py_ssize_t OC = src.shape[0], SOME = src.shape[1], TAPS = src.shape[2] * src.shape[3]
    cdef Py_ssize_t OCB = (OC + V - 1) // V, block = 0, oc, ic, L, lanes, width
    cdef bint near
    cdef float* panel
    cdef float* to
    if scale.shape[0] < OC or dst.shape[0] < IC * TAPS * OCB * V or first + SOME > IC:
        raise ValueError("scale or dst is too short")
    if not OC * SOME * TAPS:
        return
    p.src, p.scale, panel = &src[0, 0, 0, 0], &scale[0], &dst[0]
    p.KH, p.KW = src.shape[2], src.shape[3]
    p.oc, p.ic, p.kh, p.kw = src.strides[0] // 4, src.strides[1] // 4, src.strides[2] // 4, src.strides[3] // 4
    near = p.ic == TAPS and (TAPS == 1 or (p.kh == p.KW and p.kw == 1))
    if TAPS == 1:
        size = 16  # blocks of any size give the same order: take a cache line
    with nogil:
        while block < OCB:
            oc = block * V
            L = width_of(OCB, block) * V
            lanes = min(L, OC - oc)
            to = panel + first * TAPS * L
            ic = 0
            while ic < SOME:
                width = min(size, SOME - ic)
                if near and TAPS == 1:
                    pack_block(1, &p, oc, lanes, ic, width, L, to)
                elif near and TAPS == 9:
                    pack_block(9, &p, oc, lanes, ic, width, L, to)
                else:
                    pack_block(0, &p, oc, lanes, ic, width, L, to)
                to += TAPS * width * L
                ic += width
            panel += IC * TAPS * L
            block += L // V


def trim():
    """Return the memory of deleted arrays to the system, where the C library would keep it."""
    with nogil:
        trim_heap()
