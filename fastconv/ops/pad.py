"""Pad: elements added before and after each axis; negative pads remove elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from ..graph import Dim, Node, Value
from .base import Array, Inferred, Op, Results
from .dims import axis_indices, check, check_scalar, known_ints, same_dtype, to_ints, unknown
from .node_spec import FLOAT, NodeSpec
from .span import Spans

MODES = ("constant", "reflect", "edge", "wrap")


class Pad(Op):
    """inputs: data, pads (begins, then ends), the constant, and the axes that pads refers to."""

    arity = (2, 4)
    control_inputs = (1, 2, 3)

    mode: str = "constant"

    @classmethod
    def upgrade(cls, spec: NodeSpec) -> None:
        if spec.opset < 2 and "paddings" in spec.attributes:
            spec.attributes["pads"] = spec.attributes.pop("paddings")
        if spec.opset < 11:
            x = spec.optional(0)
            spec.attribute_to_input("pads", 1)
            spec.attribute_to_input("value", 2, FLOAT, (x and x.dtype) or np.float32)

    def __post_init__(self) -> None:
        check(self.mode in MODES, f"mode: expected one of {', '.join(MODES)}, got {self.mode!r}")

    def borders(self, pads: Sequence[int], axes: Sequence[int] | None, rank: int) -> list[tuple[int, int]]:
        """(before, after) of each axis."""
        where = range(rank) if axes is None else axis_indices(axes, rank)
        n = len(where)
        check(len(pads) == 2 * n, f"pads: expected {2 * n} values for {n} axes, got {tuple(pads)}")
        out = [(0, 0)] * rank
        for axis, before, after in zip(where, pads[:n], pads[n:], strict=True):
            out[axis] = (before, after)
        return out

    def is_identity(self, node: Node) -> bool:
        pads = node.input(1).constant
        return pads is not None and not np.any(pads)

    def zeros_added(self, node: Node) -> list[tuple[int, int]] | None:
        """The number of zeros added (before, after) each axis; None if it is unknown, or the node does anything else."""
        x, pads, constant, axes = node.input(0), node.input(1), node.optional(2), node.optional(3)
        if self.mode != "constant" or x.shape is None or pads.constant is None:
            return None
        if constant is not None and (constant.constant is None or np.any(constant.constant)):
            return None
        if axes is not None and axes.constant is None:
            return None
        borders = self.borders(to_ints(np.asarray(pads.constant), "pads"), known_ints(axes, "axes"), len(x.shape))
        return None if any(v < 0 for b in borders for v in b) else borders

    def check_sizes(self, shape: Sequence[Dim], borders: Sequence[tuple[int, int]]) -> None:
        """Raise if an axis has too few elements to be cropped, reflected or repeated."""
        for i, (d, (before, after)) in enumerate(zip(shape, borders, strict=True)):
            if not isinstance(d, int):
                continue
            left = d + min(before, 0) + min(after, 0)
            check(left >= 0, f"pads: cannot remove {d - left} elements of axis {i}, which has {d}")
            check(
                self.mode == "constant" or left > 0 or (before <= 0 and after <= 0),
                f"pads: mode {self.mode!r} needs elements on axis {i}, which has none",
            )

    def reads(self, node: Node, i: int, result: Value, spans: Spans) -> Spans:
        x, pads = node.input(0), known_ints(node.input(1), "pads")
        borders = self.borders(pads or (), known_ints(node.optional(3), "axes"), len(x.dims))
        if self.mode == "constant":
            return [s.moved(-before) for s, (before, _) in zip(spans, borders, strict=True)]
        places = (self.reference(np.arange(d), np.array(b)) for d, b in zip(x.dims, borders, strict=True))
        return [s.chosen(p) for s, p in zip(spans, places, strict=True)]

    def infer(self, x: Value, pads: Value, constant: Value | None = None, axes: Value | None = None) -> Inferred:
        amounts, where = known_ints(pads, "pads"), known_ints(axes, "axes")
        if constant is not None:
            same_dtype(x, constant)
            check_scalar(constant, "constant")
        if x.shape is None:
            return [(None, x.dtype)]
        if amounts is None or (axes is not None and where is None):
            return [(unknown(len(x.shape)), x.dtype)]
        borders = self.borders(amounts, where, len(x.shape))
        self.check_sizes(x.shape, borders)
        dims = zip(x.shape, borders, strict=True)
        return [(tuple(d + sum(b) if isinstance(d, int) else d if b == (0, 0) else None for d, b in dims), x.dtype)]

    def reference(self, x: Array, pads: Array, constant: Array | None = None, axes: Array | None = None) -> Results:
        borders = self.borders(to_ints(pads, "pads"), None if axes is None else to_ints(axes, "axes"), x.ndim)
        self.check_sizes(x.shape, borders)
        x = x[tuple(slice(max(-b, 0), d - max(-a, 0)) for d, (b, a) in zip(x.shape, borders, strict=True))]
        borders = [(max(b, 0), max(a, 0)) for b, a in borders]
        if self.mode != "constant":
            return np.pad(x, borders, cast(Any, self.mode))
        return np.pad(x, borders, constant_values=0 if constant is None else constant.reshape(()))
