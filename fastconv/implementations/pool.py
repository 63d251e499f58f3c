"""The pools on the kernels max_pool and average_pool: windows over a blocked tensor, of the operator's or of all of it.

Windows over volumes N C D H W are windows over their planes first, and then along the depth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..graph import Node, Value
from ..ops.windows import Windows
from ..plan.bind import Binder, Step, View
from ..plan.implementation import Implementation, blocked_refusal
from ..plan.select import BLOCKED, NCHW, RANKS, Target


def whole(shape: tuple[int, ...]) -> Windows:
    """One window that is the plane, or the volume."""
    size = shape[2:]
    none, one = (0,) * len(size), (1,) * len(size)
    return Windows(size, one, one, none, none, size, one)


def over_planes(w: Windows) -> Windows:
    """What windows over volumes are in each plane."""
    return Windows(w.kernel[1:], w.strides[1:], w.dilations[1:], w.begin[1:], w.end[1:], w.size[1:], w.out[1:])


def over_depth(w: Windows) -> Windows:
    """What windows over volumes are along the depth, for the columns of a row of the result."""
    (kernel, *_), (stride, *_), (dilation, *_), (begin, *_), (end, *_), (size, *_), (out, _, columns) = (
        w.kernel, w.strides, w.dilations, w.begin, w.end, w.size, w.out,
    )  # fmt: skip
    return Windows((kernel, 1), (stride, 1), (dilation, 1), (begin, 0), (end, 0), (size, columns), (out, columns))


class MaxPoolBlocked(Implementation):
    """The largest element of each window."""

    name = "blocked"
    kernel = "max_pool"

    def refuse(self, node: Node, target: Target) -> str | None:
        if len(node.outputs) > 1 and node.outputs[1] is not None:
            return "indices output"
        return blocked_refusal(node.inputs[0], ranks=RANKS)

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, str], str]:
        x = node.inputs[0]
        assert x is not None
        return {x: BLOCKED}, BLOCKED

    def windows(self, node: Node) -> Windows:
        """The windows over the input."""
        x = node.inputs[0]
        assert x is not None
        return node.op.geometry(x.dims)  # type: ignore[attr-defined]

    def counts(self, node: Node, windows: Windows) -> list[np.ndarray]:
        """How many elements of each window count along each axis, where the kernel divides by that."""
        return [np.empty(0)] * len(windows.out)

    def workspace(self, node: Node, target: Target) -> int:
        """Room for the pooled planes of a volume."""
        x = node.inputs[0]
        assert x is not None
        if len(x.dims) == 4:
            return 0
        return 4 * -(-x.dims[1] // target.V) * target.V * math.prod((x.dims[2], *self.windows(node).out[1:]))

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, w = node.inputs[0], self.windows(node)
        assert x is not None
        src, dst, V = binder.view(x), binder.view(node.results[0]), binder.target.V
        counts = self.counts(node, w)
        N, CB = x.dims[0], -(-x.dims[1] // V)
        if len(w.out) == 2:
            return [self.step(binder, w, counts, (N, CB), src, dst)]
        D, (OH, OW) = w.size[0], w.out[1:]
        row, plane = OW * V, OH * OW * V
        # each plane for itself, then, for each row of the pooled planes, the columns of that row along the depth
        pooled = View(binder.workspace(), dst.shape[1:], BLOCKED, D * plane, plane, row, V)
        rows = replace(pooled, n=row, c=D * plane, h=plane)
        steps = []
        for image in range(N):
            planes, result = src.planes(image), dst.planes(image)
            planes, result = replace(planes, n=src.c, c=src.d), replace(result, n=dst.h, h=dst.d)
            steps += [
                self.step(binder, over_planes(w), counts[1:], (CB, D), planes, pooled),
                self.step(binder, over_depth(w), [counts[0], np.ones(OW)], (OH, CB), rows, result),
            ]
        return steps

    def step(
        self, binder: Binder, w: Windows, counts: Sequence[np.ndarray], planes: tuple[int, int], src: View, dst: View
    ) -> Step:
        """The step over the planes of so many images and blocks of each."""
        heights, widths = (binder.constant(c.astype(np.float32)) for c in counts)
        V, C, (H, W) = binder.target.V, dst.shape[1], w.size
        starts = [i for i in range(w.out[1]) if 0 <= i * w.strides[1] - w.begin[1] <= W - w.extent[1]]
        fields: dict[str, Any] = dict(zip(("KH", "KW", "OH", "OW"), (*w.kernel, *w.out), strict=True))
        if w.kernel == (H, W) and w.out == (1, 1) and src.h == W * V:
            # a plane without gaps is one long row
            H, W = fields["KH"], fields["KW"] = 1, H * W
        # a result of rank 2 is a matrix N x C
        blocked = len(dst.shape) == 4
        fields |= {"dst_n": dst.n, "dst_c": dst.c, "dst_h": dst.h} if blocked else {"dst_n": C, "dst_c": V, "dst_h": 0}
        return binder.step(
            getattr(binder.kernels, self.kernel),
            src=src.ref,
            dst=dst.ref,
            heights=heights,
            widths=widths,
            N=planes[0],
            CB=planes[1],
            H=H,
            W=W,
            **fields,
            stride_h=w.strides[0],
            stride_w=w.strides[1],
            dilation_h=w.dilations[0],
            dilation_w=w.dilations[1],
            top=w.begin[0],
            left=w.begin[1],
            inner_begin=starts[0] if starts else 0,
            inner_end=starts[-1] + 1 if starts else 0,
            lanes=V if blocked else C - (C - 1) // V * V,
            src_n=src.n,
            src_c=src.c,
            src_h=src.h,
        )


class AveragePoolBlocked(MaxPoolBlocked):
    """The mean of each window."""

    kernel = "average_pool"

    def counts(self, node: Node, windows: Windows) -> list[np.ndarray]:
        return node.op.axis_counts(windows)  # type: ignore[attr-defined]


class GlobalMaxPoolBlocked(MaxPoolBlocked):
    """The largest element of each plane."""

    def windows(self, node: Node) -> Windows:
        x = node.inputs[0]
        assert x is not None
        return whole(x.dims)


class GlobalAveragePoolBlocked(GlobalMaxPoolBlocked):
    """The mean of each plane."""

    kernel = "average_pool"

    def counts(self, node: Node, windows: Windows) -> list[np.ndarray]:
        return [np.array([d]) for d in windows.size]


class ReduceMeanBlocked(GlobalAveragePoolBlocked):
    """The mean of each plane as a reduction over the spatial axes: N C 1 1 or, without keepdims, a matrix N C."""

    def refuse(self, node: Node, target: Target) -> str | None:
        x, axes = node.inputs[0], node.inputs[1] if len(node.inputs) > 1 else None
        if reason := blocked_refusal(x):
            return reason
        if axes is not None and axes.constant is None:
            return "axes are not constant"
        given = None if axes is None or axes.constant is None else np.asarray(axes.constant).reshape(-1).tolist()
        over = node.op.axes(4, given)  # type: ignore[attr-defined]
        return None if set(over) == {2, 3} else f"axes {over}"

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, str], str]:
        wants, blocked = super().layouts(node, target)
        return wants, blocked if node.op.keepdims else NCHW  # type: ignore[attr-defined]


class ReduceMaxBlocked(ReduceMeanBlocked):
    """The largest element of each plane, likewise."""

    kernel = "max_pool"
