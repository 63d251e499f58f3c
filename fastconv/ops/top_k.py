"""TopK: the K largest (or smallest) elements along an axis, and their indices.

Of equal elements, the first comes first; NaN is the largest.
"""

from __future__ import annotations

import numpy as np

from ..graph import Dim, Value
from .base import Array, Inferred, Op, Results
from .dims import axis_index, check, check_rank_least, known_ints, to_int
from .node_spec import INT, NodeSpec


class TopK(Op):
    arity = (2, 2)
    control_inputs = (1,)
    output_arity = (1, 2)
    axis: int = -1
    largest: int = 1
    #: 0: the K elements may come in any order
    sorted: int = 1

    @classmethod
    def upgrade(cls, spec: NodeSpec) -> None:
        if spec.opset < 10:
            spec.attribute_to_input("k", 1, INT)

    def infer(self, x: Value, k: Value) -> Inferred:
        check_rank_least(x, "input", 1)
        known_ints(k, "K")
        count = None if k.constant is None else to_int(np.asarray(k.constant), "K")
        if x.shape is None:
            return [(None, x.dtype), (None, np.dtype(np.int64))]
        axis = axis_index(self.axis, len(x.shape))
        self.check_count(count, x.shape[axis])
        shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
        return [(shape, x.dtype), (shape, np.dtype(np.int64))]

    def check_count(self, count: int | None, d: Dim) -> None:
        """Raise if K is not between 0 and the size of the axis."""
        if count is not None:
            check(count >= 0 and (not isinstance(d, int) or count <= d), f"K: expected 0 to {d}, got {count}")

    def reference(self, x: Array, k: Array) -> Results:
        count, axis = to_int(k, "K"), axis_index(self.axis, x.ndim)
        self.check_count(count, x.shape[axis])
        if self.largest:
            # the reverse of a sort of the reversed axis keeps the first of equal elements first
            order = np.flip(x.shape[axis] - 1 - np.argsort(np.flip(x, axis), axis, kind="stable"), axis)
        else:
            order = np.argsort(x, axis, kind="stable")
        index = order.take(range(count), axis)
        return np.take_along_axis(x, index, axis), index.astype(np.int64)
