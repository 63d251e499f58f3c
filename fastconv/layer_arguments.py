"""Arguments of single layers, checked: arrays of floats, and numbers of pixels."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from .errors import InputError
from .graph import shape_text


def float_array(name: str, value: Any, axes: str) -> np.ndarray:
    """An array of floats with as many axes as `axes` names."""
    array, rank = np.asarray(value), axes.count(",") + 1
    if array.ndim != rank or array.dtype.kind != "f":
        raise InputError(f"{name}: expected floats [{axes}], got {array.dtype} {shape_text(array.shape)}")
    return array


def int_tuple(name: str, value: Any, least: int, counts: tuple[int, ...]) -> tuple[int, ...]:
    """One int or several, as many as `counts` allows, each at least `least`."""
    try:
        ints = tuple(map(operator.index, value)) if isinstance(value, Sequence | np.ndarray) else (operator.index(value),)
    except TypeError:
        ints = ()
    if len(ints) not in counts or min(ints) < least:
        raise InputError(f"{name}: expected {' or '.join(map(str, counts))} ints of at least {least}, got {value!r}")
    return ints


def int_pair(name: str, value: Any) -> tuple[int, int]:
    """(vertical, horizontal) from one int or two."""
    ints = int_tuple(name, value, 1, (1, 2))
    return ints[0], ints[-1]


def padding_sides(value: Any) -> tuple[int, int, int, int]:
    """(top, left, bottom, right) from one int, two or four."""
    ints = int_tuple("padding", value, 0, (1, 2, 4))
    top, left, bottom, right = ints * (4 // len(ints))
    return top, left, bottom, right


__all__ = ["float_array", "int_pair", "int_tuple", "padding_sides"]
