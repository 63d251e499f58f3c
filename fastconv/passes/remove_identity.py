"""Removes nodes that hand on their input as it is: Identity, Dropout, and what an attribute makes one; and biases of zeros."""

from __future__ import annotations

import numpy as np

from ..graph import Graph, Node, Value
from ..ops.dropout import trains


def remove_identity(graph: Graph) -> None:
    """Let readers of such a node's output read its input; one that gives a graph output from a graph input stays."""
    instead: dict[Value, Value] = {}
    kept: list[Node] = []
    for node in graph.nodes:
        for n in node.chain:
            n.inputs = [instead.get(v, v) if v is not None else None for v in n.inputs]
            if type(n.op).__name__ in ("Conv", "ConvTranspose") and len(n.inputs) > 2 and _is_zero(n.inputs[2]):
                n.inputs.pop()
        x, y = node.inputs[0] if node.inputs else None, node.outputs[0]
        if x is not None and y is not None and y not in graph.outputs and _hands_on(node, x, y):
            instead[y] = x
        else:
            kept.append(node)
    graph.nodes = kept


def _is_zero(v: Value | None) -> bool:
    return v is not None and v.constant is not None and not np.any(v.constant)


def _hands_on(node: Node, x: Value, y: Value) -> bool:
    if any(v is not None for v in node.outputs[1:]) or node.epilogue:
        return False
    kind = type(node.op).__name__
    if kind == "Identity" or (kind == "Dropout" and not trains(node)):
        return True
    same = x.shape is not None and x.shape == y.shape and None not in x.shape and x.dtype == y.dtype
    if kind in ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Expand"):
        return same
    if kind == "Transpose":
        perm = getattr(node.op, "perm", None)
        return perm is not None and tuple(perm) == tuple(range(len(perm)))
    if kind in ("Concat", "Sum", "Max", "Min", "Mean"):
        return len(node.inputs) == 1
    if kind in ("Cast", "CastLike"):
        return x.dtype is not None and x.dtype == y.dtype
    if kind == "Pad":
        pads = node.inputs[1]
        return pads is not None and pads.constant is not None and not np.any(pads.constant)
    return False
