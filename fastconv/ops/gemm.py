"""Gemm: alpha · A (M K) · B (K N) + beta · C, where A and B may be transposed and C broadcasts to M N."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from ..graph import Dim, Node, Value
from .base import Array, Inferred, Op, Results, only_first_varies
from .dims import AxisName, broadcasts_to, check_rank, same_dtype, unify
from .node_spec import NodeSpec
from .products import Products

D = TypeVar("D")


class Gemm(Op):
    arity = (2, 3)
    parameter_inputs = (0, 1, 2)
    takes_epilogue = True
    takes_residual = True
    channel_axis = -1
    alpha: float = 1.0
    beta: float = 1.0
    transA: int = 0  # noqa: N815
    transB: int = 0  # noqa: N815

    @classmethod
    def upgrade(cls, spec: NodeSpec) -> None:
        if spec.opset < 7:
            spec.attributes.pop("broadcast", None)

    def independent_images(self, node: Node) -> bool:
        c = node.optional(2)
        return only_first_varies(node) and not self.transA and (c is None or len(c.dims) < 2 or c.dims[0] == 1)

    def products(self, node: Node) -> Products | None:
        return self.products_of(node.results[0], node.input(0))

    def products_of(self, y: Value, a: Value) -> Products:
        """The products that y sums, for this A."""
        (M, N), K = y.dims, a.dims[0 if self.transA else 1]
        return Products((M,), N, (K,))

    def weight_axis(self, node: Node) -> int | None:
        plain = not self.transA and self.alpha == 1 and self.beta == 1
        return None if not plain else 0 if self.transB else -1

    def infer(self, a: Value, b: Value, c: Value | None = None) -> Inferred:
        check_rank(a, "A", 2)
        check_rank(b, "B", 2)
        M, K = _transposed(a.shape or (None, None), self.transA)
        K2, N = _transposed(b.shape or (None, None), self.transB)
        unify(K, K2, "inner dimension of A and B")
        if c is not None:
            broadcasts_to(c.shape, (M, N), "C")
        return [((M, N), same_dtype(a, b, c))]

    def reference(self, a: Array, b: Array, c: Array | None = None) -> Results:
        y = self.alpha * ((a.T if self.transA else a) @ (b.T if self.transB else b))
        return (y if c is None else y + self.beta * c).astype(a.dtype)

    def axis_names(self, a: Sequence[Dim], b: Sequence[Dim]) -> tuple[tuple[AxisName, ...], ...]:
        """Names of the axes of A, B and the result."""
        return _transposed(("m", "k"), self.transA), _transposed(("k", "n"), self.transB), ("m", "n")


def _transposed(shape: tuple[D, ...], trans: int) -> tuple[D, ...]:
    return shape[::-1] if trans else shape
