"""What kernels of integers need to know of a quantized node: the integers it reads, and how its sums become integers again.

A quantized node is an operator on floats between the DequantizeLinear nodes of its prologue and the QuantizeLinear that ends
its epilogue. An activation is uint8: an int8 tensor with zero point z has the same floats as q ^ 0x80 with zero point z + 128.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..dtypes import limits
from ..graph import Node, Value
from .binary import Add
from .dims import axis_index
from .quantize import SCALES, DequantizeLinear, QuantizeLinear, quantization_of


class Quantized(NamedTuple):
    """Integers q that represent the floats (q - zero) · scale.

    `scale` (float32) and `zero` (int64) are scalars, or have one element for each index of `axis`.
    """

    integers: Value
    scale: np.ndarray
    zero: np.ndarray
    axis: int


class Rounding(NamedTuple):
    """The integers clip(rint(y / scale) + zero, low, high) of floats y: a QuantizeLinear, and the clips before it."""

    scale: np.float32
    zero: int
    low: int
    high: int


class Store(NamedTuple):
    """What becomes of a node's floats: they are rounded `between`, a residual is added, and the sum is rounded at `last`."""

    last: Rounding
    residual: Quantized | None = None
    between: Rounding | None = None


def operand_of(node: Node, floats: Value | None) -> Quantized | None:
    """The integers that a node's prologue dequantizes to these floats; None if it does not, or not by constants in bounds."""
    dequantize = next((n for n in node.prologue if n.outputs[0] is floats), None)
    if dequantize is None or not isinstance(dequantize.op, DequantizeLinear) or dequantize.op.block_size:
        return None
    integers, scale, zero = dequantize.input(0), dequantize.input(1).constant, dequantize.optional(2)
    if scale is None or scale.dtype != np.float32 or (zero is not None and zero.constant is None):
        return None
    scale = np.asarray(scale)
    if not ((scale >= SCALES[0]) & (scale <= SCALES[1])).all():
        return None
    zeros = np.zeros_like(scale, np.int64) if zero is None else np.asarray(zero.constant).astype(np.int64)
    if scale.size == 1:
        return Quantized(integers, scale.reshape(()), zeros.reshape(()), 0)
    return Quantized(integers, scale, zeros, axis_index(dequantize.op.axis, len(integers.dims)))


def store_of(node: Node) -> Store | None:
    """How the floats of a quantized node are stored as uint8; None if kernels do not store them so."""
    low, high = -math.inf, math.inf
    rounded: Rounding | None = None  # the integers that the nodes so far end in
    given: tuple[float, int, np.dtype] | None = None
    between, residual = None, None
    before = node.outputs[0]
    for n in node.epilogue:
        if isinstance(n.op, QuantizeLinear):
            given = quantization_of(n)
            if given is None or rounded is not None or given[2] != np.uint8:
                return None
            rounded = _rounding(given[0], given[1], low, high)
        elif isinstance(n.op, DequantizeLinear):
            if residual is not None or rounded is None or quantization_of(n) != given:
                return None
            between, rounded = rounded, None
            low, high = -math.inf, math.inf
        elif isinstance(n.op, Add):
            others = [v for v in n.inputs if v is not before]
            if residual is not None or len(others) != 1 or (low, high) != (-math.inf, math.inf):
                return None
            if (residual := operand_of(node, others[0])) is None or not _same_shapes(residual.integers, before, n.results[0]):
                return None
        else:
            activation = n.op.activation(n)
            if activation is None or activation.kind != "clip" or n.inputs[0] is not before:
                return None
            low, high = (min(max(bound, activation.a), activation.b) for bound in (low, high))
        before = n.results[0]
    if rounded is None or (between is not None and residual is None):
        return None
    return Store(rounded, residual, between)


def _same_shapes(first: Value, *others: Value | None) -> bool:
    """Whether tensors are known to have one shape; sizes may be symbols."""
    return first.shape is not None and None not in first.shape and all(v and v.shape == first.shape for v in others)


def _rounding(scale: float, zero: int, low: float, high: float) -> Rounding:
    """The rounding of floats that are clipped to low and high first: it is monotonic, so it is a clip of its integers."""
    steps = np.rint(np.array([low, high], np.float32) / np.float32(scale)) + np.float32(zero)
    return Rounding(np.float32(scale), zero, *steps.clip(*limits(np.dtype(np.uint8))).astype(int).tolist())
