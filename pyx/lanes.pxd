# Sums across the lanes of a vector.

from simd cimport V, store, vf


# The sum of all lanes, added in order.
cdef inline float total(vf x) noexcept nogil:
    cdef int i
    cdef float lanes[16]
    cdef float y
    store(lanes, x)
    y = lanes[0]
    for i in range(1, V):
        y += lanes[i]
    return y
