"""CumSum: the running sum along an axis, without the element itself where it is exclusive."""

from __future__ import annotations

import numpy as np

from .base import Op
from .dims import axis_index, check_rank_least, known_ints, to_int


class CumSum(Op):
    arity = (2, 2)

    exclusive: int = 0
    reverse: int = 0

    def infer(self, x, axis):
        check_rank_least(x, "input", 1)
        known_ints(axis, "axis")
        if axis.constant is not None and x.shape is not None:
            axis_index(to_int(axis.constant, "axis"), len(x.shape))
        return [(x.shape, x.dtype)]

    def reference(self, x, axis):
        axis = axis_index(to_int(axis, "axis"), x.ndim)
        x = np.flip(x, axis) if self.reverse else x
        y = np.cumsum(x, axis, dtype=x.dtype)
        if self.exclusive:
            shifted = np.concatenate([np.zeros_like(y.take(range(min(y.shape[axis], 1)), axis)), y], axis)
            y = shifted.take(range(y.shape[axis]), axis)
        return np.flip(y, axis) if self.reverse else y
