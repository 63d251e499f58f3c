"""GatherND and ScatterND: each row of the indices' last axis is an index tuple into the first axes of the data."""

from __future__ import annotations

import numpy as np

from ..graph import Value, shape_text
from .base import Array, Inferred, Op, Results
from .dims import check, check_dtype, check_rank_least, index_array, same_dtype, unify
from .gather_elements import REDUCTIONS


def check_tuples(data: Value, indices: Value, batch_dims: int = 0) -> int | None:
    """The length of the index tuples, None if unknown; ModelError if they cannot index `data`."""
    check_rank_least(data, "data", 1)
    check_rank_least(indices, "indices", 1)
    check_dtype(indices, "indices", "iu")
    if indices.shape is None or data.shape is None:
        return None
    check(
        0 <= batch_dims < min(len(data.shape), len(indices.shape)),
        f"batch_dims: expected 0 up to the ranks of data and indices, got {batch_dims}",
    )
    for i in range(batch_dims):
        unify(data.shape[i], indices.shape[i], f"indices: size of batch axis {i}")
    n = indices.shape[-1]
    if not isinstance(n, int):
        return None
    most = len(data.shape) - batch_dims
    check(1 <= n <= most, f"indices: expected 1 to {most} along the last axis, got {n}")
    return n


def tuples(data: Array, indices: Array, batch_dims: int = 0) -> tuple[Array, ...]:
    """NumPy's index of the elements that the index tuples name, after the indices of the batch axes."""
    rank, shape = indices.ndim - 1, indices.shape
    batch = [np.arange(shape[i]).reshape((-1,) + (1,) * (rank - 1 - i)) for i in range(batch_dims)]
    columns = np.moveaxis(indices, -1, 0)
    return (*batch, *(index_array(p, data.shape[batch_dims + i], "indices") for i, p in enumerate(columns)))


class GatherND(Op):
    arity = (2, 2)

    batch_dims: int = 0

    def infer(self, data: Value, indices: Value) -> Inferred:
        n = check_tuples(data, indices, self.batch_dims)
        if n is None or data.shape is None or indices.shape is None:
            return [(None, data.dtype)]
        return [(indices.shape[:-1] + data.shape[self.batch_dims + n :], data.dtype)]

    def reference(self, data: Array, indices: Array) -> Results:
        return data[tuples(data, indices, self.batch_dims)]


class ScatterND(Op):
    arity = (3, 3)

    reduction: str = "none"

    def __post_init__(self) -> None:
        check(self.reduction in REDUCTIONS, f"reduction: expected one of {', '.join(REDUCTIONS)}, got {self.reduction!r}")

    def infer(self, data: Value, indices: Value, updates: Value) -> Inferred:
        n = check_tuples(data, indices)
        if n is not None and data.shape is not None and indices.shape is not None and updates.shape is not None:
            expected = indices.shape[:-1] + data.shape[n:]
            check(
                len(expected) == len(updates.shape),
                f"updates: expected shape {shape_text(expected)}, got {shape_text(updates.shape)}",
            )
            for i, (e, u) in enumerate(zip(expected, updates.shape, strict=True)):
                unify(e, u, f"updates: size of axis {i}")
        return [(data.shape, same_dtype(data, updates))]

    def reference(self, data: Array, indices: Array, updates: Array) -> Results:
        y, combine = data.copy(), REDUCTIONS[self.reduction]
        if combine is None:
            y[tuples(data, indices)] = updates
        else:
            combine.at(y, tuples(data, indices), updates)
        return y
