# Gives a kernel's steps to the executor, in a module that has `run` and its arguments `Args`.

from step cimport Run


def step(dict fields):
    """(address of the kernel, bytes of its arguments); see step.pxd."""
    cdef Args args = fields
    return <size_t> <Run> &run, (<char*> &args)[:sizeof(Args)]
