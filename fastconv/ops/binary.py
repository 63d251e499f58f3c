"""Functions of two or more tensors that broadcast together: each operator is one expression."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from ..dtypes import kind
from ..errors import ModelError, UnsupportedError
from ..graph import Node, Value, shape_text
from .base import Array, Inferred, Op, Results
from .dims import axis_index, broadcast, broadcasts_to, check, check_dtype, same_dtype
from .node_spec import INT, NodeSpec
from .scale_shift import ScaleShift, constant_operand, scaled


class Binary(Op, abstract=True):
    """A function of two tensors; a subclass gives `function` or writes `reference`."""

    arity = (2, 2)
    by_element = True
    function: ClassVar[Callable[..., Any]]

    @classmethod
    def upgrade(cls, spec: NodeSpec) -> None:
        if spec.opset < 7:
            _align(spec)

    def independent_images(self, node: Node) -> bool:
        return _same_images(node)

    def infer(self, a: Value, b: Value) -> Inferred:
        return [(broadcast(a.shape, b.shape), same_dtype(a, b))]

    def reference(self, a: Array, b: Array) -> Results:
        return type(self).function(a, b)


def _same_images(node: Node) -> bool:
    """Whether axis 0 of every computed operand is axis 0 of the result, and each constant is the same for all of it."""
    rank = len(node.results[0].dims)
    ranks = ((v, len(v.dims)) for v in node.inputs if v is not None)
    return all(r == rank if v.constant is None else r < rank or v.dims[0] == 1 for v, r in ranks)


def _align(spec: NodeSpec) -> None:
    """Before opset 7, `axis` is where the second operand's axes begin in the first's: append axes of size 1."""
    axis = spec.take("axis", INT)
    if not spec.take("broadcast", INT, 0) or axis is None:
        return
    a, b = spec.optional(0), spec.optional(1)
    if a is None or b is None or a.shape is None or b.shape is None:
        raise UnsupportedError("broadcast with an axis (opset < 7) needs operands of known rank")
    behind = len(a.shape) - axis_index(axis, len(a.shape)) - len(b.shape)
    if behind < 0:
        raise ModelError(f"axis: {axis} leaves too few of the axes {shape_text(a.shape)} for those of {shape_text(b.shape)}")
    if behind:
        if b.constant is None:
            raise UnsupportedError("broadcast with an axis (opset < 7) needs a constant second operand")
        spec.inputs[1] = Value(b.name, constant=b.constant.reshape(*b.constant.shape, *(1,) * behind))


class Affine(Binary, abstract=True):
    """With one value for each channel it is the bias or the scale of a layer."""

    parameter_inputs = (0, 1)

    def parameters(self, node: Node) -> list[Value]:
        """Only those of shape (C,) or (C, 1, 1): constants of other shapes are anchors, bounds, factors."""
        return [v for v in super().parameters(node) if kind(v.dtype) == "f" and 1 < math.prod(v.dims) == v.dims[0]]


class Add(Affine):
    function = np.add
    takes_epilogue = True

    def as_scale_shift(self, node: Node, axis: int) -> ScaleShift | None:
        found = constant_operand(node, axis, commutative=True)
        return found and ScaleShift(found[0], None, found[1])


class Sub(Binary):
    function = np.subtract
    takes_epilogue = True

    def as_scale_shift(self, node: Node, axis: int) -> ScaleShift | None:
        found = constant_operand(node, axis)
        return found and ScaleShift(found[0], None, -found[1])


class Mul(Affine):
    function = np.multiply
    takes_epilogue = True

    def as_scale_shift(self, node: Node, axis: int) -> ScaleShift | None:
        found = constant_operand(node, axis, commutative=True)
        return found and scaled(*found)


class Div(Binary):
    """Integers divide towards zero."""

    takes_epilogue = True

    def as_scale_shift(self, node: Node, axis: int) -> ScaleShift | None:
        if (found := constant_operand(node, axis)) is None:
            return None
        with np.errstate(divide="ignore"):
            return scaled(found[0], 1 / found[1])

    def reference(self, a: Array, b: Array) -> Results:
        if kind(a.dtype) == "f":
            return a / b
        if not np.all(b):
            raise ModelError("integer division by zero")
        return (a - np.fmod(a, b)) // b


class Mod(Binary):
    """The remainder with the sign of the divisor, or (fmod) of the dividend."""

    fmod: int = 0

    def reference(self, a: Array, b: Array) -> Results:
        if kind(a.dtype) != "f" and not np.all(b):
            raise ModelError("integer division by zero")
        return np.fmod(a, b) if self.fmod else np.mod(a, b)


class Pow(Binary):
    def infer(self, a: Value, b: Value) -> Inferred:
        return [(broadcast(a.shape, b.shape), a.dtype)]

    def reference(self, a: Array, b: Array) -> Results:
        if kind(a.dtype) != "f" and kind(b.dtype) == "i" and (b < 0).any():
            a, dtype = a.astype(np.float64), a.dtype
            return np.power(a, b).astype(dtype)
        return np.power(a, b).astype(a.dtype)


class PRelu(Binary):
    parameter_inputs = (1,)
    takes_epilogue = True

    @classmethod
    def upgrade(cls, spec: NodeSpec) -> None:
        x, slope = spec.optional(0), spec.optional(1)
        if spec.opset < 7 and slope is not None and slope.shape is not None and slope.shape != (1,) and len(slope.shape) == 1:
            # before opset 7, slopes of rank 1 belong to the channels
            if x is None or x.shape is None or slope.constant is None:
                raise UnsupportedError("a slope for each channel (opset < 7) needs a constant slope and an input of known rank")
            spec.inputs[1] = Value(slope.name, constant=slope.constant.reshape(-1, *(1,) * (len(x.shape) - 2)))

    def infer(self, x: Value, slope: Value) -> Inferred:
        broadcasts_to(slope.shape, x.shape, "slope")
        return [(x.shape, same_dtype(x, slope))]

    def reference(self, x: Array, slope: Array) -> Results:
        return np.where(x < 0, slope * x, x)


class Comparison(Binary, abstract=True):
    def infer(self, a: Value, b: Value) -> Inferred:
        same_dtype(a, b)
        return [(broadcast(a.shape, b.shape), np.dtype(bool))]

    def reference(self, a: Array, b: Array) -> Results:
        return np.asarray(super().reference(a, b), bool)


class Equal(Comparison):
    takes_objects = True
    function = np.equal


class Greater(Comparison):
    function = np.greater


class GreaterOrEqual(Comparison):
    function = np.greater_equal


class Less(Comparison):
    function = np.less


class LessOrEqual(Comparison):
    function = np.less_equal


class Logical(Comparison, abstract=True):
    def infer(self, a: Value, b: Value) -> Inferred:
        check_dtype(a, "A", "b")
        check_dtype(b, "B", "b")
        return super().infer(a, b)


class And(Logical):
    function = np.logical_and


class Or(Logical):
    function = np.logical_or


class Xor(Logical):
    function = np.logical_xor


class Bitwise(Binary, abstract=True):
    def infer(self, a: Value, b: Value) -> Inferred:
        check_dtype(a, "A", "iu")
        check_dtype(b, "B", "iu")
        return super().infer(a, b)


class BitwiseAnd(Bitwise):
    function = np.bitwise_and


class BitwiseOr(Bitwise):
    function = np.bitwise_or


class BitwiseXor(Bitwise):
    function = np.bitwise_xor


class BitShift(Bitwise):
    direction: str

    def __post_init__(self) -> None:
        check(self.direction in ("LEFT", "RIGHT"), f"direction: expected LEFT or RIGHT, got {self.direction!r}")

    def reference(self, a: Array, b: Array) -> Results:
        return np.left_shift(a, b) if self.direction == "LEFT" else np.right_shift(a, b)


class Variadic(Op, abstract=True):
    """A function of any number of tensors, applied from left to right."""

    arity = (1, None)
    needs_all = True
    by_element = True
    function: ClassVar[Callable[..., Any]]

    def independent_images(self, node: Node) -> bool:
        return _same_images(node)

    def is_identity(self, node: Node) -> bool:
        return len(node.inputs) == 1

    def infer(self, *xs: Value) -> Inferred:
        return [(broadcast(*(x.shape for x in xs)), same_dtype(*xs))]

    def reference(self, *xs: Array) -> Results:
        return functools.reduce(type(self).function, xs)


class Sum(Variadic):
    function = np.add
    takes_epilogue = True


class Mean(Variadic):
    def reference(self, *xs: Array) -> Results:
        return functools.reduce(np.add, xs) / len(xs)


class Min(Variadic):
    function = np.minimum
    takes_epilogue = True


class Max(Variadic):
    function = np.maximum
    takes_epilogue = True


class Where(Op):
    arity = (3, 3)
    by_element = True

    def infer(self, condition: Value, x: Value, y: Value) -> Inferred:
        check_dtype(condition, "condition", "b")
        return [(broadcast(condition.shape, x.shape, y.shape), same_dtype(x, y))]

    def reference(self, condition: Array, x: Array, y: Array) -> Results:
        return np.where(condition, x, y)
