"""Operators whose result lies where their input does: nothing is computed."""

from __future__ import annotations

from ..graph import Node, Value
from ..ops.cast import Cast
from ..ops.dropout import Dropout, trains
from ..ops.transpose import Transpose
from ..plan.binder import Binder, Step
from ..plan.implementation import OpT
from ..plan.select import Selection
from ..plan.tensors import Tensor
from .move import Move


class SameMemory(Move[OpT]):
    """The same elements in the same order, as Reshape, Flatten, Squeeze, Unsqueeze and Identity have them."""

    name = "view"
    dtypes = None
    takes_empty = True

    def refuse_move(self, node: Node) -> str | None:
        return "a second output" if any(v is not None for v in node.outputs[1:]) else None

    def alias(self, node: Node, reads: dict[Value, Tensor], writes: dict[Value, Tensor]) -> None:
        writes[node.results[0]].lie_in(reads[node.input(0)])

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        return []


class TransposeInPlace(SameMemory[Transpose]):
    """Only axes of size 1 change places."""

    def refuse_move(self, node: Node) -> str | None:
        dims = node.input(0).dims
        moved = [i for i in self.op(node).permutation(len(dims)) if dims[i] > 1]
        return None if moved == sorted(moved) else "elements change places"


class CastInPlace(SameMemory[Cast]):
    """To the type that the elements have."""

    def refuse_move(self, node: Node) -> str | None:
        x, y = node.input(0), node.results[0]
        return None if x.dtype == y.dtype else f"dtype {x.dtype} to {y.dtype}"


class DropoutInPlace(SameMemory[Dropout]):
    """Nothing is dropped at inference."""

    def refuse(self, node: Node, selection: Selection) -> str | None:
        return "training" if trains(node) else self.refuse_move(node)
