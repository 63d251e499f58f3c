"""`fastconv summary`."""

from __future__ import annotations

import argparse

from .arguments import ACCURACY, JSON, MODEL, SHAPE, THREADS, Commands, add_command
from .common import load_model, show
from .inputs import given_shapes


def add(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = add_command(commands, summary, "MODEL --shape 8x1x8x8 --explain", MODEL, SHAPE, THREADS, ACCURACY, JSON)
    parser.add_argument("--explain", action="store_true", help="show how the numbers of each layer are computed")


def summary(args: argparse.Namespace) -> None:
    """Print the table of a model's layers: shapes, windows, parameters, multiply-adds, bytes of activations."""
    model = load_model(args)
    show(args, model.summary(given_shapes(model, args.shape), explain=args.explain))
