"""RoiAlign: each region of an image as output_height × output_width bins of evenly spaced samples."""

from __future__ import annotations

import math

import numpy as np

from ..graph import Value
from .base import Array, Inferred, Op, Results
from .dims import check, check_rank, index_array, size_along, unify
from .node_spec import NodeSpec


class RoiAlign(Op):
    """inputs: data N C H W, regions (x1 y1 x2 y2), and the index of each region's image -> regions C OH OW."""

    arity = (3, 3)

    coordinate_transformation_mode: str = "half_pixel"
    mode: str = "avg"
    output_height: int = 1
    output_width: int = 1
    #: samples of each bin along each axis; 0: as many as the bin has elements
    sampling_ratio: int = 0
    spatial_scale: float = 1.0

    @classmethod
    def upgrade(cls, spec: NodeSpec) -> None:
        if spec.opset < 16:
            spec.attributes["coordinate_transformation_mode"] = "output_half_pixel"

    def __post_init__(self) -> None:
        for name, words in (("mode", ("avg", "max")), ("coordinate_transformation_mode", ("half_pixel", "output_half_pixel"))):
            check(getattr(self, name) in words, f"{name}: expected one of {', '.join(words)}, got {getattr(self, name)!r}")
        for name, least in (("output_height", 1), ("output_width", 1), ("sampling_ratio", 0)):
            check(getattr(self, name) >= least, f"{name}: expected {least} or more, got {getattr(self, name)}")

    def infer(self, x: Value, rois: Value, images: Value) -> Inferred:
        check_rank(x, "input", 4)
        check_rank(rois, "rois", 2)
        check_rank(images, "batch_indices", 1)
        if rois.shape is not None:
            unify(4, rois.shape[1], "rois: size of the last axis")
        n = unify(size_along(rois.shape, 0), size_along(images.shape, 0), "batch_indices: regions")
        return [((n, size_along(x.shape, 1), self.output_height, self.output_width), x.dtype)]

    def places(self, start: float, size: float, bins: int, most: int) -> tuple[Array, int]:
        """The positions of the samples along an axis, bins × samples, and the number of samples.

        Where a region is larger than the image, the samples that are outside -1 to `most` in every bin are left out.
        """
        count = self.sampling_ratio or max(math.ceil(size / bins), 1)
        samples = np.arange(count) if self.sampling_ratio else _near(start, size / bins / count, bins, count, most)
        return start + (np.arange(bins)[:, None] + (samples + 0.5) / count) * size / bins, count

    def reference(self, x: Array, rois: Array, images: Array) -> Results:
        y = np.zeros((len(rois), x.shape[1], self.output_height, self.output_width), x.dtype)
        shift = 0.5 if self.coordinate_transformation_mode == "half_pixel" else 0.0
        check(bool(np.isfinite(rois).all()), "rois: expected finite numbers")
        for n, (roi, image) in enumerate(zip(rois, index_array(images, len(x), "batch_indices"), strict=True)):
            x1, y1, x2, y2 = (float(v) * self.spatial_scale - shift for v in roi)
            width, height = (x2 - x1, y2 - y1) if shift else (max(x2 - x1, 1.0), max(y2 - y1, 1.0))
            rows, of_rows = self.places(y1, height, self.output_height, x.shape[2])
            columns, of_columns = self.places(x1, width, self.output_width, x.shape[3])
            samples = [_corners(x[image], r, c) for r in rows.T for c in columns.T]
            count = of_rows * of_columns
            if self.mode == "avg":
                y[n] = sum(sum(four) for four in samples) / float(count)
            else:
                outside = 0 if len(samples) < count else -np.inf
                y[n] = np.max([np.max(four, axis=0) for four in samples], axis=0, initial=outside)
        return y


def _near(start: float, step: float, bins: int, count: int, most: int) -> Array:
    """Which samples of a bin, of `count` that are `step` apart, are in any bin near -1 to `most`."""
    if bins * count <= 4 * (most + 2):
        return np.arange(count)
    first, last = (math.floor((place - start) / step) for place in (-1, most))
    near = range(max(first - 1, 0), min(last + 2, bins * count))
    return np.array(sorted({i % count for i in near}), float)


def _corners(x: Array, rows: Array, columns: Array) -> list[Array]:
    """The four elements of x (C H W) around each position, times their weights; zeros for a position outside."""
    H, W = x.shape[1:]
    inside = ((rows >= -1) & (rows <= H))[:, None] & ((columns >= -1) & (columns <= W))
    (r0, r1, fr), (c0, c1, fc) = _between(rows, H), _between(columns, W)
    fr = fr[:, None]
    corners = ((r0, c0, (1 - fr) * (1 - fc)), (r0, c1, (1 - fr) * fc), (r1, c0, fr * (1 - fc)), (r1, c1, fr * fc))
    return [x[:, r[:, None], c] * np.where(inside, w, 0).astype(x.dtype) for r, c, w in corners]


def _between(places: Array, size: int) -> tuple[Array, Array, Array]:
    """The index before and the index after each position, and its fractional part."""
    places = np.clip(places, 0, size - 1)
    low = np.floor(places).astype(np.int64)
    return low, np.minimum(low + 1, size - 1), places - low
