# Items of strided arrangements of AXES axes: `rows` x `chunk` elements of the last two of them.

from constants cimport AXES

# An item: the index of its first element along each axis, and its own size.
cdef struct Item:
    Py_ssize_t index[AXES]
    Py_ssize_t rows
    Py_ssize_t chunk


cdef inline Py_ssize_t item_count(const Py_ssize_t* dims, Py_ssize_t rows, Py_ssize_t chunk) noexcept nogil:
    cdef Py_ssize_t count = (dims[AXES - 2] + rows - 1) // rows * ((dims[AXES - 1] + chunk - 1) // chunk), axis
    for axis in range(AXES - 2):
        count *= dims[axis]
    return count


cdef inline Item item_at(const Py_ssize_t* dims, Py_ssize_t rows, Py_ssize_t chunk, Py_ssize_t item) noexcept nogil:
    cdef Py_ssize_t M = dims[AXES - 2], L = dims[AXES - 1], rest = item, axis
    cdef Py_ssize_t ROW_GROUPS = (M + rows - 1) // rows, CHUNKS = (L + chunk - 1) // chunk
    cdef Item own
    own.index[AXES - 1] = rest % CHUNKS * chunk
    rest = rest // CHUNKS
    own.index[AXES - 2] = rest % ROW_GROUPS * rows
    rest = rest // ROW_GROUPS
    for axis in range(AXES - 3, -1, -1):
        own.index[axis] = rest % dims[axis]
        rest = rest // dims[axis]
    own.rows = min(M - own.index[AXES - 2], rows)
    own.chunk = min(L - own.index[AXES - 1], chunk)
    return own


# The first element of an item of an operand with these strides.
cdef inline Py_ssize_t place(const Item* item, const Py_ssize_t* strides) noexcept nogil:
    cdef Py_ssize_t offset = 0, axis
    for axis in range(AXES):
        offset += item.index[axis] * strides[axis]
    return offset
