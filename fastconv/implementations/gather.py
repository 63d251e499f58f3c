"""Gather and GatherElements on the kernel gather, or as one strided copy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from ..graph import Node, Value, shape_text
from ..ops.dims import axis_index
from ..ops.gather import Gather
from ..ops.gather_elements import GatherElements
from ..plan.binder import Binder, Step
from ..plan.implementation import Implementation, OpT
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


@dataclass(frozen=True)
class Index:
    """Indices along an axis, as the kernel gather takes them."""

    address: int
    count: int
    #: whether they are int32, and not int64
    short: bool = False
    #: where one that is out of range is reported
    fault: int = 0


def gather(
    binder: Binder, itemsize: int, src: int, dims: Sequence[int], axis: int, index: Index, dst: int, by_element: bool = False
) -> Step:
    """A step that takes slices along an axis of a row-major tensor of shape `dims`; src and dst are addresses.

    With `by_element`, each element of a slice has an index of its own.
    """
    outer, size, inner = math.prod(dims[:axis]), dims[axis], math.prod(dims[axis + 1 :])
    return binder.step(
        binder.kernels.gather,
        src=src,
        dst=dst,
        index=index.address,
        fault=index.fault,
        short_index=index.short,
        outer=outer,
        size=size,
        count=index.count // outer if by_element else index.count,
        index_outer=index.count // outer if by_element else 0,
        inner=inner if by_element else 1,
        width=itemsize if by_element else inner * itemsize,
    )


class ByIndices(Implementation[OpT]):
    """Row-major tensors of any type, by known indices or by those that a run computes."""

    name = "row-major"
    dtypes: ClassVar[frozenset[str] | None] = MOVABLE

    def operands(self, node: Node) -> list[Value]:
        return [node.input(0), node.input(1)]

    def refuse(self, node: Node, selection: Selection) -> str | None:
        indices = node.input(1)
        if indices.constant is None and str(indices.dtype) not in ("int32", "int64"):
            return f"indices of dtype {indices.dtype}"
        return None

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, Layout], Layout]:
        return {v: ROW_MAJOR for v in self.operands(node) if v.constant is None}, ROW_MAJOR

    def index(self, node: Node, binder: Binder, size: int) -> Index:
        """The indices along an axis of this size."""
        indices = node.input(1)
        count = math.prod(indices.dims)
        if indices.constant is not None:
            return Index(binder.table(binder.array(indices.constant)), count)
        fault = binder.fault(node, f"indices: expected {-size} to {size - 1}, got {{}}")
        return Index(binder.view(indices).address, count, indices.dtype == np.int32, fault)


class GatherRowMajor(ByIndices[Gather]):
    """Slices; those of one progression of known indices by a copy."""

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, indices, y = node.input(0), node.input(1), binder.view(node.results[0])
        src, axis = binder.operand(x), axis_index(self.op(node).axis, len(x.dims))
        size = x.dims[axis]
        if indices.constant is not None:
            places = binder.array(indices.constant).reshape(-1).astype(np.int64) % size
            (first, step, count), *more = progressions(places.tolist())
            if not more:
                outer, inner = math.prod(x.dims[:axis]), math.prod(x.dims[axis + 1 :])
                strides = (size * inner, step * inner, 1)
                dims, flat = (outer, count, inner), (count * inner, inner, 1)
                return [copy(binder, y.itemsize, src + y.itemsize * first * inner, strides, y.address, flat, dims)]
        return [gather(binder, y.itemsize, src, x.dims, axis, self.index(node, binder, size), y.address)]


class GatherElementsRowMajor(ByIndices[GatherElements]):
    """Elements, along the only axis whose size may differ between the tensor and its indices."""

    def axis(self, node: Node) -> int:
        """The axis, from 0 on."""
        return axis_index(self.op(node).axis, len(node.input(0).dims))

    def refuse(self, node: Node, selection: Selection) -> str | None:
        axis, x, indices = self.axis(node), node.input(0).dims, node.input(1).dims
        if (*x[:axis], *x[axis + 1 :]) != (*indices[:axis], *indices[axis + 1 :]):
            return f"indices of shape {shape_text(indices)}"
        return super().refuse(node, selection)

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, axis, y = node.input(0), self.axis(node), binder.view(node.results[0])
        index = self.index(node, binder, x.dims[axis])
        return [gather(binder, y.itemsize, binder.operand(x), x.dims, axis, index, y.address, by_element=True)]
