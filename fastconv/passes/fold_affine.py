"""What scales and shifts each channel goes into the weights and bias before it, or becomes a 1x1 depthwise convolution, or,
where it is a BatchNormalization of something else, a Mul and an Add.

That is BatchNormalization, and Add, Sub, Mul and Div with a constant of one value, or of one a channel. New weights are
computed in float64 and rounded once, when they are packed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..graph import Graph, Node, Value
from ..ops import REGISTRY
from ..weights import Scaled
from .infer_shapes import infer_node

#: whose scale and bias are one a channel
NORMALIZATIONS = ("InstanceNormalization", "GroupNormalization")
#: what can scale and shift its own results
ABSORBING = ("Conv", "ConvTranspose", "Gemm", "MatMul", *NORMALIZATIONS)


def fold_affine(graph: Graph) -> None:
    """Fold every such node; one that has no weights before it becomes what kernels can run."""
    producers, consumers = graph.producers(), graph.consumers()
    removed: set[Node] = set()
    added: dict[Node, Node] = {}
    for node in graph.nodes:
        affine = _affine(node)
        if affine is None:
            continue
        x, scale, shift = affine
        if scale is not None and not np.isfinite(scale).all():  # a sum of products with it is not the product of a sum
            continue
        before = producers.get(x)
        if before is not None and x not in graph.outputs and len(consumers[x]) == 1 and _absorb(before, scale, shift):
            before.outputs[0], before.epilogue = node.outputs[0], node.epilogue
            producers[node.results[0]] = before
            removed.add(node)
        elif before is not None and scale is not None and _is_map(x):
            C: Any = x.shape[1]  # type: ignore[index]
            # one number for all channels stays one in memory: it is a factor, and no weights
            w = np.broadcast_to(scale.astype(np.float32), (C,)).reshape(C, 1, 1, 1)
            b = np.broadcast_to(shift.astype(np.float32), (C,))
            y = node.results[0].name
            inputs: list[Value | None] = [x, Value(f"{y}.scale", constant=w), Value(f"{y}.shift", constant=b)]
            node.op, node.inputs = REGISTRY["Conv"](group=C), inputs
            infer_node(node)
        elif scale is not None and type(node.op).__name__ == "BatchNormalization" and x.shape and x.dtype == np.float32:
            added[node] = _spell_out(node, x, scale, shift)
    graph.nodes = [n for node in graph.nodes if node not in removed for n in (added.get(node), node) if n is not None]


def _spell_out(node: Node, x: Value, scale: np.ndarray, shift: np.ndarray) -> Node:
    """Make the node an Add behind a Mul, which is returned."""
    y, shape = node.results[0].name, (-1, *(1,) * (len(x.shape or ()) - 2))
    by = Value(f"{y}.scale", constant=scale.astype(np.float32).reshape(shape))
    more = Value(f"{y}.shift", constant=shift.astype(np.float32).reshape(shape))
    mul = Node(REGISTRY["Mul"](), [x, by], [Value(f"{y}.scaled")], where=node.where)
    node.op, node.inputs = REGISTRY["Add"](), [mul.outputs[0], more]
    infer_node(mul)
    return mul


def _is_map(x: Value) -> bool:
    """Whether x is a float32 feature map N C H W with C known."""
    return x.shape is not None and len(x.shape) == 4 and isinstance(x.shape[1], int) and x.dtype == np.float32


def _affine(node: Node) -> tuple[Value, np.ndarray | None, np.ndarray] | None:
    """(x, scale, shift), float64 and one value or one a channel, where the node is x · scale + shift (scale None: 1)."""
    kind = type(node.op).__name__
    if kind == "BatchNormalization":
        x, *params = node.inputs
        if x is None or any(p is None or p.constant is None or p.constant.ndim != 1 for p in params) or node.op.training_mode:  # type: ignore[attr-defined]
            return None
        gamma, beta, mean, var = (p.constant.astype(np.float64) for p in params)  # type: ignore[union-attr]
        with np.errstate(invalid="ignore", divide="ignore"):  # a negative variance gives NaN, as by the definition
            scale = gamma / np.sqrt(var + node.op.epsilon)  # type: ignore[attr-defined]
        return x, scale, beta - mean * scale
    if kind not in ("Add", "Sub", "Mul", "Div"):
        return None
    a, b = node.inputs
    assert a is not None and b is not None
    if a.constant is not None and kind in ("Add", "Mul"):
        a, b = b, a
    if a.constant is not None or b.constant is None or a.shape is None or a.shape != node.results[0].shape:
        return None
    c = _per_channel(b.constant, len(a.shape))
    if c is None or (c.size > 1 and c.size != a.shape[1]):
        return None
    zero = np.zeros(1)
    if kind in ("Add", "Sub"):
        return a, None, c if kind == "Add" else -c
    with np.errstate(divide="ignore", invalid="ignore"):
        return a, c if kind == "Mul" else 1 / c, zero


def _per_channel(c: np.ndarray, rank: int) -> np.ndarray | None:
    """A constant of one value, or of one for each index of axis 1, as float64; None where it is neither."""
    if c.dtype.kind != "f":
        return None
    if c.size == 1:
        return c.reshape(1).astype(np.float64)
    shape = (1,) * (rank - c.ndim) + c.shape
    if rank < 2 or any(d != 1 for i, d in enumerate(shape) if i != 1):
        return None
    return c.reshape(-1).astype(np.float64)


def _absorb(before: Node, scale: np.ndarray | None, shift: np.ndarray) -> bool:
    """Scale and shift the results of a node of ABSORBING with constant weights; whether it could be done."""
    kind = type(before.op).__name__
    if before.epilogue or kind not in ABSORBING:
        return False
    w = before.inputs[1]
    bias = before.inputs[2] if len(before.inputs) > 2 else None
    if w is None or w.constant is None or w.constant.dtype != np.float32 or (bias is not None and bias.constant is None):
        return False
    array = w.constant
    op = before.op
    if kind in ("Conv", *NORMALIZATIONS):
        axis = 0
    elif kind == "ConvTranspose":
        if op.group != 1:  # type: ignore[attr-defined]
            return False
        axis = 1
    else:
        if array.ndim != 2 or (kind == "Gemm" and (op.transA or op.beta != 1 or op.alpha != 1)):  # type: ignore[attr-defined]
            return False
        axis = 0 if kind == "Gemm" and op.transB else 1  # type: ignore[attr-defined]
        OC = array.shape[axis]
        if bias is not None and bias.constant is not None and bias.constant.size > 1 and bias.shape not in ((OC,), (1, OC)):
            return False
        if kind == "MatMul" and (
            before.inputs[0] is None or before.inputs[0].shape is None or len(before.inputs[0].shape) != 2
        ):
            return False
    OC = array.shape[axis]
    if scale is not None:
        scaled: Any = (
            Scaled(array, np.broadcast_to(scale, (OC,)), axis) if array.ndim > 1 else (array * scale).astype(np.float32)
        )
        before.inputs[1] = Value(w.name, constant=scaled)
    old = (
        np.zeros(OC)
        if bias is None or bias.constant is None
        else np.broadcast_to(bias.constant.reshape(-1), (OC,)).astype(np.float64)
    )
    new = old * (1 if scale is None else scale) + shift
    before.inputs = [*before.inputs[:2], Value(f"{before.results[0].name}.bias", constant=new.astype(np.float32))]
    if kind == "MatMul":
        before.op = REGISTRY["Gemm"]()
    return True
