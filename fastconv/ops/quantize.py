"""QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear: floats as integers with a scale and a zero point."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from ..activation import Activation
from ..dtypes import kind, limits
from ..errors import ModelError, UnsupportedError
from ..external_data import LARGE
from ..graph import Node, Value
from ..weights import Weights, key_of
from .base import Array, Inferred, Op, Results, only_first_varies
from .cast import dtype_of, saturated
from .dims import axis_index, check, check_dtype, check_rank

#: ONNX's number of float32
FLOAT = 1
#: for scales between these the kernels' arithmetic does not leave the normal numbers
SCALES = (2.0**-96, 2.0**96)


def quantized(x, scale, zero, dtype):
    """x / scale + zero as integers, halves to even, saturated; NaN as the zero point."""
    steps = np.rint(x / scale)
    return np.clip(np.where(np.isnan(steps), 0, steps) + zero, *limits(dtype)).astype(dtype)


def is_small_float(dtype):
    """Whether it is a float of 8 bits or less, which has no zero point."""
    return kind(dtype) == "f" and np.dtype(dtype).itemsize == 1


class Quantization(Op, abstract=True):
    """inputs: data, the scale and the zero point: scalars, one along `axis`, or one for each block of it."""

    arity = (2, 3)

    axis: int = 1
    block_size: int = 0
    output_dtype: int = 0

    def __post_init__(self) -> None:
        check(self.block_size >= 0, f"block_size: expected 0 or more, got {self.block_size}")

    def independent_images(self, node: Node) -> bool:
        return only_first_varies(node) and (self.axis != 0 or all(v is None or v.constant.size == 1 for v in node.inputs[1:]))

    def check_operands(self, x, scale, zero):
        """Raise where the scale or zero point does not fit the data."""
        check_dtype(scale, "scale", "f")
        for name, v in (("scale", scale), ("zero point", zero)):
            if v is None or v.shape is None or x.shape is None or v.shape in ((), (1,)):
                continue
            rank = len(x.shape)
            axis = axis_index(self.axis, rank)
            check_rank(v, name, rank if self.block_size else 1)
            for i, (d, n) in (
                enumerate(zip(x.shape, v.shape, strict=True)) if self.block_size else ((axis, (x.shape[axis], v.shape[0])),)
            ):
                expected = -(-d // self.block_size) if self.block_size and i == axis and isinstance(d, int) else d
                if isinstance(expected, int) and isinstance(n, int) and n != expected:
                    raise ModelError(f"{name}: expected {expected} along axis {i}, got {n}")

    def spread(self, v, x):
        """The scale or zero point, so that it broadcasts to x."""
        if v.size == 1 and v.ndim < 2:
            return v.reshape(())
        axis = axis_index(self.axis, x.ndim)
        if self.block_size:
            return v.repeat(self.block_size, axis).take(range(x.shape[axis]), axis)
        return v.reshape((-1,) + (1,) * (x.ndim - 1 - axis))


class QuantizeLinear(Quantization):
    """Fused with the DequantizeLinear behind it, it is one function of floats: the activation fake_quantize."""

    #: 8-bit floats only
    saturate: int = 1
    #: the type to divide in
    precision: int = 0

    def target(self, zero):
        """The dtype of the result, given the zero point (Value or array)."""
        dtype = (
            zero.dtype if zero is not None else dtype_of(self.output_dtype, "output_dtype") if self.output_dtype else np.uint8
        )
        if dtype is not None and kind(dtype) not in "iu" and not is_small_float(dtype):
            raise UnsupportedError(f"quantization to {np.dtype(dtype)} is not supported")
        return dtype and np.dtype(dtype)

    def infer(self, x: Value, scale: Value, zero: Value | None = None) -> Inferred:
        self.check_operands(x, scale, zero)
        return [(x.shape, self.target(zero))]

    def activation(self, node: Node) -> Activation | None:
        if not node.epilogue:
            return None
        given = parameters(node)
        assert given is not None, "fold_quantize joins no others"
        scale, zero, dtype = given
        return Activation("fake_quantize", scale, *(float(bound - zero) for bound in limits(dtype)))

    def reference(self, x: Array, scale: Array, zero: Array | None = None) -> Results:
        scale = scale.astype(dtype_of(self.precision, "precision")) if self.precision else scale
        x, scale, dtype = x.astype(scale.dtype), self.spread(scale, x), self.target(zero)
        if is_small_float(dtype):
            return saturated(x / scale, dtype) if self.saturate else (x / scale).astype(dtype)
        return quantized(x, scale, 0 if zero is None else self.spread(zero, x).astype(np.int64), dtype)


class DequantizeLinear(Quantization):
    parameter_inputs = (0,)

    def infer(self, x: Value, scale: Value, zero: Value | None = None) -> Inferred:
        check_dtype(x, "input", "f" if x.dtype is not None and is_small_float(x.dtype) else "iu")
        self.check_operands(x, scale, zero)
        return [(x.shape, dtype_of(self.output_dtype, "output_dtype") if self.output_dtype else scale.dtype)]

    def reference(self, x: Array, scale: Array, zero: Array | None = None) -> Results:
        if is_small_float(x.dtype):
            centred = x
        else:
            wide = np.int32 if x.dtype.itemsize < 4 else np.int64
            centred = x.astype(wide) - (0 if zero is None else self.spread(zero, x).astype(wide))
        y = centred.astype(scale.dtype) * self.spread(scale, x)
        return y.astype(dtype_of(self.output_dtype, "output_dtype")) if self.output_dtype else y


def parameters(node: Node) -> tuple[float, int, np.dtype] | None:
    """(scale, zero point, dtype of the integers), where a node quantizes float32 to integers of 16 bits or less or undoes that.

    None where it does not, and where they are not constant or not the same for all elements.
    """
    if not isinstance(node.op, QuantizeLinear | DequantizeLinear) or getattr(node.op, "precision", 0) not in (0, FLOAT):
        return None
    integers = node.outputs[0] if isinstance(node.op, QuantizeLinear) else node.inputs[0]
    constants = [v.constant for v in node.inputs[1:] if v is not None]
    if any(c is None or c.size != 1 or c.ndim > 1 for c in constants):
        return None
    scale, zero = (*(c.reshape(()) for c in constants if c is not None), np.zeros((), int))[:2]
    floats = node.inputs[0] if isinstance(node.op, QuantizeLinear) else node.outputs[0]
    assert floats is not None and integers is not None
    if {floats.dtype, scale.dtype} != {np.dtype(np.float32)}:
        return None
    if integers.dtype is None or kind(integers.dtype) not in "iu" or integers.dtype.itemsize > 2:
        return None
    return (float(scale), int(zero), integers.dtype) if SCALES[0] <= scale <= SCALES[1] else None


class Dequantized(Weights):
    """Integers as the floats that a DequantizeLinear makes of them."""

    def __init__(self, op: DequantizeLinear, integers: np.ndarray, scale: np.ndarray, zero: np.ndarray | None):
        super().__init__(integers.shape)
        self._op = op
        self._integers = integers
        self._operands = [scale, zero]
        self._by_row = scale.size > 1 and axis_index(op.axis, self.ndim) == 0

    def rows(self, begin: int, end: int) -> np.ndarray:
        """Dequantize them."""
        operands = [v[begin:end] if v is not None and self._by_row and v.size > 1 else v for v in self._operands]
        return self._op.reference(self._integers[begin:end], *operands)

    @property
    def key(self) -> Hashable:
        """The integers' place and what is done with them."""
        return key_of(self._integers), self._op.axis, *(v is not None and v.tobytes() for v in self._operands)


def dequantized(node: Node) -> Dequantized | None:
    """What stands for the result of a DequantizeLinear of large constant integers; None where that is better computed."""
    if not isinstance(node.op, DequantizeLinear) or node.op.block_size or node.results[0].dtype != np.float32:
        return None
    integers, scale, zero = (None if v is None else v.constant for v in (*node.inputs, None)[:3])
    if integers is None or integers.size * 4 < LARGE or scale is None or scale.dtype != np.float32:
        return None
    return Dequantized(node.op, integers, scale, zero)


class DynamicQuantizeLinear(Op):
    """To uint8 over the range of the data and zero; gives the integers, the scale and the zero point."""

    output_arity = (3, 3)

    def infer(self, x: Value) -> Inferred:
        check_dtype(x, "input", "f")
        return [(x.shape, np.dtype(np.uint8)), ((), x.dtype), ((), np.dtype(np.uint8))]

    def reference(self, x: Array) -> Results:
        low, high = np.minimum(x.min(initial=0), 0), np.maximum(x.max(initial=0), 0)
        scale = np.asarray((high - low) / 255, x.dtype)
        scale = np.ones_like(scale) if scale == 0 else scale
        zero = quantized(-low, scale, 0, np.uint8)
        return quantized(x, scale, zero.astype(np.int64), np.uint8), scale, zero
