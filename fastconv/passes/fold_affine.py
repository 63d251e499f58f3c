"""Fold per-channel scale and shift into the preceding weights.

BatchNormalization, and Add, Sub, Mul and Div with a constant, scale and shift all channels by one value, or each by its own.
The channels are axis 1, or the last axis of a matrix product. Where no weights precede such a node, a factor of a feature map
becomes a 1x1 depthwise Conv, and other BatchNormalizations become a Mul and an Add. New weights are computed in float64 and
rounded once, when they are packed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..graph import Graph, Node, Value
from ..infer_node import infer_node
from ..ops import Op
from ..ops.batch_normalization import BatchNormalization
from ..ops.binary import Add, Mul
from ..ops.conv import Conv
from ..ops.matmul import MatMul
from ..ops.normalization import OverChannels
from ..weights import Scaled, Weights
from .edit import KERNEL_FLOAT, sole_reader


def fold_affine(graph: Graph) -> None:
    """Fold every such node, or replace it by operators that have kernels."""
    producers, consumers = graph.producers(), graph.consumers()
    folded: set[Node] = set()
    added: dict[Node, Node] = {}
    for node in graph.nodes:
        before = next((producers[v] for v in node.inputs if v is not None and v in producers), None)
        if before is not None and sole_reader(before.results[0], graph, consumers) is not None:
            affine = node.op.as_scale_shift(node, before.op.channel_axis)
            if affine is not None and _absorb(before, affine.scale, affine.shift):
                before.outputs[0], before.epilogue = node.outputs[0], node.epilogue
                producers[node.results[0]] = before
                folded.add(node)
                continue
        affine = node.op.as_scale_shift(node, 1)
        if affine is None or affine.scale is None:
            continue
        if before is not None and _is_feature_map(affine.x):
            _make_depthwise(node, affine.x, affine.scale, affine.shift)
        elif isinstance(node.op, BatchNormalization) and affine.x.shape and affine.x.dtype == KERNEL_FLOAT:
            added[node] = _make_mul_add(node, affine.x, affine.scale, affine.shift)
    graph.nodes = [n for node in graph.nodes if node not in folded for n in (added.get(node), node) if n is not None]


def _is_feature_map(x: Value) -> bool:
    """Whether x is a feature map N C H W of floats, with C known."""
    return x.shape is not None and len(x.shape) == 4 and isinstance(x.shape[1], int) and x.dtype == KERNEL_FLOAT


def _make_depthwise(node: Node, x: Value, scale: np.ndarray, shift: np.ndarray) -> None:
    """Make the node a 1x1 depthwise Conv."""
    C: Any = x.shape and x.shape[1]
    # one value for all channels stays one in memory, so that it does not count as trained weights
    w = np.broadcast_to(scale.astype(x.dtype), (C,)).reshape(C, 1, 1, 1)
    b = np.broadcast_to(shift.astype(x.dtype), (C,))
    y = node.results[0].name
    node.op, node.inputs = Conv(group=C), [x, Value(f"{y}.scale", constant=w), Value(f"{y}.shift", constant=b)]
    infer_node(node)


def _make_mul_add(node: Node, x: Value, scale: np.ndarray, shift: np.ndarray) -> Node:
    """Make the node an Add; return the Mul before it."""
    y, shape = node.results[0].name, (-1, *(1,) * (len(x.shape or ()) - 2))
    factor = Value(f"{y}.scale", constant=scale.astype(x.dtype).reshape(shape))
    term = Value(f"{y}.shift", constant=shift.astype(x.dtype).reshape(shape))
    scaled = Value(f"{y}.scaled")
    mul = Node(Mul(), [x, factor], [scaled], where=node.where)
    node.op, node.inputs = Add(), [scaled, term]
    infer_node(mul)
    return mul


def _absorb(before: Node, scale: np.ndarray | None, shift: np.ndarray) -> bool:
    """Scale and shift the results of a node through its weights and bias; whether it can be done.

    The weights must be constant, except for one factor of all results of a MatMul.
    """
    op = before.op
    if before.epilogue or (axis := op.weight_axis(before)) is None:
        return False
    w, bias = before.input(1), before.optional(2)
    if w.shape is None or w.dtype != KERNEL_FLOAT or (bias is not None and bias.constant is None):
        return False
    if w.constant is None and (not isinstance(op, MatMul) or (scale is not None and scale.size > 1)):
        return False
    if op.channel_axis == -1 and bias is not None and not _is_row(bias, w.shape[axis]):
        return False
    OC: Any = (before.results[0].shape or w.shape)[-1] if isinstance(op, MatMul) else w.shape[axis]
    needs_bias = w.constant is not None or bias is not None or shift.any()
    if needs_bias and not isinstance(OC, int):
        return False
    if scale is not None:
        if isinstance(op, MatMul) and w.constant is None:
            before.op = replace(op, alpha=op.alpha * float(scale[0]))
        elif w.constant is not None:
            before.inputs[1] = Value(w.name, constant=_scaled(op, w.constant, scale, axis))
    if needs_bias:
        old = np.zeros(1) if bias is None or bias.constant is None else np.asarray(bias.constant, np.float64).reshape(-1)
        new = np.broadcast_to(old, (OC,)) * (1 if scale is None else scale) + shift
        before.inputs = [*before.inputs[:2], Value(f"{before.results[0].name}.bias", constant=new.astype(w.dtype))]
    return True


def _is_row(bias: Value, OC: Any) -> bool:
    """Whether the bias of a matrix product is the same for all rows."""
    return bias.dims in ((), (1,), (1, 1), (OC,), (1, OC))


def _scaled(op: Op, w: np.ndarray | Weights, scale: np.ndarray, axis: int) -> np.ndarray | Weights:
    """Weights times one factor for each index of the axis; large ones are scaled when they are packed."""
    if isinstance(op, OverChannels):
        return np.asarray(np.asarray(w) * scale, w.dtype)
    return Scaled(w, np.broadcast_to(scale, (w.shape[axis],)), axis % w.ndim)
