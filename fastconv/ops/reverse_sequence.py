"""ReverseSequence: the elements of each sequence, up to its length, in reverse order."""

from __future__ import annotations

import numpy as np

from ..graph import Value
from .base import Array, Inferred, Op, Results
from .dims import check, check_dtype, check_rank, check_rank_least, unify


class ReverseSequence(Op):
    """inputs: data, whose first two axes are sequences and time in either order, and the lengths of the sequences."""

    arity = (2, 2)

    batch_axis: int = 1
    time_axis: int = 0

    def __post_init__(self) -> None:
        check({self.batch_axis, self.time_axis} == {0, 1}, "batch_axis, time_axis: expected 0 and 1, or 1 and 0")

    def infer(self, x: Value, lengths: Value) -> Inferred:
        check_rank_least(x, "input", 2)
        check_rank(lengths, "sequence_lens", 1)
        check_dtype(lengths, "sequence_lens", "i")
        if x.shape is not None and lengths.shape is not None:
            unify(x.shape[self.batch_axis], lengths.shape[0], "sequence_lens: size")
        return [(x.shape, x.dtype)]

    def reference(self, x: Array, lengths: Array) -> Results:
        y = x.copy() if self.batch_axis == 0 else x.swapaxes(0, 1).copy()
        check(bool(((lengths >= 0) & (lengths <= y.shape[1])).all()), f"sequence_lens: expected 0 to {y.shape[1]}")
        for sequence, n in zip(y, lengths, strict=True):
            sequence[:n] = sequence[:n][::-1].copy()
        return y if self.batch_axis == 0 else np.ascontiguousarray(y.swapaxes(0, 1))
