"""Split as a strided copy for each output, or in place."""

from __future__ import annotations

import math

from ..graph import Node, Value
from ..ops.dims import axis_index
from ..plan.bind import Binder, Step
from ..plan.layouts import Tensor
from ..plan.select import RANKS, Target
from ..plan.strided import copy, copy_channels
from .move import WIDEST, BlockedMove, Move, constants_of, first_input, ints


def split_parts(node: Node) -> list[tuple[int, int, Value | None]]:
    """Beginning, size and output of each part of a Split."""
    x, sizes = first_input(node), constants_of(node)
    axis = axis_index(node.op.axis, len(x.dims))  # type: ignore[attr-defined]
    parts = node.op.sizes(x.dims[axis], ints(sizes[0]) if sizes else None)  # type: ignore[attr-defined]
    starts = [sum(parts[:i]) for i in range(len(parts))]
    return list(zip(starts, parts, node.outputs, strict=False))


class SplitPlain(Move):
    """Parts of a row-major tensor along any axis."""

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x = first_input(node)
        axis = axis_index(node.op.axis, len(x.dims))  # type: ignore[attr-defined]
        outer, inner = math.prod(x.dims[:axis]), math.prod(x.dims[axis + 1 :])
        src, row = binder.view(x).ref, x.dims[axis] * inner
        return [
            copy(binder, src + start * inner * 4, (row, 1), binder.view(y).ref, (size * inner, 1), (outer, size * inner))
            for start, size, y in split_parts(node)
            if y is not None
        ]


class SplitBlocked(BlockedMove):
    """Parts of the channels of a blocked tensor; those that begin with a block stay in place."""

    ranks = RANKS

    def refuse_how(self, node: Node, target: Target) -> str | None:
        axis = axis_index(node.op.axis, len(first_input(node).dims))  # type: ignore[attr-defined]
        return None if axis == 1 else f"axis {axis}"

    def alias(self, node: Node, reads: dict[Value, Tensor], writes: dict[Value, Tensor]) -> None:
        for start, _, y in split_parts(node):
            if y is not None and start % WIDEST == 0:
                writes[y].lie_in(reads[first_input(node)], start)

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x = first_input(node)
        return [
            step
            for start, size, y in split_parts(node)
            if y is not None and binder.tensor(y).parent is not binder.tensor(x)
            for step in copy_channels(binder, binder.view(x), start, binder.view(y), 0, size)
        ]
