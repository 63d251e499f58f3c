"""Patterns of nodes as nested data, and the search for them.

    Pattern(Div, Pattern(Clip, Pattern(Add, "x", 3), 0, 6), 6)

matches the last node of clip(x + 3, 0, 6) / 6. Each input of a node is matched by an operand:

    Pattern(Clip, ...)  the first output of such a node, which has no epilogue
    "x"                 any value, captured under this name; the same name again matches only the same value
    Constant("c")       a constant, captured
    3                   a constant of one element, equal to within TOLERANCE
    None                an input that is left out
    (a, b)              any of these operands

The operands of Add and Mul match in either order. Inputs after the last operand are not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from ..graph import Node, Value
from ..ops import Op
from ..ops.binary import Add, Mul

#: the largest difference between a number in a file and one in a pattern: files have 1/6 and the root of 2 rounded
TOLERANCE = 1e-6

#: operators whose operands match in either order
COMMUTATIVE = (Add, Mul)

AnyOp = TypeVar("AnyOp", bound=Op)


@dataclass(frozen=True)
class Constant:
    """A constant; `scalar`: of one element."""

    name: str
    scalar: bool = False


class Pattern:
    """A node with this operator, whose inputs match the operands and whose attributes equal those given, within TOLERANCE.

    `name` captures its first output.
    """

    def __init__(self, op: type[Op], *operands: Operand, name: str = "", **attributes: Any):
        self.op = op
        self.operands = operands
        self.name = name
        self.attributes = attributes


Operand = Pattern | Constant | str | float | None | tuple["Operand", ...]


@dataclass(slots=True)
class Match:
    """The values captured, by name, and the nodes matched, starting from the last of the graph."""

    values: Mapping[str, Value] = field(default_factory=dict)
    nodes: tuple[Node, ...] = ()

    def __getitem__(self, name: str) -> Value:
        return self.values[name]

    def number(self, name: str) -> float:
        """The element of a captured scalar."""
        return _number(self.values[name])

    def node(self, name: str) -> Node:
        """The node whose output was captured."""
        return next(n for n in self.nodes if n.outputs[0] is self.values[name])

    def op(self, name: str, cls: type[AnyOp]) -> AnyOp:
        """The operator of that node, an instance of `cls`."""
        op = self.node(name).op
        assert isinstance(op, cls)
        return op

    def with_value(self, name: str, v: Value) -> list[Match]:
        """The match with one more value; no match if the name has another value."""
        return [Match({**self.values, name: v}, self.nodes)] if self.values.get(name, v) is v else []


def alternatives(operand: Operand) -> Iterator[Pattern]:
    """The patterns that an operand is, or chooses from."""
    if isinstance(operand, Pattern):
        yield operand
    elif isinstance(operand, tuple):
        for o in operand:
            yield from alternatives(o)


def find(pattern: Operand, node: Node, producers: Mapping[Value, Node]) -> list[Match]:
    """Every way to match nodes, the last of which is `node`."""
    return _match(pattern, node.outputs[0], producers, Match())


def _match(operand: Operand, v: Value | None, producers: Mapping[Value, Node], m: Match) -> list[Match]:
    """Every way to extend a match so that the operand matches the value."""
    if isinstance(operand, tuple):
        return [found for o in operand for found in _match(o, v, producers, m)]
    if operand is None:
        return [m] if v is None else []
    if v is None:
        return []
    if isinstance(operand, str):
        return m.with_value(operand, v)
    if isinstance(operand, Constant):
        return m.with_value(operand.name, v) if v.constant is not None and (v.constant.size == 1 or not operand.scalar) else []
    if isinstance(operand, Pattern):
        node = producers.get(v)
        return _match_node(operand, node, producers, m) if node is not None and node.outputs[0] is v else []
    same = v.constant is not None and v.constant.size == 1 and abs(_number(v) - operand) < TOLERANCE
    return [m] if same else []


def _match_node(pattern: Pattern, node: Node, producers: Mapping[Value, Node], m: Match) -> list[Match]:
    if node.epilogue or not isinstance(node.op, pattern.op):
        return []
    if not all(_equal(getattr(node.op, name), given) for name, given in pattern.attributes.items()):
        return []
    m = Match(m.values, (*m.nodes, node))
    found: list[Match] = []
    orders = [pattern.operands, pattern.operands[::-1]] if pattern.op in COMMUTATIVE else [pattern.operands]
    for operands in orders:
        matches = m.with_value(pattern.name, node.results[0]) if pattern.name else [m]
        for i, operand in enumerate(operands):
            matches = [n for n in matches for n in _match(operand, node.optional(i), producers, n)]
        found += matches
    return found


def _number(v: Value) -> float:
    """The element of a constant that has one."""
    assert v.constant is not None
    return float(np.asarray(v.constant).reshape(-1)[0])


def _equal(a: Any, b: Any) -> bool:
    return bool(a == b or (isinstance(b, float) and abs(a - b) < TOLERANCE))
