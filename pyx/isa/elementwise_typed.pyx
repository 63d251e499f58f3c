"""Functions of elements of other types than float32, element by element: arithmetic of integers, comparisons, logic, and choices by
a condition.

Operands have strides along six axes: those of broadcast axes are 0. Along the last axis the stride of dst is 1, those of the
operands are 1 or 0. Booleans are bytes, 0 or 1. Sums, differences and products keep their low bits. A divisor of 0 is a fault
(fault.pxd).
Parallel over items of `rows` x `chunk` elements of the last two axes. The loops take contiguous operands only: an operand of
stride 0 is first written to a buffer, once for each element of a line.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint64_t

from constants cimport AXES
from fault cimport report
from step cimport at, share

cpdef enum:
    CHUNK = 512  # most elements of a line: three buffers stay in L1

# what `function` may be
cpdef enum:
    EQUAL
    NOT_EQUAL
    LESS
    LESS_OR_EQUAL
    AND
    OR
    XOR
    ADD
    SUB
    MUL
    MIN
    MAX
    ABS
    DIV
    MOD
    FMOD
    WHERE

# what `type`, that of a and b, may be; for WHERE, any type of as many bytes
cpdef enum:
    UINT8
    UINT16
    INT32
    INT64
    FLOAT32

ctypedef fused integer:
    int32_t
    int64_t

ctypedef fused number:
    uint8_t
    int32_t
    int64_t
    float

# elements of each size
ctypedef fused element:
    uint8_t
    uint16_t
    int32_t
    int64_t

# whatever an operand may be
ctypedef fused any_type:
    uint8_t
    uint16_t
    int32_t
    int64_t
    float

cdef struct Args:
    int64_t dst
    int64_t condition  # of WHERE
    int64_t a
    int64_t b
    int64_t fault  # of a divisor of 0
    int function
    int type
    Py_ssize_t rows  # of an item
    Py_ssize_t chunk  # elements of each row of an item
    Py_ssize_t dims[AXES]
    # strides in elements
    Py_ssize_t dst_strides[AXES]
    Py_ssize_t condition_strides[AXES]
    Py_ssize_t a_strides[AXES]
    Py_ssize_t b_strides[AXES]

# Elements from the first one of each operand to the first one of an item.
cdef struct Place:
    Py_ssize_t dst
    Py_ssize_t condition
    Py_ssize_t a
    Py_ssize_t b


# The n elements of an operand's line: src itself, or, if its stride is 0, `room` filled with its value.
cdef inline const any_type* spread(const any_type* src, Py_ssize_t stride, any_type* room, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    if stride:
        return src
    for i in range(n):
        room[i] = src[0]
    return room


# The quotient, truncated and with its low bits if it is beyond the type, or the remainder; y is not 0.
cdef inline integer divide(const int F, integer x, integer y) noexcept nogil:
    cdef integer rest
    if y == -1:  # the CPU would trap where the quotient is beyond the type
        return <integer> (0 - <uint64_t> x) if F == DIV else 0
    if F == DIV:
        return x / y
    rest = x % y
    return rest + y if F == MOD and rest and (rest ^ y) < 0 else rest


cdef inline integer apply(const int F, integer x, integer y) noexcept nogil:
    if F == ADD:
        return <integer> (<uint64_t> x + <uint64_t> y)
    if F == SUB:
        return <integer> (<uint64_t> x - <uint64_t> y)
    if F == MUL:
        return <integer> (<uint64_t> x * <uint64_t> y)
    if F == MIN:
        return x if x < y else y
    if F == MAX:
        return x if x > y else y
    if F == ABS:
        return <integer> (0 - <uint64_t> x) if x < 0 else x
    return divide(F, x, y)


cdef inline void calculate(const int F, const integer* a, const integer* b, integer* dst, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        dst[i] = apply(F, a[i], b[i])


cdef inline void compare(const int F, const number* a, const number* b, uint8_t* dst, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        if F == EQUAL:
            dst[i] = a[i] == b[i]
        elif F == NOT_EQUAL:
            dst[i] = a[i] != b[i]
        elif F == LESS:
            dst[i] = a[i] < b[i]
        else:
            dst[i] = a[i] <= b[i]


cdef inline void combine(const int F, const uint8_t* a, const uint8_t* b, uint8_t* dst, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        dst[i] = a[i] & b[i] if F == AND else a[i] | b[i] if F == OR else a[i] ^ b[i]


cdef inline void choose(const uint8_t* condition, const element* a, const element* b, element* dst, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        dst[i] = a[i] if condition[i] else b[i]


# The divisors of a line. A 0 is reported and replaced by -1.
cdef inline const integer* divisors(const Args* g, char** bases, const integer* b, integer* room, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        if b[i] == 0:
            report(bases, g.fault, 0)
        room[i] = b[i] if b[i] else -1
    return room


cdef void calculate_line(const Args* g, char** bases, const integer* a, const integer* b, integer* dst, Py_ssize_t n) noexcept nogil:
    cdef integer room_a[CHUNK]
    cdef integer room_b[CHUNK]
    a = spread(a, g.a_strides[5], room_a, n)
    b = spread(b, g.b_strides[5], room_b, n)
    if g.function == ADD:
        calculate(ADD, a, b, dst, n)
    elif g.function == SUB:
        calculate(SUB, a, b, dst, n)
    elif g.function == MUL:
        calculate(MUL, a, b, dst, n)
    elif g.function == MIN:
        calculate(MIN, a, b, dst, n)
    elif g.function == MAX:
        calculate(MAX, a, b, dst, n)
    elif g.function == ABS:
        calculate(ABS, a, a, dst, n)
    elif g.function == DIV:
        calculate(DIV, a, divisors(g, bases, b, room_b, n), dst, n)
    elif g.function == MOD:
        calculate(MOD, a, divisors(g, bases, b, room_b, n), dst, n)
    else:
        calculate(FMOD, a, divisors(g, bases, b, room_b, n), dst, n)


cdef void compare_line(const Args* g, const number* a, const number* b, uint8_t* dst, Py_ssize_t n) noexcept nogil:
    cdef number room_a[CHUNK]
    cdef number room_b[CHUNK]
    a = spread(a, g.a_strides[5], room_a, n)
    b = spread(b, g.b_strides[5], room_b, n)
    if g.function == EQUAL:
        compare(EQUAL, a, b, dst, n)
    elif g.function == NOT_EQUAL:
        compare(NOT_EQUAL, a, b, dst, n)
    elif g.function == LESS:
        compare(LESS, a, b, dst, n)
    else:
        compare(LESS_OR_EQUAL, a, b, dst, n)


cdef void combine_line(const Args* g, const uint8_t* a, const uint8_t* b, uint8_t* dst, Py_ssize_t n) noexcept nogil:
    cdef uint8_t room_a[CHUNK]
    cdef uint8_t room_b[CHUNK]
    a = spread(a, g.a_strides[5], room_a, n)
    b = spread(b, g.b_strides[5], room_b, n)
    if g.function == AND:
        combine(AND, a, b, dst, n)
    elif g.function == OR:
        combine(OR, a, b, dst, n)
    else:
        combine(XOR, a, b, dst, n)


cdef void choose_line(const Args* g, const uint8_t* condition, const element* a, const element* b, element* dst,
                      Py_ssize_t n) noexcept nogil:
    cdef uint8_t room[CHUNK]
    cdef element room_a[CHUNK]
    cdef element room_b[CHUNK]
    condition = spread(condition, g.condition_strides[5], room, n)
    a = spread(a, g.a_strides[5], room_a, n)
    b = spread(b, g.b_strides[5], room_b, n)
    choose(condition, a, b, dst, n)


# `m` lines of n elements of this type, beginning at a place.
cdef inline void lines(const Args* g, char** bases, Place at_place, any_type* any, Py_ssize_t m, Py_ssize_t n) noexcept nogil:
    cdef const any_type* a = (<const any_type*> at(bases, g.a)) + at_place.a
    cdef const any_type* b = (<const any_type*> at(bases, g.b)) + at_place.b
    cdef const uint8_t* condition = (<const uint8_t*> at(bases, g.condition)) + at_place.condition
    cdef any_type* dst = (<any_type*> at(bases, g.dst)) + at_place.dst
    cdef uint8_t* truth = (<uint8_t*> at(bases, g.dst)) + at_place.dst
    for _ in range(m):
        if g.function <= LESS_OR_EQUAL:
            if any_type is not uint16_t:
                compare_line(g, a, b, truth, n)
        elif g.function == WHERE:
            if any_type is not float:
                choose_line(g, condition, a, b, dst, n)
        elif any_type is uint8_t:
            combine_line(g, a, b, dst, n)
        elif any_type is int32_t or any_type is int64_t:
            calculate_line(g, bases, a, b, dst, n)
        a += g.a_strides[4]
        b += g.b_strides[4]
        condition += g.condition_strides[4]
        dst += g.dst_strides[4]
        truth += g.dst_strides[4]


cdef void run(const Args* g, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil:
    cdef Py_ssize_t M = g.dims[4], L = g.dims[5]
    cdef Py_ssize_t ROW_GROUPS = (M + g.rows - 1) // g.rows, CHUNKS = (L + g.chunk - 1) // g.chunk
    cdef Py_ssize_t items = g.dims[0] * g.dims[1] * g.dims[2] * g.dims[3] * ROW_GROUPS * CHUNKS, item, rest, axis, i, m, n
    cdef Place p
    for item in range(share(items, piece, pieces), share(items, piece + 1, pieces)):
        n = item % CHUNKS * g.chunk
        rest = item // CHUNKS
        m = rest % ROW_GROUPS * g.rows
        rest = rest // ROW_GROUPS
        p.dst = m * g.dst_strides[4] + n
        p.condition = m * g.condition_strides[4] + n * g.condition_strides[5]
        p.a = m * g.a_strides[4] + n * g.a_strides[5]
        p.b = m * g.b_strides[4] + n * g.b_strides[5]
        for axis in range(3, -1, -1):
            i = rest % g.dims[axis]
            rest = rest // g.dims[axis]
            p.dst += i * g.dst_strides[axis]
            p.condition += i * g.condition_strides[axis]
            p.a += i * g.a_strides[axis]
            p.b += i * g.b_strides[axis]
        m = min(M - m, g.rows)
        n = min(L - n, g.chunk)
        if g.type == UINT8:
            lines(g, bases, p, <uint8_t*> NULL, m, n)
        elif g.type == UINT16:
            lines(g, bases, p, <uint16_t*> NULL, m, n)
        elif g.type == INT32:
            lines(g, bases, p, <int32_t*> NULL, m, n)
        elif g.type == INT64:
            lines(g, bases, p, <int64_t*> NULL, m, n)
        else:
            lines(g, bases, p, <float*> NULL, m, n)


include "step.pxi"
