"""Packs weights of int8 and uint8 in the order in which the register tile reads them (pyx/tile_int8.pxd, pyx/tile_amx.pxd).

src = [row][place]: a row has the weights of an output channel, with any strides. The value of a weight is its byte less the row's
zero point. A value that int8 cannot hold is the sum of several parts.
dst = one panel: [group][vector][lane][GROUP], see pyx/dot.pxd for the three forms; lanes without a row are 0.

A table says which weight is in each byte of the groups (`places`, counted from `first` of the row), and which part of its value
(`parts`). A place outside the row gives 0.
"""

from libc.stdint cimport int8_t, int16_t, int32_t, uint8_t

cdef enum:
    GROUP = 4
    SEGMENT_GROUPS = 16  # groups that AMX reads together

# how the weights of a panel are stored
cpdef enum:
    BYTES
    WORDS
    TILES

cdef struct Rows:
    const uint8_t* src
    const int16_t* zero  # for each row
    const int32_t* first  # for each row
    const int32_t* places
    const uint8_t* parts
    Py_ssize_t rows
    Py_ssize_t K  # weights of a row
    Py_ssize_t groups
    # strides in bytes
    Py_ssize_t row
    Py_ssize_t k


# What byte i of the groups is for a row. If SIGNED, the bytes are int8; if PLAIN, all parts are the first, and rows begin with 0.
cdef inline int weight(const bint SIGNED, const bint PLAIN, const Rows* p, Py_ssize_t row, Py_ssize_t i) noexcept nogil:
    cdef Py_ssize_t place = p.places[i] - (0 if PLAIN else p.first[row])
    cdef int w
    if place < 0 or place >= p.K:
        return 0
    w = <int> p.src[row * p.row + place * p.k]
    if SIGNED:
        w = <int8_t> w
    w -= p.zero[row]
    if not PLAIN:
        w = w - min(w, 127 * p.parts[i]) if w > 0 else w - max(w, -128 * p.parts[i])
    return min(max(w, -128), 127)


cdef inline void pack_panel(const bint SIGNED, const bint PLAIN, const Rows* p, int form, Py_ssize_t V, Py_ssize_t vectors,
                            void* dst) noexcept nogil:
    cdef Py_ssize_t group, row, lane, vector, at, j
    cdef int w
    for group in range(p.groups):
        for vector in range(vectors):
            at = group * vectors + vector
            if form == TILES:
                at = (group // SEGMENT_GROUPS * vectors + vector) * SEGMENT_GROUPS + group % SEGMENT_GROUPS
            at *= V * GROUP
            for lane in range(V):
                row = vector * V + lane
                for j in range(GROUP):
                    w = weight(SIGNED, PLAIN, p, row, group * GROUP + j) if row < p.rows else 0
                    if form == WORDS:
                        (<int16_t*> dst)[at + (j % 2 * V + lane) * 2 + j // 2] = w
                    else:
                        (<int8_t*> dst)[at + lane * GROUP + j] = w


cdef inline bint pairs_are_small(const bint SIGNED, const bint PLAIN, const Rows* p) noexcept nogil:
    cdef Py_ssize_t row, i
    cdef int a, b
    for row in range(p.rows):
        for i in range(0, p.groups * GROUP, 2):
            a = weight(SIGNED, PLAIN, p, row, i)
            b = weight(SIGNED, PLAIN, p, row, i + 1)
            if abs(a) + abs(b) > 128:
                return False
    return True


cdef Rows rows_of(const uint8_t[:, :] src, const int16_t[::1] zero, const int32_t[::1] first, const int32_t[::1] places,
                  const uint8_t[::1] parts):
    cdef Rows p
    if zero.shape[0] != src.shape[0] or first.shape[0] != src.shape[0]:
        raise ValueError("zero and first: expected one for each row")
    if parts.shape[0] != places.shape[0] or places.shape[0] % GROUP:
        raise ValueError("places and parts: expected as many of both, in whole groups")
    p.rows, p.K, p.groups = src.shape[0], src.shape[1], places.shape[0] // GROUP
    p.row, p.k = src.strides[0], src.strides[1]
    if p.rows and p.groups:
        p.zero, p.first, p.places, p.parts = &zero[0], &first[0], &places[0], &parts[0]
        p.src = &src[0, 0] if p.K else NULL
    else:
        p.rows = p.groups = 0
    return p


cdef bint is_plain(const int32_t[::1] first, const uint8_t[::1] parts) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(first.shape[0]):
        if first[i]:
            return False
    for i in range(parts.shape[0]):
        if parts[i]:
            return False
    return True


def pack(const uint8_t[:, :] src, bint signed, const int16_t[::1] zero, const int32_t[::1] first, const int32_t[::1] places,
         const uint8_t[::1] parts, int form, Py_ssize_t V, Py_ssize_t vectors, int8_t[::1] dst):
    """Pack the rows of a panel.

    src: rows × K; signed: whether its bytes are int8; zero, first: for each row; places, parts: the table; form: BYTES, WORDS or
    TILES; V: lanes of a vector; vectors: of the panel; dst: the bytes of the panel.
    """
    cdef Rows p = rows_of(src, zero, first, places, parts)
    cdef Py_ssize_t groups = places.shape[0] // GROUP
    cdef bint plain = is_plain(first, parts)
    if src.shape[0] > vectors * V or dst.shape[0] != groups * GROUP * vectors * V * (2 if form == WORDS else 1):
        raise ValueError("dst: expected the bytes of a panel that has all rows")
    if form == TILES and groups % SEGMENT_GROUPS:
        raise ValueError("places: expected whole segments")
    if not groups:
        return
    if not p.groups:
        dst[:] = 0
        return
    with nogil:
        if signed and plain:
            pack_panel(True, True, &p, form, V, vectors, &dst[0])
        elif signed:
            pack_panel(True, False, &p, form, V, vectors, &dst[0])
        else:
            pack_panel(False, False, &p, form, V, vectors, &dst[0])


def are_small(const uint8_t[:, :] src, bint signed, const int16_t[::1] zero, const int32_t[::1] first, const int32_t[::1] places,
              const uint8_t[::1] parts):
    """Whether no two neighbouring bytes of a group can pass 16 bits when they are multiplied with bytes, see pyx/dot.pxd."""
    cdef Rows p = rows_of(src, zero, first, places, parts)
    cdef bint plain = is_plain(first, parts), small
    with nogil:
        if signed and plain:
            small = pairs_are_small(True, True, &p)
        elif signed:
            small = pairs_are_small(True, False, &p)
        else:
            small = pairs_are_small(False, False, &p)
    return small
