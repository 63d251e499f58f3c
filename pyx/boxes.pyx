"""Non-maximum suppression: of the boxes of a class that overlap, keep the one with the highest score.

The number of boxes that are kept is known only at run time: this is no step of a plan, but a function that is called between steps.
"""

import numpy as np

from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc, qsort

cdef struct Candidate:
    float score
    int64_t box


# An order for qsort: the highest score first, of equal ones the first box, NaN last.
cdef int order(const void* first, const void* second) noexcept nogil:
    cdef const Candidate* a = <const Candidate*> first
    cdef const Candidate* b = <const Candidate*> second
    if a.score > b.score or (a.score == a.score and b.score != b.score):
        return -1
    if b.score > a.score or (b.score == b.score and a.score != a.score):
        return 1
    return -1 if a.box < b.box else 1


# Whether the intersection of two boxes is more than `allowed` of their union; corners as in `suppress`.
cdef inline bint overlap(const float* a, const float* b, float allowed) noexcept nogil:
    cdef float height = min(a[2], b[2]) - max(a[0], b[0]), width = min(a[3], b[3]) - max(a[1], b[1])
    cdef float shared, covered
    if not (height > 0 and width > 0):
        return 0 > allowed
    shared = height * width
    covered = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return (shared / covered if shared > 0 and covered > 0 else 0) > allowed


# Write the boxes of one class that are kept, at most `limit`, to `rows` as (image, class, box), and return their number.
cdef Py_ssize_t suppress_class(const float* corners, const float* scores, Py_ssize_t B, Py_ssize_t limit, float allowed, bint every,
                               float least, Candidate* candidates, int64_t image, int64_t label, int64_t* rows) noexcept nogil:
    cdef Py_ssize_t count = 0, kept = 0, i, k
    for i in range(B):
        if every or scores[i] > least:
            candidates[count].score = scores[i]
            candidates[count].box = i
            count += 1
    qsort(candidates, count, sizeof(Candidate), order)
    for i in range(count):
        if kept == limit:
            break
        for k in range(kept):
            if overlap(corners + 4 * candidates[i].box, corners + 4 * rows[3 * k + 2], allowed):
                break
        else:
            rows[3 * kept] = image
            rows[3 * kept + 1] = label
            rows[3 * kept + 2] = candidates[i].box
            kept += 1
    return kept


def suppress(const float[:, :, ::1] corners, const float[:, :, ::1] scores, Py_ssize_t limit, float allowed, least=None):
    """Rows (image, class, box) of the boxes that are kept, class by class, at most `limit` each, the highest score first.

    corners is N B 4, each box's lower corner and its upper one, and scores N C B, of which only those above `least` count."""
    cdef Py_ssize_t N = scores.shape[0], C = scores.shape[1], B = scores.shape[2], count = 0, n, c
    cdef bint every = least is None
    cdef float bound = 0 if least is None else least
    if corners.shape[0] != N or corners.shape[1] != B or corners.shape[2] != 4:
        raise ValueError("corners and scores do not belong together")
    limit = max(min(limit, B), 0)
    rows = np.empty((N * C * limit, 3), np.int64)
    if not rows.size:
        return rows
    cdef int64_t[:, ::1] out = rows
    cdef Candidate* candidates = <Candidate*> malloc(B * sizeof(Candidate))
    if candidates == NULL:
        raise MemoryError
    with nogil:
        for n in range(N):
            for c in range(C):
                count += suppress_class(&corners[n, 0, 0], &scores[n, c, 0], B, limit, allowed, every, bound, candidates, n, c,
                                        &out[count, 0])
    free(candidates)
    return rows[:count].copy()
