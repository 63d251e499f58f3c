"""What scales and shifts each channel goes into the weights and bias before it, or becomes a 1x1 depthwise convolution, or,
where it is a BatchNormalization of something else, a Mul and an Add.

That is BatchNormalization, and Add, Sub, Mul and Div with a constant of one value, or of one a channel: those of axis 1, or of
the last axis behind a matrix product. New weights are computed in float64 and rounded once, when they are packed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..graph import Graph, Node, Value
from ..ops import REGISTRY
from ..weights import Scaled, Weights
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
        before = next((producers[v] for v in node.inputs if v is not None and v in producers), None)
        if before is not None and before.results[0] not in graph.outputs and len(consumers[before.results[0]]) == 1:
            product = type(before.op).__name__ in ("Gemm", "MatMul")
            affine = _affine(node, -1 if product else 1)
            if affine is not None and _absorb(before, *affine[1:]):
                before.outputs[0], before.epilogue = node.outputs[0], node.epilogue
                producers[node.results[0]] = before
                removed.add(node)
                continue
        affine = _affine(node, 1)
        if affine is None:
            continue
        x, scale, shift = affine
        if before is not None and scale is not None and _is_map(x):
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


def _affine(node: Node, axis: int) -> tuple[Value, np.ndarray | None, np.ndarray] | None:
    """(x, scale, shift), float64 and one value or one for each index of the axis, where the node is x · scale + shift.

    scale None: 1. A sum of products with one that is not finite is not the product of a sum.
    """
    kind = type(node.op).__name__
    if kind == "BatchNormalization":
        x, *params = node.inputs
        if x is None or x.shape is None or axis % len(x.shape) != 1:
            return None
        if any(p is None or p.constant is None or p.constant.ndim != 1 for p in params) or node.op.training_mode:  # type: ignore[attr-defined]
            return None
        gamma, beta, mean, var = (np.asarray(p.constant, np.float64) for p in params)  # type: ignore[union-attr]
        with np.errstate(invalid="ignore", divide="ignore"):  # a negative variance gives NaN, as by the definition
            scale = gamma / np.sqrt(var + node.op.epsilon)  # type: ignore[attr-defined]
        return (x, scale, beta - mean * scale) if np.isfinite(scale).all() else None
    if kind not in ("Add", "Sub", "Mul", "Div"):
        return None
    a, b = node.inputs
    assert a is not None and b is not None
    if a.constant is not None and kind in ("Add", "Mul"):
        a, b = b, a
    if a.constant is not None or b.constant is None or a.shape is None or a.shape != node.results[0].shape:
        return None
    c = _per_channel(b.constant, len(a.shape), axis)
    if c is None or (c.size > 1 and c.size != a.shape[axis]):
        return None
    zero = np.zeros(1)
    if kind in ("Add", "Sub"):
        return a, None, c if kind == "Add" else -c
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = c if kind == "Mul" else 1 / c
    return (a, scale, zero) if np.isfinite(scale).all() else None


def _per_channel(c: np.ndarray | Weights, rank: int, axis: int) -> np.ndarray | None:
    """A constant of one value, or of one for each index of the axis, as float64; None where it is neither."""
    if c.dtype.kind != "f":
        return None
    if c.size == 1:
        return np.asarray(c, np.float64).reshape(1)
    shape = (1,) * (rank - c.ndim) + c.shape
    if rank < 2 or any(d != 1 for i, d in enumerate(shape) if i != axis % rank):
        return None
    return np.asarray(c, np.float64).reshape(-1)


def _absorb(before: Node, scale: np.ndarray | None, shift: np.ndarray) -> bool:
    """Scale and shift the results of a node of ABSORBING; whether it could be done.

    Weights are constant, but those of a MatMul, which takes a factor where they are not.
    """
    kind = type(before.op).__name__
    if before.epilogue or kind not in ABSORBING:
        return False
    w = before.inputs[1]
    bias = before.inputs[2] if len(before.inputs) > 2 else None
    if w is None or w.shape is None or w.dtype != np.float32 or (bias is not None and bias.constant is None):
        return False
    if w.constant is None and (kind != "MatMul" or (scale is not None and scale.size > 1)):
        return False
    op: Any = before.op
    if kind in ("Conv", *NORMALIZATIONS):
        axis = 0
    elif kind == "ConvTranspose":
        if op.group != 1:
            return False
        axis = 1
    else:
        if kind == "Gemm" and (op.transA or op.beta != 1 or op.alpha != 1):
            return False
        if len(w.shape) < 2 or (w.constant is not None and len(w.shape) > 2):
            return False
        axis = 0 if kind == "Gemm" and op.transB else -1
        if bias is not None and bias.dims not in ((), (1,), (1, 1), w.shape[axis:][:1], (1, w.shape[axis])):
            return False
    OC: Any = before.results[0].shape[-1] if kind == "MatMul" else w.shape[axis]  # type: ignore[index]
    biased = w.constant is not None or bias is not None or shift.any()
    if biased and not isinstance(OC, int):
        return False
    if scale is not None and w.constant is not None:
        scaled: np.ndarray | Weights
        if kind in NORMALIZATIONS:
            scaled = (np.asarray(w.constant) * scale).astype(np.float32)
        else:
            scaled = Scaled(w.constant, np.broadcast_to(scale, (OC,)), axis % len(w.shape))
        before.inputs[1] = Value(w.name, constant=scaled)
    elif scale is not None:
        before.op = replace(op, alpha=op.alpha * float(scale[0]))
    if not biased:
        return True
    old = (
        np.zeros(OC)
        if bias is None or bias.constant is None
        else np.broadcast_to(bias.constant.reshape(-1), (OC,)).astype(np.float64)
    )
    new = old * (1 if scale is None else scale) + shift
    before.inputs = [*before.inputs[:2], Value(f"{before.results[0].name}.bias", constant=new.astype(np.float32))]
    return True
