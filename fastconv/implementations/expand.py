"""Expand as one copy, whose source has strides of 0."""

from __future__ import annotations

from .._constants import AXES
from ..graph import Node
from ..ops.expand import Expand
from ..plan.binder import Binder, Step
from ..plan.layout import contiguous
from ..plan.strided import broadcast_strides, collapse, copy
from .move import Move


class ExpandRowMajor(Move[Expand]):
    """A row-major tensor repeated along axes of size 1."""

    def refuse_move(self, node: Node) -> str | None:
        x, y = node.input(0), node.results[0]
        axes = len(collapse(y.dims, contiguous(y.dims), broadcast_strides(x.dims, y.dims))[0])
        return f"{axes} axes" if axes > AXES else None

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, y = binder.view(node.input(0)), binder.view(node.results[0])
        strides = broadcast_strides(x.shape, y.shape)
        return [copy(binder, x.itemsize, x.address, strides, y.address, contiguous(y.shape), y.shape)]
