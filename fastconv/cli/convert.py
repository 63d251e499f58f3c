"""`fastconv convert`."""

from __future__ import annotations

import argparse

from .. import convert as conversion
from ..errors import printable
from .arguments import Commands, add_command, target


def add(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = add_command(commands, convert, "MODEL digits.onnx")
    parser.add_argument("model", metavar="source", help="the model to read, .onnx or .json")
    parser.add_argument("target", type=target, help="the file to write, .json or .onnx")
    parser.add_argument("--weights", metavar="FILE", help="other weights: a PyTorch state dict in .safetensors, .pt or .pth")
    parser.add_argument("--ignore-unused", action="store_true", help="accept weights that fit nowhere in the model")
    parser.add_argument(
        "--epsilon", type=float, default=1e-5, help="epsilon of BatchNorms folded in the model; default: 1e-5, as in PyTorch"
    )


def convert(args: argparse.Namespace) -> None:
    """Convert a model between .onnx and .json, with other weights if --weights gives a file."""
    weights = {"weights": args.weights, "ignore_unused": args.ignore_unused, "epsilon": args.epsilon}
    done = conversion.convert(args.model, args.target, **weights)
    for placement in done.placed:
        print(printable(str(placement)))
    for path in done.files:
        print(f"wrote {path}")
