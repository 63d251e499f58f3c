# The activations other than CLIP, which a kernel applies to outputs that it has just stored and that are still in L1. They are not
# inlined: their code is too large to be in every tile, and would take registers from it.

from activation cimport Activation, activate
from constants cimport CLIP, ELU, FAKE_QUANTIZE, HARD_SIGMOID, HARD_SWISH, LEAKY_RELU, SIGMOID, SILU, SOFTPLUS, TANH
from simd cimport V, load, noinline, store


cdef inline void activate_vectors(const int kind, const Activation* act, float* p, Py_ssize_t count) noexcept nogil:
    cdef float a = act.a, b = act.b, c = act.c
    cdef Py_ssize_t i
    for i in range(count):
        store(p + i * V, activate(load(p + i * V), kind, a, b, c))


# Each kind is a literal: its loop has no branch, and its constants stay in registers.
cdef noinline activate_late(const Activation* act, float* p, Py_ssize_t count) noexcept nogil:
    if act.kind == SILU: activate_vectors(SILU, act, p, count)
    elif act.kind == SIGMOID: activate_vectors(SIGMOID, act, p, count)
    elif act.kind == HARD_SWISH: activate_vectors(HARD_SWISH, act, p, count)
    elif act.kind == HARD_SIGMOID: activate_vectors(HARD_SIGMOID, act, p, count)
    elif act.kind == LEAKY_RELU: activate_vectors(LEAKY_RELU, act, p, count)
    elif act.kind == ELU: activate_vectors(ELU, act, p, count)
    elif act.kind == TANH: activate_vectors(TANH, act, p, count)
    elif act.kind == SOFTPLUS: activate_vectors(SOFTPLUS, act, p, count)
    elif act.kind == FAKE_QUANTIZE: activate_vectors(FAKE_QUANTIZE, act, p, count)
    return 0


# Apply the activation to `count` vectors at p, unless it is CLIP, which the store has applied.
cdef inline void finish(const Activation* act, float* p, Py_ssize_t count) noexcept nogil:
    if act.kind != CLIP:
        activate_late(act, p, count)
