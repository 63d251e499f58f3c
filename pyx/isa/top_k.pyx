"""The K largest or smallest elements along the middle one of three axes, outer, D, inner, in their order, and their indices.

Of equal elements the one with the lowest index comes first; NaN counts as the largest. A heap holds the best K elements so far. Its
root is the worst of them: most elements are only compared with it. If K is 1, vectors hold neighbours on the inner axis, and their
indices as floats.
Parallel over rows, or groups of such neighbours.
"""

from libc.stdint cimport int64_t

from simd cimport V, load, store, vbroadcast, vf, vless
from step cimport at, share

cdef enum:
    VECTORS = 4  # that go side by side: whole cache lines
    EXACT = 1 << 24  # smaller integers are exact as floats

cdef struct Entry:
    float value
    int64_t index

cdef struct Args:
    int64_t src
    int64_t dst  # outer, K, inner; address 0: not wanted
    int64_t indices  # int64, likewise
    int64_t heaps  # scratch memory: K entries for each thread
    Py_ssize_t outer
    Py_ssize_t D
    Py_ssize_t inner
    Py_ssize_t K
    bint largest  # otherwise the smallest


# Whether x comes before an equal or lower y, not looking at indices.
cdef inline bint beats(const bint LARGEST, float x, float y) noexcept nogil:
    if LARGEST:
        return x > y or (x != x and y == y)
    return x < y or (x == x and y != y)


# Whether a comes after b.
cdef inline bint after(const bint LARGEST, Entry a, Entry b) noexcept nogil:
    return beats(LARGEST, b.value, a.value) or (not beats(LARGEST, a.value, b.value) and b.index < a.index)


# Replace the root of a heap of `count` entries.
cdef inline void replace_root(const bint LARGEST, Entry* heap, Py_ssize_t count, Entry entry) noexcept nogil:
    cdef Py_ssize_t i = 0, child = 1
    while child < count:
        if child + 1 < count and after(LARGEST, heap[child + 1], heap[child]):
            child += 1
        if not after(LARGEST, heap[child], entry):
            break
        heap[i] = heap[child]
        i = child
        child = 2 * i + 1
    heap[i] = entry


# Add an entry to a heap of `count` others.
cdef inline void append(const bint LARGEST, Entry* heap, Py_ssize_t count, Entry entry) noexcept nogil:
    cdef Py_ssize_t i = count, parent
    while i > 0:
        parent = (i - 1) // 2
        if not after(LARGEST, entry, heap[parent]):
            break
        heap[i] = heap[parent]
        i = parent
    heap[i] = entry


cdef inline void row(const bint LARGEST, const Args* a, const float* src, Entry* heap, float* dst, int64_t* indices) noexcept nogil:
    cdef Py_ssize_t i, k
    cdef Entry entry
    for i in range(a.K):
        entry.value = src[i * a.inner]
        entry.index = i
        append(LARGEST, heap, i, entry)
    for i in range(a.K, a.D):  # a later element comes after its equals
        entry.value = src[i * a.inner]
        if beats(LARGEST, entry.value, heap[0].value):
            entry.index = i
            replace_root(LARGEST, heap, a.K, entry)
    for k in range(a.K - 1, -1, -1):
        entry = heap[0]
        if dst != NULL:
            dst[k * a.inner] = entry.value
        if indices != NULL:
            indices[k * a.inner] = entry.index
        replace_root(LARGEST, heap, k, heap[k])


# K = 1 for COUNT vectors of neighbouring rows. False, with nothing written, if one has a NaN or an infinity.
cdef inline bint columns(const bint LARGEST, const int COUNT, const Args* a, const float* src, float* dst,
                         int64_t* indices) noexcept nogil:
    cdef Py_ssize_t i
    cdef int c, lane
    cdef vf best[VECTORS]
    cdef vf place[VECTORS]
    cdef vf finite = vbroadcast(0), x, index
    for c in range(COUNT):
        best[c] = load(src + c * V)
        place[c] = vbroadcast(0)
        finite = finite + (best[c] - best[c])
    for i in range(1, a.D):
        index = vbroadcast(<float> i)
        for c in range(COUNT):
            x = load(src + i * a.inner + c * V)
            finite = finite + (x - x)
            if LARGEST:
                place[c] = vless(best[c], x, index, place[c])
                best[c] = vless(best[c], x, x, best[c])
            else:
                place[c] = vless(x, best[c], index, place[c])
                best[c] = vless(x, best[c], x, best[c])
    for lane in range(V):
        if (<float*> &finite)[lane] != 0:
            return False
    for c in range(COUNT):
        if dst != NULL:
            store(dst + c * V, best[c])
        if indices != NULL:
            for lane in range(V):
                indices[c * V + lane] = <int64_t> (<float*> &place[c])[lane]
    return True


# `width` rows that are neighbours on the inner axis.
cdef inline void neighbours(const bint LARGEST, const Args* a, const float* src, Py_ssize_t width, Entry* heap, float* dst,
                            int64_t* indices) noexcept nogil:
    cdef Py_ssize_t n = 0, done
    while n < width:
        if width - n >= VECTORS * V and columns(LARGEST, VECTORS, a, src, dst, indices):
            done = VECTORS * V
        elif width - n >= V and columns(LARGEST, 1, a, src, dst, indices):
            done = V
        else:
            row(LARGEST, a, src, heap, dst, indices)
            done = 1
        n += done
        src += done
        if dst != NULL:
            dst += done
        if indices != NULL:
            indices += done


cdef void run(const Args* a, char** bases, Py_ssize_t piece, Py_ssize_t pieces, Py_ssize_t thread) noexcept nogil:
    cdef Py_ssize_t GROUP = VECTORS * V if a.K == 1 and a.D < EXACT else 1
    cdef Py_ssize_t BLOCKS = (a.inner + GROUP - 1) // GROUP, item, outer, inner, to, width
    cdef Entry* heap = (<Entry*> at(bases, a.heaps)) + thread * a.K
    cdef const float* src
    cdef float* dst = NULL
    cdef int64_t* indices = NULL
    for item in range(share(a.outer * BLOCKS, piece, pieces), share(a.outer * BLOCKS, piece + 1, pieces)):
        outer = item // BLOCKS
        inner = item % BLOCKS * GROUP
        width = min(a.inner - inner, GROUP)
        src = at(bases, a.src) + outer * a.D * a.inner + inner
        to = outer * a.K * a.inner + inner
        if a.dst:
            dst = at(bases, a.dst) + to
        if a.indices:
            indices = (<int64_t*> at(bases, a.indices)) + to
        if a.largest:
            neighbours(True, a, src, width, heap, dst, indices)
        else:
            neighbours(False, a, src, width, heap, dst, indices)


def entry_bytes():
    """The bytes of an entry of a heap."""
    return sizeof(Entry)


include "step.pxi"
