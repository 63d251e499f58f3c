"""The intermediate representation: a Graph of Nodes that read and write named Values.

Everything between the reader and the plan works on these classes; nothing here knows JSON or the machine. A dimension is an
int, a symbol (an identifier such as "N", which is the same size wherever it occurs), or None if nothing is known. A shape is a
tuple of dimensions, or None if the rank is unknown.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .budget import DEFAULT, Budget
from .errors import ModelError, printable

if TYPE_CHECKING:
    from .ops.base import Op
    from .weights import Weights

Dim = int | str | None
Shape = tuple[Dim, ...] | None


def shape_text(shape: Sequence[Dim] | None) -> str:
    """A shape as messages and tables print it; an unknown size or rank is "?".

    >>> shape_text((1, "C", None)), shape_text(()), shape_text(None)
    ('1×C×?', 'scalar', '?')
    """
    return "?" if shape is None else "×".join("?" if d is None else str(d) for d in shape) or "scalar"


def node_label(name: str, outputs: Iterable[Value | None]) -> str:
    """The name of a node in messages and tables: its own, or that of its first output."""
    return name or next((v.name for v in outputs if v is not None), "?")


def node_error(label: str, operator: str, where: str, message: str, kind: type[ModelError]) -> ModelError:
    """A ModelError (or a subclass) that names a node; what the file says of it is escaped and cut."""
    place = f" at {where}" if where else ""
    error = kind(f"node {label!r:.200} ({printable(operator):.60}){place}: {message:.1000}")
    error.names_node = True
    return error


class Value:
    """A tensor of the graph; `constant` is its array, or Weights that represent it, if it is known before the run."""

    __slots__ = ("constant", "dtype", "name", "shape")

    def __init__(
        self,
        name: str,
        shape: Shape = None,
        dtype: np.dtype | None = None,
        constant: np.ndarray | Weights | None = None,
    ):
        self.name: str = name
        self.constant: np.ndarray | Weights | None = constant
        self.shape: Shape = shape if constant is None else constant.shape
        self.dtype: np.dtype | None = dtype if constant is None else constant.dtype

    @property
    def known(self) -> bool:
        """Whether every dimension is an int."""
        return self.shape is not None and {int}.issuperset(map(type, self.shape))

    @property
    def dims(self) -> tuple[int, ...]:
        """The shape as ints; ModelError if a dimension is unknown."""
        if self.shape is None or not {int}.issuperset(map(type, self.shape)):
            raise ModelError(f"value {self.name!r}: its shape {shape_text(self.shape)} is not known")
        return self.shape  # type: ignore[return-value]  # every dimension is an int

    def __repr__(self) -> str:
        kind = "const " if self.constant is not None else ""
        return f"{kind}{self.name!r}:{self.dtype or '?'}[{shape_text(self.shape)}]"


class Node:
    """An operator applied to values; `inputs` and `outputs` have None for an optional one that is left out.

    `epilogue` has the nodes that passes fused into this one, in order: each reads the result of the one before it, and may read
    other values. They are kept whole, so that a fused node can be computed by reference and saved to a file. A node with an
    epilogue of its own is fused together with it.

    A quantized node has a `prologue` too: the DequantizeLinear nodes that compute its operands from integers. Its epilogue then
    ends in a QuantizeLinear, if its result is quantized too.
    """

    __slots__ = ("epilogue", "inputs", "name", "op", "outputs", "prologue", "where")

    def __init__(
        self, op: Op, inputs: Sequence[Value | None], outputs: Sequence[Value | None], name: str = "", where: str = ""
    ):
        self.op: Op = op
        self.inputs: list[Value | None] = list(inputs)
        self.outputs: list[Value | None] = list(outputs)
        self.name: str = name
        self.where: str = where  # the JSON path, for error messages
        self.prologue: list[Node] = []
        self.epilogue: list[Node] = []

    @property
    def label(self) -> str:
        """The name of the node in messages and tables: its own, or that of its first output."""
        return node_label(self.name, self.outputs)

    def input(self, i: int) -> Value:
        """Input i; ModelError if it is left out."""
        if (value := self.optional(i)) is None:
            raise self.error(f"input {i} is missing")
        return value

    def optional(self, i: int) -> Value | None:
        """Input i, or None if it is left out."""
        return self.inputs[i] if i < len(self.inputs) else None

    @property
    def chain(self) -> list[Node]:
        """The nodes of the prologue, the node, then those of the epilogue, each followed by those fused into that one."""
        return (
            [*self.prologue, self, *(m for n in self.epilogue for m in n.chain)] if self.prologue or self.epilogue else [self]
        )

    @property
    def operators(self) -> str:
        """The names of the operators for tables, as "Conv+Relu"; of a quantized node, those that compute."""
        shown = [n for n in self.chain if not (self.prologue and n.op.converts)]
        return "+".join(type(n.op).__name__ for n in shown)

    @property
    def operands(self) -> list[Value]:
        """Every value that the node reads: those of its prologue, its inputs, then the other operands of the epilogue."""
        if not self.prologue and not self.epilogue:
            return [v for v in self.inputs if v is not None]
        made: set[int] = set()
        read = []
        for n in self.chain:
            read += [v for v in n.inputs if v is not None and id(v) not in made]
            made.update(map(id, n.outputs))
        return read

    @property
    def results(self) -> list[Value]:
        """Every value that others may read: the outputs of the last node of the chain."""
        last = self.chain[-1] if self.epilogue else self
        return [v for v in last.outputs if v is not None]

    def error(self, message: str, kind: type[ModelError] = ModelError) -> ModelError:
        """A ModelError (or a subclass) that names this node."""
        return node_error(self.label, type(self.op).__name__, self.where, message, kind)

    def __repr__(self) -> str:
        operators = " + ".join(type(n.op).__name__ for n in self.chain)
        reads = ", ".join("-" if v is None else repr(v) for v in (self.operands if self.prologue else self.inputs))
        return f"{', '.join(map(repr, self.results))} = {operators}({reads})"


class Graph:
    """Nodes in topological order; `metadata` is the text that the file has about the model, `budget` the model's."""

    __slots__ = ("_are_outputs", "_outputs", "budget", "inputs", "metadata", "name", "nodes")

    def __init__(
        self,
        inputs: Iterable[Value],
        outputs: Iterable[Value],
        nodes: Iterable[Node],
        name: str = "",
        budget: Budget = DEFAULT,
    ):
        self.inputs: list[Value] = list(inputs)
        self.outputs = outputs
        self.nodes: list[Node] = list(nodes)
        self.name: str = name
        self.budget: Budget = budget
        self.metadata: dict[str, str] = {}

    @property
    def outputs(self) -> list[Value]:
        """The results, in order. To change them, set a new list."""
        return self._outputs

    @outputs.setter
    def outputs(self, values: Iterable[Value]) -> None:
        self._outputs: list[Value] = list(values)
        self._are_outputs: frozenset[Value] = frozenset(self._outputs)

    def is_output(self, value: Value) -> bool:
        """Whether the value is a result; however many there are, this takes the same time."""
        return value in self._are_outputs

    def values(self) -> Iterator[Value]:
        """Every value once: the inputs, then the values that each node reads and writes."""
        seen: set[int] = set()
        for v in (*self.inputs, *(v for m in self.nodes for n in m.chain for v in (*n.inputs, *n.outputs)), *self.outputs):
            if v is not None and id(v) not in seen:
                seen.add(id(v))
                yield v

    def producers(self) -> dict[Value, Node]:
        """The node that computes each value; graph inputs and constants have none."""
        return {v: n for n in self.nodes for v in n.results}

    def consumers(self) -> dict[Value, list[Node]]:
        """The nodes that read each value; a node that reads it twice is listed twice."""
        users: dict[Value, list[Node]] = {v: [] for v in self.values()}
        for n in self.nodes:
            for v in n.operands:
                users[v].append(n)
        return users

    def copy(self) -> Graph:
        """A graph with Values and Nodes of its own; operators and constant arrays are shared."""
        twin = {v: Value(v.name, v.shape, v.dtype, v.constant) for v in self.values()}

        def clone(n: Node) -> Node:
            new = Node(n.op, [v and twin[v] for v in n.inputs], [v and twin[v] for v in n.outputs], n.name, n.where)
            new.prologue = [clone(m) for m in n.prologue]
            new.epilogue = [clone(m) for m in n.epilogue]
            return new

        nodes = [clone(n) for n in self.nodes]
        graph = Graph([twin[v] for v in self.inputs], [twin[v] for v in self.outputs], nodes, self.name, self.budget)
        graph.metadata = self.metadata
        return graph

    def sort(self) -> None:
        """Sort the nodes topologically, otherwise keeping their order; ModelError if there is a cycle."""
        producers = self.producers()
        users: dict[Node, list[Node]] = {n: [] for n in self.nodes}
        missing = {}
        for n in self.nodes:
            before = {id(p): p for v in n.operands if (p := producers.get(v)) is not None}
            missing[n] = len(before)
            for p in before.values():
                users[p].append(n)
        index = {n: i for i, n in enumerate(self.nodes)}
        ready, order = [i for n, i in index.items() if not missing[n]], []
        while ready:
            n = self.nodes[heapq.heappop(ready)]
            order.append(n)
            for m in users[n]:
                missing[m] -= 1
                if not missing[m]:
                    heapq.heappush(ready, index[m])
        if len(order) < len(self.nodes):
            stuck = next(n for n in self.nodes if missing[n])
            raise stuck.error("the graph has a cycle through this node")
        self.nodes = order

    def __str__(self) -> str:
        lines = [f"graph {self.name!r}", *(f"  input  {v!r}" for v in self.inputs), *(f"  {n!r}" for n in self.nodes)]
        return "\n".join([*lines, *(f"  output {v!r}" for v in self.outputs)])


class Subgraph(Graph):
    """A graph in a node: its last `captured` inputs are values of the enclosing graph, which are the node's last inputs."""

    __slots__ = ("captured",)

    def __init__(self, graph: Graph, captured: int = 0):
        super().__init__(graph.inputs, graph.outputs, graph.nodes, graph.name)
        self.captured: int = captured
