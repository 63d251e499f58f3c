"""Helpers of passes: find the readers of a value, change what nodes read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..graph import Graph, Node, Value
from ..ops.transpose import Transpose

#: the type that kernels compute floats in; passes that make nodes for kernels leave values of other types alone
KERNEL_FLOAT = np.dtype(np.float32)


def sole_reader(value: Value, graph: Graph, consumers: Mapping[Value, Sequence[Node]]) -> Node | None:
    """The one node that reads the value; None if it is an output of the graph, or is read elsewhere too."""
    readers = consumers[value]
    return readers[0] if len(readers) == 1 and not graph.is_output(value) else None


def replace_inputs(node: Node, replacements: Mapping[Value, Value]) -> None:
    """Let the node, and those fused into it, read other values."""
    for n in node.chain:
        n.inputs = [v and replacements.get(v, v) for v in n.inputs]


def drop_unread(graph: Graph) -> None:
    """Drop the nodes whose results are not read, and the optional outputs of the others that are not read."""
    read = set(graph.outputs)
    kept = []
    for node in reversed(graph.nodes):
        if any(v in read for v in node.results):
            kept.append(node)
            read.update(node.operands)
            least = node.op.output_arity[0]
            node.outputs[least:] = [v if v in read else None for v in node.outputs[least:]]
    graph.nodes = kept[::-1]


def permutation(node: Node | None) -> tuple[int, ...] | None:
    """The permutation of a Transpose that has one and no epilogue."""
    return node.op.perm if node is not None and isinstance(node.op, Transpose) and not node.epilogue else None
