"""Nodes with attributes of fastconv's own as nodes of standard operators, to be written to a file."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..graph import Node, Value
from ..ops import REGISTRY
from ..ops.matmul import MatMul
from ..ops.normalization import LayerNormalization
from ..ops.softmax import AlongAxis


def standard_nodes(n: Node) -> list[Node]:
    """The node itself, or standard nodes that compute the same if it has an attribute that the standard lacks."""
    if isinstance(n.op, AlongAxis) and n.op.joint:
        return _softmax_of_rows(n)
    if isinstance(n.op, LayerNormalization) and n.op.alone:
        return _layer_norm_of_last(n)
    if isinstance(n.op, MatMul):
        return _plain_matmul(n)
    return [n]


def _softmax_of_rows(n: Node) -> list[Node]:
    """A Softmax over several axes together, as one over the rows of a matrix."""
    assert isinstance(n.op, AlongAxis)
    x, y = n.input(0), n.outputs[0]
    rows, result, shape = (Value(f"{n.label}.{name}") for name in ("rows", "result", "shape"))
    nodes: list[tuple[str, dict[str, int], list[Value], Value | None]] = [
        ("Flatten", {"axis": n.op.axis}, [x], rows),
        (type(n.op).__name__, {}, [rows], result),
        ("Shape", {}, [x], shape),
        ("Reshape", {"allowzero": 1}, [result, shape], y),
    ]
    return [Node(REGISTRY[op](**attributes), inputs, [output]) for op, attributes, inputs, output in nodes]


def _layer_norm_of_last(n: Node) -> list[Node]:
    """A LayerNormalization over one axis that is not the last, as one over the last between Transposes."""
    x, y = n.input(0), n.outputs[0]
    assert x.shape is not None and y is not None and isinstance(n.op, LayerNormalization)
    (axis,), rank = n.op.axes(len(x.shape)), len(x.shape)
    there = (*(i for i in range(rank) if i != axis), axis)
    back = tuple(there.index(i) for i in range(rank))
    last, result = Value(f"{n.label}.last"), Value(f"{n.label}.result")
    operands = [
        Value(v.name, constant=v.constant.reshape(-1)) for v in n.inputs[1:] if v is not None and v.constant is not None
    ]
    op = REGISTRY["LayerNormalization"](epsilon=n.op.epsilon, stash_type=n.op.stash_type)
    return [
        Node(REGISTRY["Transpose"](perm=there), [x], [last]),
        Node(op, [last, *operands], [result]),
        Node(REGISTRY["Transpose"](perm=back), [result], [y]),
    ]


def _plain_matmul(n: Node) -> list[Node]:
    """A MatMul, with Transposes, a Mul and an Add in place of its own attributes."""
    assert isinstance(n.op, MatMul)
    nodes: list[Node] = []

    def add(kind: str, *inputs: Value | None, **attributes: Any) -> Value:
        nodes.append(Node(REGISTRY[kind](**attributes), inputs, [Value(f"{n.label}.{kind.lower()}")]))
        return nodes[-1].results[0]

    a, b, bias = (*n.inputs, None)[:3]
    y = add("MatMul", *(v if p is None else add("Transpose", v, perm=p) for v, p in ((a, n.op.perm_a), (b, n.op.perm_b))))
    if n.op.alpha != 1:
        y = add("Mul", y, Value(f"{n.label}.alpha", constant=np.array(n.op.alpha, np.float32)))
    if bias is not None:
        y = add("Add", y, bias)
    if n.op.perm_y is not None:
        add("Transpose", y, perm=n.op.perm_y)
    nodes[-1].outputs = n.outputs
    return nodes
