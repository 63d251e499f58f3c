"""Convert NHWC regions to NCHW; their Transposes cancel or move to graph inputs and outputs.

TensorFlow's exporters write such regions, between Transposes around each convolution. A MatMul over the channels becomes a 1x1
Conv, a LayerNormalization over them one over axis 1 alone. Regions of volumes, N D H W C, become N C D H W.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any

from ..graph import Graph, Node, Value
from ..ops.conv import Conv
from ..ops.dims import axis_index
from ..ops.matmul import MatMul
from ..ops.normalization import LayerNormalization
from ..ops.transpose import Transpose
from .edit import drop_unread, permutation, replace_inputs
from .regions import HANDLERS, AxisMap, Region, Rewrite, convert_regions


def nhwc_to_nchw(graph: Graph) -> None:
    """Convert each region where this removes Transposes of at least as many bytes as it adds; merge Transposes in a row."""
    _merge_transposes(graph)
    for axis_map in AXIS_MAPS:
        rank = axis_map.rank
        found = {permutation(n) for n in graph.nodes} & {_to_nhwc(rank), _to_nchw(rank)}
        if found and convert_regions(graph, axis_map, partial(_saves_transposes, graph, rank)):
            _merge_transposes(graph)
    drop_unread(graph)


def _saves_transposes(graph: Graph, rank: int, region: Region) -> bool:
    if any(v.dtype is None for v in (*region.inputs, *region.outputs)):
        return False
    removed = added = 0
    for v in region.inputs:
        if permutation(region.producers.get(v)) != _to_nhwc(rank):
            added += _bytes(v)
        elif not graph.is_output(v) and not region.outside[v]:
            removed += _bytes(v)
    for v in region.outputs:
        back = [permutation(n) == _to_nchw(rank) for n in region.outside[v]]
        removed += _bytes(v) * sum(back)
        added += _bytes(v) * (graph.is_output(v) or not all(back))
    return removed >= added and removed > 0


def _to_nhwc(rank: int) -> tuple[int, ...]:
    """The permutation from N C *size to N *size C."""
    return (0, *range(2, rank), 1)


def _to_nchw(rank: int) -> tuple[int, ...]:
    """The permutation from N *size C to N C *size."""
    return (0, rank - 1, *range(1, rank - 1))


def _bytes(v: Value) -> int:
    """How many bytes a Transpose of v (N *size C) moves: none if C or *size is one element."""
    assert v.shape is not None and v.dtype is not None
    if v.shape[-1] == 1 or all(d == 1 for d in v.shape[1:-1]):
        return 0
    return math.prod(d for d in v.shape if isinstance(d, int)) * v.dtype.itemsize


def _merge_transposes(graph: Graph) -> None:
    """Make two Transposes in a row one, and remove two that cancel."""
    producers = graph.producers()
    replacements: dict[Value, Value] = {}
    for node in graph.nodes:
        replace_inputs(node, replacements)
        if (outer := permutation(node)) is None or (before := producers.get(node.input(0))) is None:
            continue
        if (inner := permutation(before)) is None:
            continue
        perm = tuple(inner[i] for i in outer)
        x, y = before.input(0), node.results[0]
        node.op, node.inputs = Transpose(perm=perm), [x]
        if perm == tuple(range(len(perm))) and not graph.is_output(y):
            replacements[y] = x


def _matmul(n: Node, axis_map: AxisMap) -> Rewrite | None:
    """A MatMul over the channels with constant weights is a 1x1 Conv."""
    w = n.input(1)
    if w.constant is None or w.constant.ndim != 2:
        return None
    weights = w.constant.T.reshape(*w.constant.shape[::-1], *(1,) * (axis_map.rank - 2))
    conv = Conv(kernel_shape=weights.shape[2:])
    return Rewrite(conv, [n.input(0), Value(w.name, constant=weights), *n.inputs[2:]])


def _layer_norm(n: Node, axis_map: AxisMap) -> Rewrite | None:
    """A LayerNormalization over the channels; scale and bias get trailing axes of size 1."""
    op: Any = n.op
    x, rank = n.input(0), axis_map.rank
    if x.shape is None or len(x.shape) != rank or op.axes(rank) != (axis_index(-1, rank),):
        return None
    operands: list[Value | None] = []
    for v in n.inputs[1:]:
        if v is None:
            operands.append(None)
        elif v.constant is None or v.constant.size != max(v.constant.shape, default=1):
            return None
        else:
            operands.append(Value(v.name, constant=v.constant.reshape(-1, *(1,) * (rank - 2))))
    return Rewrite(replace(op, axis=1, alone=1), [x, *operands])


AXIS_MAPS = tuple(
    AxisMap(
        rank,
        _to_nhwc(rank),
        rank,
        "nchw" if rank == 4 else "ncdhw",
        (Transpose(perm=_to_nchw(rank)), ()),
        (Transpose(perm=_to_nhwc(rank)), ()),
        HANDLERS | {MatMul: _matmul, LayerNormalization: _layer_norm},
    )
    for rank in (4, 5)
)
