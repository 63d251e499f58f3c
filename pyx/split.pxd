# Pixels in register tiles of nearly equal size: a small last tile would read all weights for few products.

cdef struct Split:
    Py_ssize_t count  # of tiles: as few as hold the pixels
    Py_ssize_t least  # pixels of a tile
    Py_ssize_t longer  # tiles, the first ones, that have one pixel more


# `n` pixels, at least one, in tiles of at most `most`.
cdef inline Split split(Py_ssize_t n, Py_ssize_t most) noexcept nogil:
    cdef Split s
    s.count = (n + most - 1) // most
    s.least = n // s.count
    s.longer = n % s.count
    return s


# The pixels of tile i.
cdef inline int size_of(const Split* s, Py_ssize_t i) noexcept nogil:
    return <int> s.least + (i < s.longer)


# The tiles from tile i on that have as many pixels as it.
cdef inline Py_ssize_t like(const Split* s, Py_ssize_t i) noexcept nogil:
    return (s.longer if i < s.longer else s.count) - i
