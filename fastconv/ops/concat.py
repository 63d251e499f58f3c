"""Concat: tensors joined along an axis."""

from __future__ import annotations

import numpy as np

from ..graph import Node, Value, shape_text
from .base import Array, Inferred, Op, Results
from .dims import axis_index, check, check_rank_least, same_dtype, total, unify
from .node_spec import NodeSpec
from .span import Spans


class Concat(Op):
    arity = (1, None)
    needs_all = True

    axis: int

    @classmethod
    def upgrade(cls, spec: NodeSpec) -> None:
        if spec.opset < 4:
            spec.attributes.setdefault("axis", 1)

    def independent_images(self, node: Node) -> bool:
        return self.axis % len(node.results[0].dims) > 0 and all(v is None or v.constant is None for v in node.inputs)

    def flops(self, node: Node) -> int:
        return 0

    def is_identity(self, node: Node) -> bool:
        return len(node.inputs) == 1

    def reads(self, node: Node, i: int, result: Value, spans: Spans) -> Spans:
        axis = axis_index(self.axis, len(spans))
        sizes = [node.input(j).dims[axis] for j in range(len(node.inputs))]
        return [s.part(sizes, i) if a == axis else s for a, s in enumerate(spans)]

    def infer(self, *xs: Value) -> Inferred:
        dtype = same_dtype(*xs)
        shapes = [x.shape for x in xs if x.shape is not None]
        if not shapes:
            return [(None, dtype)]
        for x in xs:
            check_rank_least(x, "inputs", 1)
        rank = len(shapes[0])
        check(
            all(len(s) == rank for s in shapes), f"inputs: expected one rank, got shapes {', '.join(map(shape_text, shapes))}"
        )
        axis = axis_index(self.axis, rank)
        out = list(shapes[0])
        for shape in shapes[1:]:
            for i in set(range(rank)) - {axis}:
                out[i] = unify(out[i], shape[i], f"inputs: size of axis {i}")
        out[axis] = total(s[axis] for s in shapes) if len(shapes) == len(xs) else None
        return [(tuple(out), dtype)]

    def reference(self, *xs: Array) -> Results:
        return np.concatenate(xs, axis=self.axis)
