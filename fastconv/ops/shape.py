"""Shape and Size of a tensor, as int64. They read the shape of their input only, never its elements."""

from __future__ import annotations

import numpy as np

from ..graph import Node, Value
from .base import Op


class OfShape(Op, abstract=True):
    """A function of the input's shape."""

    def placeholders(self, node: Node) -> dict[Value, np.ndarray]:
        x = node.input(0)
        return {x: np.broadcast_to(np.float32(0), x.dims)} if x.known else {}


class Shape(OfShape):
    """The sizes of the axes from `start` up to `end`."""

    start: int = 0
    end: int | None = None

    def infer(self, x):
        return [((None if x.shape is None else len(x.shape[self.start : self.end]),), np.dtype(np.int64))]

    def reference(self, x):
        return np.array(x.shape[self.start : self.end], np.int64)


class Size(OfShape):
    def infer(self, x):
        return [((), np.dtype(np.int64))]

    def reference(self, x):
        return np.array(x.size, np.int64)
