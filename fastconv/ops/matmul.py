"""MatMul: the matrix product of the last two axes, broadcast over those before, as NumPy's."""

from __future__ import annotations

import math

from ..graph import Node
from .base import Op, only_first_varies
from .dims import broadcast, broadcasts_to, check_rank_least, same_dtype, unify


class MatMul(Op):
    """What passes fold in is not of the standard: a factor, a third input (N) to add, and Transposes of A, B and the result."""

    arity = (2, 2)
    learned = (0, 1)
    takes_epilogue = True
    takes_residual = True
    channel_axis = -1
    alpha: float = 1.0
    perm_a: tuple[int, ...] | None = None
    perm_b: tuple[int, ...] | None = None
    perm_y: tuple[int, ...] | None = None

    def by_image(self, node):
        a, b = node.inputs[:2]
        if any(perm is not None and perm[0] != 0 for perm in (self.perm_a, self.perm_b, self.perm_y)):
            return False
        if b.constant is not None:
            return only_first_varies(node) and len(b.dims) == 2
        return a.constant is None and len(a.dims) == len(b.dims) > 2

    def parameters(self, node):
        return [*super().parameters(node), *node.inputs[2:]]

    def multiply_adds(self, node):
        return math.prod(node.results[0].dims) * _ordered(node.inputs[0].dims, self.perm_a)[-1]

    def weight_axis(self, node: Node) -> int | None:
        b = node.input(1)
        return -1 if b.shape is not None and len(b.shape) >= 2 and (b.constant is None or len(b.shape) == 2) else None

    def infer(self, a, b, bias=None):
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

    def reference(self, a, b, bias=None):
        y = a.transpose(self.perm_a or range(a.ndim)) @ b.transpose(self.perm_b or range(b.ndim))
        y = y if self.alpha == 1 else (y * self.alpha).astype(a.dtype)
        y = y if bias is None else y + bias
        return y.transpose(self.perm_y or range(y.ndim))

    def names(self, a, b):
        """Names of the axes of A, B and the result; those that number matrices are counted from the last one on."""
        rows, columns = ("m",) * (len(a) > 1), ("n",) * (len(b) > 1)
        left, right = (*_numbers(a), *rows, "k"), (*_numbers(b), "k", *columns)
        y = (*max(_numbers(a), _numbers(b), key=len), *rows, *columns)
        return _stored(left, self.perm_a), _stored(right, self.perm_b), _ordered(y, self.perm_y)


def _numbers(dims):
    return tuple(range(len(dims) - 2, 0, -1))


def _ordered(axes, perm):
    """Axes in the order that a Transpose gives them."""
    return tuple(axes[i] for i in perm or range(len(axes)))


def _stored(axes, perm):
    """Axes in the order that a Transpose takes them in."""
    return axes if perm is None else tuple(axes[perm.index(i)] for i in range(len(perm)))
