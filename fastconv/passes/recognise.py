"""Operators that exporters spell out in several nodes, put back into one: HardSwish, HardSigmoid, Swish (SiLU), Gelu,
LayerNormalization, as files before opset 17 have it, and GroupNormalization, which was an InstanceNormalization of the groups
as channels."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np

from ..graph import Graph, Node, Value
from ..ops import REGISTRY, Op


def recognise(graph: Graph) -> None:
    """Replace every spelled-out operator whose inner values nobody else reads."""
    found = True
    while found:
        producers, consumers = graph.producers(), graph.consumers()
        found = False
        for node in graph.nodes:
            if match := next(filter(None, (form(node, producers) for form in FORMS)), None):
                op, operands, inner = match
                x = operands[0]
                inside = {node, *inner}
                alone = inside <= {*graph.nodes} and all(
                    v not in graph.outputs and inside.issuperset(consumers[v]) for n in inner for v in n.results
                )
                if alone and x.shape is not None and x.shape == node.results[0].shape:
                    graph.nodes[graph.nodes.index(node)] = Node(op, operands, node.outputs, node.name, node.where)
                    graph.nodes = [n for n in graph.nodes if n not in inner]
                    found = True
                    break


#: the operator, its operands, and the nodes that are no longer needed
Match = tuple[Op, list[Value], list[Node]]
Producers = dict[Value, Node]


def _kind(node: Node | None) -> str:
    return type(node.op).__name__ if node is not None and not node.epilogue else ""


def _scalar(value: Value | None) -> float | None:
    """A constant's single value."""
    return (
        float(np.asarray(value.constant).reshape(-1)[0])
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


def with_factor(node: Node) -> tuple[Value, float] | None:
    """(x, c) where a node divides x by a scalar, or multiplies it with one, and x · c is the result."""
    if (divided := _with_scalar(node, "Div")) and divided[1]:
        return divided[0], 1 / divided[1]
    return _with_scalar(node, "Mul")


def _scaled(node: Node, clip_of: Callable[[Value], Match | None]) -> tuple[Match, float] | None:
    """What `node` divides by (or multiplies with) a scalar, where clip_of knows it, and the factor."""
    scaled = with_factor(node)
    inner = clip_of(scaled[0]) if scaled else None
    return (inner, scaled[1]) if inner and scaled else None


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
        return (node.op, [shifted[0]], shifted[1]) if shifted else None

    scaled = _scaled(node, clip_of)
    if scaled is None or not _is_sixth(scaled[1]):
        return None
    _, operands, inner = scaled[0]
    return REGISTRY["HardSigmoid"](alpha=1 / 6, beta=0.5), operands, inner


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
                return REGISTRY["Swish"](), [x], [g]
            if _kind(g) == "HardSigmoid" and _is_sixth(g.op.alpha) and abs(g.op.beta - 0.5) < 1e-6:  # type: ignore[attr-defined]
                return REGISTRY["HardSwish"](), [x], [g]

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
                return node.op, [x], [mul, *shifted[1]]
        return None

    scaled = _scaled(node, product_of)
    if scaled is None or not _is_sixth(scaled[1]):
        return None
    _, operands, inner = scaled[0]
    return REGISTRY["HardSwish"](), operands, inner


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
                return REGISTRY["Gelu"](), [x], [mul, add, erf, scale]
    return None


def _before(node: Node | None, kind: str, producers: Producers, operand: int = 0) -> Node | None:
    """The node of a kind that makes the operand of `node`."""
    v = node.inputs[operand] if node is not None else None
    before = producers.get(v) if v is not None else None
    return before if _kind(before) == kind else None


def _mean(node: Node | None) -> tuple[int, ...]:
    """The last axes over which a ReduceMean is taken, as far as that is what it does."""
    x = node.inputs[0] if node is not None else None
    if node is None or x is None or x.shape is None or not node.op.keepdims:  # type: ignore[attr-defined]
        return ()
    given = node.inputs[1] if len(node.inputs) > 1 else None
    if given is not None and given.constant is None:
        return ()
    rank = len(x.shape)
    axes = node.op.axes(rank, None if given is None else np.asarray(given.constant).reshape(-1).tolist())  # type: ignore[attr-defined]
    return axes if sorted(axes) == list(range(rank - len(axes), rank)) else ()


def _layer_norm(node: Node, producers: Producers) -> Match | None:
    """d / sqrt(mean of d² + epsilon) with d = x - mean of x, over the last axes."""
    if _kind(node) != "Div":
        return None
    centred = _before(node, "Sub", producers)
    root = _before(node, "Sqrt", producers, 1)
    add = _before(root, "Add", producers)
    shifted = _with_scalar(add, "Add")
    variance = producers.get(shifted[0]) if shifted else None
    square = producers.get(variance.inputs[0]) if variance and _kind(variance) == "ReduceMean" else None  # type: ignore[arg-type]
    mean = _before(centred, "ReduceMean", producers, 1)
    if centred is None or root is None or add is None or shifted is None or variance is None or square is None or mean is None:
        return None
    x, axes = centred.inputs[0], _mean(mean)
    if x is None or x.shape is None or mean.inputs[0] is not x or not axes:
        return None
    if _mean(variance) != axes or not _is_square(square, centred.results[0]):
        return None
    scale = Value(f"{node.label}.scale", constant=np.ones(1, x.dtype))
    op = REGISTRY["LayerNormalization"](axis=-len(axes), epsilon=shifted[1])
    return op, [x, scale], [root, add, variance, square, centred, mean]


def _is_square(node: Node, x: Value) -> bool:
    return (_kind(node) == "Mul" and node.inputs == [x, x]) or (
        _kind(node) == "Pow" and node.inputs[0] is x and _scalar(node.inputs[1]) == 2
    )


def _scaled_norm(node: Node, producers: Producers) -> Match | None:
    """A LayerNormalization and its scale, or its bias: a single number, or one for each element normalized."""
    if (kind := _kind(node)) not in ("Mul", "Add"):
        return None
    for i in (0, 1):
        norm, c = _before(node, "LayerNormalization", producers, i), node.inputs[1 - i]
        if norm is None or c is None or c.constant is None or len(norm.inputs) > 2:
            continue
        x, scale = norm.inputs
        if x is None or x.shape is None or scale is None or c.dims not in ((), (1,), x.shape[norm.op.axis :]):  # type: ignore[attr-defined]
            continue
        if kind == "Mul" and _scalar(scale) == 1:
            return norm.op, [x, c], [norm]
        if kind == "Add":
            return norm.op, [x, scale, c], [norm]
    return None


def _group_norm(node: Node, producers: Producers) -> Match | None:
    """N C *size -> N G K, InstanceNormalization, and back to N C *size."""
    norm = _before(node, "InstanceNormalization", producers) if _kind(node) == "Reshape" else None
    groups = _before(norm, "Reshape", producers)
    if norm is None or norm.inputs[0] is None or groups is None:
        return None
    x = groups.inputs[0]
    if x is None or x.shape is None or norm.inputs[0].shape is None or len(x.shape) < 2:
        return None
    (N, C, *_), (n, G, *_) = x.shape, norm.inputs[0].shape
    if n != N or n is None or not isinstance(C, int) or not isinstance(G, int) or C % G:
        return None
    params: list[Value] = []
    for v in norm.inputs[1:]:
        if v is None or v.constant is None:
            return None
        params.append(Value(v.name, constant=np.repeat(v.constant, C // G)))
    op = REGISTRY["GroupNormalization"](num_groups=G, epsilon=norm.op.epsilon)  # type: ignore[attr-defined]
    return op, [x, *params], [norm, groups]


FORMS = (_hard_sigmoid, _product, _gelu, _layer_norm, _scaled_norm, _group_norm)
