"""Split as a strided copy for each output, or in place."""

from __future__ import annotations

import math

from ..graph import Node, Value
from ..ops.dims import axis_index
from ..ops.split import Split
from ..plan.binder import Binder, Step
from ..plan.layout import RANKS
from ..plan.strided import copy, copy_channels
from ..plan.tensors import Tensor
from .move import LARGEST_BLOCK, BlockedMove, Move, constants_of, ints


def split_outputs(op: Split, node: Node) -> list[tuple[int, int, Value]]:
    """Each output that is wanted, with its start and size along the axis."""
    dims, given = node.input(0).dims, constants_of(node)
    sizes = op.sizes(dims[axis_index(op.axis, len(dims))], ints(given[0]) if given else None)
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return [(start, size, y) for start, size, y in zip(starts, sizes, node.outputs, strict=False) if y is not None]


class SplitRowMajor(Move[Split]):
    """A row-major tensor along any axis."""

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        op, x = self.op(node), binder.view(node.input(0))
        axis = axis_index(op.axis, len(x.shape))
        outer, inner = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 :])
        row = x.shape[axis] * inner
        return [
            copy(
                binder,
                x.itemsize,
                x.address + x.itemsize * start * inner,
                (row, 1),
                binder.view(y).address,
                (size * inner, 1),
                (outer, size * inner),
            )
            for start, size, y in split_outputs(op, node)
        ]


class SplitBlocked(BlockedMove[Split]):
    """The channels of a blocked tensor; outputs that begin with a block stay in place."""

    ranks = RANKS

    def refuse_move(self, node: Node) -> str | None:
        axis = axis_index(self.op(node).axis, len(node.input(0).dims))
        return None if axis == 1 else f"axis {axis}"

    def alias(self, node: Node, reads: dict[Value, Tensor], writes: dict[Value, Tensor]) -> None:
        for start, _, y in split_outputs(self.op(node), node):
            if start % LARGEST_BLOCK == 0:
                writes[y].lie_in(reads[node.input(0)], start)

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x = node.input(0)
        return [
            step
            for start, size, y in split_outputs(self.op(node), node)
            if binder.tensor(y).parent is not binder.tensor(x)
            for step in copy_channels(binder, binder.view(x), start, binder.view(y), 0, size)
        ]
