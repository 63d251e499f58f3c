"""MatMul: the matrix product of the last two axes, broadcast over the others, as numpy.matmul."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from ..graph import Dim, Node, Value
from .base import Array, Inferred, Op, Results, only_first_varies
from .dims import AxisName, broadcast, broadcasts_to, check_rank_least, same_dtype, unify
from .products import Products

D = TypeVar("D")


class MatMul(Op):
    """Passes fold in what the standard does not have: a factor, a bias (N) as input 2, Transposes of A, B and the result."""

    arity = (2, 2)
    parameter_inputs = (0, 1)
    takes_epilogue = True
    takes_residual = True
    channel_axis = -1
    alpha: float = 1.0
    perm_a: tuple[int, ...] | None = None
    perm_b: tuple[int, ...] | None = None
    perm_y: tuple[int, ...] | None = None

    def independent_images(self, node: Node) -> bool:
        a, b = node.input(0), node.input(1)
        if any(perm is not None and perm[0] != 0 for perm in (self.perm_a, self.perm_b, self.perm_y)):
            return False
        if b.constant is not None:
            return only_first_varies(node) and len(b.dims) == 2
        return a.constant is None and len(a.dims) == len(b.dims) > 2

    def parameters(self, node: Node) -> list[Value]:
        return [*super().parameters(node), *(v for v in node.inputs[2:] if v is not None)]

    def products(self, node: Node) -> Products | None:
        return self.products_of(node.results[0], node.input(0), node.input(1))

    def products_of(self, y: Value, a: Value, b: Value) -> Products:
        """The products that y sums, for these A and B."""
        *places, columns = _stored(y.dims, self.perm_y) if len(b.dims) > 1 else (*y.dims, 1)
        return Products(tuple(places), columns, _ordered(a.dims, self.perm_a)[-1:])

    def weight_axis(self, node: Node) -> int | None:
        b = node.input(1)
        return -1 if b.shape is not None and len(b.shape) >= 2 and (b.constant is None or len(b.shape) == 2) else None

    def infer(self, a: Value, b: Value, bias: Value | None = None) -> Inferred:
        check_rank_least(a, "A", 1)
        check_rank_least(b, "B", 1)
        dtype = same_dtype(a, b, bias)
        if a.shape is None or b.shape is None:
            return [(None, dtype)]
        left, right = _ordered(a.shape, self.perm_a), _ordered(b.shape, self.perm_b)
        rows, columns = left[-2:-1], right[-1:] if len(right) > 1 else ()
        unify(left[-1], right[-2 if len(right) > 1 else -1], f"inner dimension of {left} and {right}")
        shape = (*(broadcast(left[:-2], right[:-2]) or ()), *rows, *columns)
        if bias is not None:
            broadcasts_to(bias.shape, shape, "bias")
        return [(_ordered(shape, self.perm_y), dtype)]

    def reference(self, a: Array, b: Array, bias: Array | None = None) -> Results:
        y = a.transpose(self.perm_a or range(a.ndim)) @ b.transpose(self.perm_b or range(b.ndim))
        y = y if self.alpha == 1 else (y * self.alpha).astype(a.dtype)
        y = y if bias is None else y + bias
        return y.transpose(self.perm_y or range(y.ndim))

    def axis_names(self, a: Sequence[Dim], b: Sequence[Dim]) -> tuple[tuple[AxisName, ...], ...]:
        """Names of the axes of A, B and the result; batch axes are numbered from the last one."""
        rows, columns = ("m",) * (len(a) > 1), ("n",) * (len(b) > 1)
        left: tuple[AxisName, ...] = (*_batch(a), *rows, "k")
        right: tuple[AxisName, ...] = (*_batch(b), "k", *columns)
        y: tuple[AxisName, ...] = (*max(_batch(a), _batch(b), key=len), *rows, *columns)
        return _stored(left, self.perm_a), _stored(right, self.perm_b), _ordered(y, self.perm_y)


def _batch(dims: Sequence[Dim]) -> tuple[int, ...]:
    """Numbers of the batch axes of an operand."""
    return tuple(range(len(dims) - 2, 0, -1))


def _ordered(axes: Sequence[D], perm: Sequence[int] | None) -> tuple[D, ...]:
    """The axes after a Transpose."""
    return tuple(axes[i] for i in perm or range(len(axes)))


def _stored(axes: tuple[D, ...], perm: tuple[int, ...] | None) -> tuple[D, ...]:
    """The axes before a Transpose that gives this order."""
    return axes if perm is None else tuple(axes[perm.index(i)] for i in range(len(perm)))
