"""Shape and Size of a tensor, as int64. They read the shape of their input only, never its elements."""

from __future__ import annotations

import numpy as np

from .base import Op


class Shape(Op):
    """The sizes of the axes from `start` up to `end`."""

    start: int = 0
    end: int | None = None

    def infer(self, x):
        return [((None if x.shape is None else len(x.shape[self.start : self.end]),), np.dtype(np.int64))]

    def reference(self, x):
        return np.array(x.shape[self.start : self.end], np.int64)


class Size(Op):
    def infer(self, x):
        return [((), np.dtype(np.int64))]

    def reference(self, x):
        return np.array(x.size, np.int64)
