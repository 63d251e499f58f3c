"""Conversions of contiguous tensors between float32 and the other element types, and between integers.

Floats become integers by truncation. A value that an integer type cannot hold keeps its low bits, as in NumPy. Conversions between
integers go through int64, in a buffer that stays in L1.
Parallel over items of ITEM elements, so that no two threads write to one cache line.
"""

from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy

from half cimport from_half, of_bits, to_bfloat, to_half
from step cimport at, share

cdef enum:
    ITEM = 1024

# what `src_type` and `dst_type` may be
cpdef enum:
    FLOAT16
    BFLOAT16
    FLOAT64
    UINT8
    INT8
    INT32
    INT64
    BOOL
    FLOAT32

cdef struct half:
    uint16_t bits

cdef struct bfloat:
    uint16_t bits

cdef struct truth:
    uint8_t bits

ctypedef fused other:
    half
    bfloat
    double
    uint8_t
    int8_t
    int32_t
    int64_t
    truth

ctypedef fused integer:
    uint8_t
    int8_t
    int32_t

ctypedef fused narrower:
    uint8_t
    int32_t
    truth

cdef struct Args:
    int64_t src
    int64_t dst
    int src_type
    int dst_type
    Py_ssize_t count  # elements


cdef void convert(bint widens, float* floats, other* others, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    if widens:
        for i in range(n):
            if other is half:
                floats[i] = from_half(others[i].bits)
            elif other is bfloat:
                floats[i] = of_bits(<uint32_t> others[i].bits << 16)
            elif other is truth:
                floats[i] = others[i].bits
            else:
                floats[i] = <float> others[i]
    else:
        for i in range(n):
            if other is half:
                others[i].bits = to_half(floats[i])
            elif other is bfloat:
                others[i].bits = to_bfloat(floats[i])
            elif other is truth:
                others[i].bits = floats[i] != 0
            elif other is uint8_t or other is int8_t:
                others[i] = <other> <int32_t> floats[i]
            else:
                others[i] = <other> floats[i]


# Convert n elements from `first` on, from or to float32.
cdef void convert_floats(const Args* a, void* src, void* dst, Py_ssize_t first, Py_ssize_t n) noexcept nogil:
    cdef bint widens = a.dst_type == FLOAT32
    cdef float* floats = <float*> (dst if widens else src) + first
    cdef void* others = src if widens else dst
    cdef int type = a.src_type if widens else a.dst_type
    if type == FLOAT16:
        convert(widens, floats, <half*> others + first, n)
    elif type == BFLOAT16:
        convert(widens, floats, <bfloat*> others + first, n)
    elif type == FLOAT64:
        convert(widens, floats, <double*> others + first, n)
    elif type == UINT8:
        convert(widens, floats, <uint8_t*> others + first, n)
    elif type == INT8:
        convert(widens, floats, <int8_t*> others + first, n)
    elif type == INT32:
        convert(widens, floats, <int32_t*> others + first, n)
    elif type == INT64:
        convert(widens, floats, <int64_t*> others + first, n)
    else:
        convert(widens, floats, <truth*> others + first, n)


cdef inline void widen(const integer* src, int64_t* dst, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        dst[i] = src[i]


cdef inline void narrow(const int64_t* src, narrower* dst, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        if narrower is truth:
            dst[i].bits = src[i] != 0
        else:
            dst[i] = <narrower> src[i]


# Convert n <= ITEM integers from `first` on.
cdef void convert_integers(const Args* a, void* src, void* dst, Py_ssize_t first, Py_ssize_t n) noexcept nogil:
    cdef int64_t room[ITEM]
    cdef const int64_t* wide = room
    if a.src_type == INT64:
        wide = <const int64_t*> src + first
    elif a.src_type == INT32:
        widen(<const int32_t*> src + first, room, n)
    elif a.src_type == INT8:
        widen(<const int8_t*> src + first, room, n)
    else:
        widen(<const uint8_t*> src + first, room, n)
    if a.dst_type == INT64:
        memcpy(<int64_t*> dst + first, wide, n * sizeof(int64_t))
    elif a.dst_type == INT32:
        narrow(wide, <int32_t*> dst + first, n)
    elif a.dst_type == BOOL:
        narrow(wide, <truth*> dst + first, n)
    else:  # the low bits are the same with a sign
        narrow(wide, <uint8_t*> dst + first, n)


cdef void run(const Args* a, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil:
    cdef Py_ssize_t items = (a.count + ITEM - 1) // ITEM, item, first
    cdef void* src = at(bases, a.src)
    cdef void* dst = at(bases, a.dst)
    for item in range(share(items, piece, pieces), share(items, piece + 1, pieces)):
        first = item * ITEM
        if a.src_type == FLOAT32 or a.dst_type == FLOAT32:
            convert_floats(a, src, dst, first, min(a.count - first, ITEM))
        else:
            convert_integers(a, src, dst, first, min(a.count - first, ITEM))


include "step.pxi"
