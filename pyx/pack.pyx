"""Puts weights in the order the register tile reads them (pyx/tile.pxd), and scales them on the way.

src = [OC][IC][KH][KW] with any strides: all input channels of some parts, or some whole ic blocks of all parts.
dst = [part][ic block][KH][KW][ic of the block][lane], where the lanes of a part are those of two channel blocks, of three where
so many are left, or of a single one. Lanes without a channel are 0, and the last ic block has just its channels.

Products with the channels' factors are rounded once from float64. The lines of source and destination that a block touches
stay in L1 meanwhile: each is read, or written, once.
"""

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

cdef struct Piece:
    const float* src
    const double* scale
    Py_ssize_t KH
    Py_ssize_t KW
    # strides in floats
    Py_ssize_t oc
    Py_ssize_t ic
    Py_ssize_t kh
    Py_ssize_t kw


# One ic block of a part, L lanes with `lanes` channels. TAPS is a literal where the taps of a channel follow each other and the
# channels too (the compiler unrolls the loop over them), else 0.
cdef inline void block(const int TAPS, const Piece* p, Py_ssize_t oc, Py_ssize_t lanes, Py_ssize_t ic, Py_ssize_t width,
                       Py_ssize_t L, float* dst) noexcept nogil:
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
    """Pack a piece of weights.

    src: OC IC KH KW, which begins with input channel `first` of IC; scale: a factor for each OC; dst: from where its first part
    begins. size: input channels of a block; V: floats in a vector.
    """
    cdef Piece p
    cdef Py_ssize_t OC = src.shape[0], SOME = src.shape[1], TAPS = src.shape[2] * src.shape[3]
    cdef Py_ssize_t oc = 0, ic, L, lanes, width
    cdef bint near
    cdef float* part
    cdef float* to
    if scale.shape[0] < OC or dst.shape[0] < IC * TAPS * ((OC + V - 1) // V * V) or first + SOME > IC:
        raise ValueError("scale or dst is too short")
    if not OC * SOME * TAPS:
        return
    p.src, p.scale, part = &src[0, 0, 0, 0], &scale[0], &dst[0]
    p.KH, p.KW = src.shape[2], src.shape[3]
    p.oc, p.ic, p.kh, p.kw = src.strides[0] // 4, src.strides[1] // 4, src.strides[2] // 4, src.strides[3] // 4
    near = p.ic == TAPS and (TAPS == 1 or (p.kh == p.KW and p.kw == 1))
    if TAPS == 1:
        size = 16  # blocks of any size give the same order: a line
    with nogil:
        while oc < OC:
            L = (OC - oc + V - 1) // V * V
            if L > 3 * V:
                L = 2 * V
            lanes = min(L, OC - oc)
            to = part + first * TAPS * L
            ic = 0
            while ic < SOME:
                width = min(size, SOME - ic)
                if near and TAPS == 1:
                    block(1, &p, oc, lanes, ic, width, L, to)
                elif near and TAPS == 9:
                    block(9, &p, oc, lanes, ic, width, L, to)
                else:
                    block(0, &p, oc, lanes, ic, width, L, to)
                to += TAPS * width * L
                ic += width
            part += IC * TAPS * L
            oc += L


def trim():
    """Give the memory of arrays that are no more back to the system, where the C library would keep it."""
    with nogil:
        trim_heap()
