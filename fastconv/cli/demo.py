"""`fastconv demo`."""

from __future__ import annotations

import argparse

import fastconv

from .. import demo as demonstration
from .arguments import ACCURACY, THREADS, Commands, add_command


def add(commands: Commands) -> None:
    """Add the command."""
    add_command(commands, demo, "", THREADS, ACCURACY).set_defaults(model=fastconv.data.DIGITS)


def demo(args: argparse.Namespace) -> None:
    """Read handwritten digits with the embedded model, and race its layers against plain loops."""
    demonstration.demo(args.threads, args.accuracy, args.weights)
