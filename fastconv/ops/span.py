"""Spans: the elements along an axis that other elements are computed from. They are the arithmetic of receptive fields.

It is that of Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019, for each
element, so that it also covers layers whose elements do not all see equally far.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..graph import Value


class Span(NamedTuple):
    """The elements `first` to `last` of an axis, both included, for each unit along an axis of a layer.

    Numbers outside the axis stand for padding; -inf to inf are all elements, inf to -inf none. `stride` is the distance between
    the elements of neighbouring units. `axis` is the layer's axis, or None if all units have the same elements.
    """

    axis: int | None
    first: Any
    last: Any
    stride: float

    def mapped(self, first: Callable[[Any], Any], last: Callable[[Any], Any], factor: float) -> Span:
        """The elements of another axis from `first` of the first one to `last` of the last one, with strides of `factor`."""
        with np.errstate(invalid="ignore"):
            low, high = (np.where(np.isfinite(i), to(i), i) for i, to in ((self.first, first), (self.last, last)))
        none = low > high
        return Span(self.axis, np.where(none, np.inf, low), np.where(none, -np.inf, high), self.stride * factor)

    def moved(self, by: int) -> Span:
        """The elements `by` places on."""
        return self.mapped(lambda i: i + by, lambda i: i + by, 1)

    def windows(self, stride: int, begin: int, extent: int) -> Span:
        """The elements in the windows, which follow at `stride` after `begin` elements of padding."""
        return self.mapped(lambda i: i * stride - begin, lambda i: i * stride - begin + extent - 1, stride)

    def writers(self, stride: int, begin: int, extent: int) -> Span:
        """The elements that write to windows which reach these: the inverse of `windows`."""
        return self.mapped(lambda i: np.ceil((i + begin - extent + 1) / stride), lambda i: (i + begin) // stride, 1 / stride)

    def part(self, sizes: Sequence[int], i: int) -> Span:
        """The elements of part i, if the axis is parts of these sizes in a row. Padding stays beside the outer parts."""
        begin, last = sum(sizes[:i]), len(sizes) - 1
        return self.mapped(
            lambda e: e - begin if i == 0 else np.maximum(e - begin, 0),
            lambda e: e - begin if i == last else np.minimum(e - begin, sizes[i] - 1),
            1,
        )

    def taken(self, places: range) -> Span:
        """The elements at these places."""
        step = abs(places.step)
        span = self if places.step > 0 else Span(self.axis, -self.last, -self.first, self.stride)
        return span.mapped(lambda i: places.start + i * step, lambda i: places.start + i * step, step)

    def chosen(self, places: np.ndarray) -> Span:
        """The elements at the places in the array, which need not be in order."""

        def among(choose: Any) -> Any:
            ends = (np.clip(e, 0, len(places) - 1).astype(int) for e in np.broadcast_arrays(self.first, self.last))
            found = [choose(places[min(a, b) : max(a, b) + 1]) for a, b in zip(*map(np.ravel, ends), strict=True)]
            return lambda e: np.reshape(np.array(found, np.float64), np.shape(e))

        return self.mapped(among(np.min), among(np.max), 1)

    def __or__(self, other: Span) -> Span:
        """The least span with the elements of both."""
        axes = {self.axis, other.axis} - {None}
        if len(axes) > 1:
            return WHOLE
        first, last = np.minimum(self.first, other.first), np.maximum(self.last, other.last)
        return Span(axes.pop() if axes else None, first, last, max(self.stride, other.stride))


#: all elements of an axis, and the one of an axis of size 1
WHOLE, ONE = Span(None, np.float64(-math.inf), np.float64(math.inf), 0.0), Span(None, np.float64(0), np.float64(0), 0.0)
#: a span for each axis of a value
Spans = Sequence[Span]


def everything(value: Value) -> Spans:
    """All elements of a value."""
    return [WHOLE] * len(value.dims)


def broadcast_spans(value: Value, result: Value, spans: Spans) -> Spans:
    """The elements of `value`, which is broadcast to the shape of `result`, at the places of the spans."""
    dims, more = value.dims, len(spans) - len(value.dims)
    return [s if d == r else ONE for d, r, s in zip(dims, result.dims[more:], spans[more:], strict=True)]


__all__ = ["ONE", "WHOLE", "Span", "Spans", "broadcast_spans", "everything"]
