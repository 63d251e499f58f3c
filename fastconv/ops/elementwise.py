"""Functions of one tensor, element by element: each operator is one expression.

All of them keep NaN: NumPy's minimum, maximum and where are used so that they do.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from ..activation import Activation
from ..graph import Node, Value
from .base import Array, Inferred, Op, Results, only_first_varies
from .dims import check, check_dtype, check_scalar, same_dtype
from .node_spec import FLOAT, NodeSpec


class Unary(Op, abstract=True):
    """A function of one tensor; a subclass gives `function` or writes `reference`."""

    by_element = True
    function: ClassVar[Callable[..., Any]]

    def infer(self, x: Value) -> Inferred:
        return [(x.shape, x.dtype)]

    def independent_images(self, node: Node) -> bool:
        return True

    def reference(self, x: Array) -> Results:
        return type(self).function(x)


class Abs(Unary):
    function = np.abs


class Neg(Unary):
    function = np.negative


class Exp(Unary):
    function = np.exp


class Log(Unary):
    function = np.log


class Sqrt(Unary):
    function = np.sqrt


class Reciprocal(Unary):
    function = np.reciprocal


class Floor(Unary):
    function = np.floor


class Ceil(Unary):
    function = np.ceil


class Round(Unary):
    function = np.rint  # halves round to even


class Sign(Unary):
    function = np.sign


class Sin(Unary):
    function = np.sin


class Cos(Unary):
    function = np.cos


class Tan(Unary):
    function = np.tan


class Asin(Unary):
    function = np.arcsin


class Acos(Unary):
    function = np.arccos


class Atan(Unary):
    function = np.arctan


class Sinh(Unary):
    function = np.sinh


class Cosh(Unary):
    function = np.cosh


class Asinh(Unary):
    function = np.arcsinh


class Acosh(Unary):
    function = np.arccosh


class Atanh(Unary):
    function = np.arctanh


class Identity(Unary):
    takes_objects = True
    function = np.asarray

    def is_identity(self, node: Node) -> bool:
        return True


class Erf(Unary):
    def reference(self, x: Array) -> Results:
        return np.vectorize(math.erf, otypes=[x.dtype])(x)


class Relu(Unary):
    def reference(self, x: Array) -> Results:
        return np.maximum(x, 0)

    def activation(self, node: Node) -> Activation | None:
        return Activation("clip", 0.0, math.inf)


class LeakyRelu(Unary):
    alpha: float = 0.01

    def reference(self, x: Array) -> Results:
        return np.where(x < 0, self.alpha * x, x)

    def activation(self, node: Node) -> Activation | None:
        return Activation("leaky_relu", self.alpha)


class ThresholdedRelu(Unary):
    alpha: float = 1.0

    def reference(self, x: Array) -> Results:
        return np.where(x <= self.alpha, 0, x)


class Elu(Unary):
    alpha: float = 1.0

    def reference(self, x: Array) -> Results:
        return np.where(x < 0, self.alpha * np.expm1(x), x)

    def activation(self, node: Node) -> Activation | None:
        return Activation("elu", self.alpha)


class Celu(Unary):
    alpha: float = 1.0

    def reference(self, x: Array) -> Results:
        return np.where(x < 0, self.alpha * np.expm1(x / self.alpha), x)


class Selu(Unary):
    alpha: float = 1.67326319217681884765625
    gamma: float = 1.05070102214813232421875

    def reference(self, x: Array) -> Results:
        return self.gamma * np.where(x < 0, self.alpha * np.expm1(x), x)


class Sigmoid(Unary):
    def reference(self, x: Array) -> Results:
        return 1 / (1 + np.exp(-x))

    def activation(self, node: Node) -> Activation | None:
        return Activation("sigmoid")


class HardSigmoid(Unary):
    alpha: float = 0.2
    beta: float = 0.5

    def reference(self, x: Array) -> Results:
        return np.clip(self.alpha * x + self.beta, 0, 1)

    def activation(self, node: Node) -> Activation | None:
        return Activation("hard_sigmoid", self.alpha, self.beta)


class HardSwish(Unary):
    def reference(self, x: Array) -> Results:
        return x * np.clip(x / 6 + 0.5, 0, 1)

    def activation(self, node: Node) -> Activation | None:
        return Activation("hard_swish")


class Swish(Unary):
    """x · sigmoid(alpha · x); with alpha 1 also called SiLU."""

    alpha: float = 1.0

    def reference(self, x: Array) -> Results:
        return x / (1 + np.exp(-self.alpha * x))

    def activation(self, node: Node) -> Activation | None:
        return Activation("silu") if self.alpha == 1 else None


class Tanh(Unary):
    function = np.tanh

    def activation(self, node: Node) -> Activation | None:
        return Activation("tanh")


class Softplus(Unary):
    def reference(self, x: Array) -> Results:
        return np.logaddexp(0, x)

    def activation(self, node: Node) -> Activation | None:
        return Activation("softplus")


class Softsign(Unary):
    def reference(self, x: Array) -> Results:
        return x / (1 + np.abs(x))


class Mish(Unary):
    def reference(self, x: Array) -> Results:
        return x * np.tanh(np.logaddexp(0, x))


class Gelu(Unary):
    approximate: str = "none"

    def __post_init__(self) -> None:
        check(self.approximate in ("none", "tanh"), f"approximate: expected none or tanh, got {self.approximate!r}")

    def reference(self, x: Array) -> Results:
        if self.approximate == "tanh":
            return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
        return 0.5 * x * (1 + np.vectorize(math.erf, otypes=[x.dtype])(x / math.sqrt(2)))


class Shrink(Unary):
    bias: float = 0.0
    lambd: float = 0.5

    def reference(self, x: Array) -> Results:
        inside = np.where(np.abs(x) <= self.lambd, 0 * x, x)
        return np.where(x < -self.lambd, x + self.bias, np.where(x > self.lambd, x - self.bias, inside)).astype(x.dtype)


class Clip(Op):
    """The bounds are scalars, and each may be left out; if min exceeds max, every element becomes max."""

    arity = (1, 3)
    by_element = True

    @classmethod
    def upgrade(cls, spec: NodeSpec) -> None:
        if spec.opset < 11:
            x = spec.optional(0)
            dtype = (x and x.dtype) or np.float32
            spec.attribute_to_input("min", 1, FLOAT, dtype)
            spec.attribute_to_input("max", 2, FLOAT, dtype)

    def independent_images(self, node: Node) -> bool:
        return only_first_varies(node)

    def infer(self, x: Value, low: Value | None = None, high: Value | None = None) -> Inferred:
        same_dtype(x, low, high)
        check_scalar(low, "min")
        check_scalar(high, "max")
        return [(x.shape, x.dtype)]

    def reference(self, x: Array, low: Array | None = None, high: Array | None = None) -> Results:
        y = x if low is None else np.maximum(x, low.reshape(()))
        return y if high is None else np.minimum(y, high.reshape(()))

    def activation(self, node: Node) -> Activation | None:
        bounds = [-math.inf, math.inf]
        for i in (0, 1):
            if (bound := node.optional(i + 1)) is None:
                continue
            if bound.constant is None or bound.constant.size != 1 or np.isnan(bound.constant).any():
                return None
            bounds[i] = float(np.asarray(bound.constant).reshape(()))
        return Activation("clip", *bounds)


class Not(Unary):
    function = np.logical_not

    def infer(self, x: Value) -> Inferred:
        check_dtype(x, "input", "b")
        return [(x.shape, x.dtype)]


class BitwiseNot(Unary):
    function = np.invert

    def infer(self, x: Value) -> Inferred:
        check_dtype(x, "input", "iu")
        return [(x.shape, x.dtype)]


class IsNaN(Unary):
    function = np.isnan

    def infer(self, x: Value) -> Inferred:
        return [(x.shape, np.dtype(bool))]


class IsInf(Unary):
    detect_negative: int = 1
    detect_positive: int = 1

    def infer(self, x: Value) -> Inferred:
        return [(x.shape, np.dtype(bool))]

    def reference(self, x: Array) -> Results:
        return (np.isneginf(x) & bool(self.detect_negative)) | (np.isposinf(x) & bool(self.detect_positive))
