"""Resize on the kernel resize: the planes of a blocked tensor, in any mode, as every mode is a table of places and weights.

Volumes N C D H W are resized in their planes first, and then along the depth.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from ..graph import Node, Value
from ..plan.bind import Binder, Step, View
from ..plan.implementation import Implementation, blocked_refusal
from ..plan.select import BLOCKED, RANKS, Target

#: places (out, taps) along an axis, and their weights
Taps = tuple[np.ndarray, np.ndarray]


class ResizeBlocked(Implementation):
    """The spatial axes of a blocked tensor."""

    name = "blocked"

    def refuse(self, node: Node, target: Target) -> str | None:
        if reason := blocked_refusal(node.inputs[0], ranks=RANKS):
            return reason
        if any(v is not None and v.constant is None for v in node.inputs[1:]):
            return "roi, scales or sizes are not constant"
        x = node.inputs[0]
        assert x is not None
        op: Any = node.op
        rank = len(x.dims)
        roi, out, factors = geometry(node)
        for axis in (0, 1):
            if (out[axis], factors[axis], op.crop(roi, op.where(rank), axis)) != (x.dims[axis], 1, (0, 1)):
                return f"axis {axis} is resized"
        if any(op.taps(axis, x.dims[axis], out[axis], factors[axis], roi, rank).outside.any() for axis in range(2, rank)):
            return "values from outside the input"
        return None

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, str], str]:
        x = node.inputs[0]
        assert x is not None
        return {x: BLOCKED}, BLOCKED

    def workspace(self, node: Node, target: Target) -> int:
        """Room for the resized planes of a volume."""
        x, y = node.inputs[0], node.results[0]
        assert x is not None
        if len(x.dims) == 4:
            return 0
        return 4 * -(-x.dims[1] // target.V) * target.V * math.prod((x.dims[2], *y.dims[3:]))

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, V = node.inputs[0], binder.target.V
        assert x is not None
        src, dst = binder.view(x), binder.view(node.results[0])
        (N, _, *depth, _, _), CB = x.dims, -(-x.dims[1] // V)
        *deep, rows, columns = (used_taps(node, axis) for axis in range(2, len(x.dims)))
        if not deep:
            return [self.step(binder, rows, columns, (N, CB), src, dst)]
        D, (OH, OW) = depth[0], dst.shape[3:]
        row, plane = OW * V, OH * OW * V
        # each plane for itself, then, for each row of the resized planes, the columns of that row along the depth
        resized = View(binder.workspace(), dst.shape[1:], BLOCKED, D * plane, plane, row, V)
        same = np.arange(OW)[:, None], np.ones((OW, 1))
        steps = []
        for image in range(N):
            planes, result = src.planes(image), dst.planes(image)
            planes, result = replace(planes, n=src.c, c=src.d), replace(result, n=dst.h, h=dst.d)
            along = replace(resized, n=row, c=D * plane, h=plane)
            steps += [
                self.step(binder, rows, columns, (CB, D), planes, resized),
                self.step(binder, deep[0], same, (OH, CB), along, result),
            ]
        return steps

    def step(self, binder: Binder, rows: Taps, columns: Taps, planes: tuple[int, int], src: View, dst: View) -> Step:
        """The step over the planes of so many images and blocks of each."""
        (row_places, row_weights), (column_places, column_weights) = rows, columns
        return binder.step(
            binder.kernels.resize,
            src=src.ref,
            dst=dst.ref,
            rows=binder.table(row_places * src.h),
            row_weights=binder.constant(np.ascontiguousarray(row_weights, np.float32)),
            columns=binder.table(column_places * src.w),
            column_weights=binder.constant(np.ascontiguousarray(column_weights, np.float32)),
            N=planes[0],
            CB=planes[1],
            OH=len(row_places),
            OW=len(column_places),
            TH=row_places.shape[1],
            TW=column_places.shape[1],
            src_n=src.n,
            src_c=src.c,
            dst_n=dst.n,
            dst_c=dst.c,
            dst_h=dst.h,
        )


def geometry(node: Node) -> tuple[np.ndarray | None, list[int], list[float]]:
    """The roi, the output's sizes and the factors of a Resize whose operands are constant."""
    x, *given = node.inputs
    assert x is not None
    constants = [None if v is None else v.constant for v in (*given, None, None)[:3]]
    roi, scales, sizes = (None if c is None or c.size == 0 else np.asarray(c) for c in constants)
    out, factors = node.op.output(x.dims, roi, scales, None if sizes is None else tuple(sizes.tolist()))  # type: ignore[attr-defined]
    return roi, out, factors


def used_taps(node: Node, axis: int) -> Taps:
    """Places and weights (out, taps) along an axis, without the taps that weigh nothing in any element."""
    x = node.inputs[0]
    assert x is not None
    roi, out, factors = geometry(node)
    taps = node.op.taps(axis, x.dims[axis], out[axis], factors[axis], roi, len(x.dims))  # type: ignore[attr-defined]
    used = (taps.weights != 0).any(axis=0)
    return taps.places[:, used], taps.weights[:, used]
