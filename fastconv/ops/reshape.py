"""Operators that give the same elements under another shape: Reshape, Flatten, Squeeze, Unsqueeze."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from ..graph import Dim, Node
from .base import Op, keeps_shape, only_first_varies
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


class View(Op, abstract=True):
    """The output holds the elements of inputs[0] in the same order: in row-major layout nothing needs to move."""

    def by_image(self, node):
        return only_first_varies(node)

    def flops(self, node):
        return 0

    def is_identity(self, node: Node) -> bool:
        return keeps_shape(node)

    def selects_elements(self, node: Node) -> bool:
        return True


class Reshape(View):
    """In the shape asked for, 0 takes the input's size of that axis (unless allowzero) and -1 what is left over."""

    arity = (2, 2)
    how = (1,)

    allowzero: int = 0

    @classmethod
    def upgrade(cls, spec):
        if spec.opset < 5:
            spec.attribute_to_input("shape", 1)

    def infer(self, x, shape):
        target = known_ints(shape, "shape")
        if target is None:
            return [(unknown(length(shape)), x.dtype)]
        return [(self.target(x.shape, target), x.dtype)]

    def target(self, shape: Sequence[Dim] | None, sizes: Sequence[int]) -> tuple[Dim, ...]:
        """The shape that `sizes` asks for, given the input's."""
        check(len(sizes) <= MAX_RANK, f"shape: expected at most {MAX_RANK} dimensions, got {len(sizes)}")
        check(min(sizes, default=0) >= -1 and sizes.count(-1) <= 1, f"shape: expected sizes and at most one -1, got {sizes}")
        out: list[Dim] = list(sizes)
        for i, d in enumerate(sizes):
            if d == 0 and not self.allowzero:
                check(shape is None or i < len(shape), f"shape: 0 at position {i}, but the input's shape is {shape}")
                out[i] = None if shape is None else shape[i]
        if -1 in out:
            check(0 not in sizes or not self.allowzero, f"shape: 0 beside -1 with allowzero, got {sizes}")
            i = out.index(-1)
            out[i] = None if shape is None else _rest(shape, out[:i] + out[i + 1 :], sizes)
        elif shape is not None and (there := product(shape)) is not None and (here := product(out)) is not None:
            check(here == there, f"shape: expected {there} elements as in {tuple(shape)}, got {tuple(out)}")
        return tuple(out)

    def reference(self, x, shape):
        return x.reshape(self.target(x.shape, to_ints(shape, "shape")))


def _rest(shape: Sequence[Dim], taken: Sequence[Dim], sizes: Sequence[int]) -> Dim:
    """The dimension that -1 stands for: shape's product over that of the other dimensions."""
    if None in shape or None in taken:
        return None
    symbols, used = (Counter(d for d in dims if isinstance(d, str)) for dims in (shape, taken))
    there, here = (product(d for d in dims if isinstance(d, int)) for dims in (shape, taken))
    assert there is not None
    assert here is not None
    if used - symbols:
        return None
    left = list((symbols - used).elements())
    if not left:
        check(here != 0 or there == 0, f"shape: {sizes} does not fit the input's {tuple(shape)}")
        check(here == 0 or there % here == 0, f"shape: {sizes} does not divide the input's {tuple(shape)}")
        return there // here if here else 0
    return left[0] if len(left) == 1 and there == here else None


class Flatten(View):
    """Two axes: those before `axis` as one, and the others as one."""

    axis: int = 1

    def infer(self, x):
        if x.shape is None:
            return [((None, None), x.dtype)]
        rank = len(x.shape)
        axis = rank if self.axis == rank else axis_index(self.axis, rank)
        sides = []
        for dims in (x.shape[:axis], x.shape[axis:]):
            others = [d for d in dims if d != 1]
            sides.append(others[0] if len(others) == 1 else product(dims))
        return [(tuple(sides), x.dtype)]

    def reference(self, x):
        axis = self.axis % x.ndim if self.axis < 0 else self.axis
        return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


class Squeeze(View):
    """Without the axes named, each of size 1; where none is named, without every axis of size 1."""

    arity = (1, 2)
    how = (1,)

    @classmethod
    def upgrade(cls, spec):
        if spec.opset < 13:
            spec.attribute_to_input("axes", 1)

    def infer(self, x, axes=None):
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
        """The axes that go."""
        if axes is None:
            return tuple(i for i, d in enumerate(shape) if d == 1)
        gone = axis_indices(axes, len(shape))
        for i in gone:
            check(shape[i] == 1 or not isinstance(shape[i], int), f"axes: expected size 1 on axis {i}, got shape {shape}")
        return gone

    def reference(self, x, axes=None):
        return x.squeeze(self.axes(x.shape, None if axes is None else to_ints(axes, "axes")))


class Unsqueeze(View):
    """With axes of size 1 put in, so that they stand at `axes` of the result."""

    arity = (2, 2)
    how = (1,)

    @classmethod
    def upgrade(cls, spec):
        if spec.opset < 13:
            spec.attribute_to_input("axes", 1)

    def infer(self, x, axes):
        new = known_ints(axes, "axes")
        if x.shape is None:
            return [(None, x.dtype)]
        if new is None:
            count = length(axes)
            return [(unknown(None if count is None else len(x.shape) + count), x.dtype)]
        return [(self.target(x.shape, new), x.dtype)]

    def target(self, shape: Sequence[Dim], axes: Sequence[int]) -> tuple[Dim, ...]:
        """The shape with the new axes."""
        rank = len(shape) + len(axes)
        check(rank <= MAX_RANK, f"axes: expected a result of at most {MAX_RANK} dimensions, got {rank}")
        new, old = axis_indices(axes, rank), iter(shape)
        return tuple(1 if i in new else next(old) for i in range(rank))

    def reference(self, x, axes):
        return x.reshape(self.target(x.shape, to_ints(axes, "axes")))
