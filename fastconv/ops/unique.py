"""Unique and Compress: some elements or slices of a tensor. Their number is known at run time only."""

from __future__ import annotations

import numpy as np

from ..graph import Shape, Value
from .base import Array, Inferred, Op, Results
from .dims import axis_index, check, check_dtype, check_rank


class Unique(Op):
    """Each distinct element (or slice along an axis); its first index; for each input, the index of its result; the counts."""

    output_arity = (1, 4)

    axis: int | None = None
    #: 0: in the order of their first indices
    sorted: int = 1

    def infer(self, x: Value) -> Inferred:
        shape: Shape = None
        if self.axis is None:
            shape = (None,)
        elif x.shape is not None:
            axis = axis_index(self.axis, len(x.shape))
            shape = (*x.shape[:axis], None, *x.shape[axis + 1 :])
        counts = ((None,), np.dtype(np.int64))
        return [(shape, x.dtype), counts, counts, counts]

    def reference(self, x: Array) -> Results:
        x = x.reshape(-1) if self.axis is None else x
        axis = axis_index(self.axis or 0, x.ndim)
        _, first, inverse, counts = np.unique(x, True, True, True, axis)
        order = np.arange(len(first)) if self.sorted else np.argsort(first)
        inverse = np.argsort(order)[inverse.reshape(-1)]
        return x.take(first[order], axis), *(v.astype(np.int64) for v in (first[order], inverse, counts[order]))


class Compress(Op):
    """The elements (or slices along an axis) whose condition is true; those beyond the conditions are left out."""

    arity = (2, 2)

    axis: int | None = None

    def infer(self, x: Value, condition: Value) -> Inferred:
        check_rank(condition, "condition", 1)
        check_dtype(condition, "condition", "b")
        if self.axis is None:
            return [((None,), x.dtype)]
        if x.shape is None:
            return [(None, x.dtype)]
        axis = axis_index(self.axis, len(x.shape))
        return [((*x.shape[:axis], None, *x.shape[axis + 1 :]), x.dtype)]

    def reference(self, x: Array, condition: Array) -> Results:
        x = x.reshape(-1) if self.axis is None else x
        axis = axis_index(self.axis or 0, x.ndim)
        (places,) = np.nonzero(condition)
        check(places.size == 0 or int(places[-1]) < x.shape[axis], f"condition: expected at most {x.shape[axis]} values")
        return x.take(places, axis)
