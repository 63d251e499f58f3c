"""Resize on the kernel resize: the planes of a blocked tensor, in any mode, as every mode is a table of places and weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..graph import Node, Value
from ..plan.bind import Binder, Step
from ..plan.select import BLOCKED, Target
from .base import Implementation
from .pool import blocked_refusal


class ResizeBlocked(Implementation):
    """The spatial axes of a blocked tensor."""

    name = "blocked"

    def refuse(self, node: Node, target: Target) -> str | None:
        if reason := blocked_refusal(node.inputs[0]):
            return reason
        if any(v is not None and v.constant is None for v in node.inputs[1:]):
            return "roi, scales or sizes are not constant"
        x = node.inputs[0]
        assert x is not None
        op: Any = node.op
        roi, out, factors = geometry(node)
        for axis in (0, 1):
            if (out[axis], factors[axis], op.crop(roi, op.where(4), axis)) != (x.dims[axis], 1, (0, 1)):
                return f"axis {axis} is resized"
        if any(op.taps(axis, x.dims[axis], out[axis], factors[axis], roi, 4).outside.any() for axis in (2, 3)):
            return "values from outside the input"
        return None

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, str], str]:
        x = node.inputs[0]
        assert x is not None
        return {x: BLOCKED}, BLOCKED

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, V = node.inputs[0], binder.target.V
        assert x is not None
        src, dst = binder.view(x), binder.view(node.results[0])
        N, C, OH, OW = dst.shape
        (rows, row_weights), (columns, column_weights) = (used_taps(node, axis) for axis in (2, 3))
        return [
            binder.step(
                binder.kernels.resize,
                src=src.ref,
                dst=dst.ref,
                rows=binder.table(rows * src.h),
                row_weights=binder.constant(np.ascontiguousarray(row_weights, np.float32)),
                columns=binder.table(columns * src.w),
                column_weights=binder.constant(np.ascontiguousarray(column_weights, np.float32)),
                N=N,
                CB=-(-C // V),
                OH=OH,
                OW=OW,
                TH=rows.shape[1],
                TW=columns.shape[1],
                src_n=src.n,
                src_c=src.c,
                dst_n=dst.n,
                dst_c=dst.c,
                dst_h=dst.h,
            )
        ]


def geometry(node: Node) -> tuple[np.ndarray | None, list[int], list[float]]:
    """The roi, the output's sizes and the factors of a Resize whose operands are constant."""
    x, *given = node.inputs
    assert x is not None
    arrays = [None if v is None or v.constant is None or v.constant.size == 0 else v.constant for v in (*given, None, None)]
    roi, scales, sizes = arrays[:3]
    out, factors = node.op.output(x.dims, roi, scales, None if sizes is None else tuple(sizes.tolist()))  # type: ignore[attr-defined]
    return roi, out, factors


def used_taps(node: Node, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Places and weights (out, taps) along an axis, without the taps that weigh nothing in any element."""
    x = node.inputs[0]
    assert x is not None
    roi, out, factors = geometry(node)
    taps = node.op.taps(axis, x.dims[axis], out[axis], factors[axis], roi, 4)  # type: ignore[attr-defined]
    used = (taps.weights != 0).any(axis=0)
    return taps.places[:, used], taps.weights[:, used]
