"""The machine's limits, measured with longer bursts and a larger buffer than fastconv/peak.py needs for a profile."""

from __future__ import annotations

from functools import cache

import numpy as np

from .. import kernels, peak

BURSTS = 9
BURST_SECONDS = 0.02
BUFFER_BYTES, PARTS = 512 << 20, 4  # far more than any cache holds: when a part's turn comes again, it is in none


@cache
def _buffer() -> np.ndarray:
    return peak.new_buffer(BUFFER_BYTES)


def product_bursts(
    isa: str | None = None,
    threads: int = 1,
    bursts: int = BURSTS,
    burst_seconds: float = BURST_SECONDS,
    products: str = "floats",
) -> list[float]:
    """10^9 operations a second of each of several bursts on `threads` threads together.

    `isa` is as in fastconv.kernels.load, `products` as in fastconv.peak.
    """
    return peak.product_bursts(kernels.load(isa), threads, bursts, burst_seconds, products)


def read_bursts(threads: int = 1) -> list[float]:
    """GB/s of each of several bursts, which go through a large buffer part by part."""
    return peak.read_bursts(kernels.load(), threads, _buffer(), PARTS, 2 * PARTS)
