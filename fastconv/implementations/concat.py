"""Concat as a strided copy of each input, or with inputs written in place."""

from __future__ import annotations

import math

import numpy as np

from ..graph import Node, Value
from ..ops.dims import axis_index
from ..plan.bind import Binder, Step, View
from ..plan.implementation import Implementation
from ..plan.layouts import Tensor
from ..plan.select import BLOCKED, NCHW, RANKS, Target
from ..plan.strided import contiguous, copy, copy_channels
from .elementwise import pack_blocked
from .move import WIDEST


class ConcatPlain(Implementation):
    """Row-major tensors along any axis."""

    name = "plain"

    def refuse(self, node: Node, target: Target) -> str | None:
        for v in node.inputs:
            assert v is not None
            if v.dtype != np.float32:
                return f"dtype {v.dtype}"
            if 0 in v.dims:
                return "empty tensor"
        if all(v is not None and v.constant is not None for v in node.inputs):
            return "constant inputs"
        return None

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, str], str]:
        return {v: NCHW for v in node.operands if v.constant is None}, NCHW

    def parts(self, node: Node) -> list[tuple[int, Value]]:
        """Each input with where on the axis it begins."""
        axis = axis_index(node.op.axis, len(node.results[0].dims))  # type: ignore[attr-defined]
        out, start = [], 0
        for v in node.operands:
            out.append((start, v))
            start += v.dims[axis]
        return out

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        y = node.results[0]
        axis = axis_index(node.op.axis, len(y.dims))  # type: ignore[attr-defined]
        outer, inner = math.prod(y.dims[:axis]), math.prod(y.dims[axis + 1 :])
        dst, row = binder.view(y).ref, y.dims[axis] * inner
        steps = []
        for start, v in self.parts(node):
            src = binder.operand(v)
            run = v.dims[axis] * inner
            steps.append(copy(binder, src, (run, 1), dst + start * inner * 4, (row, 1), (outer, run)))
        return steps


class ConcatBlocked(ConcatPlain):
    """Channels of blocked tensors; an input that begins with a block is written in its place right away.

    The lanes of its last block that are not its own belong to the next input, which is copied: after all of them were written.
    """

    name = "blocked"

    def refuse(self, node: Node, target: Target) -> str | None:
        if reason := super().refuse(node, target):
            return reason
        rank = len(node.results[0].dims)
        if rank not in RANKS:
            return f"rank {rank}"
        axis = axis_index(node.op.axis, rank)  # type: ignore[attr-defined]
        if axis != 1:
            return f"axis {axis}"
        return None if any(target.layout(v) == BLOCKED for v in node.operands) else "no input is blocked"

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, str], str]:
        return {v: BLOCKED for v in node.operands if v.constant is None}, BLOCKED

    def alias(self, node: Node, reads: dict[Value, Tensor], writes: dict[Value, Tensor]) -> None:
        for start, v in self.parts(node):
            if v.constant is None and start % WIDEST == 0 and reads[v].parent is None and not reads[v].outside:
                reads[v].lie_in(writes[node.results[0]], start)

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        y, V = node.results[0], binder.target.V
        dst, steps = binder.view(y), []
        for start, v in self.parts(node):
            if v.constant is not None:
                ref = binder.pack("elementwise", pack_blocked, v.constant, rank=len(v.dims), V=V)
                n, c, *inner = contiguous((v.dims[0], -(-v.dims[1] // V), *v.dims[2:], V))[:-1]
                d, h, w = (0, *inner)[-3:]
                src = View(ref, v.dims, BLOCKED, n, c, h, w, d)
            elif (tensor := binder.tensor(v)).parent is binder.tensor(y) and tensor.offset == start:
                continue
            else:
                src = binder.view(v)
            steps += copy_channels(binder, src, 0, dst, start, v.dims[1])
        return steps
