"""The machine's limits, measured: products a second, of floats and of bytes, and GB/s read from memory, by pyx/isa/peak.pyx.

The loops run as steps of a plan do, with the same threads and the same barrier. A limit is the best of several short bursts: on
a shared machine the best one is what the hardware does, and the others say how much of it the neighbours left. A neighbour may
have the CPU for longer than all bursts of a call take: the limits are the best of all calls in a process.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from . import _executor
from .kernels import Kernels
from .plan.packing import empty_aligned
from .plan.view import address

#: what `measure` spends: 10 ms; the first time some 30 more, most of them on new pages for the buffer
BURSTS, BURST_SECONDS = 9, 0.001
#: more than most caches hold. Each part is read once: the second time it may come from a cache
BUFFER_BYTES, PARTS = 64 << 20, 8
#: the kinds of products of pyx/isa/peak.pyx: of floats, and of bytes in three ways, of which a build has one or two
KINDS = ("floats", "dots", "pairs", "tiles")


class Peak(NamedTuple):
    """What a number of threads can do at most on this machine."""

    #: 10^9 operations a second of products in registers, each summed (a product and its sum are two)
    gflops: float
    #: GB/s (10^9 bytes) read from memory
    gbytes: float
    threads: int
    #: the instruction that multiplies bytes; empty if the products are multiply-adds of floats
    instruction: str = ""

    @property
    def unit(self) -> str:
        """That of `gflops`."""
        return "GOP/s" if self.instruction else "GFLOP/s"


#: the best that was measured so far: of products of a kind, and of reading
_BEST: dict[tuple[Kernels, int, str], float] = {}
_GBYTES: dict[tuple[Kernels, int], float] = {}


def measure(kernels: Kernels, threads: int, products: str = "floats") -> Peak:
    """The limits for an instruction set and a number of threads: the best of all calls, each of which takes more bursts.

    `products` is their kind, one of `kernels.peak.kinds()`. Memory is measured by the first call only. Call it before and after
    what is compared with the limits.
    """
    if (kernels, threads) not in _GBYTES:
        _GBYTES[kernels, threads] = max(read_bursts(kernels, threads, new_buffer(BUFFER_BYTES), PARTS, PARTS))
    bursts = product_bursts(kernels, threads, BURSTS, BURST_SECONDS, products)
    best = _BEST[kernels, threads, products] = max(_BEST.get((kernels, threads, products), 0.0), *bursts)
    return Peak(best, _GBYTES[kernels, threads], threads, instruction(kernels, products))


def instruction(kernels: Kernels, products: str) -> str:
    """The instruction that multiplies bytes; empty for products of floats."""
    _, name = kernels.peak.kinds()[products]
    return "" if products == "floats" else name


def above_limit(memory_bound: bool, fewer_products: bool) -> str:
    """Why a share of a limit is above 100 %, in two words."""
    return "in cache" if memory_bound else "fewer products" if fewer_products else "peak disturbed"


def new_buffer(nbytes: int) -> np.ndarray:
    """Memory that is there: pages that nobody has written to would all be one page of zeros."""
    buffer = empty_aligned((nbytes // 4,))
    buffer.fill(1)
    return buffer


def product_bursts(kernels: Kernels, threads: int, bursts: int, burst_seconds: float, products: str = "floats") -> list[float]:
    """10^9 operations a second of each of several bursts on `threads` threads together, each about so long."""
    operations, _ = kernels.peak.kinds()[products]
    loops = 1 << 8
    while (once := _seconds(kernels, 1, [{products: loops}])[0]) < BURST_SECONDS / 4:
        loops *= 2
    loops = round(loops * threads * burst_seconds / once)
    return [operations * loops / s / 1e9 for s in _seconds(kernels, threads, [{products: loops}] * bursts)]


def read_bursts(kernels: Kernels, threads: int, buffer: np.ndarray, parts: int, bursts: int) -> list[float]:
    """GB/s of each of several bursts, which go through a buffer part by part; each thread reads its share of a part."""
    group = 4 * kernels.peak.group_floats()
    lines = buffer.nbytes // parts // group
    works = [{"lines": lines, "src": address(1, i % parts * lines * group)} for i in range(bursts)]
    return [lines * group / s / 1e9 for s in _seconds(kernels, threads, works, buffer)]


def _seconds(kernels: Kernels, threads: int, works: Sequence[dict[str, int]], buffer: np.ndarray | None = None) -> list[float]:
    """The seconds of each of several steps: from the time the first thread begins it to the time the last one ends it."""
    pieces = np.full((len(works), threads, 3), np.nan)  # began, ended, sum; there may be fewer threads than asked for
    nothing = dict.fromkeys(KINDS, 0) | {"lines": 0, "src": 0}
    fields = [nothing | {"dst": address(2, pieces[i].nbytes * i)} | work for i, work in enumerate(works)]
    _executor.Program([(*kernels.peak.step(f), 1, 1) for f in fields]).run((None, buffer, pieces), threads)
    return [float(np.nanmax(ended) - np.nanmin(began)) for began, ended, _ in pieces.swapaxes(1, 2)]


__all__ = ["Peak", "above_limit", "instruction", "measure", "new_buffer", "product_bursts", "read_bursts"]
