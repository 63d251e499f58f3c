"""Gemm: alpha · A (M K) · B (K N) + beta · C, where A and B may stand transposed and C broadcasts to M N."""

from __future__ import annotations

import math

from ..graph import Node
from .base import Op, only_first_varies
from .dims import broadcasts_to, check_rank, same_dtype, unify


class Gemm(Op):
    arity = (2, 3)
    learned = (0, 1, 2)
    takes_epilogue = True
    takes_residual = True
    channel_axis = -1
    alpha: float = 1.0
    beta: float = 1.0
    transA: int = 0  # noqa: N815
    transB: int = 0  # noqa: N815

    @classmethod
    def upgrade(cls, spec):
        if spec.opset < 7:
            spec.attributes.pop("broadcast", None)

    def by_image(self, node):
        c = node.inputs[2] if len(node.inputs) > 2 else None
        return only_first_varies(node) and not self.transA and (c is None or len(c.dims) < 2 or c.dims[0] == 1)

    def multiply_adds(self, node):
        return math.prod(node.results[0].dims) * _transposed(node.inputs[0].dims, self.transA)[1]

    def weight_axis(self, node: Node) -> int | None:
        plain = not self.transA and self.alpha == 1 and self.beta == 1
        return None if not plain else 0 if self.transB else -1

    def infer(self, a, b, c=None):
        check_rank(a, "A", 2)
        check_rank(b, "B", 2)
        M, K = _transposed(a.shape or (None, None), self.transA)
        K2, N = _transposed(b.shape or (None, None), self.transB)
        unify(K, K2, "inner dimension of A and B")
        if c is not None:
            broadcasts_to(c.shape, (M, N), "C")
        return [((M, N), same_dtype(a, b, c))]

    def reference(self, a, b, c=None):
        y = self.alpha * ((a.T if self.transA else a) @ (b.T if self.transB else b))
        return (y if c is None else y + self.beta * c).astype(a.dtype)

    def names(self, a, b):
        """Names of the axes of A, B and the result."""
        return _transposed(("m", "k"), self.transA), _transposed(("k", "n"), self.transB), ("m", "n")


def _transposed(shape, trans):
    return shape[::-1] if trans else shape
