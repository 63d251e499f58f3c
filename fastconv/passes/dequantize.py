"""Replace operators on quantized tensors by float operators, which have kernels, between DequantizeLinear and QuantizeLinear.

Sums of floats are rounded where those of integers are exact, so a result that lies between two integers may be off by one.
"""

from __future__ import annotations

from ..graph import Graph, Node
from ..infer_node import infer_node
from ..ops.qoperator import QOperator
from ..ops.resize import Resize
from .fold_quantize import dequantize_first


def dequantize(graph: Graph) -> None:
    """Replace those whose scales and zero points are constants, and move DequantizeLinear before Resize, to resize floats."""
    nodes: list[Node] = []
    for node in graph.nodes:
        replaced = node.op.spell_out(node) if isinstance(node.op, QOperator) else None
        for n in replaced or ():
            infer_node(n)
        nodes += replaced or [node]
    graph.nodes = nodes
    dequantize_first(graph, lambda n: isinstance(n.op, Resize) and not n.op.extrapolates)
