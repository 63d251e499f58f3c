"""Resize of planes, in any mode, as every mode is a table of places and weights: of floats by the kernel resize, of bytes by
resize_int8.
"""

from __future__ import annotations

import numpy as np

from ..graph import Node, Value
from ..ops.quantized import operand_of, store_of
from ..ops.resize import Resize
from ..ops.resize import Taps as AxisTaps
from ..plan.binder import Binder, Step
from ..plan.implementation import Implementation
from ..plan.layout import CHANNELS_LAST, RANKS, Layout
from ..plan.select import Selection, Target
from ..plan.view import View
from .int8 import Int8Implementation, filled_up, one_scale, rounding_fields
from .planes import plane_steps, planes_workspace

#: places (out, taps) along an axis, and their weights
Taps = tuple[np.ndarray, np.ndarray]


class ResizeByTaps(Implementation[Resize]):
    """What the implementations share: the table of places and weights along each axis."""

    def refuse(self, node: Node, selection: Selection) -> str | None:
        if any(v is not None and v.constant is None for v in node.inputs[1:]):
            return "roi, scales or sizes are not constant"
        axes = range(len(node.input(0).dims))
        return "values from outside the input" if any(self.taps(node, axis).outside.any() for axis in axes) else None

    def sizes(self, node: Node) -> tuple[np.ndarray | None, list[int], list[float]]:
        """The roi, the output's sizes and the factors of a node whose operands are constant."""
        inputs = (node.optional(i) for i in (1, 2, 3))
        given = (None if v is None or v.constant is None or v.constant.size == 0 else np.asarray(v.constant) for v in inputs)
        roi, scales, sizes = given
        dims = node.input(0).dims
        out, factors = self.op(node).output(dims, roi, scales, None if sizes is None else tuple(sizes.tolist()))
        return roi, out, factors  # type: ignore[return-value]  # known, as the input's sizes are

    def taps(self, node: Node, axis: int) -> AxisTaps:
        """Where the elements along an axis come from."""
        dims = node.input(0).dims
        roi, out, factors = self.sizes(node)
        return self.op(node).taps(axis, dims[axis], out[axis], factors[axis], roi, len(dims))

    def used_taps(self, node: Node, axis: int) -> Taps:
        """Places and weights (out, taps) along an axis, without the taps that weigh nothing in any element."""
        taps = self.taps(node, axis)
        used = (taps.weights != 0).any(axis=0)
        return taps.places[:, used], taps.weights[:, used]


class ResizePlanes(ResizeByTaps):
    """The spatial axes of a tensor, and no others."""

    def refuse(self, node: Node, selection: Selection) -> str | None:
        if reason := super().refuse(node, selection):
            return reason
        op, dims = self.op(node), node.input(0).dims
        roi, out, factors = self.sizes(node)
        for axis in (0, 1):
            if (out[axis], factors[axis], op.crop(roi, op.where(len(dims)), axis)) != (dims[axis], 1, (0, 1)):
                return f"axis {axis} is resized"
        return None


class ResizeBlocked(ResizePlanes):
    """The planes of a blocked tensor."""

    name = "blocked"
    ranks = RANKS

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, Layout], Layout]:
        return {node.input(0): target.blocked}, target.blocked

    def workspace(self, node: Node, target: Target) -> int:
        """Room for the resized planes of a volume."""
        return planes_workspace(node.input(0).dims, node.results[0].dims[2:], target.blocked)

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        src, dst = binder.view(node.input(0)), binder.view(node.results[0])
        *depth, rows, columns = (self.used_taps(node, axis) for axis in range(2, len(src.shape)))

        def along_planes(planes: tuple[int, int], src: View, dst: View) -> Step:
            return resize_step(binder, rows, columns, planes, src, dst)

        def along_depth(planes: tuple[int, int], src: View, dst: View) -> Step:
            same = np.arange(dst.shape[4])[:, None], np.ones((dst.shape[4], 1))
            return resize_step(binder, depth[0], same, planes, src, dst)

        return plane_steps(binder, src, dst, dst.shape[2:], along_planes, along_depth)


def resize_step(binder: Binder, rows: Taps, columns: Taps, planes: tuple[int, int], src: View, dst: View) -> Step:
    """A step of the kernel resize over planes; `planes` has the number of images and of channel blocks in each."""
    return binder.step(
        binder.kernels.resize,
        src=src.fields,
        dst=dst.fields,
        rows=taps_fields(binder, rows, src.h),
        columns=taps_fields(binder, columns, src.w),
        N=planes[0],
        CB=planes[1],
    )


def taps_fields(binder: Binder, taps: Taps, stride: int) -> dict[str, int]:
    """The struct of pyx/axis_taps.pxd, for an axis of this stride."""
    places, weights = taps
    return {
        "places": binder.table(places * stride),
        "weights": binder.constant(np.ascontiguousarray(weights, np.float32)),
        "out": len(places),
        "count": places.shape[1],
    }


class ResizeInt8(Int8Implementation[Resize], ResizePlanes):
    """The planes of a quantized tensor with channels last."""

    name = "taps-int8"
    ranks = (4,)

    def refuse(self, node: Node, selection: Selection) -> str | None:
        store = store_of(node)
        if store is None or store.residual is not None:
            return "another store than kernels of bytes have"
        return one_scale(node, node.input(0)) or super().refuse(node, selection)

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, Layout], Layout]:
        return {self.operands(node)[0]: CHANNELS_LAST}, CHANNELS_LAST

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, store = operand_of(node, node.input(0)), store_of(node)
        assert x is not None and store is not None, "refuse takes no others"
        src, dst = binder.view(x.integers), binder.view(node.results[0])
        return [
            binder.step(
                binder.kernels.resize_int8,
                src=src.fields, dst=dst.fields, N=src.shape[0], channels=filled_up(src.shape[1]),
                rows=taps_fields(binder, self.used_taps(node, 2), src.h),
                columns=taps_fields(binder, self.used_taps(node, 3), src.w),
                src_zero=int(x.zero), factor=float(x.scale / store.last.scale), rounding=rounding_fields(store.last),
            )
        ]  # fmt: skip
