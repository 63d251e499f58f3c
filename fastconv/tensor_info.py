"""TensorInfo: the name, shape and dtype of a model's input or output."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from .dtypes import type_name
from .errors import printable
from .graph import Shape, Value, shape_text


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a model.

    Parameters
    ----------
    name : str
        Its name.
    shape : tuple of int, str or None, or None
        Its sizes: an int, a symbol such as "N", or None for a size that the file does not state. None if the rank is unknown.
    dtype : numpy.dtype
        The type of its elements.

    Examples
    --------
    >>> import fastconv
    >>> print(fastconv.load(fastconv.data.DIGITS).inputs[0])
    image N×1×8×8 float32
    """

    name: str
    shape: Shape
    dtype: np.dtype

    def __str__(self) -> str:
        return f"{printable(self.name):.200} {shape_text(self.shape)} {type_name(self.dtype)}"


def info_of(value: Value) -> TensorInfo:
    """The TensorInfo of a graph's input or output; float32 where the file states no dtype."""
    return TensorInfo(value.name, value.shape, np.dtype(value.dtype or np.float32))


def quoted_names(tensors: Iterable[TensorInfo | Value]) -> str:
    """The names as messages list them: 'image', 'mask'."""
    return ", ".join(repr(t.name) for t in tensors)


__all__ = ["TensorInfo", "info_of", "quoted_names"]
