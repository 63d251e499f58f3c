"""Functions of one or two tensors, element by element, with an activation in the store: dst = act(op(a, b)).

Operands have strides along six axes, so that layouts and broadcasting are strides: blocked tensors, planes, a value for each
channel (stride 0 over the pixels), a scalar. Along the last axis the stride of dst is 1, those of a and b are 1 or 0.
Parallel over items of `rows` x `chunk` elements of the last two axes. An item is small enough for L1: an activation other than a
clip is applied in a second sweep over it, as its code is too large to be repeated for every function.
"""

from libc.math cimport INFINITY
from libc.stdint cimport int64_t

from activation cimport Activation, activate, clip, sigmoid
from constants cimport AXES, CLIP
from simd cimport V, load, load_part, store, store_part, vabs, vbroadcast, vcopysign, vexp, vf, vless, vmaxnan, vmin, vminnan, vsqrt
from step cimport at, share

# what `function` may be: functions of two operands, then of one
cpdef enum:
    ADD
    SUB
    MUL
    DIV
    MIN
    MAX
    PRELU
    COPY
    ABS
    NEG
    RECIPROCAL
    SQRT
    EXP
    ERF
    GELU
    GELU_TANH
    MISH

cdef struct Args:
    int64_t dst
    int64_t a
    int64_t b
    int function
    Py_ssize_t rows  # of an item
    Py_ssize_t chunk  # elements of each row of an item
    Py_ssize_t dims[AXES]
    # strides in floats
    Py_ssize_t dst_strides[AXES]
    Py_ssize_t a_strides[AXES]
    Py_ssize_t b_strides[AXES]
    Activation act


# 1 - erf(z) for z >= 0, with an error below 2e-7 of itself (Press et al., Numerical Recipes, 2nd edition, section 6.2).
cdef inline vf erfc(vf z) noexcept nogil:
    cdef float c0 = -1.26551223, c1 = 1.00002368, c2 = 0.37409196, c3 = 0.09678418, c4 = -0.18628806, c5 = 0.27886807
    cdef float c6 = -1.13520398, c7 = 1.48851587, c8 = -0.82215223, c9 = 0.17087277, one = 1.0, half = 0.5
    cdef vf t = vbroadcast(one) / (half * z + one)
    cdef vf p = ((((((((c9 * t + c8) * t + c7) * t + c6) * t + c5) * t + c4) * t + c3) * t + c2) * t + c1) * t + c0
    return t * vexp(p - z * z)


# By its series near 0, where 1 - erfc would cancel.
cdef inline vf erf(vf x) noexcept nogil:
    cdef float c0 = 1.12837917, c1 = -0.376126389, c2 = 0.112837917, c3 = -0.0268661706, c4 = 5.22397763e-3, c5 = -8.54832702e-4
    cdef float one = 1.0, small = 0.5
    cdef vf s = x * x
    cdef vf near = (((((c5 * s + c4) * s + c3) * s + c2) * s + c1) * s + c0) * x
    return vless(vabs(x), vbroadcast(small), near, vcopysign(one - erfc(vabs(x)), x))


# x (1 + erf(x / sqrt(2))) / 2, by erfc so that nothing cancels where x is far below 0
cdef inline vf gelu(vf x) noexcept nogil:
    cdef float half = 0.5, root = 0.707106781
    cdef vf tail = half * vmin(vbroadcast(<float> 20.0), x) * erfc(vabs(x) * root)  # 0 for +inf
    return vless(vbroadcast(0), x, x - tail, tail)


cdef inline vf gelu_tanh(vf x) noexcept nogil:
    cdef float a = 1.59576912, b = 0.0713548162  # twice sqrt(2 / pi), and 0.044715 times that
    return x * sigmoid(x * (b * (x * x) + a))


# x tanh(ln(1 + e^x)) = x n / (n + 2) for n = e^x (e^x + 2), which is infinite before e^x is
cdef inline vf mish(vf x) noexcept nogil:
    cdef float two = 2.0, most = 30.0
    cdef vf e = vexp(vmin(vbroadcast(most), x))
    cdef vf n = e * (e + two)
    return x * (n / (n + two))


cdef inline vf apply(const int F, vf x, vf y) noexcept nogil:
    if F == ADD:
        return x + y
    if F == SUB:
        return x - y
    if F == MUL:
        return x * y
    if F == DIV:
        return x / y
    if F == MIN:
        return vminnan(x, y)
    if F == MAX:
        return vmaxnan(x, y)
    if F == PRELU:
        return vless(x, vbroadcast(0), y * x, x)
    if F == ABS:
        return vabs(x)
    if F == NEG:
        return -x
    if F == RECIPROCAL:
        return vbroadcast(1) / x
    if F == SQRT:
        return vsqrt(x)
    if F == EXP:
        return vexp(x)
    if F == ERF:
        return erf(x)
    if F == GELU:
        return gelu(x)
    if F == GELU_TANH:
        return gelu_tanh(x)
    if F == MISH:
        return mish(x)
    return x


# n elements. With A (B), a (b) is one value for all of them.
cdef inline void line(const int F, const bint A, const bint B, const float* a, const float* b, float* dst, Py_ssize_t n,
                      float low, float high) noexcept nogil:
    cdef Py_ssize_t i = 0
    cdef vf x = vbroadcast(a[0]), y = vbroadcast(b[0])
    while i + V <= n:
        if not A:
            x = load(a + i)
        if not B:
            y = load(b + i)
        store(dst + i, clip(apply(F, x, y), low, high))
        i += V
    if i < n:
        if not A:
            x = load_part(a + i, n - i, 1.0)
        if not B:
            y = load_part(b + i, n - i, 1.0)
        store_part(dst + i, clip(apply(F, x, y), low, high), n - i)


cdef inline void lines(const int F, const bint A, const bint B, const float* a, const float* b, float* dst, const Args* g,
                       Py_ssize_t m, Py_ssize_t n, float low, float high) noexcept nogil:
    cdef Py_ssize_t i, a_stride = g.a_strides[4], b_stride = g.b_strides[4], stride = g.dst_strides[4]
    if n == V:  # the pixels of a blocked tensor
        for i in range(m):
            line(F, A, B, a + i * a_stride, b + i * b_stride, dst + i * stride, V, low, high)
    else:
        for i in range(m):
            line(F, A, B, a + i * a_stride, b + i * b_stride, dst + i * stride, n, low, high)


cdef inline void binary(const int F, const float* a, const float* b, float* dst, const Args* g, Py_ssize_t m, Py_ssize_t n,
                        float low, float high) noexcept nogil:
    if g.a_strides[5] == 0:
        lines(F, True, False, a, b, dst, g, m, n, low, high)
    elif g.b_strides[5] == 0:
        lines(F, False, True, a, b, dst, g, m, n, low, high)
    else:
        lines(F, False, False, a, b, dst, g, m, n, low, high)


# The activation of m rows of n elements. src may be dst.
cdef void activate_rows(const float* src, Py_ssize_t stride, float* dst, const Args* g, Py_ssize_t m,
                        Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t k
    cdef int kind = g.act.kind
    cdef float p = g.act.a, q = g.act.b, r = g.act.c
    for _ in range(m):
        k = 0
        while k + V <= n:
            store(dst + k, activate(load(src + k), kind, p, q, r))
            k += V
        if k < n:
            store_part(dst + k, activate(load_part(src + k, n - k, 1.0), kind, p, q, r), n - k)
        src += stride
        dst += g.dst_strides[4]


cdef void sweep(const float* a, const float* b, float* dst, const Args* g, Py_ssize_t m, Py_ssize_t n) noexcept nogil:
    cdef float low = g.act.a, high = g.act.b
    if g.act.kind != CLIP:
        if g.function == COPY:
            activate_rows(a, g.a_strides[4], dst, g, m, n)
            return
        low = -INFINITY
        high = INFINITY
    if g.function == ADD:
        binary(ADD, a, b, dst, g, m, n, low, high)
    elif g.function == SUB:
        binary(SUB, a, b, dst, g, m, n, low, high)
    elif g.function == MUL:
        binary(MUL, a, b, dst, g, m, n, low, high)
    elif g.function == DIV:
        binary(DIV, a, b, dst, g, m, n, low, high)
    elif g.function == MIN:
        binary(MIN, a, b, dst, g, m, n, low, high)
    elif g.function == MAX:
        binary(MAX, a, b, dst, g, m, n, low, high)
    elif g.function == PRELU:
        binary(PRELU, a, b, dst, g, m, n, low, high)
    elif g.function == ABS:
        lines(ABS, False, True, a, b, dst, g, m, n, low, high)
    elif g.function == NEG:
        lines(NEG, False, True, a, b, dst, g, m, n, low, high)
    elif g.function == RECIPROCAL:
        lines(RECIPROCAL, False, True, a, b, dst, g, m, n, low, high)
    elif g.function == SQRT:
        lines(SQRT, False, True, a, b, dst, g, m, n, low, high)
    elif g.function == EXP:
        lines(EXP, False, True, a, b, dst, g, m, n, low, high)
    elif g.function == ERF:
        lines(ERF, False, True, a, b, dst, g, m, n, low, high)
    elif g.function == GELU:
        lines(GELU, False, True, a, b, dst, g, m, n, low, high)
    elif g.function == GELU_TANH:
        lines(GELU_TANH, False, True, a, b, dst, g, m, n, low, high)
    elif g.function == MISH:
        lines(MISH, False, True, a, b, dst, g, m, n, low, high)
    else:
        lines(COPY, False, True, a, b, dst, g, m, n, low, high)
    if g.act.kind != CLIP:
        activate_rows(dst, g.dst_strides[4], dst, g, m, n)


cdef void run(const Args* g, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil:
    cdef Py_ssize_t M = g.dims[4], L = g.dims[5]
    cdef Py_ssize_t ROW_GROUPS = (M + g.rows - 1) // g.rows, CHUNKS = (L + g.chunk - 1) // g.chunk
    cdef Py_ssize_t items = g.dims[0] * g.dims[1] * g.dims[2] * g.dims[3] * ROW_GROUPS * CHUNKS, item, rest, axis, i, m, n
    cdef const float* a
    cdef const float* b
    cdef float* dst
    for item in range(share(items, piece, pieces), share(items, piece + 1, pieces)):
        n = item % CHUNKS * g.chunk
        rest = item // CHUNKS
        m = rest % ROW_GROUPS * g.rows
        rest = rest // ROW_GROUPS
        a = at(bases, g.a) + m * g.a_strides[4] + n * g.a_strides[5]
        b = at(bases, g.b) + m * g.b_strides[4] + n * g.b_strides[5]
        dst = at(bases, g.dst) + m * g.dst_strides[4] + n
        for axis in range(3, -1, -1):
            i = rest % g.dims[axis]
            rest = rest // g.dims[axis]
            a += i * g.a_strides[axis]
            b += i * g.b_strides[axis]
            dst += i * g.dst_strides[axis]
        sweep(a, b, dst, g, min(M - m, g.rows), min(L - n, g.chunk))


include "step.pxi"
