"""Reshape, Flatten, Squeeze and Unsqueeze: the same elements in another shape."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ..graph import Dim, Node, Value, shape_text
from .base import Array, Inferred, Op, Results, keeps_shape, only_first_varies
from .dims import (
    MAX_RANK,
    axis_index,
    axis_indices,
    check,
    known_ints,
    length,
    product,
    to_ints,
    unknown,
)
from .node_spec import NodeSpec
from .span import ONE, WHOLE, Spans


class View(Op, abstract=True):
    """The result has the elements of inputs[0] in the same order."""

    def independent_images(self, node: Node) -> bool:
        return only_first_varies(node)

    def flops(self, node: Node) -> int:
        return 0

    def reads(self, node: Node, i: int, result: Value, spans: Spans) -> Spans:
        """The first and the last axes that keep their sizes keep their elements, whatever axes of size 1 are among them."""
        x = node.input(0).dims
        here, there = ([a for a, d in enumerate(dims) if d != 1] for dims in (x, result.dims))
        reads = [ONE if d == 1 else WHOLE for d in x]
        for pairs in (zip(here, there, strict=False), zip(here[::-1], there[::-1], strict=False)):
            for a, b in itertools.takewhile(lambda ab: x[ab[0]] == result.dims[ab[1]], pairs):
                reads[a] = spans[b]
        return reads

    def is_identity(self, node: Node) -> bool:
        return keeps_shape(node)

    def selects_elements(self, node: Node) -> bool:
        return True


class Reshape(View):
    """In the shape given, 0 is the input's size of that axis (unless allowzero), and -1 is computed from the others."""

    arity = (2, 2)
    control_inputs = (1,)

    allowzero: int = 0

    @classmethod
    def upgrade(cls, spec: NodeSpec) -> None:
        if spec.opset < 5:
            spec.attribute_to_input("shape", 1)

    def infer(self, x: Value, shape: Value) -> Inferred:
        target = known_ints(shape, "shape")
        if target is None:
            return [(unknown(length(shape)), x.dtype)]
        return [(self.target(x.shape, target), x.dtype)]

    def target(self, shape: Sequence[Dim] | None, sizes: Sequence[int]) -> tuple[Any, ...]:
        """The shape of the result for an input of this shape."""
        check(len(sizes) <= MAX_RANK, f"shape: expected at most {MAX_RANK} dimensions, got {len(sizes)}")
        check(min(sizes, default=0) >= -1 and sizes.count(-1) <= 1, f"shape: expected sizes and at most one -1, got {sizes}")
        out: list[Dim] = list(sizes)
        for i, d in enumerate(sizes):
            if d == 0 and not self.allowzero:
                check(
                    shape is None or i < len(shape), f"shape: 0 at position {i}, but the input's shape is {shape_text(shape)}"
                )
                out[i] = None if shape is None else shape[i]
        if -1 in out:
            check(0 not in sizes or not self.allowzero, f"shape: 0 beside -1 with allowzero, got {sizes}")
            i = out.index(-1)
            out[i] = None if shape is None else _rest(shape, out[:i] + out[i + 1 :], sizes)
        elif shape is not None and (there := product(shape)) is not None and (here := product(out)) is not None:
            check(here == there, f"shape: expected {there} elements as in {shape_text(shape)}, got {shape_text(out)}")
        return tuple(out)

    def reference(self, x: Array, shape: Array) -> Results:
        return x.reshape(self.target(x.shape, to_ints(shape, "shape")))


def _rest(shape: Sequence[Dim], taken: Sequence[Dim], sizes: Sequence[int]) -> Dim:
    """The dimension for -1: the product of `shape` over that of the other dimensions."""
    if None in shape or None in taken:
        return None
    symbols, used = (Counter(d for d in dims if isinstance(d, str)) for dims in (shape, taken))
    there, here = (math.prod(d for d in dims if isinstance(d, int)) for dims in (shape, taken))
    if used - symbols:
        return None
    left = list((symbols - used).elements())
    if not left:
        check(here != 0 or there == 0, f"shape: {sizes} does not fit the input's {shape_text(shape)}")
        check(here == 0 or there % here == 0, f"shape: {sizes} does not divide the input's {shape_text(shape)}")
        return there // here if here else 0
    return left[0] if len(left) == 1 and there == here else None


class Flatten(View):
    """To two axes: those before `axis`, and the others."""

    axis: int = 1

    def infer(self, x: Value) -> Inferred:
        if x.shape is None:
            return [((None, None), x.dtype)]
        rank = len(x.shape)
        axis = rank if self.axis == rank else axis_index(self.axis, rank)
        sides = []
        for dims in (x.shape[:axis], x.shape[axis:]):
            others = [d for d in dims if d != 1]
            sides.append(others[0] if len(others) == 1 else product(dims))
        return [(tuple(sides), x.dtype)]

    def reference(self, x: Array) -> Results:
        axis = self.axis % x.ndim if self.axis < 0 else self.axis
        return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


class Squeeze(View):
    """Removes the axes named, which have size 1; if none are named, every axis of size 1."""

    arity = (1, 2)
    control_inputs = (1,)

    @classmethod
    def upgrade(cls, spec: NodeSpec) -> None:
        if spec.opset < 13:
            spec.attribute_to_input("axes", 1)

    def infer(self, x: Value, axes: Value | None = None) -> Inferred:
        if x.shape is None:
            return [(None, x.dtype)]
        rank = len(x.shape)
        if axes is not None and axes.constant is None:
            known_ints(axes, "axes")
            count = length(axes)
            check(count is None or count <= rank, f"axes: expected at most {rank}, got {count}")
            return [(unknown(None if count is None else rank - count), x.dtype)]
        if axes is None and not all(isinstance(d, int) for d in x.shape):
            return [(None, x.dtype)]
        gone = self.axes(x.shape, None if axes is None else known_ints(axes, "axes"))
        return [(tuple(d for i, d in enumerate(x.shape) if i not in gone), x.dtype)]

    def axes(self, shape: Sequence[Dim], axes: Sequence[int] | None) -> tuple[int, ...]:
        """The axes to remove."""
        if axes is None:
            return tuple(i for i, d in enumerate(shape) if d == 1)
        gone = axis_indices(axes, len(shape))
        for i in gone:
            check(
                shape[i] == 1 or not isinstance(shape[i], int),
                f"axes: expected size 1 on axis {i}, got shape {shape_text(shape)}",
            )
        return gone

    def reference(self, x: Array, axes: Array | None = None) -> Results:
        return x.squeeze(self.axes(x.shape, None if axes is None else to_ints(axes, "axes")))


class Unsqueeze(View):
    """Inserts axes of size 1, which are `axes` of the result."""

    arity = (2, 2)
    control_inputs = (1,)

    @classmethod
    def upgrade(cls, spec: NodeSpec) -> None:
        if spec.opset < 13:
            spec.attribute_to_input("axes", 1)

    def infer(self, x: Value, axes: Value) -> Inferred:
        new = known_ints(axes, "axes")
        if x.shape is None:
            return [(None, x.dtype)]
        if new is None:
            count = length(axes)
            return [(unknown(None if count is None else len(x.shape) + count), x.dtype)]
        return [(self.target(x.shape, new), x.dtype)]

    def target(self, shape: Sequence[Dim], axes: Sequence[int]) -> tuple[Any, ...]:
        """The shape with the new axes."""
        rank = len(shape) + len(axes)
        check(rank <= MAX_RANK, f"axes: expected a result of at most {MAX_RANK} dimensions, got {rank}")
        new, old = axis_indices(axes, rank), iter(shape)
        return tuple(1 if i in new else next(old) for i in range(rank))

    def reference(self, x: Array, axes: Array) -> Results:
        return x.reshape(self.target(x.shape, to_ints(axes, "axes")))
