"""Operators on quantized tensors become those on floats, which have kernels, between others that dequantize and quantize.

Sums of floats are rounded where those of integers are not, so that a result may be off by one step where it lies between two.
"""

from __future__ import annotations

from ..graph import Graph, Node
from ..ops.qoperator import QOperator
from .infer_shapes import infer_node


def dequantize(graph: Graph) -> None:
    """Spell out each whose scales and zero points are constants."""
    nodes: list[Node] = []
    for node in graph.nodes:
        spelled_out = node.op.spell_out(node) if isinstance(node.op, QOperator) else None
        for n in spelled_out or ():
            infer_node(n)
        nodes += spelled_out or [node]
    graph.nodes = nodes
