"""Decompose nodes that no kernel computes into nodes that have kernels.

Pow with a constant exponent becomes products and roots; Gemm whose C is not a constant row becomes a Gemm and an Add. The root
of minus infinity is NaN, where Pow gives infinity.
"""

from __future__ import annotations

import numpy as np

from ..graph import Graph, Node, Value
from ..infer_node import infer_node
from ..ops import Op
from ..ops.binary import Add, Mul, Pow
from ..ops.elementwise import Identity, Reciprocal, Sqrt
from ..ops.gemm import Gemm
from .edit import KERNEL_FLOAT

#: exponent -> its products: each multiplies the result so far by itself ("s") or by the base ("f")
PRODUCTS = {1.0: "", 2.0: "s", 3.0: "sf", 4.0: "ss"}


def decompose(graph: Graph) -> None:
    """Replace every such node."""
    graph.nodes = [new for node in graph.nodes for new in (_pow(node) or _gemm(node) or [node])]


class _Replacement:
    """The nodes that replace one, as they are made."""

    def __init__(self, node: Node):
        self.replaced = node
        self.nodes: list[Node] = []

    def add(self, op: Op, *inputs: Value | None) -> Value:
        """Add a node; return its result."""
        y = Value(f"{self.replaced.results[0].name}.{type(op).__name__.lower()}{len(self.nodes)}")
        self.nodes.append(Node(op, list(inputs), [y], self.replaced.name, self.replaced.where))
        infer_node(self.nodes[-1])
        return y

    def finish(self) -> list[Node]:
        """The nodes, the last with the outputs and the epilogue of the node replaced."""
        self.nodes[-1].outputs = self.replaced.outputs
        self.nodes[-1].epilogue = self.replaced.epilogue
        return self.nodes


def _pow(node: Node) -> list[Node] | None:
    if not isinstance(node.op, Pow):
        return None
    x, p = node.input(0), node.input(1).constant
    if x.dtype != KERNEL_FLOAT or x.shape is None or x.shape != node.results[0].shape or p is None or p.size != 1:
        return None
    exponent = float(np.asarray(p).reshape(-1)[0])
    new = _Replacement(node)
    if abs(exponent) == 0.5:
        x = new.add(Sqrt(), x)
    elif abs(exponent) not in PRODUCTS:
        return None
    if exponent < 0:  # first, as products of small numbers underflow
        x = new.add(Reciprocal(), x)
    y = x
    for product in PRODUCTS.get(abs(exponent), ""):
        y = new.add(Mul(), y, y if product == "s" else x)
    if not new.nodes:
        new.add(Identity(), y)
    return new.finish()


def _gemm(node: Node) -> list[Node] | None:
    op = node.op
    if not isinstance(op, Gemm) or node.epilogue or node.results[0].dtype != KERNEL_FLOAT:
        return None
    c = node.optional(2)
    if c is None or (c.constant is not None and c.constant.size in (1, *c.dims[-1:])):
        return None
    new = _Replacement(node)
    y = new.add(Gemm(**(op.attributes() | {"beta": 1.0})), node.input(0), node.input(1))
    if op.beta != 1:
        c = new.add(Mul(), c, Value(f"{node.label}.beta", constant=np.array(op.beta, c.dtype)))
    new.add(Add(), y, c)
    return new.finish()
