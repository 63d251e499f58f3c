"""The pools on the kernels max_pool and average_pool: windows over a blocked tensor, of the operator's or of a whole plane."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..graph import Node, Value
from ..plan.bind import Binder, Step
from ..plan.select import BLOCKED, NCHW, Target
from .base import Implementation
from .windows import Windows


def blocked_refusal(x: Value | None) -> str | None:
    """Why a tensor cannot be read in the blocked layout."""
    assert x is not None
    if x.constant is not None:
        return "constant input"
    if x.dtype != np.float32:
        return f"dtype {x.dtype}"
    if len(x.dims) != 4:
        return f"rank {len(x.dims)}"
    if 0 in x.dims:
        return "empty input"
    return None


def whole_plane(shape: tuple[int, ...]) -> Windows:
    """One window that is the plane."""
    size = shape[2:]
    return Windows(size, (1, 1), (1, 1), (0, 0), (0, 0), size, (1, 1))


class MaxPoolBlocked(Implementation):
    """The largest element of each window."""

    name = "blocked"
    kernel = "max_pool"

    def refuse(self, node: Node, target: Target) -> str | None:
        if len(node.outputs) > 1 and node.outputs[1] is not None:
            return "indices output"
        return blocked_refusal(node.inputs[0])

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, str], str]:
        x = node.inputs[0]
        assert x is not None
        return {x: BLOCKED}, BLOCKED

    def windows(self, node: Node) -> Windows:
        """The windows over the input."""
        x = node.inputs[0]
        assert x is not None
        return node.op.geometry(x.dims)  # type: ignore[attr-defined]

    def counts(self, node: Node, windows: Windows) -> tuple[np.ndarray, np.ndarray]:
        """How many rows and columns of each window count, where the kernel divides by that."""
        return np.empty(0), np.empty(0)

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, w = node.inputs[0], self.windows(node)
        assert x is not None
        src, dst = binder.view(x), binder.view(node.results[0])
        V = binder.target.V
        N, C, H, W = src.shape
        heights, widths = (binder.constant(c.astype(np.float32)) for c in self.counts(node, w))
        starts = [i for i in range(w.out[1]) if 0 <= i * w.strides[1] - w.begin[1] <= W - w.extent[1]]
        fields: dict[str, Any] = dict(zip(("KH", "KW", "OH", "OW"), (*w.kernel, *w.out), strict=True))
        if w.kernel == (H, W) and w.out == (1, 1) and src.h == W * V:
            # a plane without gaps is one long row
            H, W = fields["KH"], fields["KW"] = 1, H * W
        # a result of rank 2 is a matrix N x C
        blocked = len(dst.shape) == 4
        fields |= {"dst_n": dst.n, "dst_c": dst.c, "dst_h": dst.h} if blocked else {"dst_n": C, "dst_c": V, "dst_h": 0}
        return [
            binder.step(
                getattr(binder.kernels, self.kernel),
                src=src.ref,
                dst=dst.ref,
                heights=heights,
                widths=widths,
                N=N,
                CB=-(-C // V),
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
        ]


class AveragePoolBlocked(MaxPoolBlocked):
    """The mean of each window."""

    kernel = "average_pool"

    def counts(self, node: Node, windows: Windows) -> tuple[np.ndarray, np.ndarray]:
        return node.op.axis_counts(windows)  # type: ignore[attr-defined]


class GlobalMaxPoolBlocked(MaxPoolBlocked):
    """The largest element of each plane."""

    def windows(self, node: Node) -> Windows:
        x = node.inputs[0]
        assert x is not None
        return whole_plane(x.dims)


class GlobalAveragePoolBlocked(GlobalMaxPoolBlocked):
    """The mean of each plane."""

    kernel = "average_pool"

    def counts(self, node: Node, windows: Windows) -> tuple[np.ndarray, np.ndarray]:
        H, W = windows.size
        return np.array([H]), np.array([W])


class ReduceMeanBlocked(GlobalAveragePoolBlocked):
    """The mean of each plane as a reduction over the spatial axes: N C 1 1 or, without keepdims, a matrix N C."""

    def refuse(self, node: Node, target: Target) -> str | None:
        x, axes = node.inputs[0], node.inputs[1] if len(node.inputs) > 1 else None
        if reason := blocked_refusal(x):
            return reason
        if axes is not None and axes.constant is None:
            return "axes are not constant"
        given = None if axes is None or axes.constant is None else axes.constant.reshape(-1).tolist()
        over = node.op.axes(4, given)  # type: ignore[attr-defined]
        return None if set(over) == {2, 3} else f"axes {over}"

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, str], str]:
        wants, blocked = super().layouts(node, target)
        return wants, blocked if node.op.keepdims else NCHW  # type: ignore[attr-defined]


class ReduceMaxBlocked(ReduceMeanBlocked):
    """The largest element of each plane, likewise."""

    kernel = "max_pool"
