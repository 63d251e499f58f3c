# The functions that a kernel's store applies to its sums, by their kinds in constants.pxd.

from libc.math cimport INFINITY

from constants cimport CLIP, ELU, HARD_SIGMOID, HARD_SWISH, LEAKY_RELU, SIGMOID, SILU, SOFTPLUS, TANH
from simd cimport vabs, vbroadcast, vexp, vexp_normal, vf, vfma, vless, vmax, vmin, vreciprocal

cdef extern from *:
    """
    #if defined(__FP_FAST_FMAF)
      #define FUSED 1
    #else
      #define FUSED 0
    #endif
    """
    enum: FUSED

cdef struct Activation:
    int kind
    float a  # the parameters, see `activate`
    float b
    float c


cdef inline vf clip(vf x, float lo, float hi) noexcept nogil:
    return vmin(vbroadcast(hi), vmax(vbroadcast(lo), x))


# 1 / (1 + e^-x). It is 0 below -87.3, as e^x is, so that x * sigmoid(x) is 0 too.
cdef inline vf sigmoid(vf x) noexcept nogil:
    cdef float one = 1.0, lo = -87.33654, hi = 87.33654
    return vless(x, vbroadcast(lo), vbroadcast(0), vreciprocal(vexp_normal(-clip(x, lo, hi)) + one))


cdef inline vf tanh(vf x) noexcept nogil:
    cdef float one = 1.0, two = 2.0, small = 0.625
    cdef float c0 = -5.70498872745e-3, c1 = 2.06390887954e-2, c2 = -5.37397155531e-2, c3 = 1.33314422036e-1, c4 = -3.33332819422e-1
    cdef vf e = vexp(-two * vabs(x))
    cdef vf y = (one - e) / (one + e)
    cdef vf s = x * x
    cdef vf near = ((((c0 * s + c1) * s + c2) * s + c3) * s + c4) * s * x + x  # Cephes; 1 - e cancels near 0
    return vless(vabs(x), vbroadcast(small), near, vless(x, vbroadcast(0), -y, y))


# ln(1 + e^x) without overflow: max(x, 0) + log1p(e^-|x|), log1p by atanh's series on u in (0, 1]
cdef inline vf softplus(vf x) noexcept nogil:
    cdef float two = 2.0, c1 = 0.33333333333, c2 = 0.2, c3 = 0.14285714286, c4 = 0.11111111111, c5 = 0.09090909091, c6 = 0.07692307692
    cdef float one = 1.0
    cdef vf u = vexp(-vabs(x))
    cdef vf z = u / (u + two)
    cdef vf s = z * z
    cdef vf log1p = two * z * ((((((c6 * s + c5) * s + c4) * s + c3) * s + c2) * s + c1) * s + one)
    return vmax(vbroadcast(0), x) + log1p


# x / y, rounded once. If multiply-adds are fused, the remainder of the quotient is exact: with 1 / y, which is the same for all x,
# it corrects the quotient (Markstein's theorem), unless the remainder is a denormal.
cdef inline vf divide(vf x, float y) noexcept nogil:
    cdef float one = 1.0
    cdef vf inverse = vbroadcast(one / y), q = x * inverse
    if not FUSED:
        return x / vbroadcast(y)
    return vfma(q, vfma(x, -q, vbroadcast(y)), inverse)


# x rounded to multiples of `scale`, from lo to hi times it, halves to even: QuantizeLinear and DequantizeLinear in one. The
# multiples are below 2^22: their sum with 1.5 * 2^23 has no fraction. NaN and -0 become 0.
cdef inline vf fake_quantize(vf x, float scale, float lo, float hi) noexcept nogil:
    cdef float whole = 12582912.0
    cdef vf n = divide(clip(x, lo * scale, hi * scale), scale)
    n = vless(n, vbroadcast(INFINITY), n, vbroadcast(0))
    return (n + whole - whole) * scale


cdef inline vf activate(vf x, const int kind, float a, float b, float c) noexcept nogil:
    cdef float three = 3.0, sixth = 1.0 / 6.0, one = 1.0
    if kind == CLIP:
        return clip(x, a, b)
    if kind == LEAKY_RELU:
        return vless(x, vbroadcast(0), a * x, x)
    if kind == SIGMOID:
        return sigmoid(x)
    if kind == SILU:
        return x * sigmoid(x)
    if kind == TANH:
        return tanh(x)
    if kind == HARD_SIGMOID:
        return clip(a * x + b, 0, 1)
    if kind == HARD_SWISH:
        return x * (clip(x + three, 0, 6) * sixth)  # 6x might overflow
    if kind == ELU:
        return vless(x, vbroadcast(0), a * (vexp(x) - one), x)
    if kind == SOFTPLUS:
        return softplus(x)
    return fake_quantize(x, a, b, c)
