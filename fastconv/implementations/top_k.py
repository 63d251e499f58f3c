"""TopK and ArgMax on the kernel top_k."""

from __future__ import annotations

import math
from typing import TypeVar

from ..graph import Node, Value
from ..ops.arg_max import ArgMax
from ..ops.dims import axis_index
from ..ops.top_k import TopK
from ..plan.binder import Binder, Step
from ..plan.implementation import Implementation
from ..plan.layout import ROW_MAJOR, Layout
from ..plan.select import Selection, Target

T = TypeVar("T", bound=TopK | ArgMax)


class LargestRowMajor(Implementation[T]):
    """The largest elements along any axis of a row-major tensor."""

    name = "row-major"

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, Layout], Layout]:
        return {node.input(0): ROW_MAJOR}, ROW_MAJOR

    def sizes(self, node: Node) -> dict[str, int]:
        """The sizes of the three axes and of the result, as the kernel's fields."""
        dims = node.input(0).dims
        axis = axis_index(self.op(node).axis, len(dims))
        outer, inner = math.prod(dims[:axis]), math.prod(dims[axis + 1 :])
        return {"outer": outer, "D": dims[axis], "inner": inner, "K": self.count(node, axis)}

    def count(self, node: Node, axis: int) -> int:
        """How many elements of a row are wanted."""
        raise NotImplementedError

    def outputs(self, node: Node) -> tuple[Value | None, Value | None]:
        """The results: values and indices, either of which may be left out."""
        raise NotImplementedError

    def workspace(self, node: Node, target: Target) -> int:
        entry: int = target.kernels.top_k.entry_bytes()
        return target.threads * self.sizes(node)["K"] * entry

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        dst, indices = (0 if v is None else binder.view(v).address for v in self.outputs(node))
        return [
            binder.step(
                binder.kernels.top_k,
                src=binder.view(node.input(0)).address,
                dst=dst,
                indices=indices,
                heaps=binder.workspace(),
                largest=getattr(node.op, "largest", 1),
                **self.sizes(node),
            )
        ]


class TopKRowMajor(LargestRowMajor[TopK]):
    """The K largest or smallest elements, and their indices."""

    def count(self, node: Node, axis: int) -> int:
        return node.results[0].dims[axis]

    def outputs(self, node: Node) -> tuple[Value | None, Value | None]:
        values, indices = (*node.outputs, None)[:2]
        return values, indices


class ArgMaxRowMajor(LargestRowMajor[ArgMax]):
    """The index of the largest element."""

    def refuse(self, node: Node, selection: Selection) -> str | None:
        return "select_last_index" if self.op(node).select_last_index else None

    def count(self, node: Node, axis: int) -> int:
        return 1

    def outputs(self, node: Node) -> tuple[Value | None, Value | None]:
        return None, node.results[0]
