"""What implementations share that only move elements, by strided copies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..graph import Node, Value
from ..plan.implementation import Implementation, blocked_refusal
from ..plan.select import BLOCKED, NCHW, Target

#: channels at multiples of which a block begins whatever the vector width is
WIDEST = 16


def first_input(node: Node) -> Value:
    """inputs[0], which these operators always have."""
    x = node.inputs[0]
    assert x is not None
    return x


def constants_of(node: Node) -> list[Any]:
    """The arrays of the inputs behind the first: what Op.reference gets for them."""
    return [None if v is None else v.constant for v in node.inputs[1:]]


def ints(array: np.ndarray | None) -> tuple[int, ...] | None:
    """A tensor of integers as a tuple; None where the input is left out."""
    return None if array is None else tuple(array.reshape(-1).tolist())


class Move(Implementation):
    """Row-major float32 tensors; all inputs but the first say how, and must be constant."""

    name = "plain"

    def refuse(self, node: Node, target: Target) -> str | None:
        x = first_input(node)
        if x.constant is not None:
            return "constant input"
        if x.dtype != np.float32:
            return f"dtype {x.dtype}"
        if any(v is not None and v.constant is None for v in node.inputs[1:]):
            return "an input that says how is not constant"
        if any(0 in v.dims for v in (x, *node.results)):
            return "empty tensor"
        return self.refuse_how(node, target)

    def refuse_how(self, node: Node, target: Target) -> str | None:
        """Why this way of moving is out of reach."""
        return None

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, str], str]:
        return {first_input(node): NCHW}, NCHW


class BlockedMove(Move):
    """Blocked tensors."""

    name = "blocked"
    ranks: Sequence[int] = (4,)

    def refuse(self, node: Node, target: Target) -> str | None:
        x = first_input(node)
        if reason := blocked_refusal(x, self.ranks):
            return reason
        return super().refuse(node, target) if target.layout(x) == BLOCKED else "the input is not blocked"

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, str], str]:
        return {first_input(node): BLOCKED}, BLOCKED
