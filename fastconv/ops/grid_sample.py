"""GridSample: the input, sampled at the places that a grid gives: N C *size and N *out rank -> N C *out."""

from __future__ import annotations

import itertools

import numpy as np

from ..errors import ModelError
from ..graph import Value
from .base import Array, Inferred, Op, Results
from .dims import check, check_dtype, check_rank, unify
from .node_spec import STRING, NodeSpec

MODES = {"bilinear": "linear", "bicubic": "cubic"}  # opset 16 -> 20


def sample(x, places, padding, weights):
    """The elements of x (C *size) around each of the places (rank *out, floats), weighted axis by axis: C *out.

    `weights` gives for an axis's fractions the offsets of the taps and their weights; `padding` maps an axis's indices into it.
    """
    taps = []
    for d, place in zip(x.shape[1:], places, strict=True):
        floor = np.floor(place)
        taps.append([(*padding(floor.astype(np.int64) + i, d), w) for i, w in weights(place - floor)])
    y = np.zeros((len(x), *places.shape[1:]), x.dtype)
    for combination in itertools.product(*taps):
        index, inside, weight = zip(*combination, strict=True)
        element = np.where(np.all(inside, axis=0), x[(slice(None), *index)], x.dtype.type(0))
        y += element * np.prod(weight, axis=0).astype(x.dtype)
    return y


def linear(t):
    """The taps around a place with fractional part t."""
    return [(0, 1 - t), (1, t)]


def cubic(t, a=-0.75):
    """The taps around a place with fractional part t."""
    near, far = (lambda s: ((a + 2) * s - (a + 3)) * s * s + 1), (lambda s: ((a * s - 5 * a) * s + 8 * a) * s - 4 * a)
    return [(-1, far(1 + t)), (0, near(t)), (1, near(1 - t)), (2, far(2 - t))]


def zeros(index, d):
    """Outside lie zeros: the index, and whether it is inside."""
    return np.clip(index, 0, d - 1), (index >= 0) & (index < d)


class GridSample(Op):
    arity = (2, 2)

    align_corners: int = 0
    mode: str = "linear"
    padding_mode: str = "zeros"

    @classmethod
    def upgrade(cls, spec: NodeSpec) -> None:
        if spec.opset < 20:
            mode = spec.take("mode", STRING, "bilinear")
            spec.attributes["mode"] = MODES.get(mode, mode)

    def __post_init__(self) -> None:
        for name, words in (("mode", ("linear", "nearest", "cubic")), ("padding_mode", ("zeros", "border", "reflection"))):
            check(getattr(self, name) in words, f"{name}: expected one of {', '.join(words)}, got {getattr(self, name)!r}")

    def infer(self, x: Value, grid: Value) -> Inferred:
        check_dtype(grid, "grid", "f")
        if x.shape is None or grid.shape is None:
            return [(None, x.dtype)]
        rank = len(x.shape) - 2
        check(rank > 0, f"input: expected rank 3 or more, got shape {x.shape}")
        check_rank(grid, "grid", rank + 2)
        unify(rank, grid.shape[-1], "grid: size of the last axis")
        N = unify(x.shape[0], grid.shape[0], "grid: batch size")
        check(0 not in x.shape[2:], f"input: expected sizes above 0, got {x.shape}")
        return [((N, x.shape[1], *grid.shape[1:-1]), x.dtype)]

    def reflected(self, place, d):
        """The place, reflected at the borders until it lies between them."""
        low, high = (0, d - 1) if self.align_corners else (-0.5, d - 0.5)
        if low == high:
            return np.zeros_like(place)
        away = np.abs(place - low) % (2 * (high - low))
        return low + np.minimum(away, 2 * (high - low) - away)

    def padding(self, index, d):
        """An axis's indices, where they point outside, as indices inside; and whether what they point at counts."""
        if self.padding_mode == "zeros":
            return zeros(index, d)
        if self.padding_mode == "reflection":
            index = self.reflected(index, d).astype(np.int64)
        return np.clip(index, 0, d - 1), np.ones(index.shape, bool)

    def reference(self, x: Array, grid: Array) -> Results:
        check(x.ndim == grid.ndim and x.ndim - 2 == grid.shape[-1], f"grid: expected rank {x.ndim}, got shape {grid.shape}")
        if not np.isfinite(grid).all():
            raise ModelError("grid: expected finite numbers")
        y = np.zeros((*x.shape[:2], *grid.shape[1:-1]), x.dtype)
        for n, (image, points) in enumerate(zip(x, grid, strict=True)):
            places = []
            # the grid names the last axis first
            for d, place in zip(x.shape[2:], np.moveaxis(points, -1, 0)[::-1], strict=True):
                at = (place + 1) / 2 * (d - 1) if self.align_corners else ((place + 1) * d - 1) / 2
                at = np.rint(at) if self.mode == "nearest" else at
                # a cubic's taps are padded one by one
                if self.mode != "cubic" and self.padding_mode == "border":
                    at = np.clip(at, 0, d - 1)
                elif self.mode != "cubic" and self.padding_mode == "reflection":
                    at = self.reflected(at, d)
                places.append(at)
            weights = {"linear": linear, "cubic": cubic, "nearest": lambda t: [(0, np.ones_like(t))]}[self.mode]
            y[n] = sample(image, np.stack(places), self.padding, weights)
        return y
