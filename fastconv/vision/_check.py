"""Checks of the arguments of this package's functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from ..graph import shape_text


def kind(given: Any) -> str:
    """An argument in a few words, for messages."""
    if isinstance(given, np.ndarray):
        return f"{given.dtype} {shape_text(given.shape)}"
    return f"{type(given).__name__} {given!r:.60}"


def as_picture(name: str, given: Any) -> np.ndarray:
    """`given`, if it is a picture: uint8, H×W×3, not empty."""
    if not isinstance(given, np.ndarray) or given.dtype != np.uint8 or given.ndim != 3 or given.shape[2] != 3 or not given.size:
        raise InputError(f"{name}: expected a picture, uint8 H×W×3 (RGB), got {kind(given)}")
    return given


def as_numbers(name: str, given: Any, *dims: int | str) -> np.ndarray:
    """Finite floats of the shape `dims`, in which a name is any size: a float array as it is, anything else as float64.

    An empty list is an array without rows; "..." as the first of `dims` means any leading dimensions.
    """
    expected = f"{name}: expected numbers of {shape_text(dims)}"
    try:
        array = np.asarray(given)
    except ValueError:  # a ragged list
        raise InputError(f"{expected}, got {kind(given)}") from None
    if array.shape == (0,) and dims[0] != "...":
        array = array.reshape(0, *(d if isinstance(d, int) else 0 for d in dims[1:]))
    wanted = dims[1:] if dims[0] == "..." else dims
    shape = array.shape[-len(wanted) :] if dims[0] == "..." else array.shape
    fits = len(shape) == len(wanted) and all(d == n for d, n in zip(wanted, shape, strict=True) if isinstance(d, int))
    if array.dtype.kind not in "fiub" or not fits:
        raise InputError(f"{expected}, got {kind(given)}")
    if array.dtype.kind != "f":
        return array.astype(np.float64)
    if not np.isfinite(array).all():
        raise InputError(f"{name}: has values that are not finite")
    return array


def as_size(name: str, given: Any) -> tuple[int, int]:
    """(height, width) from an int or a pair."""
    pair = given if isinstance(given, Sequence) else (given, given)
    if len(pair) != 2 or not all(_counts(n) for n in pair):
        raise InputError(f"{name}: expected a number of pixels or (height, width), got {kind(given)}")
    return int(pair[0]), int(pair[1])


def as_count(name: str, given: Any) -> int:
    """An int of at least 1."""
    if not _counts(given):
        raise InputError(f"{name}: expected a whole number of at least 1, got {kind(given)}")
    return int(given)


def _counts(n: Any) -> bool:
    return isinstance(n, int | np.integer) and not isinstance(n, bool) and bool(n >= 1)
