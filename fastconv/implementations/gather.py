"""Gather on the kernel gather, or as one strided copy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..graph import Node, Value
from ..ops.dims import axis_index
from ..ops.gather import Gather
from ..plan.binder import Binder, Step
from ..plan.implementation import Implementation
from ..plan.layout import ROW_MAJOR, Layout
from ..plan.select import Selection, Target
from ..plan.strided import copy
from .move import MOVABLE


class Progression(NamedTuple):
    """The indices first, first + step, … (`size` of them)."""

    first: int
    step: int
    size: int


def progressions(indices: Sequence[int]) -> list[Progression]:
    """The indices in order, in as few arithmetic progressions as taking from the left gives.

    >>> [tuple(p) for p in progressions([0, 1, 2, 9, 7, 5, 5, 5])]
    [(0, 1, 3), (9, -2, 3), (5, 0, 2)]
    """
    found: list[Progression] = []
    i = 0
    while i < len(indices):
        step = indices[i + 1] - indices[i] if i + 1 < len(indices) else 1
        end = i + 1
        while end < len(indices) and indices[end] - indices[end - 1] == step:
            end += 1
        found.append(Progression(indices[i], step, end - i))
        i = end
    return found


def gather(
    binder: Binder,
    itemsize: int,
    src: int,
    dims: Sequence[int],
    axis: int,
    index: int,
    count: int,
    dst: int,
    short_index: bool = False,
    fault: int = 0,
) -> Step:
    """A step that takes `count` slices along an axis of a row-major tensor of shape `dims`; operands are addresses."""
    return binder.step(
        binder.kernels.gather,
        src=src,
        dst=dst,
        index=index,
        fault=fault,
        short_index=short_index,
        outer=math.prod(dims[:axis]),
        size=dims[axis],
        count=count,
        width=math.prod(dims[axis + 1 :]) * itemsize,
    )


class GatherRowMajor(Implementation[Gather]):
    """Slices of a row-major tensor of any type, by known indices or by those that a run computes."""

    name = "row-major"
    dtypes = MOVABLE

    def operands(self, node: Node) -> list[Value]:
        return [node.input(0), node.input(1)]

    def refuse(self, node: Node, selection: Selection) -> str | None:
        indices = node.input(1)
        if indices.constant is None and str(indices.dtype) not in ("int32", "int64"):
            return f"indices of dtype {indices.dtype}"
        return None

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, Layout], Layout]:
        return {v: ROW_MAJOR for v in self.operands(node) if v.constant is None}, ROW_MAJOR

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, indices, y = node.input(0), node.input(1), binder.view(node.results[0])
        src, axis = binder.operand(x), axis_index(self.op(node).axis, len(x.dims))
        size, count = x.dims[axis], math.prod(indices.dims)
        if indices.constant is None:
            fault = binder.fault(node, f"indices: expected {-size} to {size - 1}, got {{}}")
            index, short = binder.view(indices), indices.dtype == np.int32
            return [gather(binder, y.itemsize, src, x.dims, axis, index.address, count, y.address, short, fault)]
        places = binder.array(indices.constant).reshape(-1).astype(np.int64) % size
        (first, step, _), *more = progressions(places.tolist())
        if more:
            return [gather(binder, y.itemsize, src, x.dims, axis, binder.table(places), count, y.address)]
        outer, inner = math.prod(x.dims[:axis]), math.prod(x.dims[axis + 1 :])
        strides = (size * inner, step * inner, 1)
        dims, flat = (outer, count, inner), (count * inner, inner, 1)
        return [copy(binder, y.itemsize, src + y.itemsize * first * inner, strides, y.address, flat, dims)]
