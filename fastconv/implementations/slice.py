"""Slice as one strided copy, or in place."""

from __future__ import annotations

from dataclasses import replace

from ..graph import Node, Value
from ..plan.bind import Binder, Step
from ..plan.layouts import Tensor
from ..plan.select import RANKS, Target
from ..plan.strided import AXES, collapse, contiguous, copy, copy_channels
from .move import WIDEST, BlockedMove, Move, constants_of, first_input, ints


def slice_ranges(node: Node) -> list[range]:
    """The indices that a Slice takes along each axis."""
    starts, ends, axes, steps = (ints(a) for a in (*constants_of(node), None, None)[:4])
    return node.op.ranges(first_input(node).dims, starts, ends, axes, steps)  # type: ignore[attr-defined]


class SlicePlain(Move):
    """Any ranges, of which steps may be negative, of a row-major tensor."""

    def refuse_how(self, node: Node, target: Target) -> str | None:
        dims, _ = collapse(node.results[0].dims, contiguous(node.results[0].dims), self.strides(node))
        return f"{len(dims)} axes" if len(dims) > AXES else None

    def strides(self, node: Node) -> tuple[int, ...]:
        """From one element of the result to the next, in the input."""
        return tuple(r.step * s for r, s in zip(slice_ranges(node), contiguous(first_input(node).dims), strict=True))

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, y = first_input(node), node.results[0]
        start = sum(r.start * s for r, s in zip(slice_ranges(node), contiguous(x.dims), strict=True))
        src = binder.view(x).ref + start * 4
        return [copy(binder, src, self.strides(node), binder.view(y).ref, contiguous(y.dims), y.dims)]


class SliceBlocked(BlockedMove):
    """Neighbouring channels of a blocked tensor, with any ranges along the other axes; whole blocks stay in place."""

    ranks = RANKS

    def refuse_how(self, node: Node, target: Target) -> str | None:
        step = slice_ranges(node)[1].step
        return None if step == 1 else f"channels in steps of {step}"

    def alias(self, node: Node, reads: dict[Value, Tensor], writes: dict[Value, Tensor]) -> None:
        x, (_, channels, *_) = first_input(node), slice_ranges(node)
        others = [r == range(d) for r, d in zip(slice_ranges(node), x.dims, strict=True)]
        if channels.start % WIDEST == 0 and others[0] and all(others[2:]):
            writes[node.results[0]].lie_in(reads[x], channels.start)

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, y = first_input(node), node.results[0]
        if binder.tensor(y).parent is binder.tensor(x):
            return []
        n, c, *inner = slice_ranges(node)
        src = binder.view(x)
        start = n.start * src.n + sum(r.start * s for r, s in zip(inner, src.spatial, strict=True))
        d, h, w = (0, *(r.step * s for r, s in zip(inner, src.spatial, strict=True)))[-3:]
        taken = replace(src, ref=src.ref + start * 4, n=n.step * src.n, d=d, h=h, w=w)
        return copy_channels(binder, taken, c.start, binder.view(y), 0, len(c))
