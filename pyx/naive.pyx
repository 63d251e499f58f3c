"""The loops of fastconv/naive.py, compiled: one thread, one float at a time.

The speed of the fast kernels is compared with them, so they are built as plain C would be: setup.py compiles them for the baseline
instruction set with -O2 -fno-tree-vectorize -fno-tree-slp-vectorize. No vectors, no tiling.

src = n, ic, ih, iw; wei = oc, ic / groups, kh, kw; dst = n, oc, oh, ow. Nothing is checked here: fastconv/naive.py does that.
"""

from libc.math cimport INFINITY, isnan


def conv2d(
    const float[:, :, :, ::1] src, const float[:, :, :, ::1] wei, const float[::1] bia, float[:, :, :, ::1] dst,
    Py_ssize_t groups, Py_ssize_t SH, Py_ssize_t SW, Py_ssize_t PT, Py_ssize_t PL, Py_ssize_t DH, Py_ssize_t DW,
):
    """See fastconv.naive.conv2d; PT and PL are the padding at the top and at the left."""
    cdef Py_ssize_t N = dst.shape[0], OC = dst.shape[1], OH = dst.shape[2], OW = dst.shape[3]
    cdef Py_ssize_t IH = src.shape[2], IW = src.shape[3], IC = wei.shape[1], KH = wei.shape[2], KW = wei.shape[3]
    cdef Py_ssize_t members = OC // groups
    cdef Py_ssize_t n, oc, oh, ow, ic, kh, kw, ih, iw, first
    cdef float acc
    with nogil:
        for n in range(N):
            for oc in range(OC):
                first = oc // members * IC
                for oh in range(OH):
                    for ow in range(OW):
                        acc = bia[oc]
                        for ic in range(IC):
                            for kh in range(KH):
                                for kw in range(KW):
                                    ih = oh * SH - PT + kh * DH
                                    iw = ow * SW - PL + kw * DW
                                    if 0 <= ih < IH and 0 <= iw < IW:
                                        acc += src[n, first + ic, ih, iw] * wei[oc, ic, kh, kw]
                        dst[n, oc, oh, ow] = acc


def max_pool2d(
    const float[:, :, :, ::1] src, float[:, :, :, ::1] dst, Py_ssize_t KH, Py_ssize_t KW,
    Py_ssize_t SH, Py_ssize_t SW, Py_ssize_t PT, Py_ssize_t PL, Py_ssize_t DH, Py_ssize_t DW,
):
    """See fastconv.naive.max_pool2d; PT and PL are the padding at the top and at the left."""
    cdef Py_ssize_t N = dst.shape[0], C = dst.shape[1], OH = dst.shape[2], OW = dst.shape[3]
    cdef Py_ssize_t IH = src.shape[2], IW = src.shape[3]
    cdef Py_ssize_t n, c, oh, ow, kh, kw, ih, iw
    cdef float best, x
    with nogil:
        for n in range(N):
            for c in range(C):
                for oh in range(OH):
                    for ow in range(OW):
                        best = -INFINITY
                        for kh in range(KH):
                            for kw in range(KW):
                                ih = oh * SH - PT + kh * DH
                                iw = ow * SW - PL + kw * DW
                                if 0 <= ih < IH and 0 <= iw < IW:
                                    x = src[n, c, ih, iw]
                                    if x > best or isnan(x):
                                        best = x
                        dst[n, c, oh, ow] = best


def linear(const float[:, ::1] src, const float[:, ::1] wei, const float[::1] bia, float[:, ::1] dst):
    """See fastconv.naive.linear."""
    cdef Py_ssize_t N = dst.shape[0], OC = dst.shape[1], K = src.shape[1]
    cdef Py_ssize_t n, oc, k
    cdef float acc
    with nogil:
        for n in range(N):
            for oc in range(OC):
                acc = bia[oc]
                for k in range(K):
                    acc += src[n, k] * wei[oc, k]
                dst[n, oc] = acc
