"""GridSample: the input, sampled at the positions of a grid: N C *size and N *out rank -> N C *out."""

from __future__ import annotations

import numpy as np

from ..errors import ModelError
from ..graph import Value, shape_text
from .base import Array, Inferred, Op, Results
from .dims import check, check_dtype, check_rank, unify
from .interpolation import Weights, cubic, linear, sample, zeros
from .node_spec import STRING, NodeSpec

#: opset 16 -> 20
MODES = {"bilinear": "linear", "bicubic": "cubic"}
#: a distance from the image at which nothing changes any more, and which indices can hold
FAR = 2.0**40
WEIGHTS: dict[str, Weights] = {"linear": linear, "cubic": cubic, "nearest": lambda t: [(0, np.ones_like(t))]}


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
        for name, words in (("mode", tuple(WEIGHTS)), ("padding_mode", ("zeros", "border", "reflection"))):
            check(getattr(self, name) in words, f"{name}: expected one of {', '.join(words)}, got {getattr(self, name)!r}")

    def infer(self, x: Value, grid: Value) -> Inferred:
        check_dtype(grid, "grid", "f")
        if x.shape is None or grid.shape is None:
            return [(None, x.dtype)]
        rank = len(x.shape) - 2
        check(rank > 0, f"input: expected rank 3 or more, got shape {shape_text(x.shape)}")
        check_rank(grid, "grid", rank + 2)
        unify(rank, grid.shape[-1], "grid: size of the last axis")
        N = unify(x.shape[0], grid.shape[0], "grid: batch size")
        check(0 not in x.shape[2:], f"input: expected sizes above 0, got {shape_text(x.shape)}")
        return [((N, x.shape[1], *grid.shape[1:-1]), x.dtype)]

    def reflected(self, place: Array, d: int) -> Array:
        """Positions along an axis of size d, reflected at its borders until they are inside."""
        low, high = (0, d - 1) if self.align_corners else (-0.5, d - 0.5)
        if low == high:
            return np.zeros_like(place)
        away = np.abs(place - low) % (2 * (high - low))
        return low + np.minimum(away, 2 * (high - low) - away)

    def padding(self, index: Array, d: int) -> tuple[Array, Array]:
        """Indices into an axis of size d, moved inside, and whether the elements there count (else they are zeros)."""
        if self.padding_mode == "zeros":
            return zeros(index, d)
        if self.padding_mode == "reflection":
            index = self.reflected(index, d).astype(np.int64)
        return np.clip(index, 0, d - 1), np.ones(index.shape, bool)

    def reference(self, x: Array, grid: Array) -> Results:
        check(
            x.ndim == grid.ndim and x.ndim - 2 == grid.shape[-1],
            f"grid: expected rank {x.ndim}, got shape {shape_text(grid.shape)}",
        )
        if not np.isfinite(grid).all():
            raise ModelError("grid: expected finite numbers")
        y = np.zeros((*x.shape[:2], *grid.shape[1:-1]), x.dtype)
        for n, (image, points) in enumerate(zip(x, grid, strict=True)):
            places = []
            # a grid has the last axis first
            for d, place in zip(x.shape[2:], np.moveaxis(points, -1, 0)[::-1], strict=True):
                at = (place + 1) / 2 * (d - 1) if self.align_corners else ((place + 1) * d - 1) / 2
                at = np.clip(np.rint(at) if self.mode == "nearest" else at, -FAR, FAR)
                # the taps of mode cubic are padded one by one
                if self.mode != "cubic" and self.padding_mode == "border":
                    at = np.clip(at, 0, d - 1)
                elif self.mode != "cubic" and self.padding_mode == "reflection":
                    at = self.reflected(at, d)
                places.append(at)
            y[n] = sample(image, np.stack(places), self.padding, WEIGHTS[self.mode])
        return y
