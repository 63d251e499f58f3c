"""The machine's limits, measured: products of floats and of bytes by instruction set, GB/s read from memory.

    python bench/peak.py [--threads 1,2]
    python bench/peak.py --share resnet50 --isa avx512vnni      the share of the peak that each convolution of bytes reaches

The benchmarks divide by the best of several such bursts, `fastconv profile` by that of shorter ones (fastconv/peak.py). Where
the clock moves, as in a virtual machine, a layer may never have the clock of the best burst. `--share` compares in turn: a
burst, then the layer; medians of 150 rounds on one thread.
"""

import argparse
import statistics

from fastconv import kernels
from fastconv.bench import tables
from fastconv.bench.layers import NETWORKS, Conv
from fastconv.bench.limits import product_bursts, read_bursts
from fastconv.bench.timing import Case, Kernel, algorithms, load, seconds
from fastconv.threads import cpu_limit

ROUNDS, BURST_SECONDS = 150, 5e-4


def share(case: Case) -> tuple[float, float, float]:
    """Seconds of a layer, 10^9 operations a second of the instruction that multiplies in it, and the layer's share of them."""
    run, products = Kernel(case), str(case.info["products"])
    times, peaks = [], []
    for _ in range(ROUNDS):
        peaks += product_bursts(case.isa, 1, 1, BURST_SECONDS, products)
        times.append(seconds(run))
    shares = [case.layer.flops / t / 1e9 / peak for t, peak in zip(times, peaks, strict=True)]
    return statistics.median(times), statistics.median(peaks), statistics.median(shares)


def print_shares(network: str, isa: str) -> None:
    """A line for each layer, by the first of its implementations, and one for all, each as often as the network has it."""
    lines, total, ideal = [], 0.0, 0.0
    for layer in load(network, Conv):
        case = Case(layer, algorithms(layer, isa, quantized=True)[0], isa, 1)
        time, peak, part = share(case)
        total, ideal = total + layer.count * time, ideal + layer.count * layer.flops / peak / 1e9
        lines.append((layer.name, case.algorithm, f"{1e3 * time:.3f}", f"{100 * part:.1f} %"))
    lines.append(("all", "", f"{1e3 * total:.3f}", f"{100 * ideal / total:.1f} %"))
    print(tables.table("layer | implementation | >ms | >of the peak", lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--threads", default=",".join(map(str, dict.fromkeys((1, cpu_limit().count)))), help="default: %(default)s"
    )
    parser.add_argument("--share", choices=NETWORKS, help="of the peak, by each layer of this network")
    parser.add_argument(
        "--isa", choices=kernels.available(), default=kernels.load().isa, help="of --share; default: %(default)s"
    )
    args = parser.parse_args()
    if args.share:
        print_shares(args.share, args.isa)
        return
    counts = [int(t) for t in args.threads.split(",")]
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
