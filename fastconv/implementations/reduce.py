"""Reductions on the kernel reduce: over neighbouring axes of a row-major tensor."""

from __future__ import annotations

import math

import numpy as np

from ..graph import Node, Value
from ..ops.reduce import Reduce
from ..plan.binder import Binder, Step
from ..plan.implementation import Implementation
from ..plan.layout import ROW_MAJOR, Layout
from ..plan.select import Selection, Target

#: what the kernel computes, in the order of `Function` in pyx/isa/reduce.pyx; "mean" is its sum with a factor
FUNCTIONS = ("sum", "max", "min", "prod", "sum_abs", "sum_square", "l2")


class ReduceRowMajor(Implementation[Reduce]):
    """Over axes between which there are none, or only axes of size 1."""

    name = "row-major"

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

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        src, over = binder.view(node.input(0)), self.axes(node)
        first, last = (over[0], over[-1] + 1) if over else (0, 0)
        K = math.prod(src.shape[first:last])
        return [
            binder.step(
                binder.kernels.reduce,
                src=src.address,
                dst=binder.view(node.results[0]).address,
                function=FUNCTIONS.index("sum" if self.function == "mean" else self.function),
                factor=1 / K if self.function == "mean" else 1.0,
                outer=math.prod(src.shape[:first]),
                K=K,
                inner=math.prod(src.shape[last:]),
            )
        ]
