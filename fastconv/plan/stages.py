"""Stages: the parts of a graph that can be planned at once.

A plan needs the shape of every tensor. Two kinds of nodes have to wait for values: those with a control input (a shape, axes,
weights) that is no constant, and those that read the result of a data-dependent node: one that only its reference can run,
as its sizes depend on elements (NonZero), or as it has strings or sequences.

So a graph runs in stages: the plan of a stage, then its data-dependent nodes, then the nodes that waited as the next stage,
planned for the shapes of its inputs and the elements of its control inputs. Most graphs have one stage.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..evaluate import evaluate
from ..graph import Graph, Node, Value

#: a node that ran its reference, the shape of its first result, and the seconds that took
Stamp = tuple[Node, tuple[int, ...], float]
#: what a stage is planned for: the shape of each input, and the bytes of each control input
StageKey = tuple[tuple[tuple[int, ...], ...], tuple[bytes | None, ...]]


class StageGraph:
    """The graph of a stage and all that come after it, and which of its inputs control the computation."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self.names: list[str] = [v.name for v in graph.outputs]
        read = {v for node in graph.nodes for v in _open_controls(node)}
        self.controls: list[bool] = [v in read for v in graph.inputs]
        self._last: tuple[bytes | None, ...] = (None,) * len(graph.inputs)

    def key(self, arrays: Sequence[np.ndarray]) -> StageKey:
        """What the stage is planned for, if these arrays are its inputs."""
        elements = self._last
        if any(self.controls):
            given = zip(arrays, elements, self.controls, strict=True)
            elements = self._last = tuple(_bytes(a, last) if control else None for a, last, control in given)
        return tuple([a.shape for a in arrays]), elements


@dataclass(frozen=True)
class Stage:
    """The first stage of a graph: `graph` is planned, then the data-dependent nodes run, then comes `rest`.

    `outputs` are the outputs of the whole graph that are known before `rest` runs.
    """

    graph: Graph
    data_dependent: list[Node]
    rest: StageGraph | None
    outputs: list[Value]

    @cached_property
    def complete(self) -> bool:
        """Whether the plan's outputs are all outputs of the whole graph, with nothing left to do for any."""
        return self.rest is None and not self.data_dependent and not any(v.dtype == object for v in self.outputs)

    def values(
        self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray], stamps: list[Stamp] | None = None
    ) -> Mapping[Value, np.ndarray]:
        """Run the data-dependent nodes on the inputs and outputs of the plan, and return every value that is known then.

        `stamps` takes the time of each node.
        """
        arrays = dict(zip((*self.graph.inputs, *self.graph.outputs), (*inputs, *outputs), strict=True))
        with self.graph.budget.scope():
            for node in self.data_dependent:
                began = time.perf_counter()
                evaluate(node, arrays, fast=True)
                if stamps is not None:
                    stamps.append((node, arrays[node.results[0]].shape, time.perf_counter() - began))
        return arrays


def split(graph: Graph) -> Stage:
    """The first stage of a graph whose inputs' shapes are known."""
    late: set[Value] = set()
    planned: list[Node] = []
    data_dependent: list[Node] = []
    waiting: list[Node] = []
    for node in graph.nodes:
        waits = any(v in late for v in node.operands) or any(_open_controls(node))
        if not waits and all(v.known for v in node.results) and not _has_objects(node):
            planned.append(node)
        else:
            (waiting if waits else data_dependent).append(node)
            late.update(node.results)
    if not late:
        return Stage(graph, [], None, graph.outputs)
    late_outputs = {v for node in waiting for v in node.results}
    ready = [v for v in graph.outputs if v not in late_outputs]
    for_others = [v for v in _reads([*data_dependent, *waiting]) if v not in late and v not in graph.inputs]
    outputs = dict.fromkeys([*(v for v in ready if v not in late), *for_others])
    rest = None
    if waiting:
        inputs = [v for v in _reads(waiting) if v not in late_outputs]
        outputs_of_rest = [v for v in graph.outputs if v in late_outputs]
        rest = StageGraph(Graph(inputs, outputs_of_rest, waiting, graph.name, graph.budget))
    return Stage(Graph(graph.inputs, outputs, planned, graph.name, graph.budget), data_dependent, rest, ready)


def reference_reason(node: Node) -> str:
    """Why a data-dependent node runs its reference."""
    return "strings or sequences" if _has_objects(node) else "a size that depends on elements"


def _has_objects(node: Node) -> bool:
    """Whether a node reads or gives strings or sequences."""
    return any(v.dtype == object for v in (*node.operands, *node.results))


def _bytes(array: np.ndarray, last: bytes | None) -> bytes:
    """The bytes of an array; `last` itself where they are the same, as its hash is known."""
    if last is not None and np.array_equal(np.frombuffer(last, np.uint8), array.reshape(-1).view(np.uint8)):
        return last
    return array.tobytes()


def _open_controls(node: Node) -> Iterator[Value]:
    """The control inputs that are no constants."""
    for n in node.chain:
        for i in n.op.control_inputs:
            v = n.optional(i)
            if v is not None and v.constant is None:
                yield v


def _reads(nodes: Sequence[Node]) -> list[Value]:
    """What the nodes read that is no constant, each value once."""
    return list(dict.fromkeys(v for node in nodes for v in node.operands if v.constant is None))


__all__ = ["Stage", "StageGraph", "StageKey", "Stamp", "reference_reason", "split"]
