"""Layers by their names, and those that are worth showing."""

from __future__ import annotations

import math
from collections.abc import Container

from ..errors import InputError, did_you_mean
from ..graph import Graph, Node
from ..model import Model

#: the side of the smallest maps that are worth showing
LEAST = 3


def results(model: Model) -> dict[str, str]:
    """For each layer of `model.summary()` the value of the file that is its result, with the activation fused into it."""
    known = {v.name for v in model._original.values() if v.constant is None}
    nodes = model._stage_graph(()).graph.nodes
    return {n.label: v.name for n in nodes for v in n.results[::-1] if v.name in known}


def value_of(model: Model, layer: str) -> str:
    """The value that a name of a layer or of a value means; InputError if there is none."""
    layers = results(model)
    if layer in layers:
        return layers[layer]
    values = [v.name for v in model._original.values() if v.constant is None]
    if layer not in values:
        hint = did_you_mean(layer, [*layers, *values]) or "; model.summary() lists the layers"
        raise InputError(f"the model has no layer or value {layer!r}{hint}")
    return layer


def over_the_depth(graph: Graph, rank: int, names: Container[str], most: int = 5) -> list[str]:
    """A layer of each resolution, from the first convolution down to the coarsest maps: the last one with an activation.

    `graph` has known shapes, `rank` is the inputs', and `names` are the layers to choose from.
    """
    found: dict[int, str] = {}
    for node in graph.nodes:
        result = node.results[0]
        if not result.known or len(result.dims) != rank or min(result.dims[2:], default=0) < LEAST or node.label not in names:
            continue
        size = math.prod(result.dims[2:])
        begun = found or node.op.multiply_adds(node)
        if begun and size <= min(found, default=size) and not (size in found and _is_linear(node)):
            found[size] = node.label
    chosen = list(found.values())
    if len(chosen) > most:
        chosen = [chosen[i * (len(chosen) - 1) // (most - 1)] for i in range(most)]
    return chosen


def _is_linear(node: Node) -> bool:
    """Whether the layer ends with sums of products, perhaps added to others: its numbers have both signs."""
    return node.op.multiply_adds(node) > 0 and all(n.op.activation(n) is None for n in node.chain)


__all__ = ["over_the_depth", "results", "value_of"]
