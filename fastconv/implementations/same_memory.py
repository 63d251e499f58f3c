"""Operators whose result is their input in memory: nothing is computed."""

from __future__ import annotations

from ..graph import Node, Value
from ..ops.dropout import trains
from ..plan.bind import Binder, Step
from ..plan.layouts import Tensor
from ..plan.select import Target
from .move import Move, first_input


class SameMemory(Move):
    """The result lies where the input does, of whatever dtype."""

    name = "view"

    def refuse(self, node: Node, target: Target) -> str | None:
        if first_input(node).constant is not None:
            return "constant input"
        if any(v is not None for v in node.outputs[1:]):
            return "a second output"
        return self.refuse_how(node, target)

    def refuse_how(self, node: Node, target: Target) -> str | None:
        if any(v is not None and v.constant is None for v in node.inputs[1:]):
            return "an input that says how is not constant"
        return None

    def alias(self, node: Node, reads: dict[Value, Tensor], writes: dict[Value, Tensor]) -> None:
        writes[node.results[0]].lie_in(reads[first_input(node)])

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        return []


class DropoutInference(SameMemory):
    """Nothing is dropped."""

    def refuse_how(self, node: Node, target: Target) -> str | None:
        return "training" if trains(node) else None
