"""NonMaxSuppression: of overlapping boxes, the one with the highest score. Their number is known at run time only."""

from __future__ import annotations

import numpy as np

from .. import _boxes
from ..graph import Value
from .base import Array, Inferred, Op, Results
from .dims import check, check_rank, unify


class NonMaxSuppression(Op):
    """inputs: boxes N B 4, scores N C B, the most boxes of a class, the allowed overlap, the score to exceed.

    The result has a row (image, class, box) for each box that is kept.
    """

    arity = (2, 5)

    #: 0: boxes are two corners (y x y x); 1: a centre with width and height (x y w h)
    center_point_box: int = 0

    def __post_init__(self) -> None:
        check(self.center_point_box in (0, 1), f"center_point_box: expected 0 or 1, got {self.center_point_box}")

    def infer(self, boxes: Value, scores: Value, *options: Value | None) -> Inferred:
        check_rank(boxes, "boxes", 3)
        check_rank(scores, "scores", 3)
        if boxes.shape is not None:
            unify(4, boxes.shape[2], "boxes: size of the last axis")
            if scores.shape is not None:
                unify(boxes.shape[0], scores.shape[0], "scores: images")
                unify(boxes.shape[1], scores.shape[2], "scores: boxes")
        return [((None, 3), np.dtype(np.int64))]

    def reference(self, boxes: Array, scores: Array, *options: Array | None) -> Results:
        limit, threshold, least = self.options(*options)
        low, high = self.corners(boxes)
        chosen = []
        for n, c in np.ndindex(*scores.shape[:2]):
            kept: list[int] = []
            for b in np.argsort(-scores[n, c], kind="stable"):
                good = least is None or scores[n, c, b] > least
                if good and len(kept) < limit and not any(_overlap(low[n], high[n], b, k) > threshold for k in kept):
                    kept.append(b)
            chosen += [(n, c, b) for b in kept]
        return np.array(chosen, np.int64).reshape(-1, 3)

    def compute(self, boxes: Array, scores: Array, *options: Array | None) -> Results:
        if boxes.dtype != np.float32 or scores.dtype != np.float32:
            return self.reference(boxes, scores, *options)
        corners = np.concatenate(self.corners(boxes), axis=-1)
        return _boxes.suppress(corners, np.ascontiguousarray(scores), *self.options(*options))

    def options(self, *inputs: Array | None) -> tuple[int, float, float | None]:
        """The most boxes of a class, the allowed overlap, and the score to exceed or None."""
        given = (*inputs, None, None, None)[:3]
        most, overlap, least = (None if v is None or v.size == 0 else v.reshape(-1)[0] for v in given)
        return 0 if most is None else int(most), 0.0 if overlap is None else overlap, least

    def corners(self, boxes: Array) -> tuple[Array, Array]:
        """The lower and the upper corner of each box."""
        if self.center_point_box:
            centre, half = boxes[..., :2], boxes[..., 2:] / 2
            return centre - half, centre + half
        a, b = boxes[..., :2], boxes[..., 2:]
        return np.minimum(a, b), np.maximum(a, b)


def _overlap(low: Array, high: Array, a: int, b: int) -> float:
    """Intersection over union of the boxes a and b."""
    shared = np.prod(np.maximum(np.minimum(high[a], high[b]) - np.maximum(low[a], low[b]), 0))
    covered = np.prod(high[a] - low[a]) + np.prod(high[b] - low[b]) - shared
    return float(shared / covered) if shared > 0 and covered > 0 else 0.0
