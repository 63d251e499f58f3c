"""QuantizeLinear and DequantizeLinear of row-major tensors: float32 to integers with scales and zero points, and back.

A tensor is `rows` rows of L elements. Row r has the scale and the zero point at r % C: C is 1 for a tensor with one of each.
Parallel over items of ITEM elements of a row.
"""

from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t

from step cimport at, share

cdef enum:
    ITEM = 4096

# what `dtype`, that of the integers, may be
cpdef enum:
    UINT8
    INT8
    INT32

ctypedef fused Integer:
    uint8_t
    int8_t
    int32_t

cdef struct Args:
    int64_t src
    int64_t dst
    int64_t scale
    int64_t zero  # address 0: all zero points are 0
    bint quantizes  # float32 to integers, otherwise back
    int dtype  # of the integers
    Py_ssize_t rows
    Py_ssize_t L  # elements of a row
    Py_ssize_t C  # scales


# x / scale + zero as integers of 8 bits, from lo to hi, halves to even, NaN as the zero point. The sum with 1.5 * 2^23 has no
# fraction.
cdef inline void quantize(const float* src, Integer* dst, Py_ssize_t n, float scale, int zero, int lo, int hi) noexcept nogil:
    cdef float least = lo - zero, most = hi - zero, whole = 12582912.0, x
    cdef Py_ssize_t i
    for i in range(n):
        x = src[i] / scale
        x = x if x == x else 0
        x = least if x < least else x
        x = most if x > most else x
        dst[i] = <Integer> (<int> (x + whole - whole) + zero)


# (x - zero) * scale. The difference of two int32 is exact as a double: it is rounded once, to float.
cdef inline void dequantize(const Integer* src, float* dst, Py_ssize_t n, float scale, Integer zero) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        if Integer is int32_t:
            dst[i] = <float> (<double> src[i] - <double> zero) * scale
        else:
            dst[i] = <float> (<int> src[i] - <int> zero) * scale


# n elements of a row with scale and zero point c.
cdef inline void convert(const Args* a, char** bases, Integer* integers, float* floats, Py_ssize_t n, Py_ssize_t c,
                         int lo, int hi) noexcept nogil:
    cdef float scale = at(bases, a.scale)[c]
    cdef Integer zero = (<const Integer*> at(bases, a.zero))[c] if a.zero else 0
    if a.quantizes:
        quantize(floats, integers, n, scale, zero, lo, hi)
    else:
        dequantize(integers, floats, n, scale, zero)


cdef void run(const Args* a, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil:
    cdef Py_ssize_t CHUNKS = (a.L + ITEM - 1) // ITEM, items = a.rows * CHUNKS, item, row, i, n
    cdef float* floats = at(bases, a.src if a.quantizes else a.dst)
    cdef void* integers = at(bases, a.dst if a.quantizes else a.src)
    for item in range(share(items, piece, pieces), share(items, piece + 1, pieces)):
        row = item // CHUNKS
        i = item % CHUNKS * ITEM
        n = min(a.L - i, ITEM)
        i += row * a.L
        if a.dtype == UINT8:
            convert(a, bases, <uint8_t*> integers + i, floats + i, n, row % a.C, 0, 255)
        elif a.dtype == INT8:
            convert(a, bases, <int8_t*> integers + i, floats + i, n, row % a.C, -128, 127)
        else:
            convert(a, bases, <int32_t*> integers + i, floats + i, n, row % a.C, 0, 0)


include "step.pxi"
