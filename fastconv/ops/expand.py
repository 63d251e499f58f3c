"""Expand and Tile: copies of the input along its axes."""

from __future__ import annotations

import numpy as np

from ..graph import Node, Value
from .base import Array, Inferred, Op, Results, keeps_shape
from .dims import as_shape, broadcast, check, known_ints, length, to_ints, unknown


class Expand(Op):
    """Broadcast to the shape given; a 1 in it keeps the size of the input."""

    arity = (2, 2)
    by_element = True
    control_inputs = (1,)

    def is_identity(self, node: Node) -> bool:
        return keeps_shape(node)

    def infer(self, x: Value, shape: Value) -> Inferred:
        sizes = known_ints(shape, "shape")
        if sizes is not None:
            return [(broadcast(x.shape, as_shape(sizes, "shape")), x.dtype)]
        count = length(shape)
        return [(unknown(None if count is None or x.shape is None else max(count, len(x.shape))), x.dtype)]

    def reference(self, x: Array, shape: Array) -> Results:
        target = broadcast(x.shape, as_shape(to_ints(shape, "shape"), "shape"))
        return np.broadcast_to(x, target).copy()  # type: ignore[arg-type]  # every dimension is an int


class Tile(Op):
    """inputs: data and, for each axis, the number of copies."""

    arity = (2, 2)
    control_inputs = (1,)

    def infer(self, x: Value, repeats: Value) -> Inferred:
        times = known_ints(repeats, "repeats")
        if x.shape is None:
            return [(None, x.dtype)]
        if times is None:
            return [(unknown(len(x.shape)), x.dtype)]
        as_shape(times, "repeats")
        check(len(times) == len(x.shape), f"repeats: expected {len(x.shape)} values, got {times}")
        dims = zip(x.shape, times, strict=True)
        return [(tuple(d if t == 1 else d * t if isinstance(d, int) else None for d, t in dims), x.dtype)]

    def reference(self, x: Array, repeats: Array) -> Results:
        times = as_shape(to_ints(repeats, "repeats"), "repeats")
        check(len(times) == x.ndim, f"repeats: expected {x.ndim} values, got {times}")
        return np.tile(x, times)
