# Included by every kernel: `step`, by which Python makes steps of its function `run` and its struct `Args`.

from step cimport Run


def step(dict fields):
    """(address of the kernel, bytes of its arguments); see step.pxd."""
    cdef Args args = fields
    return <size_t> <Run> &run, (<char*> &args)[:sizeof(Args)]
