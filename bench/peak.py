"""The machine's limits, measured: GFLOP/s of multiply-adds by instruction set, GB/s read from memory.

    python bench/peak.py [--threads 1,2]

The other benchmarks divide by the best of several bursts, as `fastconv profile` does (fastconv/peak.py); here they are longer.
"""

import argparse
import os
import statistics
from functools import cache

import numpy as np

from fastconv import kernels, peak

BURSTS = 9
BURST_SECONDS = 0.02
BUFFER_BYTES, PARTS = 512 << 20, 4  # far more than any cache holds: when a part's turn comes again, it is in none


@cache
def _buffer() -> np.ndarray:
    return peak.new_buffer(BUFFER_BYTES)


def fma_bursts(
    isa: str | None = None, threads: int = 1, bursts: int = BURSTS, burst_seconds: float = BURST_SECONDS
) -> list[float]:
    """GFLOP/s of each of several bursts on `threads` threads together; `isa` as in fastconv.kernels.load."""
    return peak.fma_bursts(kernels.load(isa), threads, bursts, burst_seconds)


def read_bursts(threads: int = 1) -> list[float]:
    """GB/s of each of several bursts, which go through a large buffer part by part."""
    return peak.read_bursts(kernels.load(), threads, _buffer(), PARTS, 2 * PARTS)


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
