"""Normalizations by the statistics of the input itself: each says over which elements they are taken."""

from __future__ import annotations

import numpy as np

from ..errors import UnsupportedError
from ..graph import Node, Value
from .base import Op, only_first_varies
from .dims import axis_index, broadcasts_to, check, check_rank, check_rank_least, unify


def normalized(x, axes, epsilon):
    """x with mean 0 and variance 1 over the axes."""
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)


def _per_channel(v, ndim):
    return v.reshape(-1, *(1,) * (ndim - 2))


class OverChannels(Op, abstract=True):
    """By the statistics of groups of channels of each image."""

    arity = (3, 3)
    learned = (1, 2)
    takes_epilogue = True
    takes_residual = True
    epsilon: float = 1e-5

    def groups(self, channels: int) -> int:
        """How many groups so many channels are in."""
        raise NotImplementedError

    def by_image(self, node):
        return only_first_varies(node)

    def weight_axis(self, node: Node) -> int | None:
        return 0


class InstanceNormalization(OverChannels):
    """Each channel of each image by itself."""

    def groups(self, channels):
        return channels

    def infer(self, x, scale, bias):
        check_rank_least(x, "input", 3)
        for name, v in (("scale", scale), ("B", bias)):
            check_rank(v, name, 1)
            unify(x.shape and x.shape[1], v.shape and v.shape[0], f"{name}: channels")
        return [(x.shape, x.dtype)]

    def reference(self, x, scale, bias):
        y = normalized(x, tuple(range(2, x.ndim)), self.epsilon)
        return y * _per_channel(scale, x.ndim) + _per_channel(bias, x.ndim)


class GroupNormalization(OverChannels):
    """Each group of channels of each image by itself."""

    num_groups: int
    #: the type to compute the statistics in
    stash_type: int = 1

    @classmethod
    def upgrade(cls, spec):
        groups, x = spec.attributes.get("num_groups"), spec.input(0)
        if spec.opset >= 21 or not isinstance(groups, int) or groups < 1 or x is None:
            return
        # before opset 21 scale and bias had one entry a group
        C = x.shape[1] if x.shape is not None and len(x.shape) > 1 else None
        for i in (1, 2):
            v = spec.input(i)
            if v is None or v.constant is None or not isinstance(C, int):
                raise UnsupportedError("scale and bias by group (opset < 21) need to be constants, and the channels known")
            spec.inputs[i] = Value(v.name, constant=np.repeat(v.constant, C // groups))

    def groups(self, channels):
        return self.num_groups

    def __post_init__(self):
        check(self.num_groups > 0, f"num_groups: expected 1 or more, got {self.num_groups}")

    def infer(self, x, scale, bias):
        check_rank_least(x, "input", 2)
        C = x.shape[1] if x.shape is not None else None
        if isinstance(C, int):
            check(C % self.num_groups == 0, f"num_groups: expected a divisor of the {C} channels, got {self.num_groups}")
        for name, v in (("scale", scale), ("bias", bias)):
            check_rank(v, name, 1)
            unify(C, v.shape and v.shape[0], f"{name}: channels")
        return [(x.shape, x.dtype)]

    def reference(self, x, scale, bias):
        groups = x.reshape(len(x), self.num_groups, -1)
        y = normalized(groups, (2,), self.epsilon).reshape(x.shape)
        return y * _per_channel(scale, x.ndim) + _per_channel(bias, x.ndim)


class AxisOn(Op, abstract=True):
    """Over `axis` and all behind it."""

    axis: int = -1
    epsilon: float = 1e-5
    #: the type to compute the statistics in
    stash_type: int = 1

    def check_operands(self, x, *operands):
        """Raise where axis is out of range, or an operand does not fit the axes normalized."""
        if x.shape is not None:
            axis_index(self.axis, len(x.shape))
        for name, v in zip(("scale", "B"), operands, strict=False):
            if v is not None:
                broadcasts_to(v.shape, x.shape, name)

    def axes(self, rank):
        """The axes normalized together."""
        return tuple(range(axis_index(self.axis, rank), rank))

    def over(self, x):
        """The axes, and x in the type of the statistics: float32, or better where x is."""
        return self.axes(x.ndim), x.astype(np.result_type(x, np.float32))


class LayerNormalization(AxisOn):
    """Also gives the mean and the inverse of the standard deviation."""

    arity = (2, 3)
    learned = (1, 2)
    results = (1, 3)

    #: over `axis` but not those behind it, as a pass may make it. Not an attribute of the standard.
    alone: int = 0

    def infer(self, x, scale, bias=None):
        self.check_operands(x, scale, bias)
        dtype = None if x.dtype is None else np.result_type(x.dtype, np.float32)
        statistics = None
        if x.shape is not None:
            over = self.axes(len(x.shape))
            statistics = tuple(1 if i in over else d for i, d in enumerate(x.shape))
        return [(x.shape, x.dtype), (statistics, dtype), (statistics, dtype)]

    def axes(self, rank):
        return super().axes(rank)[: 1 if self.alone else None]

    def reference(self, x, scale, bias=None):
        axes, y = self.over(x)
        mean, inverse = y.mean(axes, keepdims=True), 1 / np.sqrt(y.var(axes, keepdims=True) + self.epsilon)
        y = ((y - mean) * inverse).astype(x.dtype) * scale
        return (y if bias is None else y + bias), mean, inverse


class RMSNormalization(AxisOn):
    arity = (2, 2)
    learned = (1,)

    def infer(self, x, scale):
        self.check_operands(x, scale)
        return [(x.shape, scale.dtype)]

    def reference(self, x, scale):
        axes, y = self.over(x)
        y = y / np.sqrt(np.square(y).mean(axes, keepdims=True) + self.epsilon)
        return y.astype(x.dtype) * scale


class MeanVarianceNormalization(Op):
    axes: tuple[int, ...] = (0, 2, 3)

    def infer(self, x):
        if x.shape is not None:
            for axis in self.axes:
                axis_index(axis, len(x.shape))
        return [(x.shape, x.dtype)]

    def reference(self, x):
        return (x - x.mean(self.axes, keepdims=True)) / (x.std(self.axes, keepdims=True) + 1e-9)


class LpNormalization(Op):
    """x over its sum of absolute values (p 1) or its Euclidean length (p 2) along the axis; zeros stay zeros."""

    axis: int = -1
    p: int = 2

    def __post_init__(self):
        check(self.p in (1, 2), f"p: expected 1 or 2, got {self.p}")

    def infer(self, x):
        if x.shape is not None:
            axis_index(self.axis, len(x.shape))
        return [(x.shape, x.dtype)]

    def reference(self, x):
        norm = np.linalg.norm(x, self.p, self.axis, keepdims=True)
        return np.where(norm == 0, 0, x / norm)
