# How a kernel, which cannot raise, reports a value that it cannot compute with: an index out of range, a divisor of 0.
#
# `fault` is the address of an int64 that is 0 when a run begins, one for each step that may report. The kernel writes the value,
# or 1 in place of 0, and goes on with one that it can compute with. The plan looks once the steps have run, and raises.

from libc.stdint cimport int64_t

from step cimport at

cdef extern from *:
    """
    static inline void store_fault(void* at, int64_t value) { __atomic_store_n((int64_t*)at, value, __ATOMIC_RELAXED); }
    """
    void store_fault(void* at, int64_t value) nogil


cdef inline void report(char** bases, int64_t fault, int64_t value) noexcept nogil:
    store_fault(at(bases, fault), value if value else 1)
