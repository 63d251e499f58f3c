"""More calls at once than CPUs: what they get done in a second, beside as many calls as there are CPUs.

    python bench/oversubscription.py                               MobileNetV2, half a minute
    python bench/oversubscription.py resnet18 --callers 1,2,32

Each caller is a thread that calls again when it has its result. One model's calls share the threads (the default), so do those
of two models that are called by turns, and with `threads=` each call has as many threads as there are CPUs. All take turns of
--burst seconds; a ratio is that to as many callers as CPUs, of the same round, and the median of the rounds counts.
"""

import argparse
import statistics
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import peers
import zoo

import fastconv
from fastconv import kernels, onnx_json
from fastconv.threads import cpu_limit

CPUS = cpu_limit().count


def ways(network: str) -> dict[str, list[fastconv.Model]]:
    """The models that callers share, by the columns of the table."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "net.json")
        onnx_json.write(zoo.build(network), path)
        models = [fastconv.load(path, threads=threads) for threads in (None, None, CPUS)]
        for model in models:
            model.plan()
    return {"one model": models[:1], "two models": models[:2], f"threads={CPUS}": models[2:]}


def burst(models: list[fastconv.Model], callers: int, seconds: float) -> float:
    """Calls a second."""
    shape = tuple(d if isinstance(d, int) else 1 for d in models[0].inputs[0].shape or ())
    x = np.random.default_rng(0).random(shape, np.float32)
    start = threading.Barrier(callers)
    done: list[float] = []

    def call(model: fastconv.Model) -> None:
        start.wait()
        began = now = time.perf_counter()
        calls = 0
        while now < began + seconds:
            model(x)
            calls += 1
            now = time.perf_counter()
        done.append(calls / (now - began))

    threads = [threading.Thread(target=call, args=(models[k % len(models)],)) for k in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done)


def table(rates: dict[str, dict[int, list[float]]]) -> list[str]:
    """Lines of a Markdown table, from the calls a second by column, number of callers and round."""
    lines = [f"| callers | {' | '.join(f'{way}, calls/s | of {CPUS} callers' for way in rates)} |"]
    lines.append(f"|{' ---: |' * (1 + 2 * len(rates))}")
    for callers in next(iter(rates.values())):
        cells = [str(callers)]
        for by_callers in rates.values():
            ratio = statistics.median(a / b for a, b in zip(by_callers[callers], by_callers[CPUS], strict=True))
            cells += [f"{statistics.median(by_callers[callers]):.1f}", f"{ratio:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("network", nargs="?", default="mobilenetv2", help="of bench/zoo.py; default: %(default)s")
    p.add_argument("--callers", type=peers.counts, default=[1, 4 * CPUS], help=f"beside {CPUS}; default: 1,{4 * CPUS}")
    p.add_argument("--rounds", type=int, default=4, help="default: %(default)s")
    p.add_argument("--burst", type=float, default=0.7, help="seconds; default: %(default)s")
    args = p.parse_args()
    callers = sorted({CPUS, *args.callers})
    by_way = ways(args.network)
    rates: dict[str, dict[int, list[float]]] = {way: {n: [] for n in callers} for way in by_way}
    for turn in range(args.rounds + 1):
        for n in callers:
            for way, models in by_way.items():
                rate = burst(models, n, args.burst)
                if turn:  # the first round warms up
                    rates[way][n].append(rate)
    print(f"{args.network}, {kernels.load().isa}, {CPUS} CPUs:", "", *table(rates), sep="\n")


if __name__ == "__main__":
    main()
