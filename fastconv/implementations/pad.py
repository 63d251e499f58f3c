"""Pad as strided copies, or by a table of places."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..graph import Node
from ..plan.bind import Binder, Step
from ..plan.select import Target
from ..plan.strided import AXES, contiguous, copy
from .gather import even_runs
from .move import BlockedMove, Move, constants_of, first_input, ints


def pad_borders(node: Node) -> list[tuple[int, int]]:
    """How many elements a Pad adds before and after along each axis."""
    pads, _, axes = (*constants_of(node), None, None)[:3]
    return node.op.borders(ints(pads), ints(axes), len(first_input(node).dims))  # type: ignore[attr-defined]


def pad_value(node: Node) -> np.ndarray:
    """The element that a Pad adds, as an array of one."""
    value = (*constants_of(node), None)[1]
    return np.zeros(1, np.float32) if value is None else np.ascontiguousarray(value.reshape(1))


class PadPlain(Move):
    """Around a row-major tensor: a constant, or along one axis after the other what the mode says, from the result itself."""

    def refuse_how(self, node: Node, target: Target) -> str | None:
        rank = len(first_input(node).dims)
        return f"{rank} axes" if rank > AXES else None

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, y, borders = first_input(node), node.results[0], pad_borders(node)
        src_strides, dst_strides = contiguous(x.dims), contiguous(y.dims)
        src, dst = binder.view(x).ref, binder.view(y).ref
        # negative borders take elements of the input away
        src += 4 * sum(max(-before, 0) * s for (before, _), s in zip(borders, src_strides, strict=True))
        starts = [max(before, 0) for before, _ in borders]
        dims = [d + min(b, 0) + min(a, 0) for d, (b, a) in zip(x.dims, borders, strict=True)]

        def here(starts: Sequence[int]) -> int:
            return dst + 4 * sum(i * s for i, s in zip(starts, dst_strides, strict=True))

        inner = copy(binder, src, src_strides, here(starts), dst_strides, tuple(dims))
        mode = node.op.mode  # type: ignore[attr-defined]
        if mode == "constant":
            fill = copy(binder, binder.constant(pad_value(node)), (0,) * len(y.dims), dst, dst_strides, y.dims)
            return [fill, inner]
        steps = [inner]
        for axis, (start, size) in enumerate(zip(tuple(starts), tuple(dims), strict=True)):
            # in the result, which has this axis so far from `start` on, and those behind it as the input has them
            places = padded_places(x.dims[axis], borders[axis], mode) + borders[axis][0]
            for first, part in ((0, places[:start]), (start + size, places[start + size :])):
                for run in even_runs(part.tolist()):
                    dims[axis], starts[axis] = run.size, first
                    to = here(starts)
                    starts[axis] = run.first
                    strides = (*dst_strides[:axis], run.step * dst_strides[axis], *dst_strides[axis + 1 :])
                    steps.append(copy(binder, here(starts), strides, to, dst_strides, tuple(dims)))
                    first += run.size
            dims[axis], starts[axis] = y.dims[axis], 0
        return steps


class PadBlocked(BlockedMove):
    """Around the planes of a blocked tensor: a constant, or (the kernel resize, with a table of places) what the mode says."""

    def refuse_how(self, node: Node, target: Target) -> str | None:
        images, channels, *_ = pad_borders(node)
        return None if images == channels == (0, 0) else "pads images or channels"

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, y, V = first_input(node), node.results[0], binder.target.V
        src, dst = binder.view(x), binder.view(y)
        (N, C, H, W), (OH, OW) = x.dims, y.dims[2:]
        CB = -(-C // V)
        (top, bottom), (left, right) = pad_borders(node)[2:]
        mode = node.op.mode  # type: ignore[attr-defined]
        if mode == "constant":
            strides = (dst.n, dst.c, dst.h, dst.w, 1)
            fill = copy(binder, binder.constant(pad_value(node)), (0,) * 5, dst.ref, strides, (N, CB, OH, OW, V))
            start = max(-top, 0) * src.h + max(-left, 0) * src.w
            inner = max(top, 0) * dst.h + max(left, 0) * dst.w
            dims = (N, CB, H + min(top, 0) + min(bottom, 0), W + min(left, 0) + min(right, 0), V)
            src_strides = (src.n, src.c, src.h, src.w, 1)
            return [fill, copy(binder, src.ref + start * 4, src_strides, dst.ref + inner * 4, strides, dims)]
        rows, columns = (padded_places(d, b, mode) for d, b in ((H, (top, bottom)), (W, (left, right))))
        ones = binder.constant(np.ones(max(OH, OW), np.float32))
        return [
            binder.step(
                binder.kernels.resize,
                src=src.ref,
                dst=dst.ref,
                rows=binder.table(rows * src.h),
                row_weights=ones,
                columns=binder.table(columns * src.w),
                column_weights=ones,
                N=N,
                CB=CB,
                OH=OH,
                OW=OW,
                TH=1,
                TW=1,
                src_n=src.n,
                src_c=src.c,
                dst_n=dst.n,
                dst_c=dst.c,
                dst_h=dst.h,
            )
        ]


def padded_places(size: int, borders: tuple[int, int], mode: str) -> np.ndarray:
    """Where the elements along a padded axis come from."""
    before, after = borders
    places = np.arange(size)[max(-before, 0) : size - max(-after, 0)]
    return np.pad(places, (max(before, 0), max(after, 0)), mode)  # type: ignore[call-overload]
