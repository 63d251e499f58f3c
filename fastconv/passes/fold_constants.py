"""Computes once what depends on constants or on known shapes alone, and drops what nobody reads any more.

Large weights that are stored as integers stay so until they are packed.
"""

from __future__ import annotations

import math

import numpy as np

from ..evaluate import evaluate
from ..graph import Graph, Node, Value
from ..ops.control import taken
from ..ops.quantize import dequantized
from ..ops.sequence import SequenceAt, SplitToSequence, part
from .infer_shapes import infer_node

#: the largest constant that folding may make, in elements: past it the value is left to the run (whose plan checks sizes)
MOST_ELEMENTS = 1 << 26


def fold_constants(graph: Graph) -> None:
    """Replace nodes whose results can be known by constants, an If by the branch it takes, and what takes a part of a split
    sequence by a Slice; then drop unread nodes.
    """
    left: list[Node] = []
    told = False  # what was folded may tell the shapes of what comes after
    splits: dict[Value | None, Node] = {}
    todo = graph.nodes[::-1]
    while todo:
        node = todo.pop()
        if (branch := taken(node)) is not None:
            todo += branch[::-1]
            told = True
            continue
        if isinstance(node.op, SplitToSequence):
            splits[node.outputs[0]] = node
        elif isinstance(node.op, SequenceAt) and node.inputs[0] in splits:
            node, told = part(node, splits[node.inputs[0]]) or node, True
        if told:
            for n in node.chain:
                infer_node(n)
        if _fold(node):
            told = True
        else:
            left.append(node)
    graph.nodes = left
    drop_unread(graph)


def drop_unread(graph: Graph) -> None:
    """Drop the nodes whose results nobody reads, and of the others the optional outputs that nobody reads."""
    read = set(graph.outputs)
    kept = []
    for node in reversed(graph.nodes):
        if any(v in read for v in node.results):
            kept.append(node)
            read.update(node.operands)
            least = node.op.output_arity[0]
            node.outputs[least:] = [v if v in read else None for v in node.outputs[least:]]
    graph.nodes = kept[::-1]


def _fold(node: Node) -> bool:
    """Make the node's results constants, where they can be known; whether that was so."""
    results = [v for n in node.chain for v in n.outputs if v is not None]
    if any(math.prod(d for d in v.shape or () if isinstance(d, int)) > MOST_ELEMENTS for v in results):
        return False
    arrays: dict[Value, np.ndarray] = {}  # what stands for an input of which the shape or the dtype alone is read
    kind = type(node.op).__name__
    if kind in ("Shape", "Size") and (x := node.inputs[0]) is not None and x.known:
        arrays[x] = np.broadcast_to(np.float32(0), x.dims)
    elif kind == "CastLike" and (like := node.inputs[1]) is not None and like.dtype is not None:
        arrays[like] = np.empty(0, like.dtype)
    if any(v.constant is None and v not in arrays for v in node.operands) or not all(v.known for v in results):
        return False
    if (weights := dequantized(node)) is not None:
        results[0].constant = weights
        return True
    evaluate(node, arrays)
    for v in results:
        v.constant = arrays[v]
        v.shape, v.dtype = v.constant.shape, v.constant.dtype
    if kind == "Transpose" and (x := node.inputs[0]) is not None:
        results[0].name = x.name  # by which a state dict finds the weights
    return True
