"""TopK and ArgMax on the kernel top_k."""

from __future__ import annotations

import math

import numpy as np

from ..graph import Node, Value
from ..ops.dims import axis_index
from ..plan.bind import Binder, Step
from ..plan.implementation import Implementation
from ..plan.select import NCHW, Target


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


class ArgMaxPlain(TopKPlain):
    """The index of the largest one, on the kernel top_k."""

    def refuse(self, node: Node, target: Target) -> str | None:
        return "select_last_index" if node.op.select_last_index else super().refuse(node, target)  # type: ignore[attr-defined]

    def count(self, node: Node, axis: int) -> int:
        return 1

    def ends(self, node: Node) -> tuple[Value | None, Value | None]:
        return None, node.results[0]
