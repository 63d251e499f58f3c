"""What no kernel takes as it stands becomes operators that kernels take: Pow with a constant exponent that products and a root
give, and Gemm with a C that is not a constant row.

A root of minus infinity is NaN here, where Pow has infinity.
"""

from __future__ import annotations

import numpy as np

from ..graph import Graph, Node, Value
from ..ops.base import REGISTRY
from .infer_shapes import infer_node

#: how the power of an exponent's magnitude is made: each step multiplies the last result with itself, or with the first
PRODUCTS = {1.0: "", 2.0: "s", 3.0: "sf", 4.0: "ss"}


def spell_out(graph: Graph) -> None:
    """Replace every such node."""
    graph.nodes = [new for node in graph.nodes for new in (_pow(node) or _gemm(node) or [node])]


class _Chain:
    """Nodes in the making, in place of one."""

    def __init__(self, node: Node):
        self.of = node
        self.nodes: list[Node] = []

    def add(self, kind: str, *inputs: Value | None, **attributes: float) -> Value:
        y = Value(f"{self.of.results[0].name}.{kind.lower()}{len(self.nodes)}")
        self.nodes.append(Node(REGISTRY[kind](**attributes), list(inputs), [y], self.of.name, self.of.where))
        infer_node(self.nodes[-1])
        return y

    def end(self) -> list[Node]:
        """The nodes, the last of which gives what the node gave."""
        self.nodes[-1].outputs = self.of.outputs
        self.nodes[-1].epilogue = self.of.epilogue
        return self.nodes


def _pow(node: Node) -> list[Node] | None:
    if type(node.op).__name__ != "Pow":
        return None
    x, p = node.inputs
    assert x is not None and p is not None
    if (
        x.dtype != np.float32
        or x.shape is None
        or x.shape != node.results[0].shape
        or p.constant is None
        or p.constant.size != 1
    ):
        return None
    exponent = float(np.asarray(p.constant).reshape(-1)[0])
    chain = _Chain(node)
    if abs(exponent) == 0.5:
        x = chain.add("Sqrt", x)
    elif abs(exponent) not in PRODUCTS:
        return None
    if exponent < 0:  # before the products: else what is small would be lost in them
        x = chain.add("Reciprocal", x)
    y = x
    for step in PRODUCTS.get(abs(exponent), ""):
        y = chain.add("Mul", y, y if step == "s" else x)
    if y is node.inputs[0]:
        chain.add("Identity", y)
    return chain.end()


def _gemm(node: Node) -> list[Node] | None:
    if type(node.op).__name__ != "Gemm" or node.epilogue or node.results[0].dtype != np.float32:
        return None
    a, b, c = (*node.inputs, None)[:3]
    if c is None or (c.constant is not None and c.constant.size in (1, *c.dims[-1:])):
        return None
    op, chain = node.op, _Chain(node)
    y = chain.add("Gemm", a, b, **(op.attributes() | {"beta": 1.0}))
    if op.beta != 1:  # type: ignore[attr-defined]
        c = chain.add("Mul", c, Value(f"{node.label}.beta", constant=np.array(op.beta, np.float32)))  # type: ignore[attr-defined]
    chain.add("Add", y, c)
    return chain.end()
