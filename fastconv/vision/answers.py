"""Postprocessing of outputs: scores, boxes, peaks and distances. Only NumPy is needed.

A box is x1, y1, x2, y2 in pixels from the picture's left upper corner, a box over the whole picture being 0, 0, W, H.
Among equal scores, the first stays first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..errors import InputError
from ..functional import max_pool2d
from ._check import as_count, as_numbers

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def softmax(logits: ArrayLike) -> np.ndarray:
    """Probabilities along the last axis: positive, with a sum of 1.

    Parameters
    ----------
    logits : array_like
        ...×classes, finite.

    Returns
    -------
    numpy.ndarray
        Of the same shape; float64 if `logits` are no floats.

    Raises
    ------
    InputError
        If an argument does not fit.

    Examples
    --------
    >>> from fastconv import vision
    >>> vision.softmax([0.0, 0.0])
    array([0.5, 0.5])
    """
    x = as_numbers("logits", logits, "...", "classes")
    e: np.ndarray = np.exp(x - x.max(axis=-1, keepdims=True, initial=-np.inf))
    e /= e.sum(axis=-1, keepdims=True)
    return e


def top_k(scores: ArrayLike, k: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """The k best along the last axis.

    Parameters
    ----------
    scores : array_like
        ...×classes, finite.
    k : int
        How many; all, if there are fewer.

    Returns
    -------
    tuple of numpy.ndarray
        Their indices and their scores, each ...×k, best first.

    Raises
    ------
    InputError
        If an argument does not fit.

    Examples
    --------
    >>> from fastconv import vision
    >>> indices, best = vision.top_k([0.1, 0.7, 0.2], 2)
    >>> indices
    array([1, 2])
    """
    x = as_numbers("scores", scores, "...", "classes")
    indices = np.argsort(-x, axis=-1, kind="stable")[..., : as_count("k", k)]
    return indices, np.take_along_axis(x, indices, axis=-1)


def iou(a: ArrayLike, b: ArrayLike) -> np.ndarray:
    """Intersection over union (the Jaccard index) of every box with every other.

    Parameters
    ----------
    a, b : array_like
        Boxes, n×4 and m×4.

    Returns
    -------
    numpy.ndarray
        n×m, from 0 to 1.

    Raises
    ------
    InputError
        If an argument does not fit.

    Examples
    --------
    >>> from fastconv import vision
    >>> vision.iou([[0, 0, 2, 2]], [[1, 0, 3, 2], [5, 5, 6, 6]])
    array([[0.33333333, 0.        ]])
    """
    a, b = as_numbers("a", a, "n", 4)[:, None], as_numbers("b", b, "m", 4)[None]
    common = _area(np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:]))
    union = _area(a[..., :2], a[..., 2:]) + _area(b[..., :2], b[..., 2:]) - common
    ratio = np.zeros_like(common)
    np.divide(common, union, out=ratio, where=union > 0)
    return ratio


def _area(corner: np.ndarray, opposite: np.ndarray) -> np.ndarray:
    """0 for a box turned inside out."""
    area: np.ndarray = np.maximum(opposite - corner, 0).prod(axis=-1)
    return area


def nms(boxes: ArrayLike, scores: ArrayLike, threshold: float = 0.5, classes: ArrayLike | None = None) -> np.ndarray:
    """Non-maximum suppression: which boxes to keep, by the greedy rule of ONNX's NonMaxSuppression.

    Parameters
    ----------
    boxes : array_like
        n×4.
    scores : array_like
        n.
    threshold : float
        A box goes if its IoU with a better one that stays is larger.
    classes : array_like, optional
        n numbers or names: a box then goes only for a better one of its own class.

    Returns
    -------
    numpy.ndarray
        Indices of the boxes to keep, best first.

    Raises
    ------
    InputError
        If an argument does not fit.

    Examples
    --------
    >>> from fastconv import vision
    >>> boxes = [[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10]]
    >>> vision.nms(boxes, [0.8, 0.9, 0.7])
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
    """Peaks of a heatmap, best first: arrays of one length.

    Parameters
    ----------
    channels, rows, columns : numpy.ndarray
        Their positions, ints.
    scores : numpy.ndarray
        Their scores, float32.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import vision
    >>> channels, rows, columns, scores = vision.peaks(np.eye(3)[None], 0.5)
    >>> rows
    array([0, 1, 2])
    """

    channels: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    scores: np.ndarray


def peaks(heatmap: ArrayLike, threshold: float, k: int = 100) -> Peaks:
    """The best cells of a heatmap, of those that no cell of the 8 around them exceeds.

    A plateau's cells are all peaks. Each channel is on its own. This takes the place of `nms` in CenterNet (arXiv:1904.07850).

    Parameters
    ----------
    heatmap : array_like
        C×H×W, finite.
    threshold : float
        The least that a peak scores.
    k : int
        The most peaks, of all channels together.

    Returns
    -------
    Peaks
        Their positions and scores.

    Raises
    ------
    InputError
        If an argument does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import vision
    >>> heat = np.zeros((1, 5, 5), np.float32)
    >>> heat[0, 1, 3] = 0.9
    >>> vision.peaks(heat, 0.5).rows, vision.peaks(heat, 0.5).columns
    (array([1]), array([3]))
    """
    heat = as_numbers("heatmap", heatmap, "C", "H", "W").astype(np.float32)
    highest = max_pool2d(heat[None], 3, stride=1, padding=1)[0] if heat.size else heat
    where = np.nonzero((heat == highest) & (heat >= threshold))
    best, scores = top_k(heat[where], k)
    channels, rows, columns = (index[best] for index in where)
    return Peaks(channels, rows, columns, scores)


def cosine(a: ArrayLike, b: ArrayLike) -> np.ndarray:
    """Cosine of the angle between every row of one matrix and every row of another.

    A row of zeros has no direction: its cosines are 0.

    Parameters
    ----------
    a, b : array_like
        n×d and m×d.

    Returns
    -------
    numpy.ndarray
        n×m, 1 for the same direction.

    Raises
    ------
    InputError
        If an argument does not fit.

    Examples
    --------
    >>> from fastconv import vision
    >>> vision.cosine([[2.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]])
    array([[0., 1.]])
    """
    a = as_numbers("a", a, "n", "d")
    b = as_numbers("b", b, "m", a.shape[1])
    x, y = (v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), np.finfo(v.dtype).tiny) for v in (a, b))
    cosines: np.ndarray = x @ y.T
    return cosines


def nearest(queries: ArrayLike, gallery: ArrayLike, k: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """The rows of a gallery nearest to each query, by cosine.

    Parameters
    ----------
    queries : array_like
        n×d.
    gallery : array_like
        m×d.
    k : int
        How many for each query; all, if there are fewer.

    Returns
    -------
    tuple of numpy.ndarray
        Indices and cosines, each n×k, nearest first.

    Raises
    ------
    InputError
        If an argument does not fit.

    Examples
    --------
    >>> from fastconv import vision
    >>> indices, cosines = vision.nearest([[2.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]], k=1)
    >>> indices, cosines
    (array([[1]]), array([[1.]]))
    """
    return top_k(cosine(queries, gallery), k)
