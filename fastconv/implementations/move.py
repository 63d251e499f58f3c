"""What the implementations share that only move elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ..dtypes import DATA_TYPES
from ..graph import Node, Value
from ..plan.implementation import Implementation, OpT
from ..plan.layout import ROW_MAJOR, Layout
from ..plan.select import Selection, Target

#: every type whose elements are whole bytes: the kernels move elements by their size
MOVABLE = frozenset(t.numpy for t in DATA_TYPES.values() if t.numpy and t.numpy != "object")
#: the types of tensors that may be blocked
BLOCKED_DTYPES = frozenset({"float32", "uint8"})
#: the largest block of any instruction set: channels at its multiples begin a block
LARGEST_BLOCK = 16


def constants_of(node: Node) -> list[Any]:
    """The arrays of the inputs behind the first, as Op.reference gets them."""
    return [None if v is None else v.constant for v in node.inputs[1:]]


def ints(array: np.ndarray | None) -> tuple[int, ...] | None:
    """A tensor of integers as a tuple; None if the input is left out."""
    return None if array is None else tuple(array.reshape(-1).tolist())


class Move(Implementation[OpT]):
    """Row-major tensors of any type; all inputs but the first control the move, and must be constant."""

    name = "row-major"
    dtypes: ClassVar[frozenset[str] | None] = MOVABLE

    def refuse(self, node: Node, selection: Selection) -> str | None:
        if any(v is not None and v.constant is None for v in node.inputs[1:]):
            return "a control input is not constant"
        return self.refuse_move(node)

    def refuse_move(self, node: Node) -> str | None:
        """Why this move is out of reach, where its control inputs are constant."""
        return None

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, Layout], Layout]:
        return {node.input(0): ROW_MAJOR}, ROW_MAJOR


class BlockedMove(Move[OpT]):
    """Blocked tensors of floats or bytes."""

    name = "blocked"
    dtypes = BLOCKED_DTYPES
    ranks: ClassVar[Sequence[int] | None] = (4,)

    def refuse(self, node: Node, selection: Selection) -> str | None:
        return super().refuse(node, selection) if selection.layout(node.input(0)).is_blocked else "the input is not blocked"

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, Layout], Layout]:
        layout = target.blocked_of(node.input(0))
        return {node.input(0): layout}, layout
