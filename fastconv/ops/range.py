"""Range: the numbers from start up to limit, in steps of delta."""

from __future__ import annotations

import math

import numpy as np

from ..dtypes import kind
from ..graph import Value
from .base import Array, Inferred, Op, Results
from .cast import dtype_of
from .dims import check, same_dtype


class Range(Op):
    arity = (3, 3)
    control_inputs = (0, 1, 2)

    #: the element type that float16 and bfloat16 are computed in
    stash_type: int = 1

    def infer(self, start: Value, limit: Value, delta: Value) -> Inferred:
        dtype = same_dtype(start, limit, delta)
        constants = [np.asarray(v.constant) for v in (start, limit, delta) if v.constant is not None]
        return [((self.count(*constants) if len(constants) == 3 else None,), dtype)]

    def count(self, start: Array, limit: Array, delta: Array) -> int:
        """The number of numbers."""
        for name, v in (("start", start), ("limit", limit), ("delta", delta)):
            check(v.size == 1 and bool(np.isfinite(v).all()), f"{name}: expected a finite scalar, got {v.tolist()!s:.60}")
        first, last, step = (v.reshape(()).item() for v in (start, limit, delta))
        check(step != 0, "delta: expected a number other than 0, got 0")
        count: float = -((first - last) // step) if isinstance(step, int) else (last - first) / step
        check(math.isfinite(count), f"delta: expected a step that leads from {first} to {last}, got {step}")
        return max(math.ceil(count), 0)

    def reference(self, start: Array, limit: Array, delta: Array) -> Results:
        halves = kind(start.dtype) == "f" and start.dtype.itemsize == 2
        dtype = dtype_of(self.stash_type, "stash_type") if halves else start.dtype
        steps = np.arange(self.count(start, limit, delta)).astype(dtype)
        return (start.reshape(()).astype(dtype) + steps * delta.reshape(()).astype(dtype)).astype(start.dtype)
