"""Slice: along some axes, the elements from a start up to an end in steps."""

from __future__ import annotations

from collections.abc import Sequence

from ..graph import Dim, Node
from .base import Op
from .dims import axis_indices, check, known_ints, to_ints, unknown

#: from here on, an end means "up to the end" of whatever size
END = 2**31 - 1


class Slice(Op):
    """inputs: data, starts, ends, axes (all where left out), steps (1 where left out)."""

    arity = (3, 5)
    how = (1, 2, 3, 4)

    @classmethod
    def upgrade(cls, spec):
        if spec.opset < 10:
            for i, name in enumerate(("starts", "ends", "axes"), 1):
                spec.attribute_to_input(name, i)

    def ranges(self, shape: Sequence[Dim], starts, ends, axes, steps) -> list[range | str | None]:
        """The indices taken along each axis; for an axis of unknown size, what is known of the result's."""
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
                # a start outside moves to the nearest element in the direction of the step
                low, high = (0, d) if step > 0 else (-1, d - 1)
                start = min(max(start, 0), high)
                out[i] = range(start, min(max(end, low), d), step)
            elif (start, step) != (0, 1) or end < END:
                out[i] = None
        return out

    def selects_elements(self, node: Node) -> bool:
        return True

    def infer(self, x, starts, ends, axes=None, steps=None):
        given = [known_ints(v, n) for v, n in ((starts, "starts"), (ends, "ends"), (axes, "axes"), (steps, "steps"))]
        if x.shape is None:
            return [(None, x.dtype)]
        if any(v is not None and g is None for v, g in zip((starts, ends, axes, steps), given, strict=True)):
            return [(unknown(len(x.shape)), x.dtype)]
        ranges = self.ranges(x.shape, *given)
        return [(tuple(len(r) if isinstance(r, range) else r for r in ranges), x.dtype)]

    def reference(self, x, starts, ends, axes=None, steps=None):
        names = zip((starts, ends, axes, steps), ("starts", "ends", "axes", "steps"), strict=True)
        for i, r in enumerate(self.ranges(x.shape, *(None if v is None else to_ints(v, n) for v, n in names))):
            x = x.take(r, axis=i)
        return x
