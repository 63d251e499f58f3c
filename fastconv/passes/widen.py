"""Compute 16-bit floats in float32, by the kernels; inputs and outputs of the graph keep their dtypes.

Each such value gets a twin in float32, with a Cast between the two where both are read: at inputs and outputs of the graph, and
around nodes that keep their type, because of a sequence, a graph inside or an attribute that names the type. Intermediate
results are no longer rounded to 16 bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..dtypes import number_of
from ..errors import ModelError
from ..external_data import LARGE
from ..graph import Graph, Node, Value
from ..ops.cast import Cast
from ..weights import Weights, Widened
from .edit import KERNEL_FLOAT, drop_unread


def widen(graph: Graph) -> None:
    """Let the nodes that can read and write twins, and drop what is no longer read."""
    if any(map(_is_half, graph.values())):
        graph.nodes = _Widening(graph).nodes
        drop_unread(graph)


class _Widening:
    """The nodes of a graph, widened."""

    def __init__(self, graph: Graph):
        self.nodes: list[Node] = []
        self._twins: dict[Value, Value] = {}
        for node in _split_fused(graph):
            add = self._add_cast if isinstance(node.op, Cast) else self._add
            add(node)

    def _twin(self, v: Value) -> Value:
        """The twin of a value, made where there is none yet; a value of another dtype is its own."""
        if not _is_half(v):
            return v
        if v not in self._twins:
            if v.constant is not None:
                self._twins[v] = Value(v.name, constant=_widened(v.constant))
            else:
                self._twins[v] = self._cast(v, Value(f"{v.name}.float32", v.shape, KERNEL_FLOAT))
        return self._twins[v]

    def _cast(self, x: Value, y: Value) -> Value:
        """Add a Cast from x to y."""
        self.nodes.append(Node(Cast(to=number_of(y.dtype)), [x], [y]))
        return y

    def _add(self, node: Node) -> None:
        inputs = [v and self._twin(v) for v in node.inputs]
        self.nodes.append(node)
        if _keeps_type(node, inputs):
            return
        node.inputs = inputs
        for i, y in enumerate(node.outputs):
            if y is not None and _is_half(y):
                node.outputs[i] = self._twins[y] = Value(y.name, y.shape, KERNEL_FLOAT)
                self._cast(self._twins[y], y)

    def _add_cast(self, node: Node) -> None:
        x, y = node.input(0), node.results[0]
        if _is_half(x) and x.constant is None and x not in self._twins and y.dtype == KERNEL_FLOAT:  # its result is the twin
            self._twins[x] = y
            self.nodes.append(node)
            return
        node.inputs = [self._twin(x)]
        self.nodes.append(node)
        if _is_half(y):
            x = self._twin(x)
            self._twins[y] = x if x.dtype == KERNEL_FLOAT else self._cast(x, Value(y.name, y.shape, KERNEL_FLOAT))


def _is_half(v: Value) -> bool:
    return str(v.dtype) in ("float16", "bfloat16")


def _split_fused(graph: Graph) -> Iterator[Node]:
    """The nodes; those fused with 16-bit floats among their values each on its own."""
    for node in graph.nodes:
        chain = node.chain
        if any(map(_is_half, (*node.operands, *(v for n in chain for v in n.outputs if v is not None)))):
            node.epilogue = []
            yield from chain
        else:
            yield node


def _keeps_type(node: Node, twins: Sequence[Value | None]) -> bool:
    """Whether a node that reads the twins would not compute the twins of its outputs."""
    values = [v for v in (*node.inputs, *node.outputs) if v is not None]
    if any(v.dtype == object for v in values) or any(isinstance(a, Graph) for a in vars(node.op).values()):
        return True
    try:
        results = node.op.infer(*twins)
    except ModelError:
        return True
    expected = [None if v is None else KERNEL_FLOAT if _is_half(v) else v.dtype for v in node.outputs]
    return any(e is not None and dtype != e for e, (_, dtype) in zip(expected, results, strict=False))


def _widened(constant: np.ndarray | Weights) -> np.ndarray | Weights:
    """A constant in float32; a large one is converted when it is packed."""
    large = isinstance(constant, Weights) or constant.nbytes >= LARGE
    return Widened(constant) if large else np.asarray(constant, KERNEL_FLOAT)
