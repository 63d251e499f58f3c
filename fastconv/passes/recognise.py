"""Operators that exporters spell out in several nodes, put back into one: HardSwish, HardSigmoid, Swish (SiLU) and Gelu."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

from ..graph import Graph, Node, Value
from ..ops import REGISTRY, Op


def recognise(graph: Graph) -> None:
    """Replace every spelled-out activation whose inner values nobody else reads."""
    found = True
    while found:
        producers, consumers = graph.producers(), graph.consumers()
        found = False
        for node in graph.nodes:
            if match := _hard_sigmoid(node, producers) or _product(node, producers) or _gelu(node, producers):
                op, x, inner = match
                alone = all(
                    len(consumers[n.results[0]]) == 1 and n.results[0] not in graph.outputs and n in graph.nodes for n in inner
                )
                if alone and x.shape is not None and x.shape == node.results[0].shape:
                    graph.nodes[graph.nodes.index(node)] = Node(op, [x], node.outputs, node.name, node.where)
                    graph.nodes = [n for n in graph.nodes if n not in inner]
                    found = True
                    break


Match = tuple[Op, Value, list[Node]]
Producers = dict[Value, Node]


def _kind(node: Node | None) -> str:
    return type(node.op).__name__ if node is not None and not node.epilogue else ""


def _scalar(value: Value | None) -> float | None:
    """A constant's single value."""
    return (
        float(value.constant.reshape(-1)[0])
        if value is not None and value.constant is not None and value.constant.size == 1
        else None
    )


def _with_scalar(node: Node | None, kind: str) -> tuple[Value, float] | None:
    """(x, c) of a node `kind`(x, c) whose other operand is a constant of one element."""
    if _kind(node) != kind:
        return None
    assert node is not None
    a, b = node.inputs
    assert a is not None and b is not None
    if (c := _scalar(b)) is not None:
        return a, c
    if kind in ("Add", "Mul") and (c := _scalar(a)) is not None:
        return b, c
    return None


def _scaled(node: Node, clip_of: Callable[[Value], Match | None]) -> tuple[Match, float] | None:
    """What `node` divides by (or multiplies with) a scalar, where clip_of knows it, and the factor."""
    if (scaled := _with_scalar(node, "Div")) and scaled[1]:
        factor = 1 / scaled[1]
    elif scaled := _with_scalar(node, "Mul"):
        factor = scaled[1]
    else:
        return None
    inner = clip_of(scaled[0])
    return (inner, factor) if inner else None


def _shifted_clip(value: Value, producers: Producers) -> tuple[Value, list[Node]] | None:
    """(x, nodes) where value is Clip(x + 3, 0, 6)."""
    clip = producers.get(value)
    act = clip.op.activation(clip) if clip is not None and _kind(clip) == "Clip" else None
    if act is None or (act.a, act.b) != (0.0, 6.0):
        return None
    assert clip is not None and clip.inputs[0] is not None
    add = producers.get(clip.inputs[0])
    shifted = _with_scalar(add, "Add")
    if shifted is None or shifted[1] != 3.0:
        return None
    assert add is not None
    return shifted[0], [clip, add]


def _is_sixth(factor: float) -> bool:
    return abs(factor - 1 / 6) < 1e-6


def _hard_sigmoid(node: Node, producers: Producers) -> Match | None:
    """Clip(x + 3, 0, 6) / 6."""

    def clip_of(value: Value) -> Match | None:
        shifted = _shifted_clip(value, producers)
        return (node.op, *shifted) if shifted else None

    scaled = _scaled(node, clip_of)
    if scaled is None or not _is_sixth(scaled[1]):
        return None
    _, x, inner = scaled[0]
    return REGISTRY["HardSigmoid"](alpha=1 / 6, beta=0.5), x, inner


def _product(node: Node, producers: Producers) -> Match | None:
    """x · sigmoid(x), x · HardSigmoid(x, 1/6, 1/2), or x · Clip(x + 3, 0, 6) / 6 in either order."""
    if _kind(node) == "Mul":
        a, b = node.inputs
        assert a is not None and b is not None
        for x, gate in ((a, b), (b, a)):
            g = producers.get(gate)
            if g is None or not g.inputs or g.inputs[0] is not x:
                continue
            if _kind(g) == "Sigmoid":
                return REGISTRY["Swish"](), x, [g]
            if _kind(g) == "HardSigmoid" and _is_sixth(g.op.alpha) and abs(g.op.beta - 0.5) < 1e-6:  # type: ignore[attr-defined]
                return REGISTRY["HardSwish"](), x, [g]

    def product_of(value: Value) -> Match | None:
        mul = producers.get(value)
        if _kind(mul) != "Mul":
            return None
        assert mul is not None
        a, b = mul.inputs
        assert a is not None and b is not None
        for x, gate in ((a, b), (b, a)):
            shifted = _shifted_clip(gate, producers)
            if shifted and shifted[0] is x:
                return node.op, x, [mul, *shifted[1]]
        return None

    scaled = _scaled(node, product_of)
    if scaled is None or not _is_sixth(scaled[1]):
        return None
    _, x, inner = scaled[0]
    return REGISTRY["HardSwish"](), x, inner


def _gelu(node: Node, producers: Producers) -> Match | None:
    """x · (1 + erf(x / sqrt(2))) · 1/2, multiplied in any order."""
    if _kind(node) != "Mul":
        return None
    for product, other in (node.inputs, node.inputs[::-1]):
        assert product is not None and other is not None
        mul = producers.get(product)
        if _kind(mul) != "Mul":
            continue
        assert mul is not None
        for x, gate, half in itertools.permutations((other, *mul.inputs)):
            assert x is not None and gate is not None
            add = producers.get(gate)
            shifted = _with_scalar(add, "Add")
            erf = producers.get(shifted[0]) if shifted and shifted[1] == 1.0 else None
            if _scalar(half) != 0.5 or add is None or erf is None or _kind(erf) != "Erf" or erf.inputs[0] is None:
                continue
            scale = producers.get(erf.inputs[0])
            divided, multiplied = _with_scalar(scale, "Div"), _with_scalar(scale, "Mul")
            near = (divided and abs(divided[1] - math.sqrt(2)) < 1e-6) or (
                multiplied and abs(multiplied[1] - math.sqrt(0.5)) < 1e-6
            )
            if near and scale is not None and (divided or multiplied or (None,))[0] is x:
                return REGISTRY["Gelu"](), x, [mul, add, erf, scale]
    return None
