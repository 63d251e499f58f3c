"""GatherElements and ScatterElements: each element has its own index along an axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ModelError
from ..graph import Value, shape_text
from .base import Array, Inferred, Op, Results
from .dims import axis_index, check, check_dtype, check_rank_least, index_array, same_dtype, unify
from .node_spec import NodeSpec

#: the function that combines several updates of one element; with none, the last one stays
REDUCTIONS: dict[str, Any] = {"none": None, "add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}


def elements(data: Array, indices: Array, axis: int) -> tuple[Array, ...]:
    """NumPy's index of the elements of `data` that `indices` name along an axis."""
    out: list[Array] = list(np.indices(indices.shape, sparse=True))
    out[axis] = index_array(indices, data.shape[axis], "indices")
    return tuple(out)


def check_indices(data: Value, indices: Value, axis: int) -> None:
    """Raise if `indices` cannot index `data` along an axis."""
    check_rank_least(data, "data", 1)
    check_dtype(indices, "indices", "iu")
    if data.shape is None or indices.shape is None:
        return
    check(len(data.shape) == len(indices.shape), f"indices: expected rank {len(data.shape)}, got {len(indices.shape)}")
    axis = axis_index(axis, len(data.shape))
    for i, (d, n) in enumerate(zip(data.shape, indices.shape, strict=True)):
        if i != axis and isinstance(d, int) and isinstance(n, int) and n > d:
            raise ModelError(f"indices: expected at most {d} along axis {i}, got {n}")
    if indices.constant is not None and isinstance(d := data.shape[axis], int):
        index_array(np.asarray(indices.constant), d, "indices")


class GatherElements(Op):
    arity = (2, 2)

    axis: int = 0

    def infer(self, data: Value, indices: Value) -> Inferred:
        check_indices(data, indices, self.axis)
        return [(indices.shape, data.dtype)]

    def reference(self, data: Array, indices: Array) -> Results:
        return data[elements(data, indices, axis_index(self.axis, data.ndim))]


class ScatterElements(Op):
    arity = (3, 3)

    axis: int = 0
    reduction: str = "none"

    def __post_init__(self) -> None:
        check(self.reduction in REDUCTIONS, f"reduction: expected one of {', '.join(REDUCTIONS)}, got {self.reduction!r}")

    def infer(self, data: Value, indices: Value, updates: Value) -> Inferred:
        check_indices(data, indices, self.axis)
        if indices.shape is not None and updates.shape is not None:
            fits = len(indices.shape) == len(updates.shape)
            check(fits, f"updates: expected the indices' shape {shape_text(indices.shape)}, got {shape_text(updates.shape)}")
            for i, (n, u) in enumerate(zip(indices.shape, updates.shape, strict=True)):
                unify(n, u, f"updates: size of axis {i}")
        return [(data.shape, same_dtype(data, updates))]

    def reference(self, data: Array, indices: Array, updates: Array) -> Results:
        y, combine = data.copy(), REDUCTIONS[self.reduction]
        where = elements(data, indices, axis_index(self.axis, data.ndim))
        if combine is None:
            y[where] = updates
        else:
            combine.at(y, where, updates)
        return y


class Scatter(Op):
    """The first name of ScatterElements."""

    arity = (3, 3)

    @classmethod
    def upgrade(cls, spec: NodeSpec) -> None:
        spec.op_type = "ScatterElements"
