"""Normalizations by the mean and variance of the input itself, which differ in the elements that these are taken over."""

from __future__ import annotations

import math

import numpy as np

from ..errors import UnsupportedError
from ..graph import Node, Value
from .base import Array, Inferred, Op, Results, only_first_varies
from .dims import axis_index, broadcasts_to, check, check_rank, check_rank_least, size_along, unify
from .lp_pool import scaled
from .node_spec import NodeSpec
from .statistics import mean, variance


def normalized(x: Array, axes: tuple[int, ...], epsilon: float) -> Results:
    """x, shifted and scaled to mean 0 and variance 1 over the axes."""
    return (x - mean(x, axes)) / np.sqrt(variance(x, axes) + epsilon)


def _per_channel(v: Array, ndim: int) -> Array:
    """One number for each channel, in a shape that broadcasts to N C *size of rank `ndim`."""
    return v.reshape(-1, *(1,) * (ndim - 2))


class OverChannels(Op, abstract=True):
    """By the statistics of each group of channels of each image."""

    arity = (3, 3)
    parameter_inputs = (1, 2)
    takes_epilogue = True
    takes_residual = True
    epsilon: float = 1e-5

    def groups(self, channels: int) -> int:
        """The number of groups of the channels."""
        raise NotImplementedError

    def independent_images(self, node: Node) -> bool:
        return only_first_varies(node)

    def weight_axis(self, node: Node) -> int | None:
        return 0


class InstanceNormalization(OverChannels):
    """By the statistics of each channel of each image."""

    def groups(self, channels: int) -> int:
        return channels

    def infer(self, x: Value, scale: Value, bias: Value) -> Inferred:
        check_rank_least(x, "input", 3)
        for name, v in (("scale", scale), ("B", bias)):
            check_rank(v, name, 1)
            unify(size_along(x.shape, 1), size_along(v.shape, 0), f"{name}: channels")
        return [(x.shape, x.dtype)]

    def reference(self, x: Array, scale: Array, bias: Array) -> Results:
        y = normalized(x, tuple(range(2, x.ndim)), self.epsilon)
        return y * _per_channel(scale, x.ndim) + _per_channel(bias, x.ndim)


class GroupNormalization(OverChannels):
    """By the statistics of num_groups groups of channels of each image."""

    num_groups: int
    #: the element type of the statistics
    stash_type: int = 1

    @classmethod
    def upgrade(cls, spec: NodeSpec) -> None:
        groups, x = spec.attributes.get("num_groups"), spec.optional(0)
        if spec.opset >= 21 or not isinstance(groups, int) or groups < 1 or x is None:
            return
        # before opset 21, scale and bias have one element for each group
        C = x.shape[1] if x.shape is not None and len(x.shape) > 1 else None
        for i in (1, 2):
            v = spec.optional(i)
            if v is None or v.constant is None or not isinstance(C, int):
                raise UnsupportedError("scale and bias by group (opset < 21) need to be constants, and the channels known")
            spec.inputs[i] = Value(v.name, constant=np.repeat(v.constant, C // groups))

    def groups(self, channels: int) -> int:
        return self.num_groups

    def __post_init__(self) -> None:
        check(self.num_groups > 0, f"num_groups: expected 1 or more, got {self.num_groups}")

    def infer(self, x: Value, scale: Value, bias: Value) -> Inferred:
        check_rank_least(x, "input", 2)
        C = size_along(x.shape, 1)
        if isinstance(C, int):
            check(C % self.num_groups == 0, f"num_groups: expected a divisor of the {C} channels, got {self.num_groups}")
        for name, v in (("scale", scale), ("bias", bias)):
            check_rank(v, name, 1)
            unify(C, size_along(v.shape, 0), f"{name}: channels")
        return [(x.shape, x.dtype)]

    def reference(self, x: Array, scale: Array, bias: Array) -> Results:
        groups = x.reshape(len(x), self.num_groups, math.prod(x.shape[1:]) // self.num_groups)
        y = normalized(groups, (2,), self.epsilon).reshape(x.shape)
        return y * _per_channel(scale, x.ndim) + _per_channel(bias, x.ndim)


class AxisOn(Op, abstract=True):
    """By the statistics over `axis` and the axes after it."""

    axis: int = -1
    epsilon: float = 1e-5
    #: the element type of the statistics
    stash_type: int = 1

    def check_operands(self, x: Value, *operands: Value | None) -> None:
        """Raise if the axis is out of range, or an operand does not broadcast to x."""
        if x.shape is not None:
            axis_index(self.axis, len(x.shape))
        for name, v in zip(("scale", "B"), operands, strict=False):
            if v is not None:
                broadcasts_to(v.shape, x.shape, name)

    def axes(self, rank: int) -> tuple[int, ...]:
        """The axes normalized together."""
        return tuple(range(axis_index(self.axis, rank), rank))

    def over(self, x: Array) -> tuple[tuple[int, ...], Array]:
        """The axes, and x in the dtype of the statistics: float32, or wider if x is."""
        return self.axes(x.ndim), x.astype(np.result_type(x, np.float32))


class LayerNormalization(AxisOn):
    """Its further results are the mean and the inverse of the standard deviation."""

    arity = (2, 3)
    parameter_inputs = (1, 2)
    output_arity = (1, 3)

    #: 1: over `axis` alone, as a pass may make it; not an attribute of the standard
    alone: int = 0

    def infer(self, x: Value, scale: Value, bias: Value | None = None) -> Inferred:
        self.check_operands(x, scale, bias)
        dtype = None if x.dtype is None else np.result_type(x.dtype, np.float32)
        statistics = None
        if x.shape is not None:
            over = self.axes(len(x.shape))
            statistics = tuple(1 if i in over else d for i, d in enumerate(x.shape))
        return [(x.shape, x.dtype), (statistics, dtype), (statistics, dtype)]

    def axes(self, rank: int) -> tuple[int, ...]:
        return super().axes(rank)[: 1 if self.alone else None]

    def reference(self, x: Array, scale: Array, bias: Array | None = None) -> Results:
        axes, y = self.over(x)
        center, inverse = mean(y, axes), 1 / np.sqrt(variance(y, axes) + self.epsilon)
        y = ((y - center) * inverse).astype(x.dtype) * scale
        return (y if bias is None else y + bias), center, inverse


class RMSNormalization(AxisOn):
    arity = (2, 2)
    parameter_inputs = (1,)

    def infer(self, x: Value, scale: Value) -> Inferred:
        self.check_operands(x, scale)
        return [(x.shape, scale.dtype)]

    def reference(self, x: Array, scale: Array) -> Results:
        axes, y = self.over(x)
        y = y / np.sqrt(mean(np.square(y), axes) + self.epsilon)
        return y.astype(x.dtype) * scale


class MeanVarianceNormalization(Op):
    axes: tuple[int, ...] = (0, 2, 3)

    def infer(self, x: Value) -> Inferred:
        if x.shape is not None:
            for axis in self.axes:
                axis_index(axis, len(x.shape))
        return [(x.shape, x.dtype)]

    def reference(self, x: Array) -> Results:
        return (x - mean(x, self.axes)) / (np.sqrt(variance(x, self.axes)) + 1e-9)


class LpNormalization(Op):
    """x / its 1-norm or 2-norm along the axis; zeros stay zeros."""

    axis: int = -1
    p: int = 2

    def __post_init__(self) -> None:
        check(self.p in (1, 2), f"p: expected 1 or 2, got {self.p}")

    def infer(self, x: Value) -> Inferred:
        if x.shape is not None:
            axis_index(self.axis, len(x.shape))
        return [(x.shape, x.dtype)]

    def reference(self, x: Array) -> Results:
        x, _ = scaled(x, self.axis)
        norm = np.linalg.norm(x, self.p, self.axis, keepdims=True)
        return np.where(norm == 0, 0, x / norm)
