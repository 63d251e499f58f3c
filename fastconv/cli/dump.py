"""`fastconv dump`."""

from __future__ import annotations

import argparse

from ..passes import PASSES
from .arguments import ACCURACY, MODEL, SHAPE, THREADS, Commands, add_command
from .common import load_model
from .inputs import all_shapes

STAGES = ["read", *(p.__name__ for p in PASSES), "plan"]


def add(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = add_command(commands, dump, "MODEL --after fuse_epilogues", MODEL, SHAPE, THREADS, ACCURACY)
    parser.add_argument("--after", choices=STAGES, default="plan", metavar="STAGE", help=f"{', '.join(STAGES)}; default: plan")


def dump(args: argparse.Namespace) -> None:
    """Print a model's graph after a stage, or its plan: implementations, layouts, arena offsets, refusals."""
    model = load_model(args)
    print(model.dump(args.after, all_shapes(model, args.shape) if args.shape or args.after == "plan" else None))
