"""Copies between any two strided arrangements of up to six axes: reorders between layouts, transposes, slices, concatenation.

src and dst are addressed as base + sum of index * stride over the axes, `dims` long; the binder puts the axis that is contiguous
in dst last. Parallel over the outer axes, all but the last two.
"""

from libc.stdint cimport int64_t
from libc.string cimport memcpy

from step cimport Run, at, share

cdef enum:
    AXES = 6

cdef struct Args:
    int64_t src
    int64_t dst
    Py_ssize_t dims[AXES]
    Py_ssize_t src_strides[AXES]
    Py_ssize_t dst_strides[AXES]


cdef void run(const Args* a, char** bases, Py_ssize_t thread, Py_ssize_t threads) noexcept nogil:
    cdef Py_ssize_t outer = a.dims[0] * a.dims[1] * a.dims[2] * a.dims[3], M = a.dims[4], L = a.dims[5]
    cdef Py_ssize_t sm = a.src_strides[4], sl = a.src_strides[5], dm = a.dst_strides[4], dl = a.dst_strides[5]
    cdef Py_ssize_t item, rest, i, axis, m, k
    cdef const float* src
    cdef float* dst
    for item in range(share(outer, thread, threads), share(outer, thread + 1, threads)):
        src = at(bases, a.src)
        dst = at(bases, a.dst)
        rest = item
        for axis in range(3, -1, -1):
            i = rest % a.dims[axis]
            rest = rest // a.dims[axis]
            src += i * a.src_strides[axis]
            dst += i * a.dst_strides[axis]
        for m in range(M):
            if sl == 1 and dl == 1:
                memcpy(dst + m * dm, src + m * sm, L * sizeof(float))
            else:
                for k in range(L):
                    (dst + m * dm)[k * dl] = (src + m * sm)[k * sl]


def step(dict fields):
    """(address of the kernel, bytes of its arguments); see step.pxd."""
    cdef Args args = fields
    return <size_t> <Run> &run, (<char*> &args)[:sizeof(Args)]
