"""Gather: the slices along an axis that the indices name, in the shape of the indices."""

from __future__ import annotations

import numpy as np

from ..graph import Node, Value
from .base import Array, Inferred, Op, Results
from .dims import axis_index, check_dtype, check_rank_least, index_array


class Gather(Op):
    arity = (2, 2)
    parameter_inputs = (0,)
    axis: int = 0

    def selects_elements(self, node: Node) -> bool:
        return True

    def infer(self, x: Value, indices: Value) -> Inferred:
        check_rank_least(x, "data", 1)
        check_dtype(indices, "indices", "iu")
        if x.shape is None:
            return [(None, x.dtype)]
        axis = axis_index(self.axis, len(x.shape))
        d = x.shape[axis]
        if indices.constant is not None and isinstance(d, int):
            index_array(np.asarray(indices.constant), d, "indices")
        if indices.shape is None:
            return [(None, x.dtype)]
        return [(x.shape[:axis] + indices.shape + x.shape[axis + 1 :], x.dtype)]

    def reference(self, x: Array, indices: Array) -> Results:
        axis = axis_index(self.axis, x.ndim)
        return np.take(x, index_array(indices, x.shape[axis], "indices"), axis)
