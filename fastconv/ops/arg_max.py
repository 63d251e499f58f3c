"""ArgMax and ArgMin: the index of the largest or smallest element along an axis; that of the first NaN, if there is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from ..graph import Value, shape_text
from .base import Array, Inferred, Op, Results
from .dims import axis_index, check, check_rank_least


class ArgReduce(Op, abstract=True):
    function: ClassVar[Callable[..., Any]]

    axis: int = 0
    keepdims: int = 1
    select_last_index: int = 0

    def infer(self, x: Value) -> Inferred:
        check_rank_least(x, "input", 1)
        if x.shape is None:
            return [(None, np.dtype(np.int64))]
        axis = axis_index(self.axis, len(x.shape))
        check(x.shape[axis] != 0, f"input: expected elements along axis {axis}, got shape {shape_text(x.shape)}")
        return [((*x.shape[:axis], *((1,) if self.keepdims else ()), *x.shape[axis + 1 :]), np.dtype(np.int64))]

    def reference(self, x: Array) -> Results:
        if self.select_last_index:
            index = x.shape[self.axis] - 1 - type(self).function(np.flip(x, self.axis), self.axis, keepdims=bool(self.keepdims))
        else:
            index = type(self).function(x, self.axis, keepdims=bool(self.keepdims))
        return np.asarray(index, np.int64)


class ArgMax(ArgReduce):
    function = np.argmax


class ArgMin(ArgReduce):
    function = np.argmin
