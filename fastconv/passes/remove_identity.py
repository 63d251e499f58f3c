"""Remove nodes whose output always equals their input, such as Identity, Dropout and a Reshape to the same shape.

Biases of zeros go too.
"""

from __future__ import annotations

import numpy as np

from ..graph import Graph, Node, Value
from ..ops.conv import Conv
from ..ops.conv_transpose import ConvTranspose
from .edit import replace_inputs


def remove_identity(graph: Graph) -> None:
    """Let the readers of each such output read the input. A node that gives an output of the graph stays."""
    replacements: dict[Value, Value] = {}
    kept: list[Node] = []
    for node in graph.nodes:
        replace_inputs(node, replacements)
        for n in node.chain:
            if isinstance(n.op, Conv | ConvTranspose) and _is_zero(n.optional(2)):
                n.inputs.pop()
        y = node.outputs[0]
        if y is not None and _is_identity(node) and not graph.is_output(y):
            replacements[y] = node.input(0)
        else:
            kept.append(node)
    graph.nodes = kept


def _is_zero(v: Value | None) -> bool:
    return v is not None and v.constant is not None and not np.any(v.constant)


def _is_identity(node: Node) -> bool:
    return not node.epilogue and node.results == node.outputs[:1] and node.op.is_identity(node)
