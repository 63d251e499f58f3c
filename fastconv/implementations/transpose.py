"""Transpose as one copy, or as none."""

from __future__ import annotations

from ..graph import Node, Value
from ..plan.bind import Binder, Step, View
from ..plan.select import BLOCKED, NCHW, Target
from ..plan.strided import AXES, collapse, contiguous, copy, reorder
from .move import BlockedMove, Move, first_input
from .same_memory import SameMemory


def permutation(node: Node) -> tuple[int, ...]:
    """Which axis of the input each axis of a Transpose's result is."""
    given = node.op.perm  # type: ignore[attr-defined]
    return given or tuple(reversed(range(len(first_input(node).dims))))


def transposed_strides(node: Node) -> tuple[int, ...]:
    """For each axis of the input of a Transpose, the stride in its result."""
    strides, perm = contiguous(node.results[0].dims), permutation(node)
    return tuple(strides[perm.index(i)] for i in range(len(perm)))


class TransposeInPlace(SameMemory):
    """Where only axes of size 1 change places, nothing moves."""

    def refuse_how(self, node: Node, target: Target) -> str | None:
        dims = first_input(node).dims
        moved = [i for i in permutation(node) if dims[i] > 1]
        return None if moved == sorted(moved) else "elements change places"


class TransposeBlocked(BlockedMove):
    """From the blocked layout straight to a row-major result."""

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, str], str]:
        return {first_input(node): BLOCKED}, NCHW

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x = first_input(node)
        n, c, h, w = transposed_strides(node)
        return reorder(binder, binder.view(x), View(binder.view(node.results[0]).ref, x.dims, NCHW, n, c, h, w))


class TransposePlain(Move):
    """Any permutation of a row-major tensor."""

    def refuse_how(self, node: Node, target: Target) -> str | None:
        y, perm = node.results[0], permutation(node)
        strides = contiguous(first_input(node).dims)
        dims, _ = collapse(y.dims, contiguous(y.dims), [strides[i] for i in perm])
        return f"{len(dims)} axes" if len(dims) > AXES else None

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, y = first_input(node), node.results[0]
        src, dst = binder.view(x).ref, binder.view(y).ref
        return [copy(binder, src, contiguous(x.dims), dst, transposed_strides(node), x.dims)]
