# Where a tensor lies, in the arguments of a step: the twin of View in fastconv/plan/view.py.

from libc.stdint cimport int64_t

from step cimport at

cdef struct View:
    int64_t address  # of the first element, see step.pxd
    # strides in elements
    Py_ssize_t n  # from one image to the next
    Py_ssize_t c  # from one block of channels to the next; in a planar or row-major tensor, from one channel to the next
    Py_ssize_t d  # from one plane of a volume to the next
    Py_ssize_t h  # from one row to the next
    Py_ssize_t w  # from one pixel to the next


# The first channel of block c at a pixel of an image of floats.
cdef inline float* pixel(char** bases, const View* v, Py_ssize_t n, Py_ssize_t c, Py_ssize_t h, Py_ssize_t w) noexcept nogil:
    return at(bases, v.address) + n * v.n + c * v.c + h * v.h + w * v.w
