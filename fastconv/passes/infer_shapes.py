"""The shape and dtype of every value, by each operator's own rule."""

from __future__ import annotations

from ..graph import Graph
from ..infer_node import infer_node


def infer_shapes(graph: Graph) -> None:
    """Give every value its shape; what the file declares only fills in what the rules leave unknown."""
    for node in graph.nodes:
        for n in node.chain:
            infer_node(n)
