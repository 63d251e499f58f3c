"""Operators on quantized tensors become those on floats, which have kernels, between others that dequantize and quantize.

Sums of floats are rounded where those of integers are not, so that a result may be off by one step where it lies between two.
"""

from __future__ import annotations

from ..graph import Graph, Node
from ..ops.qoperator import QOperator
from ..ops.resize import Resize
from .fold_quantize import dequantize_first, inside
from .infer_shapes import infer_node


def dequantize(graph: Graph) -> None:
    """Spell out each whose scales and zero points are constants, and resize floats, not integers that are dequantized then."""
    nodes: list[Node] = []
    for node in graph.nodes:
        spelled_out = node.op.spell_out(node) if isinstance(node.op, QOperator) else None
        for n in spelled_out or ():
            infer_node(n)
        nodes += spelled_out or [node]
    graph.nodes = nodes
    dequantize_first(graph, lambda n: isinstance(n.op, Resize) and inside(n.op))
