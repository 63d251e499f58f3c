"""Softmax, LogSoftmax and Hardmax along an axis."""

from __future__ import annotations

import math

import numpy as np

from ..graph import Node, Value
from ..plan.bind import Binder, Step
from ..plan.select import NCHW, Target
from .base import INT, Implementation, Op, input_refusal, only_first_varies
from .dims import axis_index, check_rank_least


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


class AlongAxis(Op, abstract=True):
    axis: int = -1
    #: the form before opset 13: over `axis` and every axis behind it together. Not an attribute of the standard.
    joint: int = 0

    @classmethod
    def upgrade(cls, spec):
        if spec.opset < 13:
            axis = spec.take("axis", INT, 1)
            spec.attributes |= {"axis": axis} if axis == -1 else {"axis": axis, "joint": 1}

    def axes(self, rank: int) -> tuple[int, ...]:
        """The axes over which the results sum to 1."""
        axis = axis_index(self.axis, rank)
        return tuple(range(axis, rank)) if self.joint else (axis,)

    def by_image(self, node):
        return only_first_varies(node) and 0 not in self.axes(len(node.inputs[0].dims))

    def infer(self, x):
        check_rank_least(x, "input", 1)
        if x.shape is not None:
            self.axes(len(x.shape))
        return [(x.shape, x.dtype)]


class Softmax(AlongAxis):
    implementations = (SoftmaxPlain(),)

    def reference(self, x):
        axes = self.axes(x.ndim)
        e = np.exp(x - x.max(axes, keepdims=True, initial=-np.inf))
        return e / e.sum(axes, keepdims=True)


class LogSoftmax(AlongAxis):
    implementations = (SoftmaxPlain(),)

    def reference(self, x):
        axes = self.axes(x.ndim)
        x = x - x.max(axes, keepdims=True, initial=-np.inf)
        return x - np.log(np.exp(x).sum(axes, keepdims=True))


class Hardmax(AlongAxis):
    """1 for the first largest element, else 0."""

    def reference(self, x):
        axes = self.axes(x.ndim)
        rows = x.reshape(*x.shape[: axes[0]], math.prod(x.shape[i] for i in axes), *x.shape[axes[-1] + 1 :])
        y = np.zeros_like(rows)
        if x.size:
            np.put_along_axis(y, rows.argmax(axes[0], keepdims=True), 1, axes[0])
        return y.reshape(x.shape)
