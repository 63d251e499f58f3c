"""Softmax and LogSoftmax on the kernel softmax."""

from __future__ import annotations

import math

from ..graph import Node, Value
from ..ops.softmax import AlongAxis, LogSoftmax
from ..plan.binder import Binder, Step
from ..plan.implementation import Implementation
from ..plan.layout import ROW_MAJOR, Layout
from ..plan.select import Target


class SoftmaxRowMajor(Implementation[AlongAxis]):
    """Along any axis of a row-major tensor."""

    name = "row-major"

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, Layout], Layout]:
        return {node.input(0): ROW_MAJOR}, ROW_MAJOR

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        src, dst = binder.view(node.input(0)), binder.view(node.results[0])
        axes = self.op(node).axes(len(src.shape))
        first, last = axes[0], axes[-1] + 1
        return [
            binder.step(
                binder.kernels.softmax,
                src=src.address,
                dst=dst.address,
                outer=math.prod(src.shape[:first]),
                K=math.prod(src.shape[first:last]),
                inner=math.prod(src.shape[last:]),
                log=isinstance(node.op, LogSoftmax),
            )
        ]
