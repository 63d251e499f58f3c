"""TopK: the K largest (or smallest) elements along an axis, and their indices.

Of equal elements the first comes first; NaN counts as largest.
"""

from __future__ import annotations

import math

import numpy as np

from ..graph import Node, Value
from ..plan.bind import Binder, Step
from ..plan.select import NCHW, Target
from .base import INT, Implementation, Op
from .dims import axis_index, check, check_rank_least, known_ints, to_int


class TopKPlain(Implementation):
    """Along any axis of a row-major tensor, on the kernel top_k."""

    name = "plain"

    def refuse(self, node: Node, target: Target) -> str | None:
        x = node.inputs[0]
        assert x is not None
        if x.constant is not None:
            return "constant input"
        if x.dtype != np.float32:
            return f"dtype {x.dtype}"
        return "empty tensor" if 0 in (*x.dims, *node.results[0].dims) else None

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, str], str]:
        x = node.inputs[0]
        assert x is not None
        return {x: NCHW}, NCHW

    def sizes(self, node: Node) -> dict[str, int]:
        """The sizes of the three axes and of the result, as the kernel's fields."""
        x = node.inputs[0]
        assert x is not None
        axis = axis_index(node.op.axis, len(x.dims))  # type: ignore[attr-defined]
        before, behind = math.prod(x.dims[:axis]), math.prod(x.dims[axis + 1 :])
        return {"outer": before, "D": x.dims[axis], "inner": behind, "K": self.count(node, axis)}

    def count(self, node: Node, axis: int) -> int:
        """How many elements of a row are looked for."""
        return node.results[0].dims[axis]

    def ends(self, node: Node) -> tuple[Value | None, Value | None]:
        """The results: values and indices, either of which may be left out."""
        values, indices = (*node.outputs, None)[:2]
        return values, indices

    def workspace(self, node: Node, target: Target) -> int:
        return target.threads * self.sizes(node)["K"] * target.kernels.top_k.entry_bytes()

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x = node.inputs[0]
        assert x is not None
        dst, indices = (0 if v is None else binder.view(v).ref for v in self.ends(node))
        return [
            binder.step(
                binder.kernels.top_k,
                src=binder.view(x).ref,
                dst=dst,
                indices=indices,
                heaps=binder.workspace(),
                largest=getattr(node.op, "largest", 1),
                **self.sizes(node),
            )
        ]


class TopK(Op):
    arity = (2, 2)
    how = (1,)
    results = (1, 2)
    implementations = (TopKPlain(),)

    axis: int = -1
    largest: int = 1
    #: 0 leaves the order of the K open
    sorted: int = 1

    @classmethod
    def upgrade(cls, spec):
        if spec.opset < 10:
            spec.attribute_to_input("k", 1, INT)

    def infer(self, x, k):
        check_rank_least(x, "input", 1)
        known_ints(k, "K")
        count = None if k.constant is None else to_int(k.constant, "K")
        if x.shape is None:
            return [(None, x.dtype), (None, np.dtype(np.int64))]
        axis = axis_index(self.axis, len(x.shape))
        self.check_count(count, x.shape[axis])
        shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
        return [(shape, x.dtype), (shape, np.dtype(np.int64))]

    def check_count(self, count, d):
        """Raise where K is not between 0 and the size of the axis."""
        if count is not None:
            check(count >= 0 and (not isinstance(d, int) or count <= d), f"K: expected 0 to {d}, got {count}")

    def reference(self, x, k):
        count, axis = to_int(k, "K"), axis_index(self.axis, x.ndim)
        self.check_count(count, x.shape[axis])
        if self.largest:
            # sorting backwards and turning the result round keeps the first of equals first
            order = np.flip(x.shape[axis] - 1 - np.argsort(np.flip(x, axis), axis, kind="stable"), axis)
        else:
            order = np.argsort(x, axis, kind="stable")
        index = order.take(range(count), axis)
        return np.take_along_axis(x, index, axis), index.astype(np.int64)
