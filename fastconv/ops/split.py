"""Split: consecutive slices of a tensor along an axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..graph import Dim, Node, Value
from .base import Array, Inferred, Op, Results
from .dims import axis_index, check, check_rank_least, known_ints, length, to_ints
from .node_spec import INT, NodeSpec
from .span import Spans


class Split(Op):
    """inputs: data and the sizes of the slices; without sizes, num_outputs equal slices, of which the last may be smaller."""

    arity = (1, 2)
    control_inputs = (1,)
    output_arity = (1, None)

    axis: int = 0
    num_outputs: int | None = None

    @classmethod
    def upgrade(cls, spec: NodeSpec) -> None:
        if spec.opset < 13:
            spec.attribute_to_input("split", 1)
        if spec.optional(1) is None:
            n = spec.take("num_outputs", INT, len(spec.outputs))
            check(n == len(spec.outputs) > 0, f"num_outputs: expected the {len(spec.outputs)} outputs, got {n}")
            spec.attributes["num_outputs"] = n

    def selects_elements(self, node: Node) -> bool:
        return True

    def sizes(self, d: int, split: Sequence[int] | None) -> list[int]:
        """The sizes of the slices of an axis of size d."""
        if split is not None:
            check(min(split, default=0) >= 0 and sum(split) == d, f"split: expected sizes that add up to {d}, got {split}")
            return list(split)
        n = self.num_outputs or 1
        size = -(-d // n)
        check((n - 1) * size <= d, f"num_outputs: a size of {d} cannot be split into {n} slices of {size}")
        return [size] * (n - 1) + [d - (n - 1) * size]

    def reads(self, node: Node, i: int, result: Value, spans: Spans) -> Spans:
        axis = axis_index(self.axis, len(spans))
        parts = [v.dims[axis] for v in node.outputs[: node.outputs.index(result)] if v is not None]
        return [s.moved(sum(parts)) if a == axis else s for a, s in enumerate(spans)]

    def infer(self, x: Value, split: Value | None = None) -> Inferred:
        check_rank_least(x, "input", 1)
        given = known_ints(split, "split")
        count = self.num_outputs if split is None else length(split)
        if count is None or count > 65536:
            return []
        if x.shape is None:
            return [(None, x.dtype)] * count
        axis = axis_index(self.axis, len(x.shape))
        d = x.shape[axis]
        sizes: Sequence[Dim] = given or (None,) * count
        if isinstance(d, int) and (split is None or given is not None):
            sizes = self.sizes(d, given)
        return [((*x.shape[:axis], size, *x.shape[axis + 1 :]), x.dtype) for size in sizes]

    def reference(self, x: Array, split: Array | None = None) -> Results:
        axis = axis_index(self.axis, x.ndim)
        sizes = self.sizes(x.shape[axis], None if split is None else to_ints(split, "split"))
        return tuple(np.split(x, np.cumsum(sizes)[:-1], axis))
