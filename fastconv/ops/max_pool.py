"""MaxPool: the largest element of each window; padding never wins, and NaN does."""

from __future__ import annotations

import numpy as np

from ..dtypes import kind, limits
from ..graph import Node
from .dims import check
from .windows import Pool


class MaxPool(Pool):
    results = (1, 2)

    #: the Indices count the elements of a channel row by row (0) or column by column (1)
    storage_order: int = 0

    def __post_init__(self):
        super().__post_init__()
        check(self.storage_order in (0, 1), f"storage_order: expected 0 or 1, got {self.storage_order}")

    def selects_elements(self, node: Node) -> bool:
        return True

    def infer(self, x):
        shape = self.output_shape(x)
        return [(shape, x.dtype), (shape, np.dtype(np.int64))]

    def reference(self, x):
        windows = self.geometry(x.shape)
        places = np.arange(x[0, 0].size).reshape(x.shape[2:], order="F" if self.storage_order else "C") if x.size else 0
        channels = np.arange(x.shape[0] * x.shape[1]).reshape(*x.shape[:2], *(1,) * (x.ndim - 2))
        places = np.broadcast_to(channels * np.prod(x.shape[2:], dtype=int) + places, x.shape)
        lowest = -np.inf if kind(x.dtype) == "f" else limits(x.dtype)[0]
        y = np.full((*x.shape[:2], *windows.out), lowest, x.dtype)
        index = np.full(y.shape, -1)
        for (_, part), (_, place) in zip(windows.taps(x, lowest), windows.taps(places, -1), strict=True):
            better = (place >= 0) & ((index < 0) | (part > y) | (np.isnan(part) & ~np.isnan(y)))
            y, index = np.where(better, part, y), np.where(better, place, index)
        return y, index
