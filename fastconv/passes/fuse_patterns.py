"""Fuse operators that exporters write as several nodes back into one: HardSigmoid, HardSwish, Swish (SiLU), Gelu,
LayerNormalization as before opset 17, and GroupNormalization as an InstanceNormalization of groups."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from ..graph import Graph, Node, Value
from ..ops import Op
from ..ops.binary import Add, Div, Mul, Pow, Sub
from ..ops.dims import known_ints
from ..ops.elementwise import Clip, Erf, Gelu, HardSigmoid, HardSwish, Sigmoid, Sqrt, Swish
from ..ops.normalization import GroupNormalization, InstanceNormalization, LayerNormalization
from ..ops.reduce import ReduceMean
from ..ops.reshape import Reshape
from .pattern import Constant, Match, Operand, Pattern, alternatives, find

#: an operator and its inputs, the first of which has the shape of the result
Fused = tuple[Op, list[Value]]
#: makes that of a match; None if the nodes matched compute something else
Fuse = Callable[[Match], Fused | None]


def fuse_patterns(graph: Graph) -> None:
    """Replace each match whose inner values have no other readers.

    Nodes are in topological order, so that patterns of fused operators are found too.
    """
    producers, consumers = graph.producers(), graph.consumers()
    replaced: dict[Node, Node] = {}
    dropped: set[Node] = set()
    for node in graph.nodes:
        if (found := next(_fusions(node, graph, producers, consumers), None)) is None:
            continue
        m, (op, inputs) = found
        fused = replaced[node] = Node(op, inputs, node.outputs, node.name, node.where)
        dropped.update(m.nodes[1:])
        producers[fused.results[0]] = fused
        for n in m.nodes:
            for v in n.operands:
                consumers[v].remove(n)
        for v in inputs:
            consumers.setdefault(v, []).append(fused)
    graph.nodes = [n for n in (replaced.get(n, n) for n in graph.nodes) if n not in dropped]


def _fusions(
    node: Node, graph: Graph, producers: Mapping[Value, Node], consumers: Mapping[Value, list[Node]]
) -> Iterator[tuple[Match, Fused]]:
    """The ways to fuse a node with those before it."""
    for pattern, fuse in BY_LAST_OP.get(type(node.op), ()):
        for m in find(pattern, node, producers):
            inner = [v for n in m.nodes[1:] for v in n.results]
            if any(graph.is_output(v) or not {*m.nodes}.issuperset(consumers[v]) for v in inner):
                continue
            fused = fuse(m)
            if fused is not None and fused[1][0].shape is not None and fused[1][0].shape == node.results[0].shape:
                yield m, fused


def _over(x: Operand, c: float) -> Operand:
    """x / c, or x times its inverse."""
    return Pattern(Div, x, c), Pattern(Mul, x, 1 / c)


def _product(a: Operand, b: Operand, c: Operand) -> Operand:
    """a · b · c, multiplied in any order."""
    return tuple(Pattern(Mul, Pattern(Mul, p, q), r) for p, q, r in ((a, b, c), (a, c, b), (b, c, a)))


SHIFTED_CLIP = Pattern(Clip, Pattern(Add, "x", 3), 0, 6)
HARD_SIGMOID = _over(SHIFTED_CLIP, 6)
HARD_SWISH = (
    _over(Pattern(Mul, "x", SHIFTED_CLIP), 6),
    Pattern(Mul, "x", Pattern(HardSigmoid, "x", alpha=1 / 6, beta=0.5)),
)
SWISH = Pattern(Mul, "x", Pattern(Sigmoid, "x"))
GELU = _product("x", Pattern(Add, Pattern(Erf, _over("x", math.sqrt(2))), 1), 0.5)

CENTRED = Pattern(Sub, "x", Pattern(ReduceMean, "x", name="mean", keepdims=1), name="centred")
SQUARE = (Pattern(Mul, "centred", "centred"), Pattern(Pow, "centred", 2))
VARIANCE = Pattern(ReduceMean, SQUARE, name="variance", keepdims=1)
LAYER_NORM = Pattern(Div, CENTRED, Pattern(Sqrt, Pattern(Add, VARIANCE, Constant("epsilon", scalar=True))))
SCALED_NORM = Pattern(Mul, Pattern(LayerNormalization, "x", 1, None, name="norm"), Constant("scale"))
SHIFTED_NORM = Pattern(Add, Pattern(LayerNormalization, "x", "scale", None, name="norm"), Constant("bias"))

#: N C *size -> N G K, normalized, -> N C *size
GROUPS = Pattern(Reshape, "x", name="groups")
GROUP_NORM = Pattern(Reshape, Pattern(InstanceNormalization, GROUPS, Constant("scale"), Constant("bias"), name="norm"))


def _layer_norm(m: Match) -> Fused | None:
    axes = _last_axes(m.node("mean"))
    if not axes or _last_axes(m.node("variance")) != axes:
        return None
    scale = Value(f"{m.nodes[0].label}.scale", constant=np.ones(1, m["x"].dtype))
    return LayerNormalization(axis=-len(axes), epsilon=m.number("epsilon")), [m["x"], scale]


def _last_axes(node: Node) -> tuple[int, ...]:
    """The axes of a ReduceMean, if they are known and the last ones."""
    x, given = node.input(0), node.optional(1)
    if not isinstance(node.op, ReduceMean) or x.shape is None or (given is not None and given.constant is None):
        return ()
    rank = len(x.shape)
    axes = node.op.axes(rank, known_ints(given, "axes"))
    return axes if sorted(axes) == list(range(rank - len(axes), rank)) else ()


def _norm_of(m: Match, *names: str) -> Fused | None:
    """The LayerNormalization with these inputs, if the last is one number, or one for each element normalized together."""
    op, x, operand = m.op("norm", LayerNormalization), m["x"], m[names[-1]]
    fits = x.shape is not None and operand.shape in ((), (1,), x.shape[op.axis :])
    return (op, [m[name] for name in names]) if fits else None


def _group_norm(m: Match) -> Fused | None:
    x, groups = m["x"].shape, m["groups"].shape
    if x is None or groups is None or len(x) < 2:
        return None
    (N, C, *_), (n, G, *_) = x, groups
    if n != N or n is None or not isinstance(C, int) or not isinstance(G, int) or C % G:
        return None
    params = [Value(v.name, constant=np.repeat(np.asarray(v.constant), C // G)) for v in (m["scale"], m["bias"])]
    return GroupNormalization(num_groups=G, epsilon=m.op("norm", InstanceNormalization).epsilon), [m["x"], *params]


FUSIONS: tuple[tuple[Operand, Fuse], ...] = (
    (HARD_SIGMOID, lambda m: (HardSigmoid(alpha=1 / 6, beta=0.5), [m["x"]])),
    (HARD_SWISH, lambda m: (HardSwish(), [m["x"]])),
    (SWISH, lambda m: (Swish(), [m["x"]])),
    (GELU, lambda m: (Gelu(), [m["x"]])),
    (LAYER_NORM, _layer_norm),
    (SCALED_NORM, lambda m: _norm_of(m, "x", "scale")),
    (SHIFTED_NORM, lambda m: _norm_of(m, "x", "scale", "bias")),
    (GROUP_NORM, _group_norm),
)

#: the operator of a pattern's last node -> the patterns
BY_LAST_OP: dict[type[Op], list[tuple[Pattern, Fuse]]] = {}
for _operand, _fuse in FUSIONS:
    for _pattern in alternatives(_operand):
        BY_LAST_OP.setdefault(_pattern.op, []).append((_pattern, _fuse))
