"""Scale and shift of each channel, as BatchNormalization and arithmetic with a constant do it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..graph import Node, Value


class ScaleShift(NamedTuple):
    """x · scale + shift, in float64: each has one value, or one for each index of the axis of channels. Scale None is 1."""

    x: Value
    scale: np.ndarray | None
    shift: np.ndarray


def scaled(x: Value, scale: np.ndarray) -> ScaleShift | None:
    """x · scale; None where a factor is not finite: such a factor cannot move into the terms of a sum."""
    return ScaleShift(x, scale, np.zeros(1)) if np.isfinite(scale).all() else None


def constant_operand(node: Node, axis: int, commutative: bool = False) -> tuple[Value, np.ndarray] | None:
    """(x, c): the computed operand and the constant, of floats, with one value or one for each index of the axis.

    The constant is the second operand, or either one if the operator is commutative. None where the node has another form.
    """
    x, constant = node.input(0), node.input(1)
    if x.constant is not None and commutative:
        x, constant = constant, x
    if x.constant is not None or constant.constant is None or x.shape is None or x.shape != node.results[0].shape:
        return None
    c = _per_channel(constant.constant, len(x.shape), axis)
    return None if c is None or (c.size > 1 and c.size != x.shape[axis]) else (x, c)


def _per_channel(c: np.ndarray, rank: int, axis: int) -> np.ndarray | None:
    """A float constant of one value, or of one for each index of the axis, as float64; None where it is neither."""
    if c.dtype.kind != "f":
        return None
    if c.size == 1:
        return c.reshape(1).astype(np.float64)
    shape = (1,) * (rank - c.ndim) + c.shape
    if rank < 2 or any(d != 1 for i, d in enumerate(shape) if i != axis % rank):
        return None
    return c.reshape(-1).astype(np.float64)
