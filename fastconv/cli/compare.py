"""`fastconv compare`."""

from __future__ import annotations

import argparse

import numpy as np

import fastconv

from ..engines import ENGINES
from ..model import Model
from .arguments import ACCURACY, FILES, IMAGE, JSON, MODEL, PREPROCESS, SHAPE, THREADS, Commands, add_command, seconds
from .common import chosen_preprocess, load_model, picture_files, progress_bar, read_picture, show
from .inputs import random_arrays, read_arrays
from .pictures import picture_size


def add(commands: Commands) -> None:
    """Add the command and its arguments."""
    arguments = MODEL, FILES, IMAGE, PREPROCESS, SHAPE, THREADS, ACCURACY, JSON
    parser = add_command(commands, compare, "MODEL --shape 8x1x8x8 --layers", *arguments)
    parser.add_argument(
        "--against", choices=("reference", *ENGINES), default="reference",
        help="reference: NumPy in float64; torch runs what onnx2pytorch makes of the model; default: reference",
    )  # fmt: skip
    parser.add_argument(
        "--other", metavar="FILE", help="what the other one runs, .onnx, .json, or .pt2 for torch; default: model"
    )
    parser.add_argument("--layers", action="store_true", help="compare each layer, and find the first that departs")
    parser.add_argument("--seconds", type=seconds, default=1.0, help="how long to measure times; default: 1")


def compare(args: argparse.Namespace) -> int:
    """Compare a model with another engine or the reference: errors, times, the first layer that departs."""
    model = load_model(args)
    inputs = random_arrays(model, args.shape, read_arrays(model, args.input) | pictures(args, model))
    options = {"other": args.other, "layers": args.layers, "seconds": args.seconds}
    with progress_bar(1, "compare") as advance:
        found = fastconv.compare(model, inputs, args.against, **options, advance=advance)
    show(args, found)
    return int(found.first is not None)


def pictures(args: argparse.Namespace, model: Model) -> dict[str, np.ndarray]:
    """The model's input from the pictures of --image, if there are any."""
    if not args.image:
        return {}
    image, size = fastconv.vision.picture_input(model.inputs), picture_size(args, model)
    read = list(map(read_picture, picture_files(args.image)))
    how = chosen_preprocess(args, model)
    return {image.name: np.concatenate([fastconv.vision.preprocess(picture, image, how, size=size) for picture in read])}
