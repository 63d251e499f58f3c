"""The pools on the kernels max_pool and average_pool: windows over a blocked tensor, or one window for each plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np

from ..graph import Node, Value
from ..ops.average_pool import AveragePool
from ..ops.base import Op
from ..ops.max_pool import MaxPool
from ..ops.reduce import Reduce
from ..ops.windows import Windows
from ..plan.binder import Binder, Step
from ..plan.implementation import Implementation
from ..plan.layout import RANKS, ROW_MAJOR, Layout
from ..plan.select import Selection, Target
from ..plan.view import View
from .planes import plane_steps, planes_workspace

P = TypeVar("P", bound=Op)


class PoolBlocked(Implementation[P]):
    """A reduction of each window of a blocked tensor; a subclass says what the windows are."""

    name = "blocked"
    ranks: ClassVar[Sequence[int] | None] = RANKS

    def __init__(self, kernel: str):
        self.kernel = kernel

    def windows(self, node: Node) -> Windows:
        """The windows over the input."""
        raise NotImplementedError

    def counts(self, node: Node, windows: Windows) -> list[np.ndarray]:
        """For each axis, how many elements along it a mean is taken over, for each window."""
        raise NotImplementedError

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, Layout], Layout]:
        return {node.input(0): target.blocked}, target.blocked

    def workspace(self, node: Node, target: Target) -> int:
        """Room for the pooled planes of a volume."""
        return planes_workspace(node.input(0).dims, self.windows(node).out, target.blocked)

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        src, dst, w = binder.view(node.input(0)), binder.view(node.results[0]), self.windows(node)
        counts = self.counts(node, w)

        def along_planes(planes: tuple[int, int], src: View, dst: View) -> Step:
            return self.step(binder, over_planes(w), counts[-2:], planes, src, dst)

        def along_depth(planes: tuple[int, int], src: View, dst: View) -> Step:
            return self.step(binder, over_depth(w), [counts[0], np.ones(w.out[2])], planes, src, dst)

        return plane_steps(binder, src, dst, w.out, along_planes, along_depth)

    def step(
        self, binder: Binder, w: Windows, counts: Sequence[np.ndarray], planes: tuple[int, int], src: View, dst: View
    ) -> Step:
        """The step over planes; `planes` has the number of images and of channel blocks in each."""
        heights, widths = (binder.constant(c.astype(np.float32)) for c in counts)
        V, C, (H, W) = src.layout.block, dst.shape[1], w.size
        inner_begin, inner_end = inner_columns(w)
        fields: dict[str, Any] = dict(zip(("KH", "KW", "OH", "OW"), (*w.kernel, *w.out), strict=True))
        if w.kernel == (H, W) and w.out == (1, 1) and src.h == W * V:
            # a plane without gaps is one long row
            H, W = fields["KH"], fields["KW"] = 1, H * W
        lanes = V
        if not dst.layout.is_blocked:  # a matrix N C
            dst, lanes = dst._replace(n=C, c=V, h=0), C - (C - 1) // V * V
        return binder.step(
            getattr(binder.kernels, self.kernel),
            src=src.fields,
            dst=dst.fields,
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
            inner_begin=inner_begin,
            inner_end=inner_end,
            lanes=lanes,
        )


class MaxPoolBlocked(PoolBlocked[MaxPool]):
    """The largest element of each window."""

    def __init__(self) -> None:
        super().__init__("max_pool")

    def refuse(self, node: Node, selection: Selection) -> str | None:
        return "indices output" if any(v is not None for v in node.outputs[1:]) else None

    def windows(self, node: Node) -> Windows:
        return self.op(node).geometry(node.input(0).dims)

    def counts(self, node: Node, windows: Windows) -> list[np.ndarray]:
        return [np.empty(0)] * len(windows.out)


class AveragePoolBlocked(PoolBlocked[AveragePool]):
    """The mean of each window."""

    def __init__(self) -> None:
        super().__init__("average_pool")

    def windows(self, node: Node) -> Windows:
        return self.op(node).geometry(node.input(0).dims)

    def counts(self, node: Node, windows: Windows) -> list[np.ndarray]:
        return self.op(node).axis_counts(windows)


class GlobalPoolBlocked(PoolBlocked[P]):
    """One window that is the plane, or the volume."""

    def windows(self, node: Node) -> Windows:
        return Windows.whole(node.input(0).dims[2:])

    def counts(self, node: Node, windows: Windows) -> list[np.ndarray]:
        return [np.array([d]) for d in windows.size]


class ReducePlanesBlocked(GlobalPoolBlocked[Reduce]):
    """A reduction over the spatial axes of images: N C 1 1 or, without keepdims, a matrix N C."""

    ranks: ClassVar[Sequence[int] | None] = (4,)

    def refuse(self, node: Node, selection: Selection) -> str | None:
        axes = node.optional(1)
        if axes is not None and axes.constant is None:
            return "axes are not constant"
        given = None if axes is None or axes.constant is None else np.asarray(axes.constant).reshape(-1).tolist()
        over = self.op(node).axes(4, given)
        return None if set(over) == {2, 3} else f"axes {over}"

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, Layout], Layout]:
        return {node.input(0): target.blocked}, target.blocked if self.op(node).keepdims else ROW_MAJOR


def inner_columns(w: Windows) -> tuple[int, int]:
    """The columns of windows over planes whose rows lie inside the input: the first, and the one behind the last."""
    inside = [i for i in range(w.out[1]) if 0 <= i * w.strides[1] - w.begin[1] <= w.size[1] - w.extent[1]]
    return (inside[0], inside[-1] + 1) if inside else (0, 0)


def over_planes(w: Windows) -> Windows:
    """What windows are in each plane."""
    return Windows(w.kernel[-2:], w.strides[-2:], w.dilations[-2:], w.begin[-2:], w.end[-2:], w.size[-2:], w.out[-2:])


def over_depth(w: Windows) -> Windows:
    """What windows over volumes are along the depth, for the columns of a row of the result."""
    (kernel, *_), (stride, *_), (dilation, *_), (begin, *_), (end, *_), (size, *_), (out, _, columns) = (
        w.kernel, w.strides, w.dilations, w.begin, w.end, w.size, w.out,
    )  # fmt: skip
    return Windows((kernel, 1), (stride, 1), (dilation, 1), (begin, 0), (end, 0), (size, columns), (out, columns))
