"""AveragePool: the mean of each window, over the elements inside the input or (count_include_pad) inside the padding too."""

from __future__ import annotations

from functools import reduce

import numpy as np

from ..graph import Value
from .base import Array, Inferred, Results
from .dims import check_dtype
from .windows import Pool, Windows


class AveragePool(Pool):
    count_include_pad: int = 0

    def infer(self, x: Value) -> Inferred:
        check_dtype(x, "input", "f")
        return [(self.output_shape(x), x.dtype)]

    def axis_counts(self, windows: Windows) -> list[np.ndarray]:
        """For each axis, the number of elements along it that each window averages."""
        per_axis = []
        for i, (size, out) in enumerate(zip(windows.size, windows.out, strict=True)):
            begin, end = (windows.begin[i], windows.end[i]) if self.count_include_pad else (0, 0)
            taps = np.arange(windows.kernel[i]) * windows.dilations[i] - windows.begin[i]
            places = np.arange(out)[:, None] * windows.strides[i] + taps
            per_axis.append(((places >= -begin) & (places < size + end)).sum(axis=1))
        return per_axis

    def reference(self, x: Array) -> Results:
        windows = self.geometry(x.shape)
        counts = reduce(np.multiply.outer, self.axis_counts(windows))
        return sum(elements for _, elements in windows.taps(x, 0)) / counts.astype(x.dtype)
