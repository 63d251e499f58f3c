"""Arguments of public functions that several of them check."""

from __future__ import annotations

import operator
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from .errors import InputError


def whole_number(name: str, value: Any, least: int = 0) -> int:
    """An int, also one of NumPy's; InputError, with the argument's name, if it is none or is less than `least`."""
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or number < least:
        raise InputError(f"{name}: expected an int of {least} or more, got {value!r:.60}")
    return number


def one_of(name: str, value: Any, known: Sequence[str]) -> None:
    """InputError, with the argument's name, for a value that is none of the known ones."""
    if value not in known:
        raise InputError(f"{name}: expected {' or '.join(map(repr, known))}, got {value!r:.60}")


def file_path(name: str, value: Any) -> str:
    """A path as text; InputError, with the argument's name, for what no file can have as its path."""
    try:
        path = os.fsdecode(value)
        fits = b"\0" not in os.fsencode(path)
    except (TypeError, UnicodeEncodeError):
        fits = False
    if not fits:
        raise InputError(f"{name}: expected a path, got {value!r:.60}")
    return path


def is_masked(array: np.ndarray) -> bool:
    """Whether it is a masked array, whose hidden elements would count; to name the class would import numpy.ma."""
    return hasattr(array, "filled")


__all__ = ["file_path", "is_masked", "one_of", "whole_number"]
