"""GlobalAveragePool and GlobalMaxPool: N C *size -> N C 1 1 …"""

from __future__ import annotations

import math

from ..graph import Node, Value, shape_text
from .base import Array, Inferred, Op, Results, only_first_varies
from .dims import check, check_dtype, check_rank_least
from .windows import Windows


class GlobalPool(Op, abstract=True):
    def independent_images(self, node: Node) -> bool:
        return only_first_varies(node)

    def flops(self, node: Node) -> int:
        return math.prod(node.input(0).dims)

    def window(self, node: Node) -> Windows | None:
        x = node.input(0)
        return Windows.whole(x.dims[2:]) if x.known and len(x.dims) > 2 else None

    def infer(self, x: Value) -> Inferred:
        check_rank_least(x, "input", 2)
        if x.shape is None:
            return [(None, x.dtype)]
        check(0 not in x.shape[1:], f"input: expected sizes above 0, got {shape_text(x.shape)}")
        return [(x.shape[:2] + (1,) * (len(x.shape) - 2), x.dtype)]


class GlobalAveragePool(GlobalPool):
    def infer(self, x: Value) -> Inferred:
        check_dtype(x, "input", "f")
        return super().infer(x)

    def reference(self, x: Array) -> Results:
        return x.mean(axis=tuple(range(2, x.ndim)), keepdims=True)


class GlobalMaxPool(GlobalPool):
    def reference(self, x: Array) -> Results:
        return x.max(axis=tuple(range(2, x.ndim)), keepdims=True)
