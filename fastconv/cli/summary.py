"""`fastconv summary`."""

from __future__ import annotations

import argparse

from .arguments import ACCURACY, JSON, MODEL, SHAPE, THREADS, Commands, add_command
from .common import load_model, show
from .inputs import given_shapes


def add(commands: Commands) -> None:
    """Add the command."""
    add_command(commands, summary, "MODEL --shape 8x1x8x8", MODEL, SHAPE, THREADS, ACCURACY, JSON)


def summary(args: argparse.Namespace) -> None:
    """Print the table of a model's layers: shapes, windows, parameters, operations."""
    model = load_model(args)
    show(args, model.summary(given_shapes(model, args.shape)))
