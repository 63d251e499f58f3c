"""Transpose as one copy."""

from __future__ import annotations

from .._constants import AXES
from ..graph import Node, Value
from ..ops.transpose import Transpose
from ..plan.binder import Binder, Step
from ..plan.layout import ROW_MAJOR, Layout, contiguous
from ..plan.select import Target
from ..plan.strided import collapse, copy, reorder
from ..plan.view import View
from .move import BlockedMove, Move


def transposed_strides(op: Transpose, node: Node) -> tuple[int, ...]:
    """For each axis of the input, the stride in the result."""
    strides, perm = contiguous(node.results[0].dims), op.permutation(len(node.input(0).dims))
    return tuple(strides[perm.index(i)] for i in range(len(perm)))


class TransposeBlocked(BlockedMove[Transpose]):
    """From the blocked layout straight to a row-major result."""

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, Layout], Layout]:
        return {node.input(0): target.blocked_of(node.input(0))}, ROW_MAJOR

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        src, y = binder.view(node.input(0)), binder.view(node.results[0])
        strides = transposed_strides(self.op(node), node)
        return reorder(binder, src, View(y.address, src.shape, ROW_MAJOR, y.itemsize, *strides))


class TransposeRowMajor(Move[Transpose]):
    """Any permutation of a row-major tensor."""

    def refuse_move(self, node: Node) -> str | None:
        x = node.input(0)
        axes = len(collapse(x.dims, contiguous(x.dims), transposed_strides(self.op(node), node))[0])
        return f"{axes} axes" if axes > AXES else None

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, y = binder.view(node.input(0)), binder.view(node.results[0])
        strides = transposed_strides(self.op(node), node)
        return [copy(binder, x.itemsize, x.address, contiguous(x.shape), y.address, strides, x.shape)]
