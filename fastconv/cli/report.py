"""`fastconv report`."""

from __future__ import annotations

import argparse
from pathlib import Path

import fastconv

from ..errors import InputError
from .arguments import ACCURACY, FILES, IMAGE, LABELS, MODEL, PREPROCESS, SHAPE, THREADS, Commands, add_command, count, target
from .common import chosen_preprocess, load_model, picture_files, progress_bar, read_labels, read_picture
from .inputs import random_arrays, read_arrays
from .pictures import picture_size


def add(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = add_command(
        commands, report, "MODEL -o report.html", MODEL, IMAGE, FILES, SHAPE, PREPROCESS, LABELS, THREADS, ACCURACY
    )
    parser.add_argument("--runs", type=count, default=10, metavar="N", help="the number of timed runs; default: 10")
    parser.add_argument(
        "-o", "--output", type=target, default="report.html", metavar="FILE.html", help="the page; default: report.html"
    )


def report(args: argparse.Namespace) -> None:
    """Write a page about a network: its layers, times, memory and errors, on a picture, on arrays of files or random ones."""
    model = load_model(args)
    files = picture_files(args.image)
    if len(files) > 1 or (files and args.input):
        raise InputError("report: expected one picture or inputs from files, not several")
    for name in ("labels", "preprocess"):
        if not files and getattr(args, name):
            raise InputError(f"--{name} is for pictures: give one with --image FILE")
    title, picture = Path(args.model).name, read_picture(files[0]) if files else None
    if picture is not None:
        chosen_preprocess(args, model)  # prints the guess
    with progress_bar(1, "report") as advance:
        if picture is not None:
            labels, size = read_labels(args.labels), picture_size(args, model)
            made = fastconv.Report.of_picture(model, picture, labels, args.preprocess, size, args.runs, title, advance)
        else:
            arrays = random_arrays(model, args.shape, read_arrays(model, args.input))
            made = fastconv.Report(model, arrays, args.runs, title, advance=advance)
    made.save(args.output)
    print(f"wrote {args.output}")
