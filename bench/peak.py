"""The machine's limits, measured: GFLOP/s of multiply-adds by instruction set, GB/s read from memory.

    python bench/peak.py [--threads 1,2]

The other benchmarks divide by `peak_gflops` and `bandwidth`: the best of several short bursts, as on a shared machine the best
one is what the hardware does, and the median says how much of it the neighbours left. The loops are pyx/isa/peak.pyx.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Barrier

import numpy as np

from fastconv import kernels

BURSTS = 9
BURST_SECONDS = 0.02
BUFFER_BYTES, PARTS = 512 << 20, 4  # far more than any cache holds: when a part's turn comes again, it is in none


def _seconds(work: Callable[[int], object], threads: int) -> float:
    """Seconds that `work(0) … work(threads - 1)` take in parallel, from the first start to the last end."""
    barrier = Barrier(threads)

    def run(thread: int) -> tuple[float, float]:
        barrier.wait()
        began = time.perf_counter()
        work(thread)
        return began, time.perf_counter()

    with ThreadPoolExecutor(threads) as pool:
        begins, ends = zip(*pool.map(run, range(threads)), strict=True)
    return max(ends) - min(begins)


def fma_bursts(
    isa: str | None = None, threads: int = 1, bursts: int = BURSTS, burst_seconds: float = BURST_SECONDS
) -> list[float]:
    """GFLOP/s of each of several bursts on `threads` threads together; `isa` as in fastconv.kernels.load."""
    fma = kernels.load(isa).peak.fma

    def seconds(loops: int, threads: int) -> float:
        return _seconds(lambda _: fma(loops), threads)

    loops = 1 << 14
    while seconds(loops, 1) < burst_seconds:
        loops *= 2
    flops = fma(loops) * threads
    return [flops / seconds(loops, threads) / 1e9 for _ in range(bursts)]


@cache
def _buffer() -> np.ndarray:
    return np.ones(BUFFER_BYTES // 4, np.float32)


def read_bursts(threads: int = 1, bursts: int = 2 * PARTS) -> list[float]:
    """GB/s of each of several bursts, which go through a large buffer part by part; each thread reads its share of a part."""
    read, buffer = kernels.load().peak.read, _buffer()
    count = buffer.size // PARTS // threads

    def seconds(part: int) -> float:
        start = buffer.ctypes.data + 4 * count * threads * part
        return _seconds(lambda t: read(start + 4 * count * t, count), threads)

    return [4 * count * threads / seconds(i % PARTS) / 1e9 for i in range(bursts)]


def peak_gflops(isa: str | None = None, threads: int = 1) -> float:
    """The most GFLOP/s (a multiply-add is two) that `threads` threads reach with an instruction set; None is the best one."""
    return max(fma_bursts(isa, threads))


def bandwidth(threads: int = 1) -> float:
    """The most GB/s (10^9 bytes) that `threads` threads read from memory."""
    return max(read_bursts(threads))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parser.add_argument("--threads", default=",".join(map(str, dict.fromkeys((1, cores)))), help="default: %(default)s")
    counts = [int(t) for t in parser.parse_args().threads.split(",")]
    print(f"{'':20} {'threads':>7} {'median':>8} {'best':>8}")
    for isa in kernels.available():
        for threads in counts:
            bursts = fma_bursts(isa, threads)
            print(f"{'GFLOP/s ' + isa:20} {threads:7} {statistics.median(bursts):8.1f} {max(bursts):8.1f}")
    for threads in counts:
        bursts = read_bursts(threads)
        print(f"{'GB/s read':20} {threads:7} {statistics.median(bursts):8.1f} {max(bursts):8.1f}")


if __name__ == "__main__":
    main()
