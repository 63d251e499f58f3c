"""Convolution and matrix product of quantized tensors, as sums of integers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..graph import Node, Value
from .base import Array, Inferred, Op, Results
from .conv_like import ConvLike
from .dims import broadcasts_to, check_dtype, unify
from .gemm import Gemm
from .matmul import MatMul
from .products import Products
from .qoperator import Operand, QOperator
from .quantize import quantized


def _centred(x: Array, zero: Array | None, axis: int | None = None) -> Array:
    """x minus its zero point, a scalar or one for each index of an axis, as int32."""
    return x.astype(np.int32) - _along(zero, x.ndim, axis).astype(np.int32)


def _along(v: Array | None, ndim: int, axis: int | None) -> Array:
    """A scalar (default 0), or one number for each index of an axis, in a shape that broadcasts to rank `ndim`."""
    v = np.zeros(1, np.int32) if v is None else v
    if v.size == 1:
        return v.reshape(())
    return v.reshape((-1,) + (1,) * (ndim - 1 - axis)) if v.ndim == 1 and axis is not None else v


def _check_spread(v: Value | None, name: str, x: Value, axis: int | None = None) -> None:
    """Raise if a scale or zero point is neither a scalar nor one number for each index of an axis of x."""
    if v is None or v.shape is None or v.shape in ((), (1,)):
        return
    if axis is None or len(v.shape) != 1:
        broadcasts_to(v.shape, () if axis is None else x.shape, name)
    elif x.shape is not None:
        unify(x.shape[axis], v.shape[0], f"{name}: size")


def _integers(x: Value) -> Value:
    """x with dtype int32, in which the products are summed."""
    return Value(x.name, x.shape, np.dtype(np.int32))


class ConvInteger(ConvLike):
    """inputs: data, weights and their zero points. The result is int32."""

    arity = (2, 4)
    parameter_inputs = (1,)

    def infer(self, x: Value, w: Value, x_zero: Value | None = None, w_zero: Value | None = None) -> Inferred:
        for name, v in (("input", x), ("weights", w)):
            check_dtype(v, name, "iu")
        result = self.conv.infer(_integers(x), _integers(w))
        _check_spread(x_zero, "input zero point", x)
        _check_spread(w_zero, "weights zero point", w, 0)
        return result

    def reference(self, x: Array, w: Array, x_zero: Array | None = None, w_zero: Array | None = None) -> Results:
        return self.conv.reference(_centred(x, x_zero), _centred(w, w_zero, 0))


class QLinearConv(ConvLike, QOperator):
    """inputs: data, weights and result, each with its scale and zero point; then the bias in int32."""

    arity = (8, 9)
    parameter_inputs = (3, 8)
    weights = 3

    @property
    def floats(self) -> Op:
        return self.conv

    def split(self, *inputs: Any) -> tuple[list[Any], Any, Any]:
        x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, b = (*inputs, None)[:9]
        bias = None if b is None else Operand(b, (x_scale, w_scale))
        return [Operand(x, (x_scale,), x_zero), Operand(w, (w_scale,), w_zero), bias], y_scale, y_zero

    def infer(self, *inputs: Any) -> Inferred:
        (x, w, bias), y_scale, y_zero = self.split(*inputs)
        for name, v in (("input", x.x), ("weights", w.x), ("output zero point", y_zero)):
            check_dtype(v, name, "iu")
        ((shape, _),) = self.conv.infer(_integers(x.x), _integers(w.x), bias and bias.x)
        for kind, of_x, of_w, of_y in (("scale", x.scales[0], w.scales[0], y_scale), ("zero point", x.zero, w.zero, y_zero)):
            _check_spread(of_x, f"input {kind}", x.x)
            _check_spread(of_w, f"weights {kind}", w.x, 0)
            _check_spread(of_y, f"output {kind}", x.x)
        return [(shape, y_zero.dtype)]

    def reference(self, *inputs: Any) -> Results:
        (x, w, bias), y_scale, y_zero = self.split(*inputs)
        sums = self.conv.reference(_centred(x.x, x.zero), _centred(w.x, w.zero, 0), bias and bias.x)
        scale = y_scale / (x.scales[0] * _along(w.scales[0], x.x.ndim, 1))
        return quantized(sums, scale, y_zero.astype(np.int64), y_zero.dtype)


class MatMulInteger(Op):
    """inputs: A, B and their zero points, for A one for each row, for B one for each column. The result is int32."""

    arity = (2, 4)
    parameter_inputs = (0, 1)

    def products(self, node: Node) -> Products | None:
        return MatMul().products_of(node.results[0], node.input(0), node.input(1))

    def infer(self, a: Value, b: Value, a_zero: Value | None = None, b_zero: Value | None = None) -> Inferred:
        for name, v in (("A", a), ("B", b)):
            check_dtype(v, name, "iu")
        result = MatMul().infer(_integers(a), _integers(b))
        _check_spread(a_zero, "A's zero point", a, -2)
        _check_spread(b_zero, "B's zero point", b, -1)
        return result

    def reference(self, a: Array, b: Array, a_zero: Array | None = None, b_zero: Array | None = None) -> Results:
        return _centred(a, a_zero, a.ndim - 2) @ _centred(b, b_zero, b.ndim - 1)


class QLinearMatMul(QOperator):
    """inputs: A, B and result, each with its scale and zero point."""

    arity = (8, 8)
    parameter_inputs = (0, 3)
    floats = MatMul()

    def products(self, node: Node) -> Products | None:
        return MatMul().products_of(node.results[0], node.input(0), node.input(3))

    def split(self, *inputs: Any) -> tuple[list[Any], Any, Any]:
        a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = inputs
        return [Operand(a, (a_scale,), a_zero, -2), Operand(b, (b_scale,), b_zero, -1)], y_scale, y_zero

    def infer(self, *inputs: Any) -> Inferred:
        (a, b), y_scale, y_zero = self.split(*inputs)
        for name, v in (("A", a.x), ("B", b.x), ("output zero point", y_zero)):
            check_dtype(v, name, "iu")
        ((shape, _),) = MatMul().infer(_integers(a.x), _integers(b.x))
        for kind, of_a, of_b, of_y in (("scale", a.scales[0], b.scales[0], y_scale), ("zero point", a.zero, b.zero, y_zero)):
            _check_spread(of_a, f"A's {kind}", a.x, a.axis)
            _check_spread(of_b, f"B's {kind}", b.x, b.axis)
            _check_spread(of_y, f"output {kind}", a.x)
        return [(shape, y_zero.dtype)]

    def reference(self, *inputs: Any) -> Results:
        (a, b), y_scale, y_zero = self.split(*inputs)
        rows, columns = a.x.ndim + a.axis, b.x.ndim + b.axis
        sums = _centred(a.x, a.zero, rows) @ _centred(b.x, b.zero, columns)
        scale = y_scale / (_along(a.scales[0], a.x.ndim, rows) * _along(b.scales[0], b.x.ndim, columns))
        return quantized(sums, scale, y_zero.astype(np.int64), y_zero.dtype)


class QGemm(QOperator):
    """Of ONNX Runtime. inputs: A and B, each with its scale and zero point; C in int32; scale and zero point of the result.

    C may be left out, and the last two: then the result is float.
    """

    domain = "com.microsoft"
    arity = (6, 9)
    parameter_inputs = (0, 3, 6)

    alpha: float = 1.0
    transA: int = 0  # noqa: N815
    transB: int = 0  # noqa: N815

    def products(self, node: Node) -> Products | None:
        return Gemm(transA=self.transA).products_of(node.results[0], node.input(0))

    @property
    def floats(self) -> Op:
        return Gemm(alpha=self.alpha, beta=self.alpha, transA=self.transA, transB=self.transB)

    def split(self, *inputs: Any) -> tuple[list[Any], Any, Any]:
        a, a_scale, a_zero, b, b_scale, b_zero, c, y_scale, y_zero = (*inputs, None, None, None)[:9]
        bias = None if c is None else Operand(c, (a_scale, b_scale), axis=-1)
        return [Operand(a, (a_scale,), a_zero), Operand(b, (b_scale,), b_zero, 0 if self.transB else 1), bias], y_scale, y_zero

    def reference(self, *inputs: Any) -> Results:
        (a, b, bias), y_scale, y_zero = self.split(*inputs)
        product = Gemm(transA=self.transA, transB=self.transB)
        sums = product.reference(_centred(a.x, a.zero), _centred(b.x, b.zero, b.axis), bias and bias.x)
        scale = a.scales[0] * b.scales[0] * a.scales[0].dtype.type(self.alpha)
        if y_scale is None:
            return sums.astype(scale.dtype) * scale
        y_zero = np.zeros((), a.x.dtype) if y_zero is None else y_zero
        return quantized(sums, y_scale / scale, y_zero.astype(np.int64), y_zero.dtype)
