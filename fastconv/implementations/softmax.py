"""Softmax and LogSoftmax on the kernel softmax."""

from __future__ import annotations

import math

from ..graph import Node, Value
from ..ops.softmax import LogSoftmax
from ..plan.bind import Binder, Step
from ..plan.implementation import Implementation, input_refusal
from ..plan.select import NCHW, Target


class SoftmaxPlain(Implementation):
    """Along any axis of a row-major tensor, on the kernel softmax."""

    name = "plain"

    def refuse(self, node: Node, target: Target) -> str | None:
        return input_refusal(node.inputs[0])

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, str], str]:
        x = node.inputs[0]
        assert x is not None
        return {x: NCHW}, NCHW

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x = node.inputs[0]
        assert x is not None
        axes = node.op.axes(len(x.dims))  # type: ignore[attr-defined]
        before, along, behind = x.dims[: axes[0]], x.dims[axes[0] : axes[-1] + 1], x.dims[axes[-1] + 1 :]
        src, dst = binder.view(x), binder.view(node.results[0])
        return [
            binder.step(
                binder.kernels.softmax,
                src=src.ref,
                dst=dst.ref,
                outer=math.prod(before),
                K=math.prod(along),
                inner=math.prod(behind),
                log=isinstance(node.op, LogSoftmax),
            )
        ]
