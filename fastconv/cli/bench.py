"""`fastconv bench`."""

from __future__ import annotations

import argparse
import time

import numpy as np

import fastconv

from ..graph import shape_text
from ..model import Model
from .arguments import ACCURACY, JSON, MODEL, SHAPE, Commands, add_command, counts, seconds
from .common import print_json, printable
from .inputs import random_arrays


def add(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = add_command(commands, bench, "MODEL --threads 1,2 --seconds 0.5", MODEL, SHAPE, ACCURACY, JSON)
    parser.add_argument("--threads", type=counts, default=[None], metavar="N[,N...]", help="numbers of threads to compare")
    parser.add_argument("--seconds", type=seconds, default=2.0, help="how long to measure each; default: 2")


def bench(args: argparse.Namespace) -> None:
    """Time a model on random input, for each number of threads."""
    results: list[dict[str, float]] = []
    for threads in args.threads:
        model = fastconv.load(args.model, threads=threads, accuracy=args.accuracy)
        inputs = random_arrays(model, args.shape)
        if not results and not args.json:
            shapes = ", ".join(f"{printable(name)} {a.dtype} {shape_text(a.shape)}" for name, a in inputs.items())
            print(f"{args.model}: {shapes}; milliseconds a call, of which the first makes the plan\n")
            print("threads    median      mean       min       p95     first     calls    items/s")
        r = measure(model, inputs, args.seconds)
        results.append({"threads": model.threads} | r)
        times = "".join(f"{r[key]:10.3f}" for key in ("median_ms", "mean_ms", "min_ms", "p95_ms", "first_ms"))
        if not args.json:
            print(f"{model.threads:>7}{times}{r['calls']:10d}{r['items_per_second']:11.1f}", flush=True)
    if args.json:
        print_json(args, {"inputs": {name: a.shape for name, a in inputs.items()}, "results": results})


def measure(model: Model, inputs: dict[str, np.ndarray], duration: float) -> dict[str, float]:
    """Time calls for `duration` seconds, at least three. The first call makes the plan, and is reported apart."""
    times: list[tuple[float, float]] = []
    end = float("inf")
    while len(times) < 4 or times[-1][1] < end:
        began = time.perf_counter()
        model.run(inputs)
        times.append((began, time.perf_counter()))
        end = min(end, times[0][1] + duration)
    first, *rest = (1e3 * (b - a) for a, b in times)
    items = next((a.shape[0] for a in inputs.values() if a.ndim), 1)
    return {
        "calls": len(rest),
        "median_ms": float(np.median(rest)),
        "mean_ms": float(np.mean(rest)),
        "min_ms": min(rest),
        "p95_ms": float(np.percentile(rest, 95)),
        "first_ms": first,
        "items_per_second": 1e3 * items / float(np.mean(rest)),
    }
