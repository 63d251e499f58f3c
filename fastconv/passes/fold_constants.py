"""Compute values that depend only on constants or known shapes, and drop nodes whose results are not read.

Large weights that are stored as integers are dequantized only when they are packed.
"""

from __future__ import annotations

import math

from ..evaluate import evaluate
from ..graph import Graph, Node, Value
from ..infer_node import infer_node
from ..ops.control import taken_branch
from ..ops.sequence import SequenceAt, SplitToSequence, slice_of_split
from ..ops.transpose import Transpose
from .edit import drop_unread
from .integer_weights import dequantized

#: the largest constant that folding makes, in elements; a larger value is computed by the run, whose plan checks sizes
MAX_ELEMENTS = 1 << 26


def fold_constants(graph: Graph) -> None:
    """Replace nodes with known results by constants, an If with a known condition by its branch, and a SequenceAt of a
    SplitToSequence by a Slice; then drop unread nodes.
    """
    kept: list[Node] = []
    changed = False  # what was folded may determine shapes of later nodes
    splits: dict[Value | None, Node] = {}
    todo = graph.nodes[::-1]
    while todo:
        node = todo.pop()
        if (branch := taken_branch(node)) is not None:
            todo += branch[::-1]
            changed = True
            continue
        if isinstance(node.op, SplitToSequence):
            splits[node.outputs[0]] = node
        elif isinstance(node.op, SequenceAt) and node.input(0) in splits:
            node, changed = slice_of_split(node, splits[node.input(0)]) or node, True
        if changed:
            for n in node.chain:
                infer_node(n)
        if _fold(node):
            changed = True
        else:
            kept.append(node)
    graph.nodes = kept
    drop_unread(graph)


def _fold(node: Node) -> bool:
    """Make the node's results constants; False if they cannot be known, or are too large."""
    results = [v for n in node.chain for v in n.outputs if v is not None]
    if any(math.prod(d for d in v.shape or () if isinstance(d, int)) > MAX_ELEMENTS for v in results):
        return False
    arrays = node.op.placeholders(node)
    if any(v.constant is None and v not in arrays for v in node.operands) or not all(v.known for v in results):
        return False
    if (weights := dequantized(node)) is not None:
        results[0].constant = weights
        return True
    evaluate(node, arrays)
    for v in results:
        v.constant = arrays[v]
        v.shape, v.dtype = v.constant.shape, v.constant.dtype
    if isinstance(node.op, Transpose):
        results[0].name = node.input(0).name  # a state dict finds weights by their name
    return True
