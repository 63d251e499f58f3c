"""What a network's outputs say: scores, boxes, peaks and distances. Only NumPy is needed.

A box is x1, y1, x2, y2 in pixels from the picture's left upper corner, a box over the whole picture being 0, 0, W, H.
Of things that score the same, the one that comes first stays first.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError
from ..functional import max_pool2d
from ._check import as_count, as_numbers


def softmax(logits: Any) -> np.ndarray:
    """Probabilities along the last axis: positive, with a sum of 1.

    >>> softmax([0.0, 0.0])
    array([0.5, 0.5])
    """
    x = as_numbers("logits", logits, "...", "classes")
    e = np.exp(x - x.max(axis=-1, keepdims=True, initial=-np.inf))
    return e / e.sum(axis=-1, keepdims=True)


def top_k(scores: Any, k: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """The k best along the last axis: (their indices, their scores), each of ...×k, best first; all, if there are fewer.

    >>> indices, best = top_k([0.1, 0.7, 0.2], 2)
    >>> indices
    array([1, 2])
    """
    x = as_numbers("scores", scores, "...", "classes")
    indices = np.argsort(-x, axis=-1, kind="stable")[..., : as_count("k", k)]
    return indices, np.take_along_axis(x, indices, axis=-1)


def iou(a: Any, b: Any) -> np.ndarray:
    """Intersection over union of every box of `a` (n×4) with every one of `b` (m×4): n×m, from 0 to 1.

    >>> iou([[0, 0, 2, 2]], [[1, 0, 3, 2], [5, 5, 6, 6]])
    array([[0.33333333, 0.        ]])
    """
    a, b = as_numbers("a", a, "n", 4)[:, None], as_numbers("b", b, "m", 4)[None]
    common = _area(np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:]))
    union = _area(a[..., :2], a[..., 2:]) + _area(b[..., :2], b[..., 2:]) - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def _area(corner: np.ndarray, opposite: np.ndarray) -> np.ndarray:
    """0 for a box turned inside out."""
    return np.maximum(opposite - corner, 0).prod(axis=-1)


def nms(boxes: Any, scores: Any, threshold: float = 0.5, classes: Any = None) -> np.ndarray:
    """Non-maximum suppression: indices of the boxes to keep, best first.

    boxes: n×4; scores: n; threshold: a box goes if its IoU with a better one that stays is larger; classes: n numbers or
    names, a box then goes only for a better one of its own class.

    >>> boxes = [[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10]]
    >>> nms(boxes, [0.8, 0.9, 0.7])
    array([1, 2])
    """
    boxes = as_numbers("boxes", boxes, "n", 4)
    order = np.argsort(-as_numbers("scores", scores, len(boxes)), kind="stable")
    labels = np.zeros(len(boxes)) if classes is None else np.asarray(classes)
    if labels.shape != (len(boxes),):
        raise InputError(f"classes: expected one for each of {len(boxes)} boxes, got {labels.shape}")
    keep = []
    while order.size:
        best, order = order[0], order[1:]
        keep.append(best)
        same = labels[order] == labels[best]
        order = order[~same | (iou(boxes[best, None], boxes[order])[0] <= threshold)]
    return np.array(keep, np.intp)


class Peaks(NamedTuple):
    """Peaks of a heatmap, best first: where they are (ints) and their scores (float32), arrays of one length."""

    channels: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    scores: np.ndarray


def peaks(heatmap: Any, threshold: float, k: int = 100) -> Peaks:
    """The at most k best cells of a heatmap (C×H×W) that reach the threshold and that no cell of the 8 around them exceeds.

    A plateau's cells are all peaks. Each channel is on its own.

    >>> heat = np.zeros((1, 5, 5), np.float32)
    >>> heat[0, 1, 3] = 0.9
    >>> peaks(heat, 0.5).rows, peaks(heat, 0.5).columns
    (array([1]), array([3]))
    """
    heat = as_numbers("heatmap", heatmap, "C", "H", "W").astype(np.float32)
    highest = max_pool2d(heat[None], 3, stride=1, padding=1)[0] if heat.size else heat
    where = np.nonzero((heat == highest) & (heat >= threshold))
    best, scores = top_k(heat[where], k)
    channels, rows, columns = (index[best] for index in where)
    return Peaks(channels, rows, columns, scores)


def cosine(a: Any, b: Any) -> np.ndarray:
    """Cosine of the angle between every row of `a` (n×d) and every row of `b` (m×d): n×m, 1 for the same direction.

    A row of zeros has no direction: its cosines are 0.
    """
    a = as_numbers("a", a, "n", "d")
    b = as_numbers("b", b, "m", a.shape[1])
    a, b = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), np.finfo(x.dtype).tiny) for x in (a, b))
    return a @ b.T


def nearest(queries: Any, gallery: Any, k: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """The k rows of the gallery (m×d) nearest to each query (n×d) by cosine: (indices, cosines), each n×k, nearest first.

    >>> indices, cosines = nearest([[2.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]], k=1)
    >>> indices, cosines
    (array([[1]]), array([[1.]]))
    """
    return top_k(cosine(queries, gallery), k)
