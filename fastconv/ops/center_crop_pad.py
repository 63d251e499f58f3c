"""CenterCropPad: along some axes, the centre of the input, or the input in the centre of zeros."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..graph import Dim, Value
from .base import Array, Inferred, Op, Results
from .dims import as_shape, axis_indices, check, known_ints, to_ints, unknown


class CenterCropPad(Op):
    arity = (2, 2)
    control_inputs = (1,)

    axes: tuple[int, ...] | None = None

    def target(self, shape: Sequence[Dim], sizes: Sequence[int]) -> tuple[Any, ...]:
        """The shape of the result."""
        axes = range(len(shape)) if self.axes is None else axis_indices(self.axes, len(shape))
        check(len(sizes) == len(axes), f"shape: expected {len(axes)} values, got {tuple(sizes)}")
        wanted = dict(zip(axes, as_shape(sizes, "shape"), strict=True))
        return tuple(wanted.get(i, d) for i, d in enumerate(shape))

    def infer(self, x: Value, shape: Value) -> Inferred:
        sizes = known_ints(shape, "shape")
        if x.shape is None or sizes is None:
            return [(unknown(None if x.shape is None else len(x.shape)), x.dtype)]
        return [(self.target(x.shape, sizes), x.dtype)]

    def reference(self, x: Array, shape: Array) -> Results:
        target = self.target(x.shape, to_ints(shape, "shape"))
        starts = [max(d - n, 0) // 2 for d, n in zip(x.shape, target, strict=True)]
        x = x[tuple(slice(a, a + n) for a, n in zip(starts, target, strict=True))]
        return np.pad(x, [((n - d) // 2, n - d - (n - d) // 2) for d, n in zip(x.shape, target, strict=True)])
