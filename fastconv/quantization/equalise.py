"""Cross-layer equalisation: channels that share a scale get like ranges, and the network computes the same (arXiv:1906.04721).

A channel of a value may be divided by any positive factor if only rows of weights write it and only columns of weights read it,
since these can be scaled. What commutes with a factor may lie between them: Relu, LeakyRelu, pools, and the Add of a residual.
Clip does not commute. A channel that stays below its bound on the calibration data, with some room, gets a factor that keeps it
there; a channel that reaches the bound is left as it is.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import numpy as np

from ..graph import Graph, Node, Value
from ..ops.average_pool import AveragePool
from ..ops.binary import Add
from ..ops.conv import Conv
from ..ops.conv_transpose import ConvTranspose
from ..ops.elementwise import Clip, LeakyRelu, Relu
from ..ops.gemm import Gemm
from ..ops.global_pool import GlobalAveragePool
from ..ops.max_pool import MaxPool
from ..passes.edit import KERNEL_FLOAT
from ..progress import Advance
from .calibration import Calibration

WEIGHTED = (Conv, ConvTranspose, Gemm)
#: operators that commute with a positive factor of each channel
HOMOGENEOUS = (Relu, LeakyRelu, MaxPool, AveragePool, GlobalAveragePool)
#: what a Clip's bound must be above the largest number seen
ROOM = 1.25
#: the largest change of a channel, either way
MOST = 2.0**10


@dataclass(eq=False)
class Group:
    """Values whose channels must have the same factors, what writes and reads them, and the upper bound of their Clips."""

    values: set[Value] = field(default_factory=set)
    writers: list[Node] = field(default_factory=list)
    readers: list[Node] = field(default_factory=list)
    bound: float = np.inf


def equalise(graph: Graph, rounded: Collection[Value], data: Calibration, advance: Advance) -> None:
    """Scale the weights of the graph, in place, by what the values that will be rounded reach on the calibration data."""
    groups = {group: [v.name for v in rounded if v in group.values] for group in find_groups(graph)}
    names = [name for names in groups.values() for name in names]
    largest: dict[str, np.ndarray] = {}
    for found in data.run(graph, names, advance) if names else ():
        for name, x in found.items():
            largest[name] = np.maximum(largest.get(name, 0), np.abs(x).max(axis=(0, *range(2, x.ndim))))
    for group, names in groups.items():
        if names:
            _scale(group, np.max([largest[name] for name in names], axis=0))


def find_groups(graph: Graph) -> list[Group]:
    """The groups of values that can be scaled."""
    roots: dict[Value, Group] = {}

    def group_of(v: Value) -> Group:
        return roots.setdefault(v, Group({v}))

    def join(values: Iterable[Value]) -> None:
        first, *others = (group_of(v) for v in values)
        for other in others:
            if other is not first:
                first.values |= other.values
                first.bound = min(first.bound, other.bound)
                roots.update(dict.fromkeys(other.values, first))

    fixed = {*graph.inputs, *graph.outputs}
    for node in graph.nodes:
        if _has_weights(node):
            continue
        values = [v for v in (*node.inputs[:1], *node.results) if v is not None]
        if isinstance(node.op, Add) and _is_residual(node):
            join([*node.operands, *node.results])
        elif isinstance(node.op, Clip) and (bound := _bound(node)):
            join(values)
            group_of(values[0]).bound = min(bound, group_of(values[0]).bound)
        elif isinstance(node.op, HOMOGENEOUS) and len(node.results) == 1:
            join(values)
        else:
            fixed.update(node.operands, node.results)
    for node in graph.nodes:
        if _has_weights(node):
            group_of(node.input(0)).readers.append(node)
            group_of(node.results[0]).writers.append(node)
    groups = dict.fromkeys(roots.values())
    return [g for g in groups if g.writers and g.readers and not g.values & fixed]


def _has_weights(node: Node) -> bool:
    """Whether the node's weights can be scaled by rows and by columns."""
    if not isinstance(node.op, WEIGHTED) or node.op.weight_axis(node) is None or node.input(0).dtype != KERNEL_FLOAT:
        return False
    return all(v is None or v.constant is not None for v in node.inputs[1:])


def _is_residual(add: Node) -> bool:
    """Whether an Add is of two computed values with the same channels."""
    a, b = add.input(0), add.input(1)
    return (
        a.constant is None and b.constant is None and a.shape is not None and b.shape is not None and a.shape[1:] == b.shape[1:]
    )


def _bound(clip: Node) -> float | None:
    """The upper bound of a Clip at zero; None for any other."""
    low, high = (
        None if (v := clip.optional(i)) is None or v.constant is None else float(np.asarray(v.constant).reshape(-1)[0])
        for i in (1, 2)
    )
    return high if low == 0 and high is not None and high > 0 else None


def _scale(group: Group, largest: np.ndarray) -> None:
    """Divide the channels of a group, whose largest magnitudes these are, by factors."""
    top = min(group.bound / ROOM, largest.max(initial=0))
    used = largest > 0
    free = used & (largest * ROOM <= group.bound)
    factors = np.where(used, largest / (top or 1), 1).clip(1 / MOST, 1)
    shares = [share for n in group.readers if (share := _column_shares(n)) is not None]
    if shares:  # the columns of each output channel share a scale, too: half of the way, so that both gain
        share = np.max(shares, axis=0)
        with np.errstate(divide="ignore"):
            mean = np.exp(np.mean(np.log(share), where=share > 0))
        balanced = np.sqrt(factors / np.where(share > 0, share / mean, 1))
        factors = balanced.clip(factors, 1) if np.isfinite(group.bound) else balanced
    factors = np.where(free, factors, 1)
    for node in group.writers:
        _multiply(node, rows=1 / factors)
    for node in group.readers:
        _multiply(node, columns=factors)


def _blocks(node: Node, w: np.ndarray) -> np.ndarray:
    """A view of a node's weights as groups × output channels × input channels × taps."""
    if isinstance(node.op, Gemm):
        return (w if node.op.transB else w.T)[None, :, :, None]
    if isinstance(node.op, ConvTranspose):
        return w.reshape(*w.shape[:2], -1).transpose(1, 0, 2)[None]
    assert isinstance(node.op, Conv)
    return w.reshape(node.op.group, -1, w.shape[1], math.prod(w.shape[2:]))


def _column_shares(node: Node) -> np.ndarray | None:
    """For each input channel the most of an output channel's range that its weights take; None if it has no other inputs."""
    blocks = np.abs(_blocks(node, np.asarray(node.input(1).constant))).max(axis=3)
    if blocks.shape[2] == 1:
        return None
    ranges = blocks.max(axis=2, keepdims=True)
    return np.asarray((blocks / np.where(ranges, ranges, 1)).max(axis=1).reshape(-1))


def _multiply(node: Node, rows: np.ndarray | None = None, columns: np.ndarray | None = None) -> None:
    """Multiply the weights with a factor for each output channel, and the bias too, or for each input channel."""
    w = np.array(node.input(1).constant, np.float64)
    blocks = _blocks(node, w)
    if rows is not None:
        blocks *= rows.reshape(len(blocks), -1, 1, 1)
        if (b := node.optional(2)) is not None:
            node.inputs[2] = Value(b.name, constant=(np.asarray(b.constant).reshape(-1) * rows).astype(KERNEL_FLOAT))
    if columns is not None:
        blocks *= columns.reshape(len(blocks), 1, -1, 1)
    node.inputs[1] = Value(node.input(1).name, constant=w.astype(KERNEL_FLOAT))
