"""Resize: along each axis, output element i is a weighted sum of the input elements around its position in the input.

The axes are independent: each is described by its input elements (`places`, out × taps) and their `weights`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..dtypes import kind, limits
from ..errors import ModelError, UnsupportedError
from ..graph import Dim, Node, Value, shape_text
from .base import Array, Inferred, Op, Results, only_first_varies
from .dims import axis_indices, check, check_rank_least, constant_of, known_ints, length, to_ints, unknown
from .interpolation import cubic_kernel
from .node_spec import FLOAT, FLOATS, STRING, NodeSpec
from .span import Span, Spans

COORDINATES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_crop_and_resize",
)
ROUNDING: dict[str, Callable[[Any], Any]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


class Taps(NamedTuple):
    """The resizing of an axis: input places and weights (out × taps), and which of the `out` outputs are outside the roi."""

    places: np.ndarray
    weights: np.ndarray
    outside: np.ndarray


class Resize(Op):
    """inputs: data, roi (starts, then ends, as fractions), and either scales or sizes; all three are of `axes` only."""

    arity = (1, 4)
    control_inputs = (1, 2, 3)
    antialias: int = 0
    axes: tuple[int, ...] | None = None
    coordinate_transformation_mode: str = "half_pixel"
    cubic_coeff_a: float = -0.75
    exclude_outside: int = 0
    extrapolation_value: float = 0.0
    keep_aspect_ratio_policy: str = "stretch"
    mode: str = "nearest"
    nearest_mode: str = "round_prefer_floor"

    @classmethod
    def upgrade(cls, spec: NodeSpec) -> None:
        if spec.opset < 11:
            spec.inputs.insert(1, None)
            spec.attributes.setdefault("coordinate_transformation_mode", "asymmetric")
            spec.attributes.setdefault("nearest_mode", "floor")

    def __post_init__(self) -> None:
        for name, words in (
            ("mode", ("nearest", "linear", "cubic")),
            ("coordinate_transformation_mode", COORDINATES),
            ("nearest_mode", tuple(ROUNDING)),
            ("keep_aspect_ratio_policy", ("stretch", "not_larger", "not_smaller")),
        ):
            check(getattr(self, name) in words, f"{name}: expected one of {', '.join(words)}, got {getattr(self, name)!r}")
        check(not (self.antialias and self.mode == "nearest"), "antialias: not defined for mode 'nearest'")

    def where(self, rank: int) -> tuple[int, ...]:
        """The axes that roi, scales and sizes refer to."""
        return tuple(range(rank)) if self.axes is None else axis_indices(self.axes, rank)

    def output(
        self,
        shape: Sequence[Dim],
        roi: np.ndarray | None,
        scales: np.ndarray | None,
        sizes: Sequence[int] | None,
    ) -> tuple[list[Dim], list[float | None]]:
        """The size of the result along each axis, and the factor of the axis; None if the input's size is unknown."""
        where = self.where(len(shape))
        out: list[Dim] = list(shape)
        factors: list[float | None] = [1.0] * len(shape)
        given = sizes if scales is None else scales
        assert given is not None
        check(len(given) == len(where), f"scales or sizes: expected {len(where)} values, got {len(given)}")
        if scales is not None:
            fine = scales.ndim == 1 and kind(scales.dtype) == "f" and np.isfinite(scales).all() and (scales > 0).all()
            check(bool(fine), f"scales: expected rank 1, finite values above 0, got {scales.tolist()}")
            for axis, scale in zip(where, scales.astype(np.float32), strict=True):
                factors[axis] = float(scale)
                d, crop = shape[axis], self.crop(roi, where, axis)
                # in float32: a scale of 0.7 makes 7 of 10, though float32(0.7) is a little less
                size = scale * np.float32(d * (crop[1] - crop[0])) if isinstance(d, int) else None
                check(size is None or bool(np.isfinite(size)), f"scales: {scale} is too large for axis {axis} of size {d}")
                out[axis] = math.floor(size) if size is not None else d if scale == 1 and crop == (0, 1) else None
        else:
            assert sizes is not None
            check(min(sizes, default=1) > 0, f"sizes: expected values above 0, got {tuple(sizes)}")
            for axis, size in zip(where, sizes, strict=True):
                d = shape[axis]
                out[axis], factors[axis] = size, size / d if isinstance(d, int) and d else None
            if self.keep_aspect_ratio_policy != "stretch":
                known = [f for f in (factors[axis] for axis in where) if f is not None]
                choose = min if self.keep_aspect_ratio_policy == "not_larger" else max
                factor = choose(known) if len(known) == len(where) and known else None
                for axis in where:
                    d = shape[axis]
                    out[axis] = math.floor(factor * d + 0.5) if factor is not None and isinstance(d, int) else None
                    factors[axis] = factor
        for axis in where:
            check(out[axis] != 0 or shape[axis] == 0, f"axis {axis}: nothing is left of size {shape[axis]}")
            check(shape[axis] != 0 or out[axis] == 0, f"axis {axis}: an empty axis cannot become one of size {out[axis]}")
        return out, factors

    def crop(self, roi: np.ndarray | None, where: Sequence[int], axis: int) -> tuple[float, float]:
        """(start, end) of the range of an axis that is resized, as fractions."""
        if not self.extrapolates or axis not in where:
            return 0, 1
        if roi is None:
            raise ModelError("roi: expected one with coordinate_transformation_mode 'tf_crop_and_resize'")
        n = len(where)
        check(roi.shape == (2 * n,), f"roi: expected {2 * n} elements, got shape {shape_text(roi.shape)}")
        i = where.index(axis)
        check(bool(np.isfinite(roi).all()), f"roi: expected finite values, got {roi.tolist()}")
        return float(roi[i]), float(roi[i + n])

    @property
    def extrapolates(self) -> bool:
        """Whether elements of the result may be extrapolation_value."""
        return self.coordinate_transformation_mode == "tf_crop_and_resize"

    def selects_elements(self, node: Node) -> bool:
        return self.mode == "nearest" and not self.extrapolates

    def independent_images(self, node: Node) -> bool:
        return only_first_varies(node)

    def infer(self, x: Value, roi: Value | None = None, scales: Value | None = None, sizes: Value | None = None) -> Inferred:
        check_rank_least(x, "input", 1)
        roi, scales, sizes = _given(roi), _given(scales), _given(sizes)
        check(scales is not None or sizes is not None, "expected scales or sizes, got neither")
        check(scales is None or sizes is None, "expected scales or sizes, got both")
        amount = known_ints(sizes, "sizes")
        if x.shape is None:
            given = sizes if scales is None else scales
            return [(unknown(None if given is None or self.axes is not None else length(given)), x.dtype)]
        where = self.where(len(x.shape))
        ready = amount is not None if scales is None else scales.constant is not None
        if self.extrapolates and roi is not None and scales is not None:
            ready = ready and roi.constant is not None
        if not ready:
            return [(tuple(None if i in where else d for i, d in enumerate(x.shape)), x.dtype)]
        out, _ = self.output(x.shape, constant_of(roi), constant_of(scales), amount)
        return [(tuple(out), x.dtype)]

    def taps(self, axis: int, size: int, out: int, factor: float, roi: np.ndarray | None, rank: int) -> Taps:
        """The input elements and weights of each of the `out` elements along an axis."""
        x, outside = self._coordinates(axis, size, out, factor, roi, rank, np.arange(out))
        x = np.where(outside, 0, x)  # they read nothing, and may be past what an integer holds
        if self.mode == "nearest":
            places = ROUNDING[self.nearest_mode](x).astype(np.int64)[:, None]
            return Taps(np.clip(places, 0, size - 1), np.ones(places.shape), outside)
        shrink = min(factor, 1.0) if self.antialias else 1.0
        reach = math.ceil(self._reach(factor))
        places = np.floor(x).astype(np.int64)[:, None] + np.arange(1 - reach, reach + 1)
        weights = self._kernel(np.abs(places - x[:, None]) * shrink)
        if self.exclude_outside:
            weights = np.where((places >= 0) & (places < size), weights, 0)
        return Taps(np.clip(places, 0, size - 1), weights / weights.sum(axis=1, keepdims=True), outside)

    def _kernel(self, t: np.ndarray) -> Any:
        """The weight of an element at distance t."""
        if self.mode == "linear":
            return np.maximum(1 - t, 0)
        return cubic_kernel(t, self.cubic_coeff_a)

    def reads(self, node: Node, i: int, result: Value, spans: Spans) -> Spans:
        """The elements whose weights may differ from 0, as if the axes had no ends."""
        x, (roi, scales, sizes) = node.input(0), (constant_of(_given(node.optional(j))) for j in range(1, 4))
        out, factors = self.output(x.dims, roi, scales, None if sizes is None else to_ints(sizes, "sizes"))

        def along(axis: int, span: Span) -> Span:
            if axis not in self.where(len(spans)):
                return span
            factor: float = factors[axis]  # type: ignore[assignment]  # known

            def place(i: np.ndarray) -> np.ndarray:
                return self._coordinates(axis, x.dims[axis], out[axis], factor, roi, len(spans), i)[0]  # type: ignore[arg-type]

            if self.mode == "nearest":
                nearest = ROUNDING[self.nearest_mode]
                return span.mapped(lambda i: nearest(place(i)), lambda i: nearest(place(i)), 1 / factor)
            reach = self._reach(factor)
            return span.mapped(lambda i: np.floor(place(i) - reach) + 1, lambda i: np.ceil(place(i) + reach) - 1, 1 / factor)

        return [along(axis, span) for axis, span in enumerate(spans)]

    def _reach(self, factor: float) -> float:
        """The distance from which on an element has the weight 0."""
        return (1 if self.mode == "linear" else 2) / (min(factor, 1.0) if self.antialias else 1.0)

    def _coordinates(
        self, axis: int, size: int, out: int, factor: float, roi: np.ndarray | None, rank: int, i: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The position in the input of the elements i of the `out` elements, and whether it is outside the roi."""
        mode, width = self.coordinate_transformation_mode, factor * size
        inside = np.zeros(i.shape, bool)
        if mode == "align_corners":
            return (i * (size - 1) / (width - 1) if width != 1 else 0.0 * i), inside
        if mode == "tf_crop_and_resize":
            start, end = self.crop(roi, self.where(rank), axis)
            offset = i * (end - start) / (width - 1) if width != 1 else 0.5 * (end - start) + 0 * i
            x = (start + offset) * (size - 1)
            return x, (x < 0) | (x > size - 1)
        if mode == "asymmetric":
            return _over(i, factor), inside
        if mode == "pytorch_half_pixel" and out == 1:
            return np.zeros(i.shape), inside
        x = _over(i + 0.5, factor) - 0.5
        return (x + size / 2 * (1 - out / width) if mode == "half_pixel_symmetric" else x), inside

    def reference(self, x: Array, roi: Array | None = None, scales: Array | None = None, sizes: Array | None = None) -> Results:
        roi, scales, sizes = (None if v is None or v.size == 0 else v for v in (roi, scales, sizes))
        check((scales is None) != (sizes is None), "expected either scales or sizes")
        out, factors = self.output(x.shape, roi, scales, None if sizes is None else to_ints(sizes, "sizes"))
        if 0 in out:
            return np.empty(out, x.dtype)
        y: Any = x if kind(x.dtype) == "f" else x.astype(np.float64)
        outside = np.zeros((), bool)
        for axis in self.where(x.ndim):
            taps = self.taps(axis, x.shape[axis], out[axis], factors[axis], roi, x.ndim)  # type: ignore[arg-type]  # known
            along = (-1,) + (1,) * (x.ndim - 1 - axis)
            if self.mode == "nearest":
                y = y.take(taps.places[:, 0], axis)
            else:
                weights = taps.weights.astype(y.dtype)
                y = sum(y.take(taps.places[:, t], axis) * weights[:, t].reshape(along) for t in range(weights.shape[1]))
            outside = outside | taps.outside.reshape(along)
        y = np.where(outside, y.dtype.type(self.extrapolation_value), y)
        if kind(x.dtype) == "f":
            return y
        return np.clip(np.rint(y), *limits(x.dtype)).astype(x.dtype)


class Upsample(Op):
    """The first name of Resize."""

    @classmethod
    def upgrade(cls, spec: NodeSpec) -> None:
        mode = spec.take("mode", STRING, "nearest")
        if mode not in ("nearest", "linear", "bilinear"):
            raise UnsupportedError(f"mode: expected nearest or linear, got {mode!r}")
        spec.attributes["mode"] = "nearest" if mode == "nearest" else "linear"
        if spec.opset < 7:
            spec.attributes["scales"] = [1.0, 1.0, spec.take("height_scale", FLOAT), spec.take("width_scale", FLOAT)]
        spec.attribute_to_input("scales", 1, FLOATS, np.float32)
        spec.op_type, spec.opset = "Resize", 10  # where the two are the same


def _given(value: Value | None) -> Value | None:
    """The input, or None if it is left out or empty, which means the same."""
    return None if value is None or value.shape == (0,) else value


def _over(x: np.ndarray, factor: float) -> Any:
    """x / factor, rounded to float32, so that 1 / float32(1/3) is 3 and not a little less."""
    return (x / factor).astype(np.float32).astype(np.float64)
