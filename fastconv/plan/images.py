"""Whether the images of a batch are better computed one after the other, each through all layers.

A layer over the whole batch reads its weights once, but what it writes may leave the caches before the next layer reads it. One
image at a time reads all weights for each, and its tensors stay; and each thread can compute images of its own, without waiting
for others between the layers. No image's bits depend on it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from ..graph import Graph, Value
from .select import Target, select

#: bytes that are taken to stay in the caches from one layer to the next
CACHE_BYTES = 16 << 20


def one_image(graph: Graph, target: Target) -> tuple[Graph, int]:
    """The graph for one image, and how many images there are, where that pays and no image depends on another; else the graph
    itself, and 1. Its shapes are all known."""
    if any(v.constant is not None for v in (*graph.inputs, *graph.outputs)):
        return graph, 1
    batch = {v.dims[0] if v.dims else 0 for v in graph.values() if v.constant is None}
    if len(batch) != 1 or max(batch) < 2 or not _pays(graph, max(batch)):
        return graph, 1
    if not all(n.op.by_image(n) for node in graph.nodes for n in node.chain):
        return graph, 1
    one = graph.copy()
    for v in one.values():
        if v.constant is None:
            v.shape = (1, *v.dims[1:])
    if not all(choice.implementation for choice in select(one, target)):
        return graph, 1  # references are not faster for small arrays
    return one, max(batch)


def _pays(graph: Graph, batch: int) -> bool:
    layers = [({v for v in n.operands if v.constant is None}, set(n.results)) for n in graph.nodes]
    if max((_bytes(reads | writes) for reads, writes in layers), default=0) < CACHE_BYTES:
        return False
    written = sum(_bytes(writes) for _, writes in layers) // batch
    return sum(v.constant.nbytes for v in graph.values() if v.constant is not None) < written


def _bytes(values: Iterable[Value]) -> int:
    return sum(4 * math.prod(v.dims) for v in values)
