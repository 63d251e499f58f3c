"""Expand as one copy with strides of 0."""

from __future__ import annotations

from ..graph import Node
from ..plan.bind import Binder, Step
from ..plan.select import Target
from ..plan.strided import AXES, collapse, contiguous, copy
from .elementwise import broadcast_strides
from .move import Move, first_input


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
