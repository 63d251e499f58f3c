"""Spell out operators on quantized tensors: float operators between DequantizeLinear and QuantizeLinear.

Quantized nodes are taken apart, too: the passes behind look for the nodes that they were fused from. Sums of floats are rounded
where those of integers are exact, so a result that lies between two integers may be off by one.
"""

from __future__ import annotations

from ..graph import Graph, Node, Value
from ..infer_node import infer_node
from ..ops.qoperator import QOperator
from ..ops.quantize import DequantizeLinear, QuantizeLinear, quantization_of
from ..ops.resize import Resize
from .edit import sole_reader
from .fuse_quantized import take_apart


def dequantize(graph: Graph) -> None:
    """Replace those whose scales and zero points are constants, and let Resize interpolate floats."""
    nodes: list[Node] = []
    for node in graph.nodes:
        replaced = node.op.spell_out(node) if isinstance(node.op, QOperator) else None
        for n in replaced or ():
            infer_node(n)
        nodes += replaced or take_apart(node)
    graph.nodes = nodes
    if any(map(_interpolates, nodes)):
        consumers = graph.consumers()
        graph.nodes = [n for node in nodes for n in _resize_floats(node, sole_reader(node.results[0], graph, consumers))]


def _interpolates(node: Node) -> bool:
    return isinstance(node.op, Resize) and not node.op.selects_elements(node) and not node.op.extrapolates


def _resize_floats(node: Node, reader: Node | None) -> list[Node]:
    """A Resize that interpolates integers, between nodes that make them floats as its reader does, and back."""
    if not _interpolates(node) or reader is None or not isinstance(reader.op, DequantizeLinear) or not quantization_of(reader):
        return [node]
    x, y = node.input(0), node.results[0]
    parameters = reader.inputs[1:]
    floats, result = (Value(f"{v.name}.floats", v.shape, reader.results[0].dtype) for v in (x, y))
    node.inputs[0], node.outputs = floats, [result]
    return [
        Node(DequantizeLinear(), [x, *parameters], [floats]),
        node,
        Node(QuantizeLinear(), [result, *parameters], [y]),
    ]
