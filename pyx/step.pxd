# A step of a plan, as the executor sees it: a function and its arguments, settled at bind time.
#
# `run(args, bases, piece, pieces, thread)` computes one piece of a step. A kernel with scratch memory takes that of `thread`. No
# output depends on the number of pieces, nor on which thread computes which. `args` is the kernel's own struct. An operand in it is
# an address, `base << OFFSET_BITS | byte offset`, where `base` is an index of the table `bases` of the run: base 0 is memory address
# 0 (so that the address of a packed weight is that in memory), then come the arena, the faults (fault.pxd), the inputs and the
# outputs. So no run writes to the plan, and any number of threads may run it at once, each with an arena of its own.
#
# Each kernel module has `step(fields) -> (address of run, bytes of the struct)`, by step.pxi: Cython fills the struct from the dict
# by name.

from libc.stdint cimport int64_t

from constants cimport OFFSET_BITS

ctypedef void (*Run)(const void* args, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil


cdef inline float* at(char** bases, int64_t address) noexcept nogil:
    return <float*> (bases[address >> OFFSET_BITS] + (address & ((<int64_t> 1 << OFFSET_BITS) - 1)))


# The first of the items of `piece`, of n in all. Its last one is that before the first of piece + 1.
cdef inline Py_ssize_t share(Py_ssize_t n, Py_ssize_t piece, Py_ssize_t pieces) noexcept nogil:
    return n * piece // pieces
