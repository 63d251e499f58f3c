"""Slices of a tensor by their indices, or elements by indices of their own.

Slices have `width` bytes: dst[outer, i] = src[outer, index[i]]. With indices of elements, a slice is `inner` elements of `width`
bytes: dst[outer, i, k] = src[outer, index[outer, i, k], k].

Indices are constants, or the run computes them. Negative ones count from the end. One that is out of range is a fault (fault.pxd)
and replaced by 0, so that only src is read.
Parallel over (outer, chunk of CHUNK bytes of the slices, index).
"""

from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy

from fault cimport report
from step cimport at, share

cdef enum:
    CHUNK = 8192

cdef struct Args:
    int64_t src
    int64_t dst
    int64_t index  # int64, or int32 if `short_index`
    int64_t fault  # of an index out of range
    bint short_index
    Py_ssize_t outer
    Py_ssize_t size  # slices of src for each outer
    Py_ssize_t count  # of indices for each outer
    Py_ssize_t index_outer  # the stride of the indices: count, or 0 if all outers have the same
    Py_ssize_t inner  # elements of a slice that have indices of their own; 1: whole slices
    Py_ssize_t width  # bytes of a slice, or of an element


# The slice that index i names.
cdef inline Py_ssize_t place(const Args* a, char** bases, const void* index, Py_ssize_t i) noexcept nogil:
    cdef int64_t given = (<const int32_t*> index)[i] if a.short_index else (<const int64_t*> index)[i]
    cdef int64_t at_place = given + a.size if given < 0 else given
    if 0 <= at_place < a.size:
        return at_place
    report(bases, a.fault, given)
    return 0


# Copy n bytes of `count` slices. N is n as a literal if that is the whole width, otherwise 0.
cdef inline void slices(const Py_ssize_t N, Py_ssize_t n, const Args* a, char** bases, const void* index, const char* src, char* dst,
                        Py_ssize_t first, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t i, width = N if N else a.width
    if a.inner == 1:
        for i in range(first, first + count):
            memcpy(dst + i * width, src + place(a, bases, index, i) * width, N if N else n)
    else:
        for i in range(first, first + count):
            memcpy(dst + i * width, src + (place(a, bases, index, i) * a.inner + i % a.inner) * width, N if N else n)


cdef void run(const Args* a, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil:
    cdef Py_ssize_t CHUNKS = (a.width + CHUNK - 1) // CHUNK, items = a.outer * CHUNKS * a.count
    cdef Py_ssize_t item = share(items, piece, pieces), end = share(items, piece + 1, pieces), i, count, outer, begin, n
    cdef const char* index
    cdef const char* src
    cdef char* dst
    while item < end:
        i = item % a.count
        count = min(a.count - i, end - item)
        begin = item // a.count % CHUNKS * CHUNK
        outer = item // a.count // CHUNKS
        n = min(a.width - begin, CHUNK)
        index = <const char*> at(bases, a.index) + outer * a.index_outer * (4 if a.short_index else 8)
        src = <const char*> at(bases, a.src) + outer * a.size * a.inner * a.width + begin
        dst = <char*> at(bases, a.dst) + outer * a.count * a.width + begin
        if a.width == 1:
            slices(1, n, a, bases, index, src, dst, i, count)
        elif a.width == 2:
            slices(2, n, a, bases, index, src, dst, i, count)
        elif a.width == 4:
            slices(4, n, a, bases, index, src, dst, i, count)
        elif a.width == 8:
            slices(8, n, a, bases, index, src, dst, i, count)
        else:
            slices(0, n, a, bases, index, src, dst, i, count)
        item += count


include "step.pxi"
