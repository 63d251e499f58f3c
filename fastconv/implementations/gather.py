"""Gather by known indices, as strided copies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from ..graph import Node
from ..ops.dims import axis_index
from ..ops.gather import Gather
from ..plan.binder import Binder, Step
from ..plan.strided import copy
from .move import Move, constants_of, ints

#: progressions of indices that are worth a step each
MOST_PROGRESSIONS = 64


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


class GatherRowMajor(Move[Gather]):
    """Slices of a row-major tensor, where the indices are known and lie in few progressions."""

    def progressions(self, node: Node) -> list[Progression]:
        """The indices, from 0 on."""
        dims = node.input(0).dims
        size = dims[axis_index(self.op(node).axis, len(dims))]
        return progressions([i % size for i in ints(constants_of(node)[0]) or ()])

    def refuse_move(self, node: Node) -> str | None:
        count = len(self.progressions(node))
        return f"indices in {count} progressions" if count > MOST_PROGRESSIONS else None

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, y = binder.view(node.input(0)), binder.view(node.results[0])
        axis = axis_index(self.op(node).axis, len(x.shape))
        outer, inner = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 :])
        found, steps, start = self.progressions(node), [], 0
        row, result = x.shape[axis] * inner, sum(p.size for p in found) * inner
        for p in found:
            src, dst = x.address + x.itemsize * p.first * inner, y.address + y.itemsize * start
            dims, strides = (outer, p.size, inner), (row, p.step * inner, 1)
            steps.append(copy(binder, x.itemsize, src, strides, dst, (result, inner, 1), dims))
            start += p.size * inner
        return steps
