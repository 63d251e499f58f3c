"""Resize to the nearest element on the kernel gather, for elements of any type."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ..graph import Node, Value
from ..plan.arena import ALIGN
from ..plan.binder import Binder, Step
from ..plan.layout import CHANNELS_LAST, ROW_MAJOR, Layout
from ..plan.select import Selection, Target
from ..plan.strided import copy
from .gather import Index, gather
from .move import MOVABLE
from .resize import ResizeByTaps


class ResizeNearest(ResizeByTaps):
    """Any axes of a row-major tensor, one after the other: the last one first, so that the others move whole rows."""

    name = "nearest"
    dtypes = MOVABLE

    def refuse(self, node: Node, selection: Selection) -> str | None:
        mode = self.op(node).mode
        return super().refuse(node, selection) if mode == "nearest" else f"mode {mode} takes float32 and spatial axes only"

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, Layout], Layout]:
        return {node.input(0): ROW_MAJOR}, ROW_MAJOR

    def gathers(self, node: Node) -> Iterator[tuple[int, np.ndarray, tuple[int, ...]]]:
        """For each axis that is resized: the axis, the places along it that elements come from, and the shape of the source."""
        dims = node.input(0).dims
        places = [self.used_taps(node, axis)[0][:, 0] for axis in range(len(dims))]
        resized = [axis for axis, d in enumerate(dims) if not np.array_equal(places[axis], np.arange(d))]
        for axis in reversed(resized or [len(dims) - 1]):
            yield axis, places[axis], dims
            dims = (*dims[:axis], len(places[axis]), *dims[axis + 1 :])

    def room(self, node: Node) -> list[int]:
        """The bytes of each source but the first, which lie in the workspace."""
        dtype = node.input(0).dtype
        assert dtype is not None, "all dtypes are known"
        return [-(-dtype.itemsize * math.prod(dims) // ALIGN) * ALIGN for _, _, dims in list(self.gathers(node))[1:]]

    def workspace(self, node: Node, target: Target) -> int:
        return sum(self.room(node))

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, y = binder.view(node.input(0)), binder.view(node.results[0])
        sizes = self.room(node)
        starts = [binder.workspace() + sum(sizes[:i]) for i in range(len(sizes))]
        return [
            gather(binder, y.itemsize, src, dims, axis, Index(binder.table(places), len(places)), dst)
            for (axis, places, dims), src, dst in zip(
                self.gathers(node), (x.address, *starts), (*starts, y.address), strict=True
            )
        ]


class ResizeNearestInt8(ResizeNearest):
    """The planes of bytes with channels last, by whole factors: a copy of pixels."""

    name = "int8"
    dtypes = frozenset({"uint8"})
    ranks = (4,)

    def refuse(self, node: Node, selection: Selection) -> str | None:
        if reason := super().refuse(node, selection):
            return reason
        if not selection.layout(node.input(0)).is_blocked:
            return "the input is row-major"
        dims = zip(node.input(0).dims, node.results[0].dims, strict=True)
        for axis, (size, out) in enumerate(dims):
            repeated = np.arange(out) // max(out // size, 1)
            if (axis < 2 and out != size) or not np.array_equal(self.used_taps(node, axis)[0][:, 0], repeated):
                return f"axis {axis} is not repeated evenly"
        return None

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, Layout], Layout]:
        return {node.input(0): CHANNELS_LAST}, CHANNELS_LAST

    def workspace(self, node: Node, target: Target) -> int:
        return 0

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, y = binder.view(node.input(0)), binder.view(node.results[0])
        N, C, H, W = x.shape
        rows, columns = y.shape[2] // H, y.shape[3] // W
        strides = (x.n, x.h, 0, x.w, 0, 1), (y.n, rows * y.h, y.h, columns * y.w, y.w, 1)
        return [copy(binder, 1, x.address, strides[0], y.address, strides[1], (N, H, rows, W, columns, C))]
