"""What of a graph can be planned before it runs, and what has to wait for values.

Two things wait: a node with an input that says how to compute (a shape, axes, weights) and is no constant, and whatever reads
the result of a node that only its reference can run: its sizes depend on elements (NonZero), or it has strings or sequences.
So a graph runs in stages: the plan of a stage, then such nodes, then what waited for them as the next stage, whose graph is
told the shapes of its inputs and, of those that say how, the elements. Most graphs have one stage.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..evaluate import evaluate
from ..graph import Graph, Node, Value

#: a node that ran by its reference, the shape of its first result, and the seconds that took
Stamp = tuple[Node, tuple[int, ...], float]
#: of each input of a graph its shape, and of each the bytes of its elements where they say how
Told = tuple[tuple[tuple[int, ...], ...], tuple[bytes | None, ...]]


class Part:
    """A graph with what it has to be told of its inputs before it can be planned."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self.names = [v.name for v in graph.outputs]
        read = {v for node in graph.nodes for v in _hows(node)}
        self.says_how = [v in read for v in graph.inputs]
        self._last: tuple[bytes | None, ...] = (None,) * len(graph.inputs)

    def told(self, arrays: Sequence[np.ndarray]) -> Told:
        """What these arrays tell."""
        elements = self._last
        if any(self.says_how):
            given = zip(arrays, elements, self.says_how, strict=True)
            elements = self._last = tuple(_bytes(a, last) if how else None for a, last, how in given)
        return tuple([a.shape for a in arrays]), elements


@dataclass(frozen=True)
class Stage:
    """A graph cut at what has to wait: `now` can be planned, then `tell` run by their references, then comes `rest`.

    `outputs` are those of the graph's outputs that need not wait for `rest`.
    """

    now: Graph
    tell: list[Node]
    rest: Part | None
    outputs: list[Value]

    @cached_property
    def whole(self) -> bool:
        """Whether the plan's outputs are all that the graph gives, and as they are."""
        return self.rest is None and not self.tell and not any(v.dtype == object for v in self.outputs)

    def values(
        self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray], stamps: list[Stamp] | None = None
    ) -> Mapping[Value, np.ndarray]:
        """Every value that the stage gives, for the inputs and outputs of its plan; `stamps` takes what its nodes took."""
        arrays = dict(zip((*self.now.inputs, *self.now.outputs), (*inputs, *outputs), strict=True))
        for node in self.tell:
            began = time.perf_counter()
            evaluate(node, arrays, judge=False)
            if stamps is not None:
                stamps.append((node, arrays[node.results[0]].shape, time.perf_counter() - began))
        return arrays


def split(graph: Graph) -> Stage:
    """The first stage of a graph whose inputs' shapes are known."""
    late: set[Value] = set()
    now: list[Node] = []
    tell: list[Node] = []
    rest: list[Node] = []
    for node in graph.nodes:
        waits = any(v in late for v in node.operands) or any(_hows(node))
        if (
            not waits
            and all(v.known for v in node.results)
            and not any(v.dtype == object for v in (*node.operands, *node.results))
        ):
            now.append(node)
        else:
            (rest if waits else tell).append(node)
            late.update(node.results)
    if not late:
        return Stage(graph, [], None, graph.outputs)
    waiting = {v for node in rest for v in node.results}
    ready = [v for v in graph.outputs if v not in waiting]
    for_others = [v for v in _reads([*tell, *rest]) if v not in late and v not in graph.inputs]
    planned = Graph(graph.inputs, dict.fromkeys([*(v for v in ready if v not in late), *for_others]), now, graph.name)
    inputs = [v for v in _reads(rest) if v not in waiting]
    part = Part(Graph(inputs, [v for v in graph.outputs if v in waiting], rest, graph.name)) if rest else None
    return Stage(planned, tell, part, ready)


def why_told(node: Node) -> str:
    """Why a node of `Stage.tell` runs by reference."""
    objects = any(v.dtype == object for v in (*node.operands, *node.results))
    return "strings or sequences" if objects else "a size that depends on elements"


def _bytes(array: np.ndarray, last: bytes | None) -> bytes:
    """The bytes of an array; `last` itself where they are the same, as its hash is known."""
    if last is not None and np.array_equal(np.frombuffer(last, np.uint8), array.reshape(-1).view(np.uint8)):
        return last
    return array.tobytes()


def _hows(node: Node) -> Iterator[Value]:
    """What says how the node computes and is no constant."""
    for n in node.chain:
        for i in n.op.how:
            v = n.inputs[i] if i < len(n.inputs) else None
            if v is not None and v.constant is None:
                yield v


def _reads(nodes: Sequence[Node]) -> list[Value]:
    """What the nodes read and is no constant, each value once."""
    return list(dict.fromkeys(v for node in nodes for v in node.operands if v.constant is None))


__all__ = ["Part", "Stage", "Stamp", "Told", "split", "why_told"]
