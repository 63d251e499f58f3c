"""The range of each value on the calibration data: streamed into histograms, then cut where the error is least."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ..errors import InputError, printable
from ..graph import Graph, Value
from ..progress import Advance
from .calibration import Calibration

#: (least, greatest) number that is represented
Range = tuple[float, float]

#: the numbers that 8 bits represent
LEVELS = 256
#: bins on each side of zero
BINS = 4096
#: the percent of the numbers that "percentile" keeps
KEPT = 99.99
#: the parts of a range that "mse" tries for each bound
PARTS = np.linspace(1, 0.2, 81)


class Histogram:
    """Counts of finite numbers in bins of equal width, the same for any order of the numbers.

    The width is a power of two, and a bin begins at zero, so that pairs of bins join when a number does not fit.
    """

    def __init__(self) -> None:
        self.counts = np.zeros(2 * BINS, np.int64)
        self.low = self.high = 0.0
        self._exponent = -126

    @property
    def width(self) -> float:
        """The width of a bin."""
        return math.ldexp(1, self._exponent)

    def add(self, x: np.ndarray) -> None:
        """Count the elements of a float32 array that are not zero: zero is always exact."""
        low, high = float(x.min(initial=0)), float(x.max(initial=0))
        self.low, self.high = min(self.low, low), max(self.high, high)
        if largest := max(-low, high):
            self._widen(math.frexp(largest)[1] - int(math.log2(BINS)))
        bins = np.floor(x.reshape(-1) * np.float32(1 / self.width)).astype(np.intp)
        self.counts += np.bincount(bins + BINS, minlength=2 * BINS)
        self.counts[BINS] -= x.size - np.count_nonzero(x)

    def _widen(self, exponent: int) -> None:
        """Join bins until their width is 2^exponent."""
        while self._exponent < exponent and self.counts.any():
            joined = self.counts.reshape(BINS, 2).sum(axis=1)
            self.counts[:] = 0
            self.counts[BINS // 2 : -BINS // 2] = joined
            self._exponent += 1
        self._exponent = max(self._exponent, exponent)


def range_by_mse(h: Histogram) -> Range:
    """The range of least mean squared error: what it leaves out is clipped, all else is rounded to one of 256 numbers."""
    used = np.flatnonzero(h.counts)
    counts, centres = h.counts[used], (used - BINS + 0.5) * h.width

    def error(bounds: Range) -> float:
        clipped = centres - centres.clip(*bounds)
        step = (bounds[1] - bounds[0]) / (LEVELS - 1)
        return float(counts @ clipped**2 + counts[clipped == 0].sum() * step**2 / 12)

    low, high = min(((p * h.low, p * h.high) for p in PARTS), key=error)
    for _ in range(2):  # each bound in turn
        low, high = min(((p * h.low, high) for p in PARTS), key=error)
        low, high = min(((low, p * h.high) for p in PARTS), key=error)
    return low, high


def range_by_percentile(h: Histogram) -> Range:
    """The range without the numbers furthest from zero, half of them on each side that has any."""
    outside = (1 - KEPT / 100) / 2 * h.counts.sum()
    below, above = np.cumsum(h.counts), np.cumsum(h.counts[::-1])
    low = (int(np.searchsorted(below, outside, "right")) - BINS) * h.width
    high = (BINS - int(np.searchsorted(above, outside, "right"))) * h.width
    return max(h.low, min(low, 0.0)), min(h.high, max(high, 0.0))


#: the ways to choose a range
RANGES: Mapping[str, Callable[[Histogram], Range]] = {"mse": range_by_mse, "percentile": range_by_percentile}


def measure_ranges(
    graph: Graph, values: Sequence[Value], ranges: str, data: Calibration, advance: Advance
) -> dict[Value, Range]:
    """The range of each value on the calibration data."""
    histograms = {v: Histogram() for v in values}
    for found in data.run(graph, [v.name for v in values], advance):
        for v, histogram in histograms.items():
            if not np.isfinite(found[v.name]).all():
                raise InputError(f"value {printable(v.name)!r:.200} is NaN or infinite on the calibration data")
            histogram.add(found[v.name])
    return {v: RANGES[ranges](histogram) for v, histogram in histograms.items()}
