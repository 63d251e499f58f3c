# What a step of a plan is to the executor: a function and its arguments, settled at bind time.
#
# `run(args, bases, piece, pieces, thread)` computes one piece of a step; where a kernel needs scratch memory, `thread` says whose.
# No output depends on how many pieces there are, nor on who computes which. `args` is the kernel's own struct; an operand
# in it is an address, `base << 48 | byte offset`, in the table `bases` of the call: base 0 is address 0 (so that a packed weight's
# address is that in memory), then come the arena, the faults (fault.pxd), the inputs and the outputs. So a plan is never written
# to, and any number of threads may run it at once, each with an arena of its own.
#
# Each kernel module has `step(fields) -> (address of run, bytes of the struct)`: Cython fills the struct from the dict by name.

from libc.stdint cimport int64_t

ctypedef void (*Run)(const void* args, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil


cdef inline float* at(char** bases, int64_t address) noexcept nogil:
    return <float*> (bases[address >> 48] + (address & ((<int64_t> 1 << 48) - 1)))


# The first of n items that belong to `piece`; its last is before the first of piece + 1.
cdef inline Py_ssize_t share(Py_ssize_t n, Py_ssize_t piece, Py_ssize_t pieces) noexcept nogil:
    return n * piece // pieces
