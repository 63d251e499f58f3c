"""Infer the shape and dtype of every value, by the rule of each operator."""

from __future__ import annotations

from ..graph import Graph
from ..infer_node import infer_node


def infer_shapes(graph: Graph) -> None:
    """Give every value its shape; a shape declared in the file only fills in sizes that the rules leave unknown."""
    for node in graph.nodes:
        for n in node.chain:
            infer_node(n)
