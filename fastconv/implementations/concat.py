"""Concat as a strided copy of each input, or with inputs that are written in their places."""

from __future__ import annotations

import math

from ..graph import Node, Value
from ..ops.concat import Concat
from ..ops.dims import axis_index
from ..plan.binder import Binder, Step
from ..plan.implementation import Implementation
from ..plan.layout import RANKS, ROW_MAJOR, Layout, geometry
from ..plan.select import Selection, Target
from ..plan.strided import copy, copy_channels
from ..plan.tensors import Tensor
from ..plan.view import View
from .elementwise import pack_blocked
from .move import BLOCKED_DTYPES, LARGEST_BLOCK, MOVABLE


class ConcatRowMajor(Implementation[Concat]):
    """Row-major tensors along any axis."""

    name = "row-major"
    dtypes = MOVABLE

    def operands(self, node: Node) -> list[Value]:
        return node.operands

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, Layout], Layout]:
        return {v: ROW_MAJOR for v in node.operands if v.constant is None}, ROW_MAJOR

    def axis(self, node: Node) -> int:
        """The axis along which the inputs follow each other, from 0 on."""
        return axis_index(self.op(node).axis, len(node.results[0].dims))

    def starts(self, node: Node) -> list[tuple[int, Value]]:
        """Each input with where it begins along the axis."""
        axis, start, out = self.axis(node), 0, []
        for v in node.operands:
            out.append((start, v))
            start += v.dims[axis]
        return out

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        y, axis = binder.view(node.results[0]), self.axis(node)
        outer, inner = math.prod(y.shape[:axis]), math.prod(y.shape[axis + 1 :])
        row = y.shape[axis] * inner
        steps = []
        for start, v in self.starts(node):
            own, to = v.dims[axis] * inner, y.address + y.itemsize * start * inner
            steps.append(copy(binder, y.itemsize, binder.operand(v), (own, 1), to, (row, 1), (outer, own)))
        return steps


class ConcatBlocked(ConcatRowMajor):
    """Channels of blocked tensors; an input that begins with a block is written in its place right away.

    The lanes of its last block that are not its own belong to the next input, which is copied: after all of them were written.
    """

    name = "blocked"
    dtypes = BLOCKED_DTYPES
    ranks = RANKS

    def refuse(self, node: Node, selection: Selection) -> str | None:
        if self.axis(node) != 1:
            return f"axis {self.axis(node)}"
        return None if any(selection.layout(v).is_blocked for v in node.operands) else "no input is blocked"

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, Layout], Layout]:
        layout = target.blocked_of(node.results[0])
        return {v: layout for v in node.operands if v.constant is None}, layout

    def alias(self, node: Node, reads: dict[Value, Tensor], writes: dict[Value, Tensor]) -> None:
        for start, v in self.starts(node):
            if v.constant is None and start % LARGEST_BLOCK == 0 and reads[v].parent is None and not reads[v].is_input:
                reads[v].lie_in(writes[node.results[0]], start)

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        y = node.results[0]
        dst, steps = binder.view(y), []
        for start, v in self.starts(node):
            if v.constant is not None:
                first = binder.pack("elementwise", pack_blocked, v.constant, rank=len(v.dims), layout=dst.layout)
                g = geometry(v.dims, dst.layout, dst.itemsize)
                src = View(first, v.dims, dst.layout, dst.itemsize, g.n, g.c, g.h, g.w, g.d)
            elif (tensor := binder.tensor(v)).parent is binder.tensor(y) and tensor.offset == start:
                continue
            else:
                src = binder.view(v)
            steps += copy_channels(binder, src, 0, dst, start, v.dims[1])
        return steps
