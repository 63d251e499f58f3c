"""The machine's limits, measured: products of floats and of bytes by instruction set, GB/s read from memory.

    python bench/peak.py [--threads 1,2]

The benchmarks divide by the best of several such bursts, `fastconv profile` by that of shorter ones (fastconv/peak.py).
"""

import argparse
import statistics

from fastconv import kernels
from fastconv.bench.limits import product_bursts, read_bursts
from fastconv.threads import cpu_limit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--threads", default=",".join(map(str, dict.fromkeys((1, cpu_limit().count)))), help="default: %(default)s"
    )
    counts = [int(t) for t in parser.parse_args().threads.split(",")]
    print(f"{'':32} {'threads':>7} {'median':>8} {'best':>8}")

    def line(what: str, threads: int, bursts: list[float]) -> None:
        print(f"{what:32} {threads:7} {statistics.median(bursts):8.1f} {max(bursts):8.1f}")

    for isa in kernels.available():
        for products, (_, instruction) in kernels.load(isa).peak.kinds().items():
            if products != "floats" or isa in kernels.available("conv_direct"):
                unit = "GFLOP/s" if products == "floats" else "GOP/s"
                for threads in counts:
                    line(f"{unit} {isa}, {instruction}", threads, product_bursts(isa, threads, products=products))
    for threads in counts:
        line("GB/s read", threads, read_bursts(threads))


if __name__ == "__main__":
    main()
