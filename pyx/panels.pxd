# Panels: the blocks of V output channels that go through the register tile together, and whose weights are packed together. A panel
# has two blocks; an odd number of blocks ends in a panel of three, or is a single panel of one.

from constants cimport WIDEST_PANEL


# The number of panels of OCB blocks.
cdef inline Py_ssize_t panels(Py_ssize_t OCB) noexcept nogil:
    return OCB // 2 if OCB > 1 else 1


# The blocks of the panel that begins at `block`.
cdef inline int width_of(Py_ssize_t OCB, Py_ssize_t block) noexcept nogil:
    return <int> (OCB - block) if OCB - block <= WIDEST_PANEL else 2
