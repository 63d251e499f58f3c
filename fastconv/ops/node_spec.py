"""NodeSpec, a node as a file has it, and make_node, which makes a Node of it.

The annotations of an operator's fields are the types of its attributes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ModelError, Naming, UnsupportedError
from ..graph import Graph, Node, Value, node_error, node_label
from .base import REGISTRY, Op

# The types of attributes, as they are written in the annotations of fields.
INT, FLOAT, STRING = "int", "float", "str"
INTS, FLOATS, STRINGS = "tuple[int, ...]", "tuple[float, ...]", "tuple[str, ...]"
TENSOR, SUBGRAPH = "np.ndarray", "Subgraph"


@dataclass
class NodeSpec:
    """A node as a file has it, before its Op is made: `Op.upgrade` may rewrite it."""

    op_type: str
    attributes: dict[str, Any]
    inputs: list[Value | None]
    outputs: list[Value | None]
    opset: int
    name: str = ""
    where: str = ""

    def optional(self, i: int) -> Value | None:
        """Input i, or None if it is left out."""
        return self.inputs[i] if i < len(self.inputs) else None

    def take(self, attribute: str, kind: str, default: Any = None) -> Any:
        """Remove an attribute of older opsets and return its value, which has type `kind`; the default if it is left out."""
        if attribute not in self.attributes:
            return default
        value = self.attributes.pop(attribute)
        if (taken := _read(kind, value)) is None:
            raise ModelError(f"attribute {attribute!r} should be {kind}, not {value!r:.60}")
        return taken

    def attribute_to_input(self, attribute: str, i: int, kind: str = INTS, dtype: Any = np.int64) -> None:
        """Make an attribute of older opsets input i, as it is in newer ones."""
        value = self.take(attribute, kind)
        if value is None:
            return
        while len(self.inputs) <= i:
            self.inputs.append(None)
        array = np.asarray(value, dtype)
        self.inputs[i] = Value(f"{node_label(self.name, self.outputs)}.{attribute}", constant=array)

    def error(self, message: str, kind: type[ModelError]) -> ModelError:
        """A ModelError (or a subclass) that names the node."""
        return node_error(node_label(self.name, self.outputs), self.op_type, self.where, message, kind)


def make_node(spec: NodeSpec) -> Node:
    """The Node for a node of a file: upgraded, its attributes and counts checked. ModelError and UnsupportedError name it."""
    with Naming(spec.error):
        cls = _upgraded(spec)
        _check_count("input", spec.inputs, cls.arity, cls.needs_all)
        _check_count("output", spec.outputs, cls.output_arity)
        op = cls(**_attributes(spec, cls))
    return Node(op, spec.inputs, spec.outputs, spec.name, spec.where)


def _upgraded(spec: NodeSpec) -> type[Op]:
    """The operator, once the node has its newest form."""
    spec.attributes.pop("consumed_inputs", None)  # before opset 6 a hint about memory, which does not change the result
    seen = set()
    while (cls := REGISTRY.get(spec.op_type)) is not None and spec.op_type not in seen:
        seen.add(spec.op_type)
        cls.upgrade(spec)
    if cls is None:
        raise UnsupportedError("operator not supported")
    return cls


def _check_count(what: str, given: Sequence[Value | None], arity: tuple[int, int | None], needs_all: bool = False) -> None:
    """Raise if there are too few or too many inputs (or outputs), or a required one is left out."""
    least, most = arity
    count = max((i for i, v in enumerate(given, 1) if v is not None), default=0)
    if count < least or (most is not None and count > most):
        bounds = f"{least}" if least == most else f"{least} or more" if most is None else f"{least} to {most}"
        raise ModelError(f"has {count} {what}s, expected {bounds}")
    if any(v is None for v in given[: None if needs_all else least]):
        raise ModelError(f"a required {what} is left out")


def _attributes(spec: NodeSpec, cls: type[Op]) -> dict[str, Any]:
    """The values of the attributes that the node has, as its operator's fields take them."""
    fields = {f.name: f for f in dataclasses.fields(cls)}
    values = {}
    for name, value in spec.attributes.items():
        if name not in fields:
            raise UnsupportedError(f"attribute {name!r:.200} is not known in this operator")
        values[name] = _read(str(fields[name].type), value)
        if values[name] is None:
            raise ModelError(f"attribute {name!r} should be {fields[name].type}, not {value!r:.60}")
    for name, f in fields.items():
        if f.default is dataclasses.MISSING and name not in values:
            raise ModelError(f"attribute {name!r} is missing")
    return values


def _read(kind: str, value: Any) -> Any:
    """An attribute's value as the type `kind`; None if it does not fit."""
    kind = kind.removesuffix(" | None")
    if kind == TENSOR:
        return value if isinstance(value, np.ndarray) else None
    if kind == SUBGRAPH:
        return value if isinstance(value, Graph) else None
    if kind in (INTS, FLOATS, STRINGS):
        item = {INTS: INT, FLOATS: FLOAT, STRINGS: STRING}[kind]
        if not isinstance(value, list | tuple):
            return None
        items = tuple(_read(item, v) for v in value)
        return None if any(v is None for v in items) else items
    if kind == INT:
        return value if isinstance(value, int) and not isinstance(value, bool) else None
    if kind == FLOAT:
        return value if isinstance(value, float) else None
    return value if isinstance(value, str) else None
