"""Concat: tensors one behind the other along an axis."""

from __future__ import annotations

import numpy as np

from ..graph import Node
from .base import Op
from .dims import axis_index, check, check_rank_least, same_dtype, total, unify


class Concat(Op):
    arity = (1, None)

    axis: int

    @classmethod
    def upgrade(cls, spec):
        if spec.opset < 4:
            spec.attributes.setdefault("axis", 1)

    def by_image(self, node):
        return self.axis % len(node.results[0].dims) > 0 and all(v.constant is None for v in node.inputs)

    def flops(self, node):
        return 0

    def is_identity(self, node: Node) -> bool:
        return len(node.inputs) == 1

    def infer(self, *xs):
        dtype = same_dtype(*xs)
        shapes = [x.shape for x in xs if x.shape is not None]
        if not shapes:
            return [(None, dtype)]
        for x in xs:
            check_rank_least(x, "inputs", 1)
        rank = len(shapes[0])
        check(all(len(s) == rank for s in shapes), f"inputs: expected one rank, got shapes {', '.join(map(str, shapes))}")
        axis = axis_index(self.axis, rank)
        out = list(shapes[0])
        for shape in shapes[1:]:
            for i in set(range(rank)) - {axis}:
                out[i] = unify(out[i], shape[i], f"inputs: size of axis {i}")
        out[axis] = total(s[axis] for s in shapes) if len(shapes) == len(xs) else None
        return [(tuple(out), dtype)]

    def reference(self, *xs):
        return np.concatenate(xs, axis=self.axis)
