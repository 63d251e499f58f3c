# Where the elements along an axis of a resized plane come from: each is a weighted sum of `count` elements of the source.

from libc.stdint cimport int64_t

cdef struct AxisTaps:
    int64_t places  # int64 [out][count], from the first element of the axis, in the source's units
    int64_t weights  # float [out][count]
    Py_ssize_t out
    Py_ssize_t count
