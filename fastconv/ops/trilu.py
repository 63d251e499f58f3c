"""Trilu and EyeLike: triangles and diagonals of matrices."""

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
        rows, columns = np.indices(x.shape[-2:], sparse=True)
        inside = columns - rows >= diagonal if self.upper else columns - rows <= diagonal
        return np.where(inside, x, np.zeros((), x.dtype))


class EyeLike(Op):
    """Ones on diagonal k, in the shape of the input."""

    dtype: int | None = None
    k: int = 0

    def infer(self, x: Value) -> Inferred:
        check_rank(x, "input", 2)
        return [(x.shape, x.dtype if self.dtype is None else dtype_of(self.dtype, "dtype"))]

    def reference(self, x: Array) -> Results:
        rows, columns = np.indices(x.shape, sparse=True)
        return (columns - rows == self.k).astype(x.dtype if self.dtype is None else dtype_of(self.dtype, "dtype"))
