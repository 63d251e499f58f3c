"""Reductions on the kernel reduce: over neighbouring axes of a row-major tensor."""

from __future__ import annotations

import math

import numpy as np

from ..graph import Node, Value
from ..plan.bind import Binder, Step
from ..plan.implementation import Implementation, input_refusal
from ..plan.select import NCHW, Target

#: what the kernel computes, in the order of `Function` in pyx/isa/reduce.pyx; "mean" is its sum with a factor
FUNCTIONS = ("sum", "max", "min", "prod", "sum_abs", "sum_square", "l2")


class ReducePlain(Implementation):
    """Over axes between which there are none, or only axes of size 1."""

    name = "plain"

    def __init__(self, function: str):
        self.function = function

    def refuse(self, node: Node, target: Target) -> str | None:
        x, axes = node.inputs[0], node.inputs[1] if len(node.inputs) > 1 else None
        assert x is not None
        if (reason := input_refusal(x)) is not None:
            return reason
        if axes is not None and axes.constant is None:
            return "axes are not constant"
        over = self.axes(node)
        between = range(over[0], over[-1]) if over else ()
        return f"axes {over}" if any(i not in over and x.dims[i] > 1 for i in between) else None

    def axes(self, node: Node) -> list[int]:
        """The axes of more than one element that are reduced."""
        x, axes = node.inputs[0], node.inputs[1] if len(node.inputs) > 1 else None
        assert x is not None
        given = None if axes is None or axes.constant is None else np.asarray(axes.constant).reshape(-1).tolist()
        return sorted(i for i in node.op.axes(len(x.dims), given) if x.dims[i] > 1)  # type: ignore[attr-defined]

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, str], str]:
        x = node.inputs[0]
        assert x is not None
        return {x: NCHW}, NCHW

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, over = node.inputs[0], self.axes(node)
        assert x is not None
        first, last = (over[0], over[-1] + 1) if over else (0, 0)
        K = math.prod(x.dims[first:last])
        return [
            binder.step(
                binder.kernels.reduce,
                src=binder.view(x).ref,
                dst=binder.view(node.results[0]).ref,
                function=FUNCTIONS.index("sum" if self.function == "mean" else self.function),
                factor=1 / K if self.function == "mean" else 1.0,
                outer=math.prod(x.dims[:first]),
                K=K,
                inner=math.prod(x.dims[last:]),
            )
        ]


__all__ = ["FUNCTIONS", "ReducePlain"]
