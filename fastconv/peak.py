"""The machine's limits, measured: GFLOP/s of multiply-adds, GB/s read from memory, by pyx/isa/peak.pyx.

The loops run as steps of a plan do, with the same threads and the same barrier. A limit is the best of several short bursts: on
a shared machine the best one is what the hardware does, and the others say how much of it the neighbours left.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from . import _executor
from .kernels import Kernels
from .plan.packing import empty_aligned
from .plan.view import address

#: what `measure` spends: some 30 ms, most of them on new pages for the buffer
BURSTS, BURST_SECONDS = 9, 0.001
#: more than most caches hold. Each part is read once: the second time it may come from a cache
BUFFER_BYTES, PARTS = 64 << 20, 8


class Peak(NamedTuple):
    """What a number of threads can do at most on this machine."""

    #: GFLOP/s of multiply-adds in registers (a multiply-add is two)
    gflops: float
    #: GB/s (10^9 bytes) read from memory
    gbytes: float
    threads: int


@cache
def measure(kernels: Kernels, threads: int) -> Peak:
    """The limits for an instruction set and a number of threads, measured once a process."""
    buffer = new_buffer(BUFFER_BYTES)
    gbytes, gflops = read_bursts(kernels, threads, buffer, PARTS, PARTS), fma_bursts(kernels, threads, BURSTS, BURST_SECONDS)
    return Peak(max(gflops), max(gbytes), threads)


def new_buffer(nbytes: int) -> np.ndarray:
    """Memory that is there: pages that nobody has written to would all be one page of zeros."""
    buffer = empty_aligned((nbytes // 4,))
    buffer.fill(1)
    return buffer


def fma_bursts(kernels: Kernels, threads: int, bursts: int, burst_seconds: float) -> list[float]:
    """GFLOP/s of each of several bursts on `threads` threads together, each about so long."""
    loops = 1 << 12
    while (once := _seconds(kernels, 1, [{"loops": loops}])[0]) < BURST_SECONDS / 4:
        loops *= 2
    loops = round(loops * threads * burst_seconds / once)
    return [kernels.peak.flops(loops) / s / 1e9 for s in _seconds(kernels, threads, [{"loops": loops}] * bursts)]


def read_bursts(kernels: Kernels, threads: int, buffer: np.ndarray, parts: int, bursts: int) -> list[float]:
    """GB/s of each of several bursts, which go through a buffer part by part; each thread reads its share of a part."""
    group = 4 * kernels.peak.group_floats()
    lines = buffer.nbytes // parts // group
    works = [{"lines": lines, "src": address(1, i % parts * lines * group)} for i in range(bursts)]
    return [lines * group / s / 1e9 for s in _seconds(kernels, threads, works, buffer)]


def _seconds(kernels: Kernels, threads: int, works: Sequence[dict[str, int]], buffer: np.ndarray | None = None) -> list[float]:
    """The seconds of each of several steps: from the time the first thread begins it to the time the last one ends it."""
    pieces = np.full((len(works), threads, 3), np.nan)  # began, ended, sum; there may be fewer threads than asked for
    nothing = {"loops": 0, "lines": 0, "src": 0}
    fields = [nothing | {"dst": address(2, pieces[i].nbytes * i)} | work for i, work in enumerate(works)]
    _executor.Program([(*kernels.peak.step(f), 1) for f in fields]).run((None, buffer, pieces), threads)
    return [float(np.nanmax(ended) - np.nanmin(began)) for began, ended, _ in pieces.swapaxes(1, 2)]


__all__ = ["Peak", "fma_bursts", "measure", "new_buffer", "read_bursts"]
