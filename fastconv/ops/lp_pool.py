"""LpPool and GlobalLpPool: the p-norm of each window, or of each channel."""

from __future__ import annotations

import numpy as np

from ..graph import Value
from .base import Array, Inferred, Results
from .dims import check
from .global_pool import GlobalPool
from .node_spec import NodeSpec
from .windows import Pool


def scaled(x: Array, axes: int | tuple[int, ...]) -> tuple[Array, Array]:
    """x by powers of two, with which no square of an element overflows, and these: one for all elements along the axes."""
    most = np.abs(np.where(np.isfinite(x), x, 0)).max(axes, keepdims=True, initial=0)
    scale = np.ldexp(1.0, np.frexp(most)[1] - 1).astype(x.dtype)
    return x / scale, scale


def _whole(spec: NodeSpec) -> None:
    """In opset 1, p is a float."""
    p = spec.attributes.get("p")
    if spec.opset < 2 and isinstance(p, float) and p.is_integer():
        spec.attributes["p"] = int(p)


class LpPool(Pool):
    p: int = 2

    @classmethod
    def upgrade(cls, spec: NodeSpec) -> None:
        _whole(spec)

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.p > 0, f"p: expected 1 or more, got {self.p}")

    def infer(self, x: Value) -> Inferred:
        return [(self.output_shape(x), x.dtype)]

    def reference(self, x: Array) -> Results:
        x, scale = scaled(x, tuple(range(2, x.ndim)))
        powers = (np.abs(elements) ** self.p for _, elements in self.geometry(x.shape).taps(x, 0))
        return sum(powers) ** (1 / self.p) * scale


class GlobalLpPool(GlobalPool):
    p: int = 2

    @classmethod
    def upgrade(cls, spec: NodeSpec) -> None:
        _whole(spec)

    def __post_init__(self) -> None:
        check(self.p > 0, f"p: expected 1 or more, got {self.p}")

    def reference(self, x: Array) -> Results:
        x, scale = scaled(x, tuple(range(2, x.ndim)))
        return (np.abs(x) ** self.p).sum(tuple(range(2, x.ndim)), keepdims=True) ** (1 / self.p) * scale
