"""MatMul: the matrix product of the last two axes, broadcast over those before, as NumPy's."""

from __future__ import annotations

import math

from .base import Op, only_first_varies
from .dims import broadcast, check_rank_least, same_dtype, unify
from .gemm_packed import GemmPacked


class MatMul(Op):
    arity = (2, 2)
    learned = (0, 1)
    takes_epilogue = True
    takes_residual = True
    implementations = (GemmPacked(),)

    def by_image(self, node):
        return only_first_varies(node) and len(node.inputs[1].dims) == 2

    def multiply_adds(self, node):
        return math.prod(node.results[0].dims) * node.inputs[0].dims[-1]

    def infer(self, a, b):
        check_rank_least(a, "A", 1)
        check_rank_least(b, "B", 1)
        dtype = same_dtype(a, b)
        if a.shape is None or b.shape is None:
            return [(None, dtype)]
        left = a.shape if len(a.shape) > 1 else (1, *a.shape)
        right = b.shape if len(b.shape) > 1 else (*b.shape, 1)
        unify(left[-1], right[-2], f"inner dimension of {a.shape} and {b.shape}")
        rows, columns = left[-2:-1] if len(a.shape) > 1 else (), right[-1:] if len(b.shape) > 1 else ()
        return [((*(broadcast(left[:-2], right[:-2]) or ()), *rows, *columns), dtype)]

    def reference(self, a, b):
        return a @ b
