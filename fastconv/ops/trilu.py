"""Trilu and EyeLike: a triangle of each matrix, and a matrix with a diagonal."""

from __future__ import annotations

import numpy as np

from ..graph import Value
from .base import Array, Inferred, Op, Results
from .cast import dtype_of
from .dims import check_rank, check_rank_least, known_ints, to_int


class Trilu(Op):
    """The upper (or lower) triangle of the last two axes, from diagonal k on; zeros elsewhere."""

    arity = (1, 2)

    upper: int = 1

    def infer(self, x: Value, k: Value | None = None) -> Inferred:
        check_rank_least(x, "input", 2)
        known_ints(k, "k")
        return [(x.shape, x.dtype)]

    def reference(self, x: Array, k: Array | None = None) -> Results:
        diagonal = 0 if k is None else to_int(k, "k")
        rows, columns = np.ogrid[: x.shape[-2], : x.shape[-1]]
        inside = columns - rows >= diagonal if self.upper else columns - rows <= diagonal
        return np.where(inside, x, np.zeros((), x.dtype))


class EyeLike(Op):
    """A matrix of the input's shape, with ones on diagonal k and zeros elsewhere."""

    dtype: int | None = None
    k: int = 0

    def infer(self, x: Value) -> Inferred:
        check_rank(x, "input", 2)
        return [(x.shape, x.dtype if self.dtype is None else dtype_of(self.dtype, "dtype"))]

    def reference(self, x: Array) -> Results:
        rows, columns = np.ogrid[: x.shape[0], : x.shape[1]]
        return (columns - rows == self.k).astype(x.dtype if self.dtype is None else dtype_of(self.dtype, "dtype"))
