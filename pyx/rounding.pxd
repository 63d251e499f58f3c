# How floats become bytes: clip(rint(x) + zero, low, high).

from activation cimport clip
from dot cimport vi, vround, vset4
from simd cimport vf

cdef struct Rounding:
    int zero
    # the bounds less the zero point: what is clipped before it is rounded does not leave int32
    float low
    float high


cdef inline vi rounded(vf x, const Rounding* r) noexcept nogil:
    return vround(clip(x, r.low, r.high)) + vset4(r.zero)
