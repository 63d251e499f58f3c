"""Compute values that depend only on constants or known shapes, and drop nodes whose results are not read.

Large weights that are stored as integers are dequantized only when they are packed. A DequantizeLinear with a constant result
stays in the graph, for `fuse_quantized` to find the integers; `fold_quantize` drops those that are left.
"""

from __future__ import annotations

import math

from .. import budget
from ..evaluate import evaluate
from ..graph import Graph, Node, Value
from ..infer_node import check_sizes, infer_node
from ..ops.control import taken_branch
from ..ops.quantize import DequantizeLinear
from ..ops.sequence import SequenceAt, SplitToSequence, slice_of_split
from ..ops.transpose import Transpose
from .edit import drop_unread
from .integer_weights import dequantized


def fold_constants(graph: Graph) -> None:
    """Replace nodes with known results by constants, an If with a known condition by its branch, and a SequenceAt of a
    SplitToSequence by a Slice; then drop unread nodes.
    """
    kept: list[Node] = []
    work = _Work(graph)
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
        folded = _fold(node, work)
        changed |= folded
        if not folded or isinstance(node.op, DequantizeLinear):
            kept.append(node)
    graph.nodes = kept
    drop_unread(graph)


class _Work:
    """The operations that folding may still spend on a graph. The run computes what is left."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self._left = budget.MOST_FOLDING
        self._asked = False

    def spend(self, operations: int) -> bool:
        """Whether so many operations were left, which are spent then."""
        if operations > self._left and not self._asked:
            self._asked = True
            self._left += budget.FOLDING_PER_WEIGHT * _stored(self.graph)
        if operations > self._left:
            return False
        self._left -= operations
        return True


def _stored(graph: Graph) -> int:
    """The elements of all constants that no node computes."""
    computed = {v for n in graph.nodes for v in n.results}
    constants = {v: v.constant for n in graph.nodes for v in n.operands if v.constant is not None and v not in computed}
    return sum(math.prod(c.shape) for c in constants.values())


def _fold(node: Node, work: _Work) -> bool:
    """Make the node's results constants; False if they cannot be known, or if that is too much work."""
    results = [v for n in node.chain for v in n.outputs if v is not None]
    arrays = node.op.placeholders(node)
    if any(v.constant is None and v not in arrays for v in node.operands) or not all(v.known for v in results):
        return False
    if (weights := dequantized(node)) is not None:
        results[0].constant = weights
        return True
    check_sizes(node, work.graph.budget)
    if not work.spend(sum(max(n.op.multiply_adds(n), *(math.prod(v.dims) for v in n.outputs if v)) for n in node.chain)):
        return False
    evaluate(node, arrays)
    for v in results:
        v.constant = arrays[v]
        v.shape, v.dtype = v.constant.shape, v.constant.dtype
    if isinstance(node.op, Transpose):
        results[0].name = node.input(0).name  # a state dict finds weights by their name
    return True
