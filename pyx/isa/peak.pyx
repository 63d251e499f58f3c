"""The most that the machine can do: multiply-adds from registers, and floats read from memory.

The benchmarks divide by these figures (bench/peak.py), so the loops do nothing else. Each runs on one thread and releases the GIL,
so that Python threads can run them side by side.
"""

from simd cimport V, load, vbroadcast, vf

# Sums in flight: a multiply-add takes 4 or 5 cycles and two start in each, four on some arm64. On x86 without FMA it is a copy,
# a multiplication and an addition, as in the kernels.
cdef extern from *:
    """
    #define SUMS (REGS == 32 ? 16 : 12)
    """
    enum: SUMS

cpdef enum:
    STREAMS = 6  # parts of memory that are read at once
    LINE = 16  # floats of a cache line


cdef inline float total(vf* acc) noexcept nogil:
    cdef vf s = acc[0]
    cdef int i
    cdef float y = 0
    for i in range(1, SUMS):
        s = s + acc[i]
    for i in range(V):
        y += (<float*> &s)[i]
    return y


def fma(Py_ssize_t loops):
    """Run `loops` times SUMS multiply-adds of whole vectors in registers; returns the floating point operations."""
    cdef vf acc[SUMS]
    cdef vf tiny = vbroadcast(<float> 1e-9)  # 1 + 1e-9 rounds to 1: the sums stay where they are, and normal numbers
    cdef Py_ssize_t _
    cdef int i
    cdef float y
    with nogil:
        for i in range(SUMS):
            acc[i] = vbroadcast(<float> (loops + i))
        for _ in range(loops):
            for i in range(SUMS):
                acc[i] = acc[i] + acc[i] * tiny  # one instruction on every ISA that has it: both sources are the target
        y = total(acc)
    return 2 * SUMS * V * loops if y > 0 else 0  # always: but the compiler cannot know, and keeps the loop


def read(size_t address, Py_ssize_t count):
    """The sum of the `count` floats at `address`, up to the last whole line of each of STREAMS equal parts.

    All parts are read at once: one stream alone keeps too few lines on their way, whatever is prefetched.
    """
    cdef Py_ssize_t lines = count // (STREAMS * LINE), i
    cdef const float* src = <const float*> address
    cdef vf acc[SUMS]
    cdef int s, v
    cdef float y
    with nogil:
        for s in range(SUMS):
            acc[s] = vbroadcast(0)
        for i in range(lines):
            for s in range(STREAMS):
                for v in range(LINE // V):
                    acc[s] = acc[s] + load(src + (s * lines + i) * LINE + v * V)
        y = total(acc)
    return y
