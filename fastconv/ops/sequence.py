"""Operators on sequences of tensors."""

from __future__ import annotations

import itertools
from typing import cast

import numpy as np

from ..dtypes import element_of, is_sequence, sequence, sequence_of
from ..errors import ModelError
from ..graph import Node, Value
from .base import REGISTRY, Array, Inferred, Op, Results
from .cast import dtype_of
from .dims import axis_index, check, same_dtype, to_int, to_ints


def place(position: Array, count: int, most: int) -> int:
    """A position, which may count from the end of `count` tensors, as 0 to `most`."""
    i = to_int(position, "position")
    check(-count <= i <= most, f"position: expected {-count} to {most}, got {i}")
    return i % count if i < 0 else i


class SequenceConstruct(Op):
    arity = (1, None)
    needs_all = True

    def infer(self, *xs: Value) -> Inferred:
        return [(None, sequence_of(same_dtype(*xs)))]

    def reference(self, *xs: Array) -> Results:
        return sequence(xs)


class SequenceEmpty(Op):
    arity = (0, 0)

    dtype: int = 1

    def infer(self) -> Inferred:
        return [(None, sequence_of(dtype_of(self.dtype, "dtype")))]

    def reference(self) -> Results:
        return sequence(())


class OfSequence(Op, abstract=True):
    """inputs[0] is a sequence."""

    takes_objects = True


def item_type(xs: Value) -> np.dtype | None:
    """The dtype of a sequence's tensors, None if it is unknown; ModelError if the value is no sequence."""
    check(xs.dtype is None or is_sequence(xs.dtype), f"expected a sequence, got a tensor of {xs.dtype}")
    return element_of(xs.dtype)


class SequenceAt(OfSequence):
    arity = (2, 2)

    def infer(self, xs: Value, position: Value) -> Inferred:
        return [(None, item_type(xs))]

    def reference(self, xs: Array, position: Array) -> Results:
        return xs[place(position, len(xs), len(xs) - 1)]


class SequenceInsert(OfSequence):
    """Inserts a tensor at the position, or appends it."""

    arity = (2, 3)

    def infer(self, xs: Value, x: Value, position: Value | None = None) -> Inferred:
        item_type(xs)
        return [(None, xs.dtype)]

    def reference(self, xs: Array, x: Array, position: Array | None = None) -> Results:
        items = list(xs)
        items.insert(len(xs) if position is None else place(position, len(xs), len(xs)), x)
        return sequence(items)


class SequenceErase(OfSequence):
    """Removes the tensor at the position, or the last one."""

    arity = (1, 2)

    def infer(self, xs: Value, position: Value | None = None) -> Inferred:
        item_type(xs)
        return [(None, xs.dtype)]

    def reference(self, xs: Array, position: Array | None = None) -> Results:
        check(len(xs) > 0, "the sequence is empty")
        items = list(xs)
        del items[-1 if position is None else place(position, len(xs), len(xs) - 1)]
        return sequence(items)


class SequenceLength(OfSequence):
    def infer(self, xs: Value) -> Inferred:
        item_type(xs)
        return [((), np.dtype(np.int64))]

    def reference(self, xs: Array) -> Results:
        return np.array(len(xs))


class ConcatFromSequence(OfSequence):
    """Joins the tensors along an axis, or with new_axis along a new one."""

    axis: int
    new_axis: int = 0

    def infer(self, xs: Value) -> Inferred:
        return [(None, item_type(xs))]

    def reference(self, xs: Array) -> Results:
        try:
            return (np.stack if self.new_axis else np.concatenate)(list(xs), self.axis)
        except (ValueError, IndexError) as e:
            raise ModelError(f"the tensors cannot be joined along axis {self.axis}: {e}") from None


class SplitToSequence(Op):
    """Splits a tensor into slices of the sizes given (a scalar: all of this size, but the last may be smaller).

    Without sizes, the slices have size 1, and without keepdims lose the axis.
    """

    arity = (1, 2)

    axis: int = 0
    keepdims: int = 1

    def infer(self, x: Value, split: Value | None = None) -> Inferred:
        return [(None, sequence_of(x.dtype))]

    def places(self, d: int, split: Array | None) -> list[int]:
        """The places to split an axis of d elements at."""
        if split is None or split.ndim == 0:
            size = 1 if split is None else to_int(split, "split")
            check(size > 0, f"split: expected 1 or more, got {size}")
            return list(range(size, d, size))
        sizes = to_ints(split, "split")
        check(min(sizes, default=0) >= 0 and sum(sizes) == d, f"split: expected sizes that add up to {d}, got {sizes}")
        return list(itertools.accumulate(sizes[:-1]))

    def reference(self, x: Array, split: Array | None = None) -> Results:
        axis = axis_index(self.axis, x.ndim)
        slices = np.split(x, self.places(x.shape[axis], split), axis)
        return sequence(p.squeeze(axis) for p in slices) if split is None and not self.keepdims else sequence(slices)


def slice_of_split(node: Node, split: Node) -> Node | None:
    """The Slice that computes a SequenceAt of a SplitToSequence; None if the place is unknown."""
    x, sizes, position = split.input(0), split.optional(1), node.input(1)
    if sizes is None or sizes.constant is None or position.constant is None or not x.shape:
        return None
    op = cast(SplitToSequence, split.op)
    try:
        axis = axis_index(op.axis, len(x.shape))
        d = x.shape[axis]
        if not isinstance(d, int):
            return None
        begins = [0, *op.places(d, np.asarray(sizes.constant)), d]
        i = place(np.asarray(position.constant), len(begins) - 1, len(begins) - 2)
    except ModelError:  # which the run reports
        return None
    ranges = [Value("", constant=np.array([n])) for n in (begins[i], begins[i + 1], axis)]
    return Node(REGISTRY["Slice"](), [x, *ranges], node.outputs, node.name, node.where)


class OptionalHasElement(OfSequence):
    """Whether there is an input."""

    arity = (0, 1)

    def infer(self, x: Value | None = None) -> Inferred:
        return [((), np.dtype(bool))]

    def reference(self, x: Array | None = None) -> Results:
        return np.array(x is not None)


class OptionalGetElement(OfSequence):
    def infer(self, x: Value) -> Inferred:
        return [(x.shape, x.dtype)]

    def reference(self, x: Array) -> Results:
        return x
