"""Softmax, LogSoftmax and Hardmax along an axis."""

from __future__ import annotations

import math

import numpy as np

from ..graph import Node, Value
from .base import Array, Inferred, Op, Results, only_first_varies
from .dims import axis_index, check_rank_least
from .node_spec import INT, NodeSpec
from .span import WHOLE, Spans


class AlongAxis(Op, abstract=True):
    axis: int = -1
    #: 1: over `axis` and the axes after it together, as before opset 13; not an attribute of the standard
    joint: int = 0

    @classmethod
    def upgrade(cls, spec: NodeSpec) -> None:
        if spec.opset < 13:
            axis = spec.take("axis", INT, 1)
            spec.attributes |= {"axis": axis} if axis == -1 else {"axis": axis, "joint": 1}

    def axes(self, rank: int) -> tuple[int, ...]:
        """The axes that are normalized together."""
        axis = axis_index(self.axis, rank)
        return tuple(range(axis, rank)) if self.joint else (axis,)

    def independent_images(self, node: Node) -> bool:
        return only_first_varies(node) and 0 not in self.axes(len(node.input(0).dims))

    def reads(self, node: Node, i: int, result: Value, spans: Spans) -> Spans:
        return [WHOLE if a in self.axes(len(spans)) else s for a, s in enumerate(spans)]

    def infer(self, x: Value) -> Inferred:
        check_rank_least(x, "input", 1)
        if x.shape is not None:
            self.axes(len(x.shape))
        return [(x.shape, x.dtype)]


class Softmax(AlongAxis):
    def reference(self, x: Array) -> Results:
        axes = self.axes(x.ndim)
        e = np.exp(x - x.max(axes, keepdims=True, initial=-np.inf))
        return e / e.sum(axes, keepdims=True)


class LogSoftmax(AlongAxis):
    def reference(self, x: Array) -> Results:
        axes = self.axes(x.ndim)
        x = x - x.max(axes, keepdims=True, initial=-np.inf)
        return x - np.log(np.exp(x).sum(axes, keepdims=True))


class Hardmax(AlongAxis):
    """1 for the first of the largest elements, else 0."""

    def reference(self, x: Array) -> Results:
        axes = self.axes(x.ndim)
        rows = x.reshape(*x.shape[: axes[0]], math.prod(x.shape[i] for i in axes), *x.shape[axes[-1] + 1 :])
        y = np.zeros_like(rows)
        if x.size:
            np.put_along_axis(y, rows.argmax(axes[0], keepdims=True), 1, axes[0])
        return y.reshape(x.shape)
