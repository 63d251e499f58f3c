"""Pad as strided copies, or by a table of places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._constants import AXES
from ..graph import Node
from ..ops.pad import Pad
from ..plan.binder import Binder, Step
from ..plan.layout import contiguous
from ..plan.strided import copy
from .gather import progressions
from .move import BlockedMove, Move, constants_of, ints
from .resize import resize_step


def pad_borders(op: Pad, node: Node) -> list[tuple[int, int]]:
    """How many elements a Pad adds before and after along each axis."""
    pads, _, axes = (*constants_of(node), None, None)[:3]
    return op.borders(ints(pads) or (), ints(axes), len(node.input(0).dims))


def pad_value(node: Node) -> np.ndarray:
    """The element that a Pad adds, as an array of one."""
    value = (*constants_of(node), None)[1]
    return np.zeros(1, node.input(0).dtype) if value is None else np.ascontiguousarray(value.reshape(1))


def padded_places(size: int, borders: tuple[int, int], mode: str) -> np.ndarray:
    """Where the elements along a padded axis come from."""
    before, after = borders
    places = np.arange(size)[max(-before, 0) : size - max(-after, 0)]
    pad: Any = np.pad  # its type knows each mode as a literal
    return np.asarray(pad(places, (max(before, 0), max(after, 0)), mode))


class PadRowMajor(Move[Pad]):
    """Around a row-major tensor: a constant, or along one axis after the other what the mode says, from the result itself."""

    def refuse_move(self, node: Node) -> str | None:
        rank = len(node.input(0).dims)
        return f"{rank} axes" if rank > AXES else None

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, y, borders = binder.view(node.input(0)), binder.view(node.results[0]), pad_borders(self.op(node), node)
        src_strides, dst_strides, itemsize = contiguous(x.shape), contiguous(y.shape), x.itemsize
        # negative borders take elements of the input away
        first = sum(max(-before, 0) * s for (before, _), s in zip(borders, src_strides, strict=True))
        starts = [max(before, 0) for before, _ in borders]
        dims = [d + min(b, 0) + min(a, 0) for d, (b, a) in zip(x.shape, borders, strict=True)]

        def here(starts: Sequence[int]) -> int:
            return y.address + itemsize * sum(i * s for i, s in zip(starts, dst_strides, strict=True))

        inner = copy(binder, itemsize, x.address + itemsize * first, src_strides, here(starts), dst_strides, tuple(dims))
        mode = self.op(node).mode
        if mode == "constant":
            value = binder.constant(pad_value(node))
            return [copy(binder, itemsize, value, (0,) * len(y.shape), y.address, dst_strides, y.shape), inner]
        steps = [inner]
        for axis, (start, size) in enumerate(zip(tuple(starts), tuple(dims), strict=True)):
            # in the result, which has this axis so far from `start` on, and those behind it as the input has them
            places = padded_places(x.shape[axis], borders[axis], mode) + borders[axis][0]
            for place, border in ((0, places[:start]), (start + size, places[start + size :])):
                for p in progressions(border.tolist()):
                    dims[axis], starts[axis] = p.size, place
                    to = here(starts)
                    starts[axis] = p.first
                    strides = (*dst_strides[:axis], p.step * dst_strides[axis], *dst_strides[axis + 1 :])
                    steps.append(copy(binder, itemsize, here(starts), strides, to, dst_strides, tuple(dims)))
                    place += p.size
            dims[axis], starts[axis] = y.shape[axis], 0
        return steps


class PadBlocked(BlockedMove[Pad]):
    """Around the planes of a blocked tensor: a constant, or by the kernel resize what the mode says."""

    def refuse_move(self, node: Node) -> str | None:
        images, channels, *_ = pad_borders(self.op(node), node)
        if images != (0, 0) or channels != (0, 0):
            return "pads images or channels"
        mode, dtype = self.op(node).mode, node.input(0).dtype
        return None if mode == "constant" or dtype == np.float32 else f"mode {mode} takes float32 only"

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        src, dst = binder.view(node.input(0)), binder.view(node.results[0])
        (N, C, H, W), (OH, OW), V = src.shape, dst.shape[2:], src.layout.block
        CB = -(-C // V)
        (top, bottom), (left, right) = pad_borders(self.op(node), node)[2:]
        mode = self.op(node).mode
        if mode == "constant":
            value, strides = binder.constant(pad_value(node)), (dst.n, dst.c, dst.h, dst.w, 1)
            inside, to = src.at(h=max(-top, 0), w=max(-left, 0)), dst.at(h=max(top, 0), w=max(left, 0))
            dims = (N, CB, H + min(top, 0) + min(bottom, 0), W + min(left, 0) + min(right, 0), V)
            return [
                copy(binder, src.itemsize, value, (0,) * 5, dst.address, strides, (N, CB, OH, OW, V)),
                copy(binder, src.itemsize, inside, (src.n, src.c, src.h, src.w, 1), to, strides, dims),
            ]
        rows, columns = (padded_places(d, b, mode)[:, None] for d, b in ((H, (top, bottom)), (W, (left, right))))
        return [resize_step(binder, (rows, np.ones(rows.shape)), (columns, np.ones(columns.shape)), (N, CB), src, dst)]
