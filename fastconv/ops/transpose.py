"""Transpose: axis i of the result is axis perm[i] of the input."""

from __future__ import annotations

from ..graph import Node, Value
from .base import Array, Inferred, Op, Results, only_first_varies
from .dims import check, unknown
from .span import Spans


class Transpose(Op):
    #: None: the axes in reverse order
    perm: tuple[int, ...] | None = None

    def permutation(self, rank: int) -> tuple[int, ...]:
        """Which axis of an input of this rank each axis of the result is."""
        return self.perm or tuple(reversed(range(rank)))

    def independent_images(self, node: Node) -> bool:
        return only_first_varies(node) and self.perm is not None and self.perm[0] == 0

    def flops(self, node: Node) -> int:
        return 0

    def is_identity(self, node: Node) -> bool:
        return self.perm is not None and self.perm == tuple(range(len(self.perm)))

    def selects_elements(self, node: Node) -> bool:
        return True

    def reads(self, node: Node, i: int, result: Value, spans: Spans) -> Spans:
        perm = self.permutation(len(spans))
        return [spans[perm.index(a)] for a in range(len(spans))]

    def infer(self, x: Value) -> Inferred:
        perm = self.perm
        check(perm is None or sorted(perm) == list(range(len(perm))), f"perm: expected each axis once, got {perm}")
        if x.shape is None:
            return [(unknown(None if perm is None else len(perm)), x.dtype)]
        check(perm is None or len(perm) == len(x.shape), f"perm: expected {len(x.shape)} axes, got {perm}")
        return [(x.shape[::-1] if perm is None else tuple(x.shape[i] for i in perm), x.dtype)]

    def reference(self, x: Array) -> Results:
        return x.transpose(self.perm)
