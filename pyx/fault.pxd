# Faults: a kernel cannot raise, so it reports a value that it cannot compute with, as an index out of range or a divisor of 0.
#
# `fault` is the address of an int64, one for each step that can report. It is 0 when a run begins. The kernel stores the value, or
# 1 in place of 0, and goes on with a value that it can compute with. When the steps have run, the plan reads it and raises.

from libc.stdint cimport int64_t

from step cimport at

cdef extern from *:
    """
    static inline void store_fault(void* at, int64_t value) { __atomic_store_n((int64_t*)at, value, __ATOMIC_RELAXED); }
    """
    void store_fault(void* at, int64_t value) nogil


cdef inline void report(char** bases, int64_t fault, int64_t value) noexcept nogil:
    store_fault(at(bases, fault), value if value else 1)
