"""The machine's limits, measured: GFLOP/s of multiply-adds by instruction set, GB/s read from memory.

    python bench/peak.py [--threads 1,2]

The benchmarks divide by the best of several such bursts, `fastconv profile` by that of shorter ones (fastconv/peak.py).
"""

import argparse
import statistics

from fastconv import kernels
from fastconv.bench.limits import fma_bursts, read_bursts
from fastconv.threads import cpu_limit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--threads", default=",".join(map(str, dict.fromkeys((1, cpu_limit().count)))), help="default: %(default)s"
    )
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
