"""Operators that only move elements, by strided copies or, where the elements can stay where they are, by none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..graph import Node, Value
from ..plan.bind import Binder, Step, View
from ..plan.select import BLOCKED, NCHW, RANKS, Target
from ..plan.strided import AXES, collapse, contiguous, copy, copy_channels, reorder
from .base import Implementation
from .dims import axis_index
from .elementwise_strided import broadcast_strides, pack_blocked
from .pool import blocked_refusal

if TYPE_CHECKING:
    from ..plan.layouts import Tensor

#: channels at multiples of which a block begins whatever the vector width is
WIDEST = 16


def first_input(node: Node) -> Value:
    """inputs[0], which these operators always have."""
    x = node.inputs[0]
    assert x is not None
    return x


def constants_of(node: Node) -> list[Any]:
    """The arrays of the inputs behind the first: what Op.reference gets for them."""
    return [None if v is None else v.constant for v in node.inputs[1:]]


def ints(array: np.ndarray | None) -> tuple[int, ...] | None:
    """A tensor of integers as a tuple; None where the input is left out."""
    return None if array is None else tuple(array.reshape(-1).tolist())


class Move(Implementation):
    """Row-major float32 tensors; all inputs but the first say how, and must be constant."""

    name = "plain"

    def refuse(self, node: Node, target: Target) -> str | None:
        x = first_input(node)
        if x.constant is not None:
            return "constant input"
        if x.dtype != np.float32:
            return f"dtype {x.dtype}"
        if any(v is not None and v.constant is None for v in node.inputs[1:]):
            return "an input that says how is not constant"
        if any(0 in v.dims for v in (x, *node.results)):
            return "empty tensor"
        return self.refuse_how(node, target)

    def refuse_how(self, node: Node, target: Target) -> str | None:
        """Why this way of moving is out of reach."""
        return None

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, str], str]:
        return {first_input(node): NCHW}, NCHW


class BlockedMove(Move):
    """Blocked tensors."""

    name = "blocked"
    ranks: Sequence[int] = (4,)

    def refuse(self, node: Node, target: Target) -> str | None:
        x = first_input(node)
        if reason := blocked_refusal(x, self.ranks):
            return reason
        return super().refuse(node, target) if target.layout(x) == BLOCKED else "the input is not blocked"

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, str], str]:
        return {first_input(node): BLOCKED}, BLOCKED


# ---- the same elements in the same order: Reshape, Flatten, Squeeze, Unsqueeze, Identity


class SameMemory(Move):
    """The result lies where the input does, of whatever dtype."""

    name = "view"

    def refuse(self, node: Node, target: Target) -> str | None:
        if first_input(node).constant is not None:
            return "constant input"
        if any(v is not None for v in node.outputs[1:]):
            return "a second output"
        return self.refuse_how(node, target)

    def refuse_how(self, node: Node, target: Target) -> str | None:
        if any(v is not None and v.constant is None for v in node.inputs[1:]):
            return "an input that says how is not constant"
        return None

    def alias(self, node: Node, reads: dict[Value, Tensor], writes: dict[Value, Tensor]) -> None:
        writes[node.results[0]].lie_in(reads[first_input(node)])

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        return []


# ---- Transpose


def permutation(node: Node) -> tuple[int, ...]:
    """Which axis of the input each axis of a Transpose's result is."""
    given = node.op.perm  # type: ignore[attr-defined]
    return given or tuple(reversed(range(len(first_input(node).dims))))


def transposed_strides(node: Node) -> tuple[int, ...]:
    """For each axis of the input of a Transpose, the stride in its result."""
    strides, perm = contiguous(node.results[0].dims), permutation(node)
    return tuple(strides[perm.index(i)] for i in range(len(perm)))


class TransposeInPlace(SameMemory):
    """Where only axes of size 1 change places, nothing moves."""

    def refuse_how(self, node: Node, target: Target) -> str | None:
        dims = first_input(node).dims
        moved = [i for i in permutation(node) if dims[i] > 1]
        return None if moved == sorted(moved) else "elements change places"


class TransposeBlocked(BlockedMove):
    """From the blocked layout straight to a row-major result."""

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, str], str]:
        return {first_input(node): BLOCKED}, NCHW

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x = first_input(node)
        n, c, h, w = transposed_strides(node)
        return reorder(binder, binder.view(x), View(binder.view(node.results[0]).ref, x.dims, NCHW, n, c, h, w))


class TransposePlain(Move):
    """Any permutation of a row-major tensor."""

    def refuse_how(self, node: Node, target: Target) -> str | None:
        y, perm = node.results[0], permutation(node)
        strides = contiguous(first_input(node).dims)
        dims, _ = collapse(y.dims, contiguous(y.dims), [strides[i] for i in perm])
        return f"{len(dims)} axes" if len(dims) > AXES else None

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, y = first_input(node), node.results[0]
        src, dst = binder.view(x).ref, binder.view(y).ref
        return [copy(binder, src, contiguous(x.dims), dst, transposed_strides(node), x.dims)]


# ---- Slice, Split and Expand


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


class ExpandPlain(Move):
    """A row-major tensor repeated along axes of size 1."""

    def refuse_how(self, node: Node, target: Target) -> str | None:
        x, y = first_input(node), node.results[0]
        dims, _ = collapse(y.dims, contiguous(y.dims), broadcast_strides(x.dims, y.dims))
        return f"{len(dims)} axes" if len(dims) > AXES else None

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, y = first_input(node), node.results[0]
        src, dst = binder.view(x).ref, binder.view(y).ref
        return [copy(binder, src, broadcast_strides(x.dims, y.dims), dst, contiguous(y.dims), y.dims)]


# ---- Gather

#: runs of evenly spaced indices that are worth a step each
MOST_RUNS = 64


class Run(NamedTuple):
    """The indices first, first + step, … (`size` of them)."""

    first: int
    step: int
    size: int


def even_runs(indices: Sequence[int]) -> list[Run]:
    """The indices in order, as few runs as taking from the left gives.

    >>> [tuple(run) for run in even_runs([0, 1, 2, 9, 7, 5, 5, 5])]
    [(0, 1, 3), (9, -2, 3), (5, 0, 2)]
    """
    runs: list[Run] = []
    i = 0
    while i < len(indices):
        step = indices[i + 1] - indices[i] if i + 1 < len(indices) else 1
        end = i + 1
        while end < len(indices) and indices[end] - indices[end - 1] == step:
            end += 1
        runs.append(Run(indices[i], step, end - i))
        i = end
    return runs


class GatherPlain(Move):
    """Slices of a row-major tensor, where the indices are known and lie in few evenly spaced runs."""

    def runs(self, node: Node) -> list[Run]:
        """The indices, from 0 on."""
        size = first_input(node).dims[axis_index(node.op.axis, len(first_input(node).dims))]  # type: ignore[attr-defined]
        return even_runs([i % size for i in ints(constants_of(node)[0]) or ()])

    def refuse_how(self, node: Node, target: Target) -> str | None:
        runs = len(self.runs(node))
        return f"indices in {runs} runs" if runs > MOST_RUNS else None

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x = first_input(node)
        axis = axis_index(node.op.axis, len(x.dims))  # type: ignore[attr-defined]
        outer, inner = math.prod(x.dims[:axis]), math.prod(x.dims[axis + 1 :])
        src, dst = binder.view(x).ref, binder.view(node.results[0]).ref
        runs, steps, start = self.runs(node), [], 0
        row, result = x.dims[axis] * inner, sum(run.size for run in runs) * inner
        for run in runs:
            dims, strides = (outer, run.size, inner), (row, run.step * inner, 1)
            steps.append(copy(binder, src + 4 * run.first * inner, strides, dst + 4 * start, (result, inner, 1), dims))
            start += run.size * inner
        return steps


# ---- DepthToSpace and SpaceToDepth


class BlocksPlain(Move):
    """Row-major: the reshapes and the transpose of the definition in one copy."""

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, y, b = first_input(node), node.results[0], node.op.blocksize  # type: ignore[attr-defined]
        deep, (N, C, H, W) = (x, y.dims) if x.dims[1] >= y.dims[1] else (y, x.dims)
        h, w = H // b, W // b
        dims = (N, C, h, b, w, b)
        flat = contiguous(dims)
        # the strides of these axes in the tensor that has the blocks in its channels
        n, c, row, column = contiguous(deep.dims)
        part, channel = (C, 1) if node.op.mode == "DCR" else (1, b * b)  # type: ignore[attr-defined]
        inside = (n, channel * c, row, b * part * c, column, part * c)
        src_strides, dst_strides = (inside, flat) if deep is x else (flat, inside)
        return [copy(binder, binder.view(x).ref, src_strides, binder.view(y).ref, dst_strides, dims)]


# ---- Pad


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


# ---- Concat


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
