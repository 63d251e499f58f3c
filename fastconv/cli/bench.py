"""`fastconv bench`."""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

import fastconv

from ..bench import machine
from ..bench.beside_naive import LayerTimes, beside_naive, expected_seconds
from ..bench.plain_loops import ROUNDS
from ..errors import InputError, printable
from ..graph import shape_text
from ..kernels import load as load_kernels
from ..model import Model
from ..table import shorten
from .arguments import ACCURACY, JSON, MODEL, SHAPE, Commands, add_command, counts, seconds
from .common import print_json, progress_bar, terminal_table
from .inputs import all_shapes, random_arrays

#: the least calls that are timed
CALLS = 3
#: the version of pytest-benchmark whose format --json prints
FORMAT = "5.1.0"


def add(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = add_command(commands, bench, "MODEL --threads 1,2 --batch 1,8 --seconds 0.1", MODEL, SHAPE, ACCURACY, JSON)
    parser.add_argument("--threads", type=counts, default=[None], metavar="N[,N...]", help="numbers of threads to compare")
    parser.add_argument("--batch", type=counts, default=[None], metavar="N[,N...]", help="batch sizes to compare")
    parser.add_argument("--seconds", type=seconds, default=2.0, help="how long to measure each; default: 2")
    parser.add_argument(
        "--naive", action="store_true",
        help="compare each layer with the compiled plain loops of fastconv.naive, on one thread: they take seconds a run",
    )  # fmt: skip


def bench(args: argparse.Namespace) -> None:
    """Time a model on random input, for each number of threads and each batch size."""
    benchmarks: list[dict[str, Any]] = []
    total = args.seconds * len(args.threads) * len(args.batch)
    with progress_bar(total, f"timing {printable(Path(args.model).name)}") as advance:
        for threads in args.threads:
            model = fastconv.load(args.model, threads=threads, accuracy=args.accuracy, weights=args.weights)
            for batch in args.batch:
                inputs = _inputs(model, args, batch)
                if not benchmarks and not args.json:
                    shapes = ", ".join(f"{printable(name)} {a.dtype} {shape_text(a.shape)}" for name, a in inputs.items())
                    print(machine.header([load_kernels().isa]))
                    print(f"{args.model}: {shapes}; milliseconds a call\n")
                    print("threads  batch       min    median       p90       p99   images/s    calls")
                benchmarks.append(_benchmark(args.model, model.threads, inputs, measure(model, inputs, args.seconds, advance)))
                if not args.json:
                    print(_line(benchmarks[-1]), flush=True)
    if args.naive:
        layers = _beside_naive(model, inputs)  # those of the last line
        benchmarks.append(_naive_benchmark(args.model, inputs, layers))
        if not args.json:
            print(_layer_table(layers, benchmarks[-2]["params"]))
    if args.json:
        print_json(args, _document(benchmarks))


def _inputs(model: Model, args: argparse.Namespace, batch: int | None) -> dict[str, np.ndarray]:
    """Random inputs, with `batch` as the first size of those whose first size the file leaves open."""
    shapes = all_shapes(model, args.shape)
    if batch is not None:
        fitting = [t.name for t in model.inputs if t.shape is None or not isinstance((*t.shape, 0)[0], int)]
        fixed = {shape[0] for shape in shapes.values() if shape}
        if not fitting and fixed != {batch}:
            raise InputError(f"--batch {batch}: the file fixes the first size of every input")
        shapes |= {name: (batch, *shapes[name][1:]) for name in fitting}
    return random_arrays(model, shapes.items())


def measure(
    model: Model, inputs: dict[str, np.ndarray], duration: float, advance: Callable[[float], None] = lambda amount: None
) -> list[float]:
    """The seconds of each call within `duration` seconds, at least of CALLS; a first call, not counted, makes the plan."""
    times: list[float] = []
    model.run(inputs)
    end = time.perf_counter() + duration
    while len(times) < CALLS or time.perf_counter() < end:
        began = time.perf_counter()
        model.run(inputs)
        times.append(time.perf_counter() - began)
        advance(times[-1])
    return times


def _beside_naive(model: Model, inputs: dict[str, np.ndarray]) -> list[LayerTimes]:
    profile = model.profile(inputs)
    expected = max(1, round(expected_seconds(profile)))
    print(f"fastconv: the plain loops take about {expected} second{'s' if expected > 1 else ''}", file=sys.stderr, flush=True)
    with progress_bar(1, "timing plain loops") as advance:
        return beside_naive(model, inputs, profile, advance)


def _naive_benchmark(model: str, inputs: dict[str, np.ndarray], layers: Sequence[LayerTimes]) -> dict[str, Any]:
    """All layers by the plain loops, as one measurement."""
    rounds = zip(*(x.naive_ms for x in layers if x.naive_ms), strict=True)
    found = _benchmark(model, 1, inputs, [sum(times) / 1e3 for times in rounds], naive=True)
    found["extra_info"]["layers"] = [x._asdict() for x in layers]
    return found


def _layer_table(layers: Sequence[LayerTimes], params: dict[str, Any]) -> str:
    """The layers by both, and their sums."""
    rows = []
    for x in layers:
        naive = (f"{min(x.naive_ms):.3f}", f"{x.times_naive:.1f}") if x.naive_ms else ("–", "–")
        rows.append((shorten(x.name, 24), x.operator, x.by, f"{x.ms:.3f}", *naive, x.limit))
    table = terminal_table(("layer", "operator", "by", "ms", "naive ms", "× naive", "of its limit"), rows, 3)
    compared = [x for x in layers if x.naive_ms]
    ms, naive_ms = sum(x.ms for x in compared), sum(min(x.naive_ms) for x in compared)
    where = f"{params['threads']} thread{'s' if params['threads'] > 1 else ''}, batch {params['batch']}"
    return (
        f"\nby layer ({where}); naive: the compiled plain loops of fastconv.naive, one thread, the best of {ROUNDS} rounds\n\n"
        f"{table}\n{len(compared)} layers: {ms:.3f} ms, naive {naive_ms:.1f} ms: {naive_ms / ms:.0f} times as long"
    )


def _benchmark(
    model: str, threads: int, inputs: dict[str, np.ndarray], times: Sequence[float], naive: bool = False
) -> dict[str, Any]:
    """One measurement as pytest-benchmark has it."""
    batch = next((a.shape[0] for a in inputs.values() if a.ndim), 1)
    params = {"threads": threads, "batch": batch}
    param = "-".join(["naive"] * naive + [f"{name}={value}" for name, value in params.items()])
    stats = statistics(times)
    p90, p99 = np.percentile(times, (90, 99)).tolist()
    return {
        "group": f"batch={batch}",
        "name": f"{Path(model).stem}[{param}]",
        "fullname": f"{model}[{param}]",
        "params": params,
        "param": param,
        "extra_info": {
            "inputs": {name: a.shape for name, a in inputs.items()},
            "p90": p90,
            "p99": p99,
            "images_per_second": batch * stats["ops"],
        },
        "options": {},
        "stats": stats | {"iterations": 1},
    }


def statistics(times: Sequence[float]) -> dict[str, Any]:
    """pytest-benchmark's statistics of some times, in seconds."""
    data = np.asarray(times)
    q1, median, q3 = np.percentile(data, (25, 50, 75)).tolist()
    mean, stddev, iqr = float(data.mean()), float(data.std(ddof=1)), q3 - q1
    usual = data[(data >= q1 - 1.5 * iqr) & (data <= q3 + 1.5 * iqr)]
    far, beyond = int((abs(data - mean) > stddev).sum()), data.size - usual.size
    return {
        "min": float(data.min()),
        "max": float(data.max()),
        "mean": mean,
        "stddev": stddev,
        "rounds": data.size,
        "median": median,
        "iqr": iqr,
        "q1": q1,
        "q3": q3,
        "iqr_outliers": beyond,
        "stddev_outliers": far,
        "outliers": f"{far};{beyond}",
        "ld15iqr": float(usual.min()),
        "hd15iqr": float(usual.max()),
        "ops": 1 / mean,
        "total": float(data.sum()),
    }


def _line(benchmark: dict[str, Any]) -> str:
    stats, extra, params = benchmark["stats"], benchmark["extra_info"], benchmark["params"]
    times = "".join(f"{1e3 * t:10.3f}" for t in (stats["min"], stats["median"], extra["p90"], extra["p99"]))
    return f"{params['threads']:>7}{params['batch']:>7}{times}{extra['images_per_second']:11.1f}{stats['rounds']:9d}"


def _document(benchmarks: list[dict[str, Any]]) -> dict[str, Any]:
    """A file of pytest-benchmark."""
    info = {name: getattr(platform, name)() for name in ("machine", "system", "release", "python_version")}
    fastconv_info = machine.machine_info()
    return {
        "machine_info": info | {"cpu": {"brand_raw": fastconv_info["cpu"]}, "fastconv": fastconv_info},
        "commit_info": machine.commit_info(),
        "benchmarks": benchmarks,
        "datetime": datetime.now(UTC).isoformat(),
        "version": FORMAT,
    }
