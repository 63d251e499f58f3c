"""Convolution and matrix product of quantized tensors: in integers, less the zero points."""

from __future__ import annotations

import math

import numpy as np

from ..graph import Node, Value
from .base import Array, Inferred, Op, Results
from .conv_like import ConvLike
from .dims import broadcasts_to, check_dtype, unify
from .gemm import Gemm
from .matmul import MatMul
from .qoperator import Operand, QOperator
from .quantize import quantized


def _centred(x, zero, axis=None):
    """x less its zero point, a scalar or one along `axis`, as int32."""
    return x.astype(np.int32) - _along(zero, x.ndim, axis).astype(np.int32)


def _along(v, ndim, axis):
    """A scalar, or one number for each element along an axis, so that it broadcasts."""
    v = np.zeros(1, np.int32) if v is None else v
    return v.reshape(()) if v.size == 1 else v.reshape((-1,) + (1,) * (ndim - 1 - axis)) if v.ndim == 1 else v


def _check_spread(v, name, x, axis=None):
    """Raise where a scale or zero point is neither a scalar nor one number for each element along x's axis."""
    if v is None or v.shape is None or v.shape in ((), (1,)):
        return
    if axis is None or len(v.shape) != 1:
        broadcasts_to(v.shape, () if axis is None else x.shape, name)
    elif x.shape is not None:
        unify(x.shape[axis], v.shape[0], f"{name}: size")


def _as(x, dtype):
    """The same value with another dtype."""
    return Value(x.name, x.shape, np.dtype(dtype))


class ConvInteger(ConvLike):
    """inputs: data, weights and their zero points; gives int32."""

    arity = (2, 4)
    parameter_inputs = (1,)

    def infer(self, x: Value, w: Value, x_zero: Value | None = None, w_zero: Value | None = None) -> Inferred:
        for name, v in (("input", x), ("weights", w)):
            check_dtype(v, name, "iu")
        result = self.conv.infer(_as(x, np.int32), _as(w, np.int32))
        _check_spread(x_zero, "input zero point", x)
        _check_spread(w_zero, "weights zero point", w, 0)
        return result

    def reference(self, x: Array, w: Array, x_zero: Array | None = None, w_zero: Array | None = None) -> Results:
        return self.conv.reference(_centred(x, x_zero), _centred(w, w_zero, 0))


class QLinearConv(ConvLike, QOperator):
    """inputs: data, weights and result, each with scale and zero point; then the bias in int32."""

    arity = (8, 9)
    parameter_inputs = (3, 8)
    weights = 3

    @property
    def floats(self):
        return self.conv

    def split(self, x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, b=None):
        bias = None if b is None else Operand(b, (x_scale, w_scale))
        return [Operand(x, (x_scale,), x_zero), Operand(w, (w_scale,), w_zero), bias], y_scale, y_zero

    def infer(
        self,
        x: Value,
        x_scale: Value,
        x_zero: Value,
        w: Value,
        w_scale: Value,
        w_zero: Value,
        y_scale: Value,
        y_zero: Value,
        b: Value | None = None,
    ) -> Inferred:
        for name, v in (("input", x), ("weights", w), ("output zero point", y_zero)):
            check_dtype(v, name, "iu")
        ((shape, _),) = self.conv.infer(_as(x, np.int32), _as(w, np.int32), b)
        for kind, of_x, of_w, of_y in (("scale", x_scale, w_scale, y_scale), ("zero point", x_zero, w_zero, y_zero)):
            _check_spread(of_x, f"input {kind}", x)
            _check_spread(of_w, f"weights {kind}", w, 0)
            _check_spread(of_y, f"output {kind}", x)
        return [(shape, y_zero.dtype)]

    def reference(
        self,
        x: Array,
        x_scale: Array,
        x_zero: Array,
        w: Array,
        w_scale: Array,
        w_zero: Array,
        y_scale: Array,
        y_zero: Array,
        b: Array | None = None,
    ) -> Results:
        sums = self.conv.reference(_centred(x, x_zero), _centred(w, w_zero, 0), b)
        scale = y_scale / (x_scale * _along(w_scale, x.ndim, 1))
        return quantized(sums, scale, y_zero.astype(np.int64), y_zero.dtype)


class MatMulInteger(Op):
    """inputs: A, B and their zero points (for A one a row, for B one a column); gives int32."""

    arity = (2, 4)
    parameter_inputs = (0, 1)

    def multiply_adds(self, node: Node) -> int:
        return math.prod(node.results[0].dims) * node.inputs[0].dims[-1]

    def infer(self, a: Value, b: Value, a_zero: Value | None = None, b_zero: Value | None = None) -> Inferred:
        for name, v in (("A", a), ("B", b)):
            check_dtype(v, name, "iu")
        result = MatMul().infer(_as(a, np.int32), _as(b, np.int32))
        _check_spread(a_zero, "A's zero point", a, -2)
        _check_spread(b_zero, "B's zero point", b, -1)
        return result

    def reference(self, a: Array, b: Array, a_zero: Array | None = None, b_zero: Array | None = None) -> Results:
        return _centred(a, a_zero, a.ndim - 2) @ _centred(b, b_zero, b.ndim - 1)


class QLinearMatMul(QOperator):
    """inputs: A, B and result, each with scale and zero point."""

    arity = (8, 8)
    parameter_inputs = (0, 3)
    floats = MatMul()

    def multiply_adds(self, node: Node) -> int:
        return math.prod(node.results[0].dims) * node.inputs[0].dims[-1]

    def split(self, a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero):
        return [Operand(a, (a_scale,), a_zero, -2), Operand(b, (b_scale,), b_zero, -1)], y_scale, y_zero

    def infer(
        self, a: Value, a_scale: Value, a_zero: Value, b: Value, b_scale: Value, b_zero: Value, y_scale: Value, y_zero: Value
    ) -> Inferred:
        for name, v in (("A", a), ("B", b), ("output zero point", y_zero)):
            check_dtype(v, name, "iu")
        ((shape, _),) = MatMul().infer(_as(a, np.int32), _as(b, np.int32))
        for kind, of_a, of_b, of_y in (("scale", a_scale, b_scale, y_scale), ("zero point", a_zero, b_zero, y_zero)):
            _check_spread(of_a, f"A's {kind}", a, -2)
            _check_spread(of_b, f"B's {kind}", b, -1)
            _check_spread(of_y, f"output {kind}", a)
        return [(shape, y_zero.dtype)]

    def reference(
        self, a: Array, a_scale: Array, a_zero: Array, b: Array, b_scale: Array, b_zero: Array, y_scale: Array, y_zero: Array
    ) -> Results:
        sums = _centred(a, a_zero, a.ndim - 2) @ _centred(b, b_zero, b.ndim - 1)
        scale = y_scale / (_along(a_scale, a.ndim, a.ndim - 2) * _along(b_scale, b.ndim, b.ndim - 1))
        return quantized(sums, scale, y_zero.astype(np.int64), y_zero.dtype)


class QGemm(QOperator):
    """Of ONNX Runtime. inputs: A and B, each with scale and zero point; C in int32; scale and zero point of the result.

    C may be left out, and the last two: then the result is in floats.
    """

    domain = "com.microsoft"
    arity = (6, 9)
    parameter_inputs = (0, 3, 6)

    alpha: float = 1.0
    transA: int = 0  # noqa: N815
    transB: int = 0  # noqa: N815

    def multiply_adds(self, node: Node) -> int:
        return math.prod(node.results[0].dims) * node.inputs[0].dims[0 if self.transA else 1]

    @property
    def floats(self):
        return Gemm(alpha=self.alpha, beta=self.alpha, transA=self.transA, transB=self.transB)

    def split(self, a, a_scale, a_zero, b, b_scale, b_zero, c=None, y_scale=None, y_zero=None):
        columns = Operand(b, (b_scale,), b_zero, 0 if self.transB else 1)
        bias = None if c is None else Operand(c, (a_scale, b_scale), axis=-1)
        return [Operand(a, (a_scale,), a_zero), columns, bias], y_scale, y_zero

    def reference(
        self,
        a: Array,
        a_scale: Array,
        a_zero: Array,
        b: Array,
        b_scale: Array,
        b_zero: Array,
        c: Array | None = None,
        y_scale: Array | None = None,
        y_zero: Array | None = None,
    ) -> Results:
        sums = Gemm(transA=self.transA, transB=self.transB).reference(
            _centred(a, a_zero), _centred(b, b_zero, 0 if self.transB else 1), c
        )
        scale = a_scale * b_scale * a_scale.dtype.type(self.alpha)
        if y_scale is None:
            return sums.astype(scale.dtype) * scale
        y_zero = np.zeros((), a.dtype) if y_zero is None else y_zero
        return quantized(sums, y_scale / scale, y_zero.astype(np.int64), y_zero.dtype)
