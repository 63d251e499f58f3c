"""Reductions over some axes: each operator is one expression."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dtypes import kind, limits
from ..graph import Dim, Node, Value
from .base import Array, Inferred, Op, Results
from .dims import axis_indices, known_ints, length, to_ints, unknown
from .node_spec import NodeSpec
from .span import WHOLE, Spans
from .statistics import mean
from .windows import Windows


class Reduce(Op, abstract=True):
    """inputs: data and axes; without axes, the reduction is over all (with noop_with_empty_axes, over none)."""

    arity = (1, 2)
    control_inputs = (1,)

    keepdims: int = 1
    noop_with_empty_axes: int = 0

    @classmethod
    def upgrade(cls, spec: NodeSpec) -> None:
        if spec.opset < (13 if spec.op_type == "ReduceSum" else 18):
            spec.attribute_to_input("axes", 1)

    def axes(self, rank: int, axes: Sequence[int] | None) -> tuple[int, ...]:
        """The axes to reduce, for the input `axes`."""
        if axes:
            return axis_indices(axes, rank)
        return () if self.noop_with_empty_axes else tuple(range(rank))

    def flops(self, node: Node) -> int:
        return math.prod(node.input(0).dims)

    def window(self, node: Node) -> Windows | None:
        x, rank = node.input(0), len(node.input(0).shape or ())
        # the spatial axes of images or volumes, as a global pool
        spatial = rank > 3 and set(self.axes(rank, known_ints(node.optional(1), "axes"))) == set(range(2, rank))
        return Windows.whole(x.dims[2:]) if spatial and x.known else None

    def reads(self, node: Node, i: int, result: Value, spans: Spans) -> Spans:
        rank = len(node.input(0).dims)
        gone = self.axes(rank, known_ints(node.optional(1), "axes"))
        kept = iter([s for a, s in enumerate(spans) if a not in gone] if self.keepdims else spans)
        return [WHOLE if a in gone else next(kept) for a in range(rank)]

    def infer(self, x: Value, axes: Value | None = None) -> Inferred:
        given = known_ints(axes, "axes")
        if x.shape is None:
            return [(None, x.dtype)]
        rank = len(x.shape)
        if axes is not None and given is None:
            count = length(axes)
            return [(unknown(rank if self.keepdims else rank - count if count else None), x.dtype)]
        gone = self.axes(rank, given)
        one: tuple[Dim, ...] = (1,) if self.keepdims else ()
        return [(tuple(e for i, d in enumerate(x.shape) for e in (one if i in gone else (d,))), x.dtype)]

    def reference(self, x: Array, axes: Array | None = None) -> Results:
        over = self.axes(x.ndim, None if axes is None else to_ints(axes, "axes"))
        return np.asarray(self.reduce(x, axis=over, keepdims=bool(self.keepdims))).astype(x.dtype)

    def reduce(self, x: Array, **over: Any) -> Results:
        """The reduction; `over` has NumPy's axis and keepdims."""
        raise NotImplementedError


class ReduceSum(Reduce):
    def reduce(self, x: Array, **over: Any) -> Results:
        return x.sum(**over)


class ReduceMean(Reduce):
    def reduce(self, x: Array, **over: Any) -> Results:
        return mean(x, **over)


class ReduceMax(Reduce):
    def reduce(self, x: Array, **over: Any) -> Results:
        return x.max(**over, initial=-np.inf if kind(x.dtype) == "f" else limits(x.dtype)[0])


class ReduceMin(Reduce):
    def reduce(self, x: Array, **over: Any) -> Results:
        return x.min(**over, initial=np.inf if kind(x.dtype) == "f" else limits(x.dtype)[1])


class ReduceProd(Reduce):
    def reduce(self, x: Array, **over: Any) -> Results:
        return x.prod(**over)


class ReduceL1(Reduce):
    def reduce(self, x: Array, **over: Any) -> Results:
        return np.abs(x).sum(**over)


class ReduceL2(Reduce):
    def reduce(self, x: Array, **over: Any) -> Results:
        return np.sqrt(np.square(x).sum(**over))


class ReduceSumSquare(Reduce):
    def reduce(self, x: Array, **over: Any) -> Results:
        return np.square(x).sum(**over)


class ReduceLogSum(Reduce):
    def reduce(self, x: Array, **over: Any) -> Results:
        return np.log(x.sum(**over))


class ReduceLogSumExp(Reduce):
    def reduce(self, x: Array, **over: Any) -> Results:
        x = x if kind(x.dtype) == "f" else x.astype(np.float64)
        most = x.max(axis=over["axis"], keepdims=True, initial=-np.inf)
        most = np.where(np.isfinite(most), most, 0)  # no power overflows, and one of a row is 1
        y = np.log(np.exp(x - most).sum(**over))
        return y + most.reshape(y.shape)
