"""What works with channels last (N H W C) between Transposes, as TensorFlow's exporters write it, works with channels first.

The Transposes cancel or go to the doors of the graph. A MatMul of the channels becomes a convolution of 1x1, a
LayerNormalization of them one of axis 1 alone.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ..graph import Graph, Node, Value
from ..ops import REGISTRY
from ..ops.dims import axis_index
from ..ops.matmul import MatMul
from ..ops.normalization import LayerNormalization
from .arrange import COMMON, Arrangement, Part, Rewrite, arrange
from .edit import drop_unread


def channels_first(graph: Graph) -> None:
    """Rearrange each part where that takes away Transposes of at least as many elements as it needs; join those in a row."""
    _join(graph)
    for to in ARRANGEMENTS:
        perms = {_perm(n) for n in graph.nodes}
        if (_last(to.rank) in perms or _first(to.rank) in perms) and arrange(graph, to, partial(_worth, graph, to)):
            _join(graph)
    drop_unread(graph)


def _worth(graph: Graph, to: Arrangement, part: Part) -> bool:
    if any(v.dtype != np.float32 for v in (*part.entering, *part.leaving)):
        return False  # which no kernel transposes
    gain = cost = 0
    for v in part.entering:
        if _perm(part.givers.get(v)) != _last(to.rank):
            cost += _moved(v)
        elif v not in graph.outputs and not part.outside[v]:
            gain += _moved(v)
    for v in part.leaving:
        back = [_perm(n) == _first(to.rank) for n in part.outside[v]]
        gain += _moved(v) * sum(back)
        cost += _moved(v) * (v in graph.outputs or not all(back))
    return gain >= cost and gain > 0


def _last(rank: int) -> tuple[int, ...]:
    """The permutation from channels first to channels last."""
    return (0, *range(2, rank), 1)


def _first(rank: int) -> tuple[int, ...]:
    """The permutation from channels last to channels first."""
    return (0, rank - 1, *range(1, rank - 1))


def _perm(node: Node | None) -> tuple[int, ...] | None:
    """The permutation that a Transpose is."""
    return getattr(node.op, "perm", None) if node is not None and type(node.op).__name__ == "Transpose" else None


def _moved(v: Value) -> int:
    """How many elements a Transpose of this value, channels last, would move."""
    assert v.shape is not None
    if v.shape[-1] == 1 or all(d == 1 for d in v.shape[1:-1]):
        return 0
    return math.prod(d for d in v.shape if isinstance(d, int))


def _join(graph: Graph) -> None:
    """Make one Transpose of two in a row, and none of two that cancel."""
    producers = graph.producers()
    instead: dict[Value, Value] = {}
    for node in graph.nodes:
        for n in node.chain:
            n.inputs = [instead.get(v, v) if v is not None else None for v in n.inputs]
        outer, before = _perm(node), producers.get(node.inputs[0]) if node.inputs and node.inputs[0] is not None else None
        inner = _perm(before)
        if outer is None or inner is None or before is None:
            continue
        perm = tuple(inner[i] for i in outer)
        node.op, node.inputs = replace(node.op, perm=perm), [before.inputs[0]]
        y, x = node.outputs[0], before.inputs[0]
        if perm == tuple(range(len(perm))) and y is not None and x is not None and y not in graph.outputs:
            instead[y] = x


def _matmul(n: Node, to: Arrangement) -> Rewrite | None:
    """A MatMul of the channels with constant weights is a convolution of 1x1."""
    w = n.inputs[1]
    if w is None or w.constant is None or w.constant.ndim != 2:
        return None
    weights = w.constant.T.reshape(*w.constant.shape[::-1], *(1,) * (to.rank - 2))
    op = REGISTRY["Conv"](kernel_shape=weights.shape[2:])
    return Rewrite(op, [n.inputs[0], Value(w.name, constant=weights), *n.inputs[2:]])


def _layer_norm(n: Node, to: Arrangement) -> Rewrite | None:
    """A LayerNormalization of the channels; scale and bias get axes of size 1 behind them."""
    op: Any = n.op
    x = n.inputs[0]
    if x is None or x.shape is None or len(x.shape) != to.rank or op.axes(to.rank) != (axis_index(-1, to.rank),):
        return None
    operands: list[Value | None] = []
    for v in n.inputs[1:]:
        if v is not None and (v.constant is None or v.constant.size != max(v.constant.shape, default=1)):
            return None
        operands.append(
            None if v is None or v.constant is None else Value(v.name, constant=v.constant.reshape(-1, *(1,) * (to.rank - 2)))
        )
    return Rewrite(replace(op, axis=1, alone=1), [x, *operands])


ARRANGEMENTS = tuple(
    Arrangement(
        rank,
        _last(rank),
        rank,
        (REGISTRY["Transpose"](perm=_first(rank)), ()),
        (REGISTRY["Transpose"](perm=_last(rank)), ()),
        COMMON | {MatMul: _matmul, LayerNormalization: _layer_norm},
    )
    for rank in (4, 5)
)
