"""`fastconv profile`."""

from __future__ import annotations

import argparse

import fastconv

from .arguments import ACCURACY, FILES, JSON, MODEL, SHAPE, THREADS, Commands, add_command, count, target
from .common import load_model, progress_bar, show
from .inputs import random_arrays, read_arrays


def add(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = add_command(commands, profile, "MODEL --shape 8x1x8x8", MODEL, FILES, SHAPE, THREADS, ACCURACY, JSON)
    parser.add_argument("--runs", type=count, default=10, metavar="N", help="the number of runs; default: 10")
    parser.add_argument("--plot", type=target, metavar="FILE.png", help="draw the times and the roofline")
    parser.add_argument("--explain", action="store_true", help="show which implementations refused each layer, and why")


def profile(args: argparse.Namespace) -> None:
    """Print the time of each layer, the median over some runs, on random input or on that of files."""
    model = load_model(args)
    arrays = random_arrays(model, args.shape, read_arrays(model, args.input))
    with progress_bar(1, "profile") as advance:
        times = model.profile(arrays, args.runs, explain=args.explain, advance=advance)
    if args.plot:
        fastconv.viz.figure.save_figure(times.plot(), args.plot)
    show(args, times)
    if args.plot and not args.json:
        print(f"wrote {args.plot}")
