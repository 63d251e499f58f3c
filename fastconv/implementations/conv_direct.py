"""Direct convolution, in three forms that share one kernel: any kernel size, 1x1, and the first layer's few input channels.

The kernel (pyx/isa/conv_direct.pyx) walks a table of taps. The forms differ in the table, in the layout of the source and in
the shapes that they are for.
"""

from __future__ import annotations

import numpy as np

from ..graph import Node, shape_text
from ..ops.conv import Conv
from ..ops.windows import Windows
from ..plan.binder import Binder, Step
from ..plan.cost import GATHER_CHANNELS
from ..plan.epilogue import epilogue_of
from ..plan.layout import PLANAR, RANKS, Layout, geometry
from ..plan.select import Selection, Target
from ..plan.strided import reorder
from ..plan.view import View
from .conv import bias_of, first_refusal, first_taps, pack_bias
from .conv_taps import ConvTaps, grid_offsets, image_views, tap_axes
from .panels import pack_weights


class ConvDirect(ConvTaps[Conv]):
    """Any convolution of a blocked source."""

    name = "direct"
    ranks = RANKS

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, w, V, groups = node.input(0), node.input(1), binder.target.V, self.op(node).group
        windows, src, dst = self.windows(node), binder.view(x), binder.view(node.results[0])
        merged = self.groups(node, V)
        wei = binder.pack("direct", pack_weights, w.constant, groups=groups, merge=merged.merge, block=src.layout.block, V=V)
        bia = binder.pack("bias", pack_bias, bias_of(node), OC=w.dims[0], groups=merged.G, V=V)
        gather: list[Step] = []
        if self.workspace(node, binder.target):
            read = first_taps(src, windows)
            src = binder.workspace_view((*x.dims[:2], *windows.out), src.layout)
            gather, windows = reorder(binder, read, src), windows._replace(strides=(1, 1), begin=(0, 0))
        return [
            *gather,
            *(
                self.step(binder, windows, merged, wei, bia, images(src), images(dst), binder.epilogue(node, images))
                for images in image_views(x)
            ),
        ]

    def workspace(self, node: Node, target: Target) -> int:
        """Room for the pixels that a strided 1x1 kernel reads, side by side.

        Where they lie, they share cache lines or pages with others, all of which each panel would read.
        """
        windows, source = self.windows(node), self.source(target)
        if not source.is_blocked or windows.kernel != (1, 1) or windows.strides[1] == 1:
            return 0
        if node.input(1).dims[0] < GATHER_CHANNELS:
            return 0
        return geometry((*node.input(0).dims[:2], *windows.out), source, itemsize=4).nbytes


class ConvPointwise(ConvDirect):
    """A 1x1 convolution: one tap, no halo."""

    name = "pointwise"

    def refuse(self, node: Node, selection: Selection) -> str | None:
        if reason := super().refuse(node, selection):
            return reason
        kernel = self.windows(node).kernel
        return None if set(kernel) == {1} else f"kernel {shape_text(kernel)}"


class ConvPlanar(ConvDirect):
    """The base of those that read planes."""

    def source(self, target: Target) -> Layout:
        return PLANAR

    def refuse(self, node: Node, selection: Selection) -> str | None:
        if reason := super().refuse(node, selection):
            return reason
        return "the source is the residual too" if epilogue_of(node)[0] is node.input(0) else None  # which is read blocked

    def taps(self, windows: Windows, channels: int, src: View) -> tuple[np.ndarray, dict[str, int]]:
        axes, length = tap_axes(windows, src), 1
        if windows.dilations[-1] == 1:  # a kernel row is one segment
            axes, length = axes[:-1], windows.kernel[-1]
        table = grid_offsets((channels, src.c), *axes)
        return table, {"segments": len(table), "length": length, "tail_segments": 0, "tail_length": 0}


class ConvFirst(ConvPlanar):
    """The first layer: few input channels, read from planes."""

    name = "first"

    def refuse(self, node: Node, selection: Selection) -> str | None:
        if reason := super().refuse(node, selection):
            return reason
        x = node.input(0)
        if reason := first_refusal(x.dims[1], self.op(node).group):
            return reason
        return "the source is blocked" if selection.layout(x).is_blocked else None
