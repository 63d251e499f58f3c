"""LRN: x / (bias + alpha / size · the sum of the squares of `size` neighbouring channels) ** beta."""

from __future__ import annotations

import numpy as np

from ..graph import Node, Value
from .base import Array, Inferred, Op, Results
from .dims import check, check_rank_least
from .span import WHOLE, Spans


class LRN(Op):
    size: int
    alpha: float = 1e-4
    beta: float = 0.75
    bias: float = 1.0

    def __post_init__(self) -> None:
        check(self.size > 0, f"size: expected 1 or more, got {self.size}")

    def infer(self, x: Value) -> Inferred:
        check_rank_least(x, "input", 2)
        return [(x.shape, x.dtype)]

    def reads(self, node: Node, i: int, result: Value, spans: Spans) -> Spans:
        return [spans[0], WHOLE, *spans[2:]]

    def reference(self, x: Array) -> Results:
        before, after = (self.size - 1) // 2, self.size // 2
        squares = np.zeros(x.shape, x.dtype)
        for c in range(x.shape[1]):
            squares[:, c] = np.square(x[:, max(c - before, 0) : c + after + 1]).sum(axis=1)
        return x / (self.bias + self.alpha / self.size * squares) ** self.beta
