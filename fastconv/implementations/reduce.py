"""Reductions on the kernels reduce and, of integers, reduce_typed: over neighbouring axes of a row-major tensor."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from ..graph import Node, Value
from ..ops.reduce import Reduce
from ..plan.binder import Binder, Step
from ..plan.implementation import Implementation
from ..plan.layout import ROW_MAJOR, Layout
from ..plan.select import Selection, Target


class ReduceRowMajor(Implementation[Reduce]):
    """Over axes between which there are none, or only axes of size 1."""

    name = "row-major"
    dtypes: ClassVar[frozenset[str] | None] = frozenset({"float32"})

    def __init__(self, function: str):
        self.function = function

    def refuse(self, node: Node, selection: Selection) -> str | None:
        axes = node.optional(1)
        if axes is not None and axes.constant is None:
            return "axes are not constant"
        over = self.axes(node)
        between = range(over[0], over[-1]) if over else ()
        return f"axes {over}" if any(i not in over and node.input(0).dims[i] > 1 for i in between) else None

    def axes(self, node: Node) -> list[int]:
        """The axes of more than one element that are reduced."""
        dims, axes = node.input(0).dims, node.optional(1)
        given = None if axes is None or axes.constant is None else np.asarray(axes.constant).reshape(-1).tolist()
        return sorted(i for i in self.op(node).axes(len(dims), given) if dims[i] > 1)

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, Layout], Layout]:
        return {node.input(0): ROW_MAJOR}, ROW_MAJOR

    def fields(self, node: Node, binder: Binder) -> dict[str, int]:
        """The operands and the three axes as the kernels' fields."""
        src, over = binder.view(node.input(0)), self.axes(node)
        first, last = (over[0], over[-1] + 1) if over else (0, 0)
        outer, K, inner = (math.prod(dims) for dims in (src.shape[:first], src.shape[first:last], src.shape[last:]))
        return {"src": src.address, "dst": binder.view(node.results[0]).address, "outer": outer, "K": K, "inner": inner}

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        fields, kernel, is_mean = self.fields(node, binder), binder.kernels.reduce, self.function == "mean"
        function, factor = (kernel.SUM, 1 / fields["K"]) if is_mean else (getattr(kernel, self.function.upper()), 1.0)
        return [binder.step(kernel, function=function, factor=factor, **fields)]


class ReduceIntegers(ReduceRowMajor):
    """The same of integers."""

    name = "typed"
    dtypes = frozenset({"int32", "int64"})

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        kernel, itemsize = binder.kernels.reduce_typed, binder.view(node.input(0)).itemsize
        function = getattr(kernel, self.function.upper())
        return [binder.step(kernel, function=function, itemsize=itemsize, **self.fields(node, binder))]
