"""Functions of two or more tensors that broadcast together: each operator is its expression."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from ..dtypes import kind
from ..errors import ModelError, UnsupportedError
from ..graph import Node, Value
from .base import INT, NodeSpec, Op
from .dims import axis_index, broadcast, broadcasts_to, check, check_dtype, same_dtype
from .scale_shift import ScaleShift, constant_operand, scaled


class Binary(Op, abstract=True):
    """A function of two tensors; a subclass gives `function` or writes `reference`."""

    arity = (2, 2)
    function: ClassVar[Callable[..., Any]]

    @classmethod
    def upgrade(cls, spec):
        if spec.opset < 7:
            _align(spec)

    def by_image(self, node):
        return _same_images(node)

    def infer(self, a, b):
        return [(broadcast(a.shape, b.shape), same_dtype(a, b))]

    def reference(self, a, b):
        return type(self).function(a, b)


def _same_images(node: Node) -> bool:
    """Whether axis 0 of the result is axis 0 of all operands, and constants are the same for all of it."""
    rank = len(node.outputs[0].dims)  # type: ignore[union-attr]
    ranks = ((v, len(v.dims)) for v in node.inputs if v is not None)
    return all(r == rank if v.constant is None else r < rank or v.dims[0] == 1 for v, r in ranks)


def _align(spec: NodeSpec) -> None:
    """Before opset 7 the second operand's axes lay on the first's from `axis` on: give it ones for those behind."""
    axis = spec.take("axis", INT)
    if not spec.take("broadcast", INT, 0) or axis is None:
        return
    a, b = spec.input(0), spec.input(1)
    if a is None or b is None or a.shape is None or b.shape is None:
        raise UnsupportedError("broadcast with an axis (opset < 7) needs operands of known rank")
    behind = len(a.shape) - axis_index(axis, len(a.shape)) - len(b.shape)
    if behind < 0:
        raise ModelError(f"axis: {axis} leaves too few of the axes {a.shape} for those of {b.shape}")
    if behind:
        if b.constant is None:
            raise UnsupportedError("broadcast with an axis (opset < 7) needs a constant second operand")
        spec.inputs[1] = Value(b.name, constant=b.constant.reshape(*b.constant.shape, *(1,) * behind))


class Affine(Binary, abstract=True):
    """With one value a channel it is a layer's bias or scale."""

    learned = (0, 1)

    def parameters(self, node):
        """Values as layers keep them, (C,) or (C, 1, 1): those of other shapes are anchors, bounds, factors."""
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

    def reference(self, a, b):
        if kind(a.dtype) == "f":
            return a / b
        if not np.all(b):
            raise ModelError("integer division by zero")
        return (a - np.fmod(a, b)) // b


class Mod(Binary):
    """The remainder with the sign of the divisor, or (fmod) of the dividend."""

    fmod: int = 0

    def reference(self, a, b):
        if kind(a.dtype) != "f" and not np.all(b):
            raise ModelError("integer division by zero")
        return np.fmod(a, b) if self.fmod else np.mod(a, b)


class Pow(Binary):
    def infer(self, a, b):
        return [(broadcast(a.shape, b.shape), a.dtype)]

    def reference(self, a, b):
        if kind(a.dtype) != "f" and kind(b.dtype) == "i" and (b < 0).any():
            a, dtype = a.astype(np.float64), a.dtype
            return np.power(a, b).astype(dtype)
        return np.power(a, b).astype(a.dtype)


class PRelu(Binary):
    learned = (1,)
    takes_epilogue = True

    @classmethod
    def upgrade(cls, spec):
        slope, x = spec.input(1), spec.input(0)
        if spec.opset < 7 and slope is not None and slope.shape is not None and slope.shape != (1,) and len(slope.shape) == 1:
            # before opset 7 the slopes lay on the channels
            if x is None or x.shape is None or slope.constant is None:
                raise UnsupportedError("a slope for each channel (opset < 7) needs a constant slope and an input of known rank")
            spec.inputs[1] = Value(slope.name, constant=slope.constant.reshape(-1, *(1,) * (len(x.shape) - 2)))

    def infer(self, x, slope):
        broadcasts_to(slope.shape, x.shape, "slope")
        return [(x.shape, same_dtype(x, slope))]

    def reference(self, x, slope):
        return np.where(x < 0, slope * x, x)


class Comparison(Binary, abstract=True):
    def infer(self, a, b):
        same_dtype(a, b)
        return [(broadcast(a.shape, b.shape), np.dtype(bool))]

    def reference(self, a, b):
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
    def infer(self, a, b):
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
    def infer(self, a, b):
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

    def __post_init__(self):
        check(self.direction in ("LEFT", "RIGHT"), f"direction: expected LEFT or RIGHT, got {self.direction!r}")

    def reference(self, a, b):
        return np.left_shift(a, b) if self.direction == "LEFT" else np.right_shift(a, b)


class Variadic(Op, abstract=True):
    """A function of any number of tensors, folded from the left."""

    arity = (1, None)
    function: ClassVar[Callable[..., Any]]

    def by_image(self, node):
        return _same_images(node)

    def is_identity(self, node: Node) -> bool:
        return len(node.inputs) == 1

    def infer(self, *xs):
        return [(broadcast(*(x.shape for x in xs)), same_dtype(*xs))]

    def reference(self, *xs):
        return functools.reduce(type(self).function, xs)


class Sum(Variadic):
    function = np.add
    takes_epilogue = True


class Mean(Variadic):
    def reference(self, *xs):
        return functools.reduce(np.add, xs) / len(xs)


class Min(Variadic):
    function = np.minimum
    takes_epilogue = True


class Max(Variadic):
    function = np.maximum
    takes_epilogue = True


class Where(Op):
    arity = (3, 3)

    def infer(self, condition, x, y):
        check_dtype(condition, "condition", "b")
        return [(broadcast(condition.shape, x.shape, y.shape), same_dtype(x, y))]

    def reference(self, condition, x, y):
        return np.where(condition, x, y)
