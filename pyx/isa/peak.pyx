"""The most that the machine can do: multiply-adds from registers, and floats read from memory.

fastconv/peak.py runs both as steps of a plan. A piece does its share of `loops` times SUMS multiply-adds of whole vectors, then
reads its share of the `lines` groups of cache lines at src. dst has three doubles for each piece: the seconds at which it began
and ended, and the sum of all that it computed and read, so that the compiler keeps the loops.
"""

from libc.stdint cimport int64_t
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from simd cimport V, load, vbroadcast, vf
from step cimport at, share

# Sums in flight: a multiply-add takes 4 or 5 cycles and two start in each, four on some arm64. On x86 without FMA it is a copy,
# a multiplication and an addition, as in the kernels.
cdef extern from *:
    """
    #define SUMS (REGS == 32 ? 16 : 12)
    """
    enum: SUMS

cdef enum:
    # parts of memory that are read at once: one alone keeps too few lines on their way, whatever is prefetched
    STREAMS = 6
    LINE = 16  # floats of a cache line

cdef struct Args:
    Py_ssize_t loops
    int64_t src
    Py_ssize_t lines  # in each of the STREAMS that src is cut into
    int64_t dst


cdef inline float total(vf* acc) noexcept nogil:
    cdef vf s = acc[0]
    cdef int i
    cdef float y = 0
    for i in range(1, SUMS):
        s = s + acc[i]
    for i in range(V):
        y += (<float*> &s)[i]
    return y


cdef float multiply_add(Py_ssize_t loops) noexcept nogil:
    cdef vf acc[SUMS]
    cdef vf tiny = vbroadcast(<float> 1e-9)  # 1 + 1e-9 rounds to 1: the sums stay where they are, and normal numbers
    cdef Py_ssize_t _
    cdef int i
    for i in range(SUMS):
        acc[i] = vbroadcast(<float> (loops * i))  # all different, or the compiler keeps one of them
    for _ in range(loops):
        for i in range(SUMS):
            acc[i] = acc[i] + acc[i] * tiny  # one instruction on every ISA that has it: both sources are the target
    return total(acc)


cdef float read(const float* src, Py_ssize_t lines) noexcept nogil:
    cdef vf acc[SUMS]
    cdef Py_ssize_t i
    cdef int s, v
    for s in range(SUMS):
        acc[s] = vbroadcast(0)
    for i in range(lines):
        for s in range(STREAMS):
            for v in range(LINE // V):
                acc[s] = acc[s] + load(src + (s * lines + i) * LINE + v * V)
    return total(acc)


cdef inline double now() noexcept nogil:
    cdef timespec t
    clock_gettime(CLOCK_MONOTONIC, &t)
    return t.tv_sec + 1e-9 * t.tv_nsec


cdef void run(const Args* a, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil:
    cdef Py_ssize_t begin = share(a.lines, piece, pieces), end = share(a.lines, piece + 1, pieces)
    cdef double* dst = <double*> at(bases, a.dst) + 3 * piece
    dst[0] = now()
    dst[2] = read(at(bases, a.src) + begin * STREAMS * LINE, end - begin)
    dst[2] += multiply_add(share(a.loops, piece + 1, pieces) - share(a.loops, piece, pieces))
    dst[1] = now()


def flops(Py_ssize_t loops):
    """The floating point operations of a step; a multiply-add is two."""
    return 2 * SUMS * V * loops


def group_floats():
    """The floats of which `lines` counts groups."""
    return STREAMS * LINE


include "step.pxi"
