"""CumSum and CumProd: the cumulative sum or product along an axis; `exclusive` leaves the element itself out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from ..graph import Value
from .base import Array, Inferred, Op, Results
from .dims import axis_index, check_rank_least, known_ints, to_int


class Cumulative(Op, abstract=True):
    arity = (2, 2)
    function: ClassVar[Callable[..., Any]]
    #: the first element if exclusive
    first: ClassVar[int]

    exclusive: int = 0
    reverse: int = 0

    def infer(self, x: Value, axis: Value) -> Inferred:
        check_rank_least(x, "input", 1)
        known_ints(axis, "axis")
        if axis.constant is not None and x.shape is not None:
            axis_index(to_int(np.asarray(axis.constant), "axis"), len(x.shape))
        return [(x.shape, x.dtype)]

    def reference(self, x: Array, axis: Array) -> Results:
        along = axis_index(to_int(axis, "axis"), x.ndim)
        x = np.flip(x, along) if self.reverse else x
        y = type(self).function(x, along, dtype=x.dtype)
        if self.exclusive:
            begin = np.full_like(y.take(range(min(y.shape[along], 1)), along), self.first)
            y = np.concatenate([begin, y], along).take(range(y.shape[along]), along)
        return np.flip(y, along) if self.reverse else y


class CumSum(Cumulative):
    function = np.cumsum
    first = 0


class CumProd(Cumulative):
    function = np.cumprod
    first = 1
