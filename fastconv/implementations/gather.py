"""Gather by known indices as strided copies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from ..graph import Node
from ..ops.dims import axis_index
from ..plan.bind import Binder, Step
from ..plan.select import Target
from ..plan.strided import copy
from .move import Move, constants_of, first_input, ints

#: runs of evenly spaced indices that are worth a step each
MOST_RUNS = 64


class Run(NamedTuple):
    """The indices first, first + step, … (`size` of them)."""

    first: int
    step: int
    size: int


def even_runs(indices: Sequence[int]) -> list[Run]:
    """The indices in order, as few runs as taking from the left gives.

    >>> [tuple(run) for run in even_runs([0, 1, 2, 9, 7, 5, 5, 5])]
    [(0, 1, 3), (9, -2, 3), (5, 0, 2)]
    """
    runs: list[Run] = []
    i = 0
    while i < len(indices):
        step = indices[i + 1] - indices[i] if i + 1 < len(indices) else 1
        end = i + 1
        while end < len(indices) and indices[end] - indices[end - 1] == step:
            end += 1
        runs.append(Run(indices[i], step, end - i))
        i = end
    return runs


class GatherPlain(Move):
    """Slices of a row-major tensor, where the indices are known and lie in few evenly spaced runs."""

    def runs(self, node: Node) -> list[Run]:
        """The indices, from 0 on."""
        size = first_input(node).dims[axis_index(node.op.axis, len(first_input(node).dims))]  # type: ignore[attr-defined]
        return even_runs([i % size for i in ints(constants_of(node)[0]) or ()])

    def refuse_how(self, node: Node, target: Target) -> str | None:
        runs = len(self.runs(node))
        return f"indices in {runs} runs" if runs > MOST_RUNS else None

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x = first_input(node)
        axis = axis_index(node.op.axis, len(x.dims))  # type: ignore[attr-defined]
        outer, inner = math.prod(x.dims[:axis]), math.prod(x.dims[axis + 1 :])
        src, dst = binder.view(x).ref, binder.view(node.results[0]).ref
        runs, steps, start = self.runs(node), [], 0
        row, result = x.dims[axis] * inner, sum(run.size for run in runs) * inner
        for run in runs:
            dims, strides = (outer, run.size, inner), (row, run.step * inner, 1)
            steps.append(copy(binder, src + 4 * run.first * inner, strides, dst + 4 * start, (result, inner, 1), dims))
            start += run.size * inner
        return steps
