"""Which layers of a batch are computed image by image, and which for all images at once.

A layer over the whole batch reads its weights once, but what it writes may leave the caches before the next layer reads it. One
image at a time reads the weights again for each, and its tensors stay; and each thread can compute images of its own, without
waiting for others between the layers. Large maps come first in a network and many weights last: a plan may change over between
two layers, at the `seam`, where one value is all that the rest reads. No image's bits depend on it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, MutableMapping
from typing import Any

import numpy as np

from ..graph import Graph, Value
from ..shown import Shown
from .bind import Packed, memory
from .layouts import Seam, arrange
from .plan import Arenas, Entry, Plan, build
from .select import Target, select

#: for each level of cache: bytes that are taken to stay in it from one layer to the next, and what a byte costs that does not
#: (from the next level: on a Xeon of 2024, L3 gives twice what memory gives, and on desktops more)
CACHES = ((1 << 20, 0.25), (16 << 20, 1.0))


class SplitPlan(Shown):
    """Two plans: `head` for each of the images, then `tail` for all of them, which reads what the head has written."""

    def __init__(self, head: Plan, tail: Plan, seam_bytes: int, graph: Graph, arenas: Arenas):
        self.head = head
        self.tail = tail
        self.graph = graph
        self.target = tail.target
        self.entries: list[Entry] = [*head.entries, *tail.entries]
        self.python_steps = tail.python_steps
        self.arena_size = max(head.arena_size, tail.arena_size) + head.images * seam_bytes
        self._seam_bytes = seam_bytes
        self._arenas = arenas

    def run(
        self, inputs: list[np.ndarray], outputs: list[np.ndarray], threads: int, stamps: list[tuple[Entry, float]] | None = None
    ) -> None:
        """As Plan.run."""
        size = self.head.images * self._seam_bytes
        arena = self._arenas.take(size)
        try:
            seam = arena.view(np.uint8)[:size].reshape(self.head.images, -1)
            self.head.run(inputs, [seam], threads, stamps)
            self.tail.run([seam], outputs, threads, stamps)
        finally:
            self._arenas.give(arena)

    def __str__(self) -> str:
        return f"{self.head}\n{self.tail}"


def build_batch(graph: Graph, target: Target, packed: MutableMapping[Any, Packed], arenas: Arenas) -> Plan | SplitPlan:
    """The plan of a graph whose shapes are all known: for all images at once, one after the other, or both in turn."""
    count = _images_first(graph)
    if count == len(graph.nodes) > 0:
        one = _one_image(graph)
        if all(choice.implementation for choice in select(one, target)):  # references are not faster for small arrays
            return build(one, target, packed, arenas, graph.outputs[0].dims[0])
    elif count > 0:
        plan = _split(graph, count, target, packed, arenas)
        if plan is not None:
            return plan
    return build(graph, target, packed, arenas)


def _split(graph: Graph, count: int, target: Target, packed: MutableMapping[Any, Packed], arenas: Arenas) -> SplitPlan | None:
    """The first `count` nodes for one image, the rest for all; None if one of the first has no kernel or the last is a view."""
    crossing = _seams(graph)[count]
    head = _one_image(_part(graph, slice(count), graph.inputs, [crossing]))
    (result,) = head.outputs
    choices = select(head, target)
    seam = Seam(next(c.gives for c in choices if result in c.node.results))
    _, outputs = arrange(head, choices, sink=seam)
    if outputs[result].root is not outputs[result] or not all(choice.implementation for choice in choices):
        return None
    tail = build(_part(graph, slice(count, None), [crossing], graph.outputs), target, packed, arenas, source=seam)
    first = build(head, target, packed, arenas, crossing.dims[0], sink=seam)
    outputs[result].widen(seam.halo)
    return SplitPlan(first, tail, memory(outputs[result], target.V).size, graph, arenas)


def _part(graph: Graph, nodes: slice, inputs: list[Value], outputs: list[Value]) -> Graph:
    """A copy of some of the graph's nodes."""
    return Graph(inputs, outputs, graph.nodes[nodes], graph.name).copy()


def _one_image(graph: Graph) -> Graph:
    """A copy of a graph for one of the images."""
    one = graph.copy()
    for v in one.values():
        if v.constant is None:
            v.shape = (1, *v.dims[1:])
    return one


def _images_first(graph: Graph) -> int:
    """How many nodes, from the first on, go image by image: so that the bytes which come from beyond the caches cost least."""
    if not graph.nodes or any(v.constant is not None for v in (*graph.inputs, *graph.outputs)):
        return 0
    batch = graph.nodes[0].results[0].dims[:1]
    if batch < (2,) or any(v.dims[:1] != batch for v in graph.inputs):
        return 0
    images, seams = batch[0], _seams(graph)
    tensors = [_bytes({*n.operands, *n.results}) for n in graph.nodes]
    together = sum(_missed(size) for size in tensors)
    alone, weights = 0.0, 0
    best, least = 0, together
    for count, node in enumerate(graph.nodes, 1):
        chain = {v for n in node.chain for v in (*n.inputs, *n.outputs) if v is not None and v.constant is None}
        if any(v.dims[:1] != batch for v in chain) or not all(n.op.by_image(n) for n in node.chain):
            break
        together -= _missed(tensors[count - 1])
        alone += images * _missed(tensors[count - 1] // images)
        weights += _bytes(node.operands, constant=True)
        cost = together + alone + (images - 1) * _missed(weights)
        if cost < least and (count in seams or count == len(graph.nodes)):
            best, least = count, cost
    return best


def _missed(size: int) -> float:
    """What it costs to read so many bytes again, of those that are read in turn."""
    return sum(size * cost for room, cost in CACHES if size > room)


def _seams(graph: Graph) -> dict[int, Value]:
    """After how many nodes one value is all that the rest reads, and none before has read it: that value."""
    readers = Counter(v for n in graph.nodes for v in n.operands) + Counter(graph.outputs)
    left = readers.copy()
    alive = dict.fromkeys(v for v in graph.inputs if left[v])
    seams = {}
    for count, node in enumerate(graph.nodes, 1):
        for v in node.operands:
            left[v] -= 1
            if left[v] == 0:
                alive.pop(v, None)
        alive |= dict.fromkeys(v for v in node.results if left[v])
        if len(alive) == 1:
            (v,) = alive
            if left[v] == readers[v] and v not in graph.inputs and v not in graph.outputs:
                seams[count] = v
    return seams


def _bytes(values: Iterable[Value], constant: bool = False) -> int:
    """Bytes of the tensors among the values, or of the constants."""
    return sum(4 * math.prod(v.dims) for v in values if (v.constant is not None) == constant)
