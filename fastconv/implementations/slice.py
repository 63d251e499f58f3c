"""Slice as one strided copy, or in place."""

from __future__ import annotations

from typing import cast

from .._constants import AXES
from ..graph import Node, Value
from ..ops.slice import Slice
from ..plan.binder import Binder, Step
from ..plan.layout import RANKS, contiguous
from ..plan.strided import collapse, copy, copy_channels
from ..plan.tensors import Tensor
from .move import LARGEST_BLOCK, BlockedMove, Move, constants_of, ints


def slice_ranges(op: Slice, node: Node) -> list[range]:
    """The indices that a Slice takes along each axis."""
    starts, ends, axes, steps = (ints(a) for a in (*constants_of(node), None, None)[:4])
    ranges = op.ranges(node.input(0).dims, starts or (), ends or (), axes, steps)
    return cast("list[range]", ranges)  # as all sizes are known


class SliceRowMajor(Move[Slice]):
    """Any ranges, also backwards, of a row-major tensor."""

    def refuse_move(self, node: Node) -> str | None:
        y = node.results[0]
        axes = len(collapse(y.dims, contiguous(y.dims), self.strides(node))[0])
        return f"{axes} axes" if axes > AXES else None

    def strides(self, node: Node) -> tuple[int, ...]:
        """From one element of the result to the next, in the input."""
        strides = contiguous(node.input(0).dims)
        return tuple(r.step * s for r, s in zip(slice_ranges(self.op(node), node), strides, strict=True))

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, y = binder.view(node.input(0)), binder.view(node.results[0])
        start = sum(r.start * s for r, s in zip(slice_ranges(self.op(node), node), contiguous(x.shape), strict=True))
        first = x.address + x.itemsize * start
        return [copy(binder, x.itemsize, first, self.strides(node), y.address, contiguous(y.shape), y.shape)]


class SliceBlocked(BlockedMove[Slice]):
    """Neighbouring channels of a blocked tensor, with any ranges along the other axes; whole blocks stay in place."""

    ranks = RANKS

    def refuse_move(self, node: Node) -> str | None:
        step = slice_ranges(self.op(node), node)[1].step
        return None if step == 1 else f"channels in steps of {step}"

    def alias(self, node: Node, reads: dict[Value, Tensor], writes: dict[Value, Tensor]) -> None:
        x, ranges = node.input(0), slice_ranges(self.op(node), node)
        start = ranges[1].start
        whole = [r == range(d) for r, d in zip(ranges, x.dims, strict=True)]
        if start % LARGEST_BLOCK == 0 and whole[0] and all(whole[2:]):
            writes[node.results[0]].lie_in(reads[x], start)

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, y = node.input(0), node.results[0]
        if binder.tensor(y).parent is binder.tensor(x):
            return []
        n, c, *inner = slice_ranges(self.op(node), node)
        src = binder.view(x)
        starts = dict(zip("dhw"[-len(inner) :], (r.start for r in inner), strict=True))
        d, h, w = (0, *(r.step * s for r, s in zip(inner, src.spatial, strict=True)))[-3:]
        taken = src._replace(address=src.at(n=n.start, **starts), n=n.step * src.n, d=d, h=h, w=w)
        return copy_channels(binder, taken, c.start, binder.view(y), 0, len(c))
