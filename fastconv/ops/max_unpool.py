"""MaxUnpool: the elements that MaxPool chose, at the places where it found them, among zeros."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..graph import Dim, Value, shape_text
from .base import Array, Inferred, Op, Results
from .dims import as_shape, check, check_dtype, check_rank, index_array, known_ints, to_ints


class MaxUnpool(Op):
    """inputs: the elements, their indices, and the shape of the result if the attributes do not determine it."""

    arity = (2, 3)
    control_inputs = (2,)

    kernel_shape: tuple[int, ...]
    pads: tuple[int, ...] | None = None
    strides: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        rank = len(self.kernel_shape)
        for name, count, least in (("kernel_shape", rank, 1), ("strides", rank, 1), ("pads", 2 * rank, 0)):
            given = getattr(self, name)
            fits = given is None or (len(given) == count and min(given, default=least) >= least)
            check(fits, f"{name}: expected {count} values of {least} or more, got {given}")

    def pooled(self, shape: Sequence[Dim]) -> tuple[Any, ...]:
        """The shape of MaxPool's input, as the attributes give it for its output `shape`; the indices number its elements."""
        rank = len(self.kernel_shape)
        strides, pads = self.strides or (1,) * rank, self.pads or (0,) * (2 * rank)
        sizes = [
            (d - 1) * strides[i] + self.kernel_shape[i] - pads[i] - pads[i + rank] if isinstance(d, int) else None
            for i, d in enumerate(shape[2:])
        ]
        check(all(d is None or d > 0 for d in sizes), f"pads: expected sizes above 0 to be left, got {sizes}")
        return (*shape[:2], *sizes)

    def result(self, shape: Sequence[Dim], wanted: Sequence[int] | None) -> tuple[Any, ...]:
        """The shape of the result."""
        pooled = self.pooled(shape)
        if wanted is None:
            return pooled
        as_shape(wanted, "output_shape")
        fits = len(wanted) == len(pooled) and all(not isinstance(p, int) or w >= p for p, w in zip(pooled, wanted, strict=True))
        check(fits, f"output_shape: expected at least {pooled}, got {tuple(wanted)}")
        return tuple(wanted)

    def infer(self, x: Value, indices: Value, shape: Value | None = None) -> Inferred:
        rank = len(self.kernel_shape) + 2
        check_rank(x, "input", rank)
        check_rank(indices, "indices", rank)
        check_dtype(indices, "indices", "i")
        wanted = known_ints(shape, "output_shape")
        if x.shape is None or (shape is not None and wanted is None):
            return [((None,) * rank, x.dtype)]
        return [(self.result(x.shape, wanted), x.dtype)]

    def reference(self, x: Array, indices: Array, shape: Array | None = None) -> Results:
        check(
            x.shape == indices.shape,
            f"indices: expected the input's shape {shape_text(x.shape)}, got {shape_text(indices.shape)}",
        )
        pooled = self.pooled(x.shape)
        y = np.zeros(math.prod(pooled), x.dtype)
        y[index_array(indices, y.size, "indices")] = x
        full = self.result(x.shape, None if shape is None else to_ints(shape, "output_shape"))
        return np.pad(y.reshape(pooled), [(0, f - p) for f, p in zip(full, pooled, strict=True)])
