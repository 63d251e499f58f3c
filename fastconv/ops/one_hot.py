"""OneHot: along a new axis of size depth, the on value at the index and the off value elsewhere."""

from __future__ import annotations

import numpy as np

from ..graph import Value, shape_text
from .base import Array, Inferred, Op, Results
from .dims import axis_index, check


class OneHot(Op):
    """inputs: indices, depth, and the values (off, on). An index out of range has off values only."""

    arity = (3, 3)
    control_inputs = (1,)

    axis: int = -1

    def infer(self, indices: Value, depth: Value, values: Value) -> Inferred:
        check(
            values.shape is None or values.shape in ((2,), (None,)),
            f"values: expected 2 elements, got shape {shape_text(values.shape)}",
        )
        if indices.shape is None:
            return [(None, values.dtype)]
        axis = axis_index(self.axis, len(indices.shape) + 1)
        size = None if depth.constant is None else self.size(np.asarray(depth.constant))
        return [((*indices.shape[:axis], size, *indices.shape[axis:]), values.dtype)]

    def size(self, depth: Array) -> int:
        """The size of the new axis."""
        check(
            depth.size == 1 and bool(np.isfinite(depth).all()), f"depth: expected a scalar, got shape {shape_text(depth.shape)}"
        )
        size = int(depth.reshape(()))
        check(size > 0, f"depth: expected 1 or more, got {size}")
        return size

    def reference(self, indices: Array, depth: Array, values: Array) -> Results:
        size = self.size(depth)
        index = np.where(indices < 0, indices + size, indices)
        axis = axis_index(self.axis, indices.ndim + 1)
        places = np.arange(size).reshape((-1,) + (1,) * (indices.ndim - axis))
        return np.where(np.expand_dims(index, axis) == places, values[1], values[0])
