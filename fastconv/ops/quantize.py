"""QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear: floats as integers with a scale and a zero point."""

from __future__ import annotations

import math

import numpy as np

from ..activation import Activation
from ..dtypes import kind, limits
from ..errors import ModelError, UnsupportedError
from ..graph import Node, Value
from .base import Array, Inferred, Op, Results, only_first_varies
from .cast import dtype_of, saturated
from .dims import axis_index, check, check_dtype, check_rank

#: ONNX's number of the element type float32
FLOAT = 1
#: the range of scales for which a fake_quantize has neither subnormal numbers nor overflow
SCALES = (2.0**-96, 2.0**96)


def quantized(x: Array, scale: Array, zero: Array | int, dtype: np.dtype) -> Results:
    """x / scale + zero as integers, rounded half to even and saturated; NaN becomes the zero point."""
    y = np.rint(x / scale)
    return np.clip(np.where(np.isnan(y), 0, y) + zero, *limits(dtype)).astype(dtype)


def is_small_float(dtype: np.dtype) -> bool:
    """Whether it is a float of 8 bits or fewer, which has no zero point."""
    return kind(dtype) == "f" and dtype.itemsize == 1


class Quantization(Op, abstract=True):
    """inputs: data, scale, zero point; these two are scalars, or one number for each index or block of `axis`."""

    arity = (2, 3)
    by_element = True
    converts = True

    axis: int = 1
    block_size: int = 0
    output_dtype: int = 0

    def __post_init__(self) -> None:
        check(self.block_size >= 0, f"block_size: expected 0 or more, got {self.block_size}")

    def independent_images(self, node: Node) -> bool:
        parameters = [v for v in node.inputs[1:] if v is not None]
        return only_first_varies(node) and (self.axis != 0 or all(math.prod(v.dims) == 1 for v in parameters))

    def check_operands(self, x: Value, scale: Value, zero: Value | None) -> None:
        """Raise if the shape of the scale or zero point does not fit the data."""
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

    def spread(self, v: Array, x: Array) -> Array:
        """The scale or zero point in a shape that broadcasts to x."""
        if v.size == 1 and v.ndim < 2:
            return v.reshape(())
        axis = axis_index(self.axis, x.ndim)
        if self.block_size:
            return v.repeat(self.block_size, axis).take(range(x.shape[axis]), axis)
        return v.reshape((-1,) + (1,) * (x.ndim - 1 - axis))


class QuantizeLinear(Quantization):
    """With a DequantizeLinear as its epilogue, it is the activation fake_quantize."""

    #: for 8-bit floats only
    saturate: int = 1
    #: the element type of the division; 0: the scale's
    precision: int = 0

    def target(self, zero: Value | Array | None) -> np.dtype | None:
        """The dtype of the result, for a zero point; None if unknown."""
        if zero is not None:
            dtype = zero.dtype
        else:
            dtype = dtype_of(self.output_dtype, "output_dtype") if self.output_dtype else np.dtype(np.uint8)
        if dtype is not None and kind(dtype) not in "iu" and not is_small_float(dtype):
            raise UnsupportedError(f"quantization to {dtype} is not supported")
        return dtype

    def infer(self, x: Value, scale: Value, zero: Value | None = None) -> Inferred:
        self.check_operands(x, scale, zero)
        return [(x.shape, self.target(zero))]

    def activation(self, node: Node) -> Activation | None:
        if not node.epilogue:
            return None
        given = quantization_of(node)
        assert given is not None, "fold_quantize joins no others"
        scale, zero, dtype = given
        return Activation("fake_quantize", scale, *(float(bound - zero) for bound in limits(dtype)))

    def reference(self, x: Array, scale: Array, zero: Array | None = None) -> Results:
        scale = scale.astype(dtype_of(self.precision, "precision")) if self.precision else scale
        x, scale = x.astype(scale.dtype), self.spread(scale, x)
        dtype = self.target(zero)
        assert dtype is not None, "arrays have one"
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
            centred = x.astype(np.int32 if x.dtype.itemsize < 4 else np.int64)
            centred -= 0 if zero is None else self.spread(zero, x).astype(centred.dtype)
        y = centred.astype(scale.dtype) * self.spread(scale, x)
        return y.astype(dtype_of(self.output_dtype, "output_dtype")) if self.output_dtype else y


def quantization_of(node: Node) -> tuple[float, int, np.dtype] | None:
    """(scale, zero point, dtype of the integers) of a node that quantizes float32 to at most 16 bits, or undoes it.

    None if the node does neither, and if scale or zero point is not constant, or not a scalar.
    """
    if not isinstance(node.op, QuantizeLinear | DequantizeLinear) or getattr(node.op, "precision", 0) not in (0, FLOAT):
        return None
    quantizes = isinstance(node.op, QuantizeLinear)
    floats, integers = node.inputs[:1] + node.outputs[:1] if quantizes else node.outputs[:1] + node.inputs[:1]
    constants = [v.constant for v in node.inputs[1:] if v is not None]
    if any(c is None or c.size != 1 or c.ndim > 1 for c in constants):
        return None
    scale, zero = (*(np.asarray(c).reshape(()) for c in constants if c is not None), np.zeros((), int))[:2]
    if floats is None or {floats.dtype, scale.dtype} != {np.dtype(np.float32)}:
        return None
    if integers is None or integers.dtype is None or kind(integers.dtype) not in "iu" or integers.dtype.itemsize > 2:
        return None
    return (float(scale), int(zero), integers.dtype) if SCALES[0] <= scale <= SCALES[1] else None


class DynamicQuantizeLinear(Op):
    """Quantization to uint8 over the range of the data and zero. The results are the integers, the scale and the zero point."""

    output_arity = (3, 3)

    def infer(self, x: Value) -> Inferred:
        check_dtype(x, "input", "f")
        return [(x.shape, np.dtype(np.uint8)), ((), x.dtype), ((), np.dtype(np.uint8))]

    def reference(self, x: Array) -> Results:
        low, high = np.minimum(x.min(initial=0), 0), np.maximum(x.max(initial=0), 0)
        scale = np.asarray((high - low) / 255, x.dtype)
        scale = np.ones_like(scale) if scale == 0 else scale
        zero = quantized(-low, scale, 0, np.dtype(np.uint8))
        return quantized(x, scale, zero.astype(np.int64), zero.dtype), scale, zero
