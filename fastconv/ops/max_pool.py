"""MaxPool: the largest element of each window; padding is never chosen, NaN always is."""

from __future__ import annotations

import numpy as np

from ..dtypes import kind, limits
from ..graph import Node, Value
from .base import Array, Inferred, Results
from .dims import check
from .windows import Pool


class MaxPool(Pool):
    output_arity = (1, 2)

    #: the order in which the indices number the elements of a channel: 0 by rows, 1 by columns
    storage_order: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.storage_order in (0, 1), f"storage_order: expected 0 or 1, got {self.storage_order}")

    def selects_elements(self, node: Node) -> bool:
        return True

    def infer(self, x: Value) -> Inferred:
        shape = self.output_shape(x)
        return [(shape, x.dtype), (shape, np.dtype(np.int64))]

    def reference(self, x: Array) -> Results:
        windows = self.geometry(x.shape)
        places = np.arange(x[0, 0].size).reshape(x.shape[2:], order="F" if self.storage_order else "C") if x.size else 0
        channels = np.arange(x.shape[0] * x.shape[1]).reshape(*x.shape[:2], *(1,) * (x.ndim - 2))
        places = np.broadcast_to(channels * np.prod(x.shape[2:], dtype=int) + places, x.shape)
        lowest = -np.inf if kind(x.dtype) == "f" else limits(x.dtype)[0]
        y = np.full((*x.shape[:2], *windows.out), lowest, x.dtype)
        index = np.full(y.shape, -1)
        for (_, elements), (_, place) in zip(windows.taps(x, lowest), windows.taps(places, -1), strict=True):
            better = (place >= 0) & ((index < 0) | (elements > y) | (np.isnan(elements) & ~np.isnan(y)))
            y, index = np.where(better, elements, y), np.where(better, place, index)
        return y, index
