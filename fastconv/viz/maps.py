"""Activation maps as pictures, by NumPy alone: the choice of channels, the colours, the grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..vision._check import as_count, kind

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

#: 16 colours of viridis, by Smith and van der Walt, at even distances; the others lie between them
VIRIDIS = np.array(
    [
        (68, 1, 84), (72, 26, 108), (71, 47, 125), (65, 68, 135), (57, 86, 140), (49, 104, 142),
        (42, 120, 142), (35, 136, 142), (31, 152, 139), (34, 168, 132), (53, 183, 121), (84, 197, 104),
        (122, 209, 81), (165, 219, 54), (210, 226, 27), (253, 231, 37),
    ],
    np.float64,
)  # fmt: skip
#: white pixels between maps
GAP = 2


def colours(values: ArrayLike) -> np.ndarray:
    """Numbers as the colours of viridis, from dark blue for the least to yellow for the largest.

    Parameters
    ----------
    values : array_like
        Any shape. A number that is not finite becomes white.

    Returns
    -------
    numpy.ndarray
        uint8, of the shape and 3.

    Raises
    ------
    InputError
        If these are no numbers.

    Examples
    --------
    >>> from fastconv import viz
    >>> viz.maps.colours([0.0, 0.5, 1.0]).tolist()
    [[68, 1, 84], [33, 144, 140], [253, 231, 37]]
    """
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise InputError(f"values: expected numbers, got {kind(values)}")
    finite = np.isfinite(array)
    least, most = (array[finite].min(), array[finite].max()) if finite.any() else (0, 0)
    share = (np.where(finite, array, least) - np.float64(least)) / (np.float64(most) - least or 1)
    places = np.linspace(0, 1, len(VIRIDIS))
    out = np.stack([np.interp(share, places, c) for c in VIRIDIS.T], axis=-1)
    painted: np.ndarray = np.where(finite[..., None], np.rint(out), 255).astype(np.uint8)
    return painted


def strongest(activation: np.ndarray, count: int = 16) -> list[int]:
    """The channels with the most contrast, strongest first: by the standard deviation of their maps, of equal ones the first.

    The mean would choose maps that are the same all over the picture.

    Parameters
    ----------
    activation : numpy.ndarray
        C×H×W.
    count : int
        How many, at most.

    Returns
    -------
    list of int
        Indices of channels.

    Raises
    ------
    InputError
        If an argument does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import viz
    >>> viz.maps.strongest(np.float32([[[1, 2]], [[9, 9]], [[3, 5]]]), 2)
    [2, 0]
    """
    contrast = np.nan_to_num(_planes(activation).std(axis=(1, 2), dtype=np.float64))
    return [int(c) for c in np.argsort(-contrast, kind="stable")[: as_count("count", count)]]


def grid(activation: np.ndarray, columns: int = 4, channels: Sequence[int] | None = None, size: int = 64) -> np.ndarray:
    """One picture of the maps of some channels, row by row, each in colours from its least to its largest number.

    Parameters
    ----------
    activation : numpy.ndarray
        C×H×W: one image's.
    columns : int
        How many maps in a row.
    channels : sequence of int, optional
        The channels to show, in order; default: the sixteen `strongest`.
    size : int
        Smaller maps are magnified, by a whole number, to at least so many pixels along the longer side.

    Returns
    -------
    numpy.ndarray
        uint8, H×W×3.

    Raises
    ------
    InputError
        If an argument does not fit.

    Examples
    --------
    >>> import fastconv, numpy as np
    >>> from fastconv import viz
    >>> model = fastconv.load(fastconv.data.DIGITS)
    >>> relu1 = model.run(np.zeros((1, 1, 8, 8), np.float32), outputs="relu1")[0]
    >>> viz.maps.grid(relu1[0], columns=8).shape
    (130, 526, 3)
    """
    planes = _planes(activation)
    shown = strongest(planes) if channels is None else list(channels)
    if not shown or not all(-len(planes) <= c < len(planes) for c in shown):
        raise InputError(f"channels: expected indices below {len(planes)}, got {kind(channels)}")
    return mosaic([colours(planes[c]) for c in shown], as_count("columns", columns), as_count("size", size))


def mosaic(pictures: Sequence[np.ndarray], columns: int, size: int = 64) -> np.ndarray:
    """Pictures of one size, row by row, magnified as in `grid`."""
    zoom = -(-size // max(pictures[0].shape[:2]))
    h, w = (d * zoom for d in pictures[0].shape[:2])
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    out = np.full((rows * (h + GAP) - GAP, columns * (w + GAP) - GAP, 3), 255, np.uint8)
    for i, picture in enumerate(pictures):
        y, x = i // columns * (h + GAP), i % columns * (w + GAP)
        out[y : y + h, x : x + w] = picture.repeat(zoom, axis=0).repeat(zoom, axis=1)
    return out


def _planes(activation: np.ndarray) -> np.ndarray:
    array = np.asarray(activation)
    if array.ndim != 3 or array.dtype.kind not in "fiub" or not array.size:
        raise InputError(f"activation: expected numbers of C×H×W, one image's, got {kind(activation)}")
    return array


__all__ = ["colours", "grid", "strongest"]
