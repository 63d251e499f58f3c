# How floats become bytes: clip(rint(x) + zero, low, high).

from libc.math cimport INFINITY

from activation cimport clip, divide
from dot cimport vi, vround, vset4
from simd cimport vbroadcast, vf, vless

cdef struct Rounding:
    int zero
    # the bounds less the zero point: what is clipped before it is rounded does not leave int32
    float low
    float high


cdef inline vi rounded(vf x, const Rounding* r) noexcept nogil:
    return vround(clip(x, r.low, r.high)) + vset4(r.zero)


# The scales whose quotients `divide` rounds as a division does: no number on the way is subnormal, or beyond float32.
cdef inline bint is_near(float scale) noexcept nogil:
    cdef float least = 1.262177448e-29, most = 7.922816251e28  # 2^-96 and 2^96
    return least <= scale <= most


# x / scale as integers from `least` to `most`, halves to even, NaN as 0. The quotients of a NEAR scale need no division.
cdef inline vi steps(const bint NEAR, vf x, float scale, float least, float most) noexcept nogil:
    cdef vf n
    if NEAR:
        n = divide(clip(x, least * scale, most * scale), scale)
    else:
        n = clip(x / vbroadcast(scale), least, most)
    return vround(vless(n, vbroadcast(INFINITY), n, vbroadcast(0)))
