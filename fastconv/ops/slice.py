"""Slice: along some axes, the elements from a start up to an end, in steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..graph import Dim, Node, Value
from .base import Array, Inferred, Op, Results
from .dims import axis_indices, check, known_ints, to_ints, unknown
from .node_spec import NodeSpec
from .span import Spans

#: an end from here on stands for the size of the axis
END = 2**31 - 1


class Slice(Op):
    """inputs: data, starts, ends, axes (default: all), steps (default: 1)."""

    arity = (3, 5)
    control_inputs = (1, 2, 3, 4)

    @classmethod
    def upgrade(cls, spec: NodeSpec) -> None:
        if spec.opset < 10:
            for i, name in enumerate(("starts", "ends", "axes"), 1):
                spec.attribute_to_input(name, i)

    def ranges(
        self,
        shape: Sequence[Dim],
        starts: Sequence[int],
        ends: Sequence[int],
        axes: Sequence[int] | None,
        steps: Sequence[int] | None,
    ) -> list[Any]:
        """The indices along each axis, a range; for an axis of unknown size, what is known of the size of the result."""
        axes = range(len(starts)) if axes is None else axes
        steps = (1,) * len(starts) if steps is None else steps
        counts = [len(v) for v in (starts, ends, axes, steps)]
        check(len(set(counts)) == 1, f"starts, ends, axes, steps: expected equally many values, got {counts}")
        check(0 not in steps, f"steps: expected values other than 0, got {tuple(steps)}")
        out = [range(d) if isinstance(d, int) else d for d in shape]
        for i, start, end, step in zip(axis_indices(axes, len(shape)), starts, ends, steps, strict=True):
            d = shape[i]
            if isinstance(d, int):
                start, end = (v + d if v < 0 else v for v in (start, end))
                # a start outside moves to the first element in the direction of the step
                low, high = (0, d) if step > 0 else (-1, d - 1)
                start = min(max(start, 0), high)
                out[i] = range(start, min(max(end, low), d), step)
            elif (start, step) != (0, 1) or end < END:
                out[i] = None
        return out

    def selects_elements(self, node: Node) -> bool:
        return True

    def reads(self, node: Node, i: int, result: Value, spans: Spans) -> Spans:
        starts, ends, axes, steps = (known_ints(node.optional(j), "ranges") for j in range(1, 5))
        assert starts is not None and ends is not None
        return [s.taken(r) for s, r in zip(spans, self.ranges(node.input(0).dims, starts, ends, axes, steps), strict=True)]

    def infer(self, x: Value, starts: Value, ends: Value, axes: Value | None = None, steps: Value | None = None) -> Inferred:
        first, last = known_ints(starts, "starts"), known_ints(ends, "ends")
        where, by = known_ints(axes, "axes"), known_ints(steps, "steps")
        if x.shape is None:
            return [(None, x.dtype)]
        if first is None or last is None or (axes is not None and where is None) or (steps is not None and by is None):
            return [(unknown(len(x.shape)), x.dtype)]
        ranges = self.ranges(x.shape, first, last, where, by)
        return [(tuple(len(r) if isinstance(r, range) else r for r in ranges), x.dtype)]

    def reference(self, x: Array, starts: Array, ends: Array, axes: Array | None = None, steps: Array | None = None) -> Results:
        first, last = to_ints(starts, "starts"), to_ints(ends, "ends")
        where = None if axes is None else to_ints(axes, "axes")
        by = None if steps is None else to_ints(steps, "steps")
        for i, r in enumerate(self.ranges(x.shape, first, last, where, by)):
            x = x.take(r, axis=i)
        return x
