"""Weights: constants that are not in memory until they are needed.

A network's weights are needed once, when they are packed for the kernels. Until then a large constant of a graph stays in its
file, with the scaling that passes fold into it; afterwards memory holds only the packed weights.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any

import numpy as np

from .graph import shape_text


class Weights:
    """A constant whose values are read or computed when they are needed.

    `w[a:b]` loads rows a to b, `np.asarray(w)` all of them, and so does any function of NumPy. Immutable: any number of threads
    may read it. Packing takes float32; Widened converts other dtypes.
    """

    def __init__(self, shape: tuple[int, ...], dtype: Any = np.float32):
        self.shape = shape
        self.dtype: np.dtype = np.dtype(dtype)

    def rows(self, begin: int, end: int) -> np.ndarray:
        """The rows from `begin` to before `end` along the first axis, as an array that may be written to."""
        raise NotImplementedError

    @property
    def key(self) -> Hashable:
        """A value that is equal for Weights with equal values, as long as they live."""
        raise NotImplementedError

    @property
    def columns_of(self) -> Weights | None:
        """The matrix whose columns are these rows, if it is faster to read by its own rows."""
        return None

    @property
    def exact_dtype(self) -> np.dtype:
        """The narrowest dtype that is known to hold the values exactly."""
        return self.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The bytes of the array."""
        return self.size * self.dtype.itemsize

    @property
    def T(self) -> Weights:
        """The transpose of a matrix."""
        return Transposed(self)

    def reshape(self, *shape: Any) -> np.ndarray | Weights:
        """The same values in another shape: Weights if the number of rows stays, else the loaded array."""
        new = np.broadcast_to(np.float32(0), self.shape).reshape(*shape).shape
        return Reshaped(self, new) if new[:1] == self.shape[:1] else np.asarray(self).reshape(new)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        if not isinstance(rows, slice) or rows.step not in (None, 1):
            raise TypeError(f"expected a slice of rows, w[a:b], got {rows!r}")
        begin, end, _ = rows.indices(len(self))
        return self.rows(begin, max(begin, end))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.rows(0, len(self)).astype(dtype or self.dtype, copy=False)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {shape_text(self.shape)}>"


class Scaled(Weights):
    """Weights times one factor for each index of an axis, each product rounded once from float64."""

    def __init__(self, source: np.ndarray | Weights, scale: np.ndarray, axis: int):
        super().__init__(source.shape)
        self.source: np.ndarray | Weights = source
        self.scale: np.ndarray = np.ascontiguousarray(scale, np.float64)
        self.axis: int = axis
        if isinstance(source, Scaled) and source.axis == axis:
            self.source, self.scale = source.source, source.scale * self.scale

    def rows(self, begin: int, end: int) -> np.ndarray:
        """The source's rows, scaled."""
        scale = self.scale[begin:end] if self.axis == 0 else self.scale
        scaled: np.ndarray = self.source[begin:end] * scale.reshape(-1, *(1,) * (self.ndim - 1 - self.axis))
        return scaled.astype(np.float32)

    @property
    def key(self) -> Hashable:
        """The source's key and the factors."""
        return key_of(self.source), self.axis, self.scale.tobytes()


class Widened(Weights):
    """Floats of 16 bits as float32."""

    def __init__(self, source: np.ndarray | Weights):
        super().__init__(source.shape)
        self.source: np.ndarray | Weights = source

    @property
    def exact_dtype(self) -> np.dtype:
        """The source's dtype."""
        return self.source.dtype

    def rows(self, begin: int, end: int) -> np.ndarray:
        """The source's rows, converted."""
        return self.source[begin:end].astype(np.float32)

    @property
    def key(self) -> Hashable:
        """The source's key."""
        return "widened", key_of(self.source)


class Transposed(Weights):
    """A matrix transposed."""

    def __init__(self, source: Weights):
        super().__init__(source.shape[::-1], source.dtype)
        self.source = source

    @property
    def exact_dtype(self) -> np.dtype:
        """The source's."""
        return self.source.exact_dtype

    def rows(self, begin: int, end: int) -> np.ndarray:
        """The source's columns, which takes all of its rows."""
        return np.asarray(self.source)[:, begin:end].T.copy()

    @property
    def columns_of(self) -> Weights:
        """The source: reading these rows one by one would read all of it each time."""
        return self.source

    @property
    def key(self) -> Hashable:
        """The source's key."""
        return "transposed", self.source.key


class Reshaped(Weights):
    """Weights with other axes after the first."""

    def __init__(self, source: Weights, shape: tuple[int, ...]):
        super().__init__(shape, source.dtype)
        self.source = source

    @property
    def exact_dtype(self) -> np.dtype:
        """The source's."""
        return self.source.exact_dtype

    def rows(self, begin: int, end: int) -> np.ndarray:
        """The source's rows."""
        return self.source.rows(begin, end).reshape(end - begin, *self.shape[1:])

    @property
    def columns_of(self) -> Weights | None:
        """The source's, if the new axes have one element."""
        return self.source.columns_of if self.shape[:2] == self.source.shape else None

    @property
    def key(self) -> Hashable:
        """The source's key and the shape."""
        return self.shape, self.source.key


def key_of(array: np.ndarray | Weights | None) -> Hashable:
    """A value that identifies a constant, as long as it lives."""
    if isinstance(array, Weights):
        return array.key
    return None if array is None else (array.__array_interface__["data"][0], array.shape, array.strides)
