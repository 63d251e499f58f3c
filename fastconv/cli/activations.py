"""`fastconv activations`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import numpy as np

import fastconv

from ..errors import InputError
from ..model import Model
from ..pixels import PIXELS
from .arguments import ACCURACY, IMAGE, MODEL, PREPROCESS, THREADS, Commands, add_command, count, target
from .common import chosen_preprocess, load_model, picture_files, read_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def add(commands: Commands) -> None:
    """Add the command and its arguments."""
    shared = MODEL, IMAGE, PREPROCESS, THREADS, ACCURACY
    parser = add_command(commands, activations, "MODEL --filters -o filters.png", *shared)
    parser.add_argument(
        "--layers", type=lambda text: text.split(","), metavar="NAME[,NAME...]",
        help="layers of the summary, or values; default: one of each resolution, from the first to the coarsest",
    )  # fmt: skip
    parser.add_argument(
        "--maps", type=count, metavar="N", help="how many maps of each layer; default: 16, or 5 with --hierarchy"
    )
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--hierarchy", action="store_true", help="draw also the part of the picture that fires each map most")
    kind.add_argument("--filters", action="store_true", help="draw the filters of the first convolution; needs no picture")
    parser.add_argument("-o", "--output", type=target, required=True, metavar="FILE", help="the figure: .png, .jpg, .pdf, .svg")


def activations(args: argparse.Namespace) -> None:
    """Draw what the layers of a model make of a picture, and which pixels their units see."""
    if args.filters and (args.image or args.layers or args.maps):
        raise InputError("--filters draws all filters of the first convolution: leave out --image, --layers and --maps")
    pictures = [read_picture(path) for path in picture_files(args.image)]
    if len(pictures) != (0 if args.filters else 1):
        raise InputError(f"expected one picture, with --image FILE, got {len(pictures)}")
    model = load_model(args)
    for layer in args.layers or ():
        fastconv.viz.layers.value_of(model, layer)  # an unknown one is an error before the guess is printed
    how = chosen_preprocess(args, model)
    figure = fastconv.viz.filters(model, bgr=PIXELS[how].bgr) if args.filters else _draw(args, model, pictures[0], how)
    fastconv.viz.figure.save_figure(figure, args.output)
    print(f"wrote {args.output}")


def _draw(args: argparse.Namespace, model: Model, picture: np.ndarray, how: str) -> Figure:
    image = fastconv.vision.picture_input(model.inputs)
    seen, _ = fastconv.vision.fit(picture, image, how)
    x = fastconv.vision.preprocess(seen, image, how, "stretch")  # of the same size: it stretches nothing
    if args.hierarchy:
        return fastconv.viz.hierarchy(model, x, args.layers, args.maps or 5, seen)
    return fastconv.viz.activation_maps(model, x, args.layers, args.maps or 16, seen)
