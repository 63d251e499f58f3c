"""Plans of batches: which layers are computed image by image, and which for all images at once.

A layer over the whole batch reads its weights once, but what it writes may leave the caches before the next layer reads it. One
image at a time reads the weights again for each, and its tensors stay; and each thread can compute images of its own, without
waiting for others between the layers. Large maps come first in a network and many weights last: a plan may change over between
two layers, where a single value crosses. No image's bits depend on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import MutableMapping
from typing import Any

import numpy as np

from ..graph import Graph, Value
from ..shown import Shown
from .arena import Lifetime, Tenant
from .binder import Packed
from .cost import miss_cost, nbytes
from .plan import Arenas, Plan, build
from .select import Target, select
from .tensors import Boundary, Entry, insert_reorders


class SplitPlan(Shown):
    """Two plans: `head` for each of the images, then `tail` for all of them, which reads what the head has written."""

    def __init__(self, head: Plan, tail: Plan, crossing_bytes: int, graph: Graph, arenas: Arenas):
        self.head = head
        self.tail = tail
        self.graph = graph
        self.target: Target = tail.target
        self.entries: list[Entry] = [*head.entries, *tail.entries]
        self.python_steps: list[Entry] = tail.python_steps
        self.arena_size: int = max(head.arena_size, tail.arena_size) + head.images * crossing_bytes
        self._crossing_bytes = crossing_bytes
        self._arenas = arenas

    def run(
        self, inputs: list[np.ndarray], outputs: list[np.ndarray], threads: int, stamps: list[tuple[Entry, float]] | None = None
    ) -> None:
        """As Plan.run."""
        size = self.head.images * self._crossing_bytes
        arena = self._arenas.take(size)
        try:
            crossing = arena.view(np.uint8)[:size].reshape(self.head.images, -1)
            self.head.run(inputs, [crossing], threads, stamps)
            self.tail.run([crossing], outputs, threads, stamps)
        finally:
            self._arenas.give(arena)

    @property
    def tenants(self) -> list[Tenant]:
        """As of Plan. The tensor between the two plans has its memory during the whole run, behind that of both."""
        count, entries = len(self.head.entries), len(self.entries)
        tail = [t._replace(lifetime=t.lifetime.shifted(count)) for t in self.tail.tenants]
        size = self.head.images * self._crossing_bytes
        crossing = Tenant(self.head.graph.outputs[0].name, self.arena_size - size, Lifetime(size, 0, entries - 1))
        return [*self.head.tenants, *tail, crossing]

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
        if plan is not None and not graph.budget.excess(plan.arena_size):
            return plan
    return build(graph, target, packed, arenas)


def _split(graph: Graph, count: int, target: Target, packed: MutableMapping[Any, Packed], arenas: Arenas) -> SplitPlan | None:
    """The first `count` nodes for one image, the rest for all; None if one of the first has no kernel or the last is a view."""
    crossing = _crossings(graph)[count]
    head = _one_image(_part(graph, slice(count), graph.inputs, [crossing]))
    (result,) = head.outputs
    choices = select(head, target)
    boundary = Boundary(next(c.gives for c in choices if result in c.node.results))
    _, outputs = insert_reorders(head, choices, sink=boundary)
    if outputs[result].root is not outputs[result] or not all(choice.implementation for choice in choices):
        return None
    tail = build(_part(graph, slice(count, None), [crossing], graph.outputs), target, packed, arenas, source=boundary)
    first = build(head, target, packed, arenas, crossing.dims[0], sink=boundary)
    outputs[result].widen(boundary.halo, boundary.halo_value)
    return SplitPlan(first, tail, outputs[result].geometry.nbytes, graph, arenas)


def _part(graph: Graph, nodes: slice, inputs: list[Value], outputs: list[Value]) -> Graph:
    """A copy of some of the graph's nodes."""
    return Graph(inputs, outputs, graph.nodes[nodes], graph.name, graph.budget).copy()


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
    images, crossings = batch[0], _crossings(graph)
    tensors = [nbytes(v for v in {*n.operands, *n.results} if v.constant is None) for n in graph.nodes]
    together = sum(miss_cost(size) for size in tensors)
    alone, weights = 0.0, 0
    best, least = 0, together
    for count, node in enumerate(graph.nodes, 1):
        chain = {v for n in node.chain for v in (*n.inputs, *n.outputs) if v is not None and v.constant is None}
        computed = [n for n in node.chain if any(v.constant is None for v in n.results)]
        if any(v.dims[:1] != batch for v in chain) or not all(n.op.independent_images(n) for n in computed):
            break
        together -= miss_cost(tensors[count - 1])
        alone += images * miss_cost(tensors[count - 1] // images)
        weights += nbytes(v for v in node.operands if v.constant is not None)
        cost = together + alone + (images - 1) * miss_cost(weights)
        if cost < least and (count in crossings or count == len(graph.nodes)):
            best, least = count, cost
    return best


def _crossings(graph: Graph) -> dict[int, Value]:
    """After how many nodes one value is all that the rest reads, and none before has read it: that value."""
    readers = Counter(v for n in graph.nodes for v in n.operands) + Counter(graph.outputs)
    left = readers.copy()
    alive = dict.fromkeys(v for v in graph.inputs if left[v])
    crossings = {}
    for count, node in enumerate(graph.nodes, 1):
        for v in node.operands:
            left[v] -= 1
            if left[v] == 0:
                alive.pop(v, None)
        alive |= dict.fromkeys(v for v in node.results if left[v])
        if len(alive) == 1:
            (v,) = alive
            if left[v] == readers[v] and v not in graph.inputs and not graph.is_output(v):
                crossings[count] = v
    return crossings
