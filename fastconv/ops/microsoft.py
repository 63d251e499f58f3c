"""ONNX Runtime's operators on quantized tensors, in the domain com.microsoft: its format QOperator has them."""

from __future__ import annotations

import dataclasses

from ..errors import UnsupportedError
from .average_pool import AveragePool
from .base import Op
from .binary import Add, Mul
from .concat import Concat
from .dims import check
from .elementwise import LeakyRelu, Sigmoid
from .global_pool import GlobalAveragePool
from .qoperator import Operand, QOperator
from .softmax import Softmax
from .windows import Pool

DOMAIN = "com.microsoft"


class QuantizeLinear(Op):
    """The standard's."""

    domain = DOMAIN

    @classmethod
    def upgrade(cls, spec):
        spec.op_type = cls.__name__


class DequantizeLinear(QuantizeLinear):
    """The standard's."""


class QLinearUnary(QOperator, abstract=True):
    """inputs: data and result, each with scale and zero point."""

    domain = DOMAIN
    arity = (4, 5)

    def split(self, x, x_scale, x_zero, y_scale, y_zero=None):
        return [Operand(x, (x_scale,), x_zero)], y_scale, y_zero


class QLinearSigmoid(QLinearUnary):
    floats = Sigmoid()


class QLinearLeakyRelu(QLinearUnary):
    alpha: float = 0.01

    @property
    def floats(self):
        return LeakyRelu(alpha=self.alpha)


class QLinearSoftmax(QLinearUnary):
    """`opset` is that of the standard whose Softmax it is."""

    axis: int = -1
    opset: int

    @property
    def floats(self):
        return Softmax(axis=self.axis, joint=int(self.opset < 13))


class QLinearPool(QLinearUnary, abstract=True):
    channels_last: int = 0

    def __post_init__(self):
        super().__post_init__()
        if self.channels_last:
            raise UnsupportedError("channels_last is not supported")


class QLinearAveragePool(QLinearPool, Pool):
    count_include_pad: int = 0

    @property
    def floats(self):
        return AveragePool(**{f.name: getattr(self, f.name) for f in dataclasses.fields(AveragePool)})


class QLinearGlobalAveragePool(QLinearPool):
    floats = GlobalAveragePool()


class QLinearBinary(QOperator, abstract=True):
    """inputs: two tensors and the result, each with scale and zero point."""

    domain = DOMAIN
    arity = (7, 8)

    def split(self, a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero=None):
        return [Operand(a, (a_scale,), a_zero), Operand(b, (b_scale,), b_zero)], y_scale, y_zero


class QLinearAdd(QLinearBinary):
    floats = Add()


class QLinearMul(QLinearBinary):
    floats = Mul()


class QLinearConcat(QOperator):
    """inputs: scale and zero point of the result, then the tensors, each with its own."""

    domain = DOMAIN
    arity = (5, None)

    axis: int

    @property
    def floats(self):
        return Concat(axis=self.axis)

    def split(self, y_scale, y_zero, *inputs):
        check(len(inputs) % 3 == 0, f"expected tensors with scale and zero point, got {len(inputs)} inputs behind the result's")
        return [Operand(x, (scale,), zero) for x, scale, zero in zip(*[iter(inputs)] * 3, strict=True)], y_scale, y_zero
