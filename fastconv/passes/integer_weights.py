"""Large weights that stay integers in their file or in memory: they are dequantized only when they are packed."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from ..external_data import LARGE
from ..graph import Node
from ..ops.dims import axis_index, constant_of
from ..ops.quantize import DequantizeLinear
from ..weights import Weights, key_of


class Dequantized(Weights):
    """The floats that a DequantizeLinear computes from constant integers; no more than these is kept."""

    def __init__(self, op: DequantizeLinear, integers: np.ndarray | Weights, scale: np.ndarray, zero: np.ndarray | None):
        super().__init__(integers.shape)
        self._op = op
        self._integers = integers
        self._scale, self._zero = scale, zero
        self._by_row = scale.size > 1 and axis_index(op.axis, self.ndim) == 0

    def rows(self, begin: int, end: int) -> np.ndarray:
        """Dequantize these rows."""
        scale, zero = self._scale, self._zero
        if self._by_row:
            scale, zero = scale[begin:end], zero if zero is None or zero.size == 1 else zero[begin:end]
        return np.asarray(self._op.reference(self._integers[begin:end], scale, zero))

    @property
    def key(self) -> Hashable:
        """The memory of the integers, and the parameters that dequantize them."""
        return key_of(self._integers), self._op.axis, self._scale.tobytes(), self._zero is not None and self._zero.tobytes()


def dequantized(node: Node) -> Dequantized | None:
    """The result of a DequantizeLinear of large constant integers, as Weights; None for any other node."""
    if not isinstance(node.op, DequantizeLinear) or node.op.block_size or node.results[0].dtype != np.float32:
        return None
    integers, scale, zero = node.input(0).constant, *(constant_of(node.optional(i)) for i in (1, 2))
    if integers is None or integers.size * 4 < LARGE or scale is None or scale.dtype != np.float32:
        return None
    return Dequantized(node.op, integers, np.asarray(scale), None if zero is None else np.asarray(zero))
