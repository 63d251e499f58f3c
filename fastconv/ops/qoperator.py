"""Operators on quantized tensors: each is an operator on the floats that its integers, scales and zero points represent."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..graph import Node, Value
from .base import Inferred, Op, Results
from .quantize import DequantizeLinear, QuantizeLinear


class Operand(NamedTuple):
    """Integers x that represent (x - zero) · the product of `scales`: scalars, or one number for each index of `axis`.

    Either all of them are Values, or all are arrays.
    """

    x: Any
    scales: Sequence[Any]
    zero: Any = None
    axis: int = 0

    @property
    def dequantize(self) -> DequantizeLinear:
        """The operator that computes the floats."""
        return DequantizeLinear(axis=self.axis)

    @property
    def scale(self) -> Any:
        """The product of the scales, as an array."""
        arrays: list[Any] = [s.constant if isinstance(s, Value) else s for s in self.scales]
        return functools.reduce(np.multiply, arrays)


class QOperator(Op, abstract=True):
    """The operator `floats` on the dequantized operands; its result is quantized."""

    @property
    def floats(self) -> Op:
        """The operator on floats."""
        raise NotImplementedError(type(self).__name__)

    def split(self, *inputs: Any) -> tuple[list[Any], Any, Any]:
        """(Operands, scale, zero point): None for an Operand that is left out; the scale is None if the result stays float."""
        raise NotImplementedError(type(self).__name__)

    def infer(self, *inputs: Any) -> Inferred:
        operands, scale, zero = self.split(*inputs)
        values = [o and Value(o.x.name, *o.dequantize.infer(o.x, o.scales[0], o.zero)[0]) for o in operands]
        shape, dtype = self.floats.infer(*values)[0]
        return [(shape, dtype if scale is None else (operands[0].x if zero is None else zero).dtype)]

    def reference(self, *inputs: Any) -> Results:
        operands, scale, zero = self.split(*inputs)
        y = self.floats.reference(*(o and o.dequantize.reference(o.x, o.scale, o.zero) for o in operands))
        if scale is None:
            return y
        return QuantizeLinear().reference(y, scale, np.zeros((), operands[0].x.dtype) if zero is None else zero)

    def spell_out(self, node: Node) -> list[Node] | None:
        """The nodes that compute it on floats; None if a scale or zero point is not constant or has more than one axis."""
        operands, scale, zero = self.split(*node.inputs)
        parameters = [v for o in operands if o for v in (*o.scales, o.zero)] + [scale, zero]
        if any(v is not None and (v.constant is None or v.constant.ndim > 1) for v in parameters):
            return None
        nodes, values, (y,) = [], [], node.results
        for o in operands:
            values.append(o and Value(f"{o.x.name}.floats"))
            if o:
                by = Value(f"{o.x.name}.scale", constant=np.asarray(o.scale))
                nodes.append(Node(o.dequantize, [o.x, by, o.zero], [values[-1]]))
        result = y if scale is None else Value(f"{y.name}.floats")
        nodes.append(Node(self.floats, values, [result], node.name, node.where))
        if scale is not None:
            zero = Value(f"{y.name}.zero", constant=np.zeros((), operands[0].x.dtype)) if zero is None else zero
            nodes.append(Node(QuantizeLinear(), [result, scale, zero], [y]))
        return nodes
