"""Loading the model, and printing tables, documents and names: what several commands share."""

from __future__ import annotations

import argparse
import json
from typing import Any

import fastconv

from ..model import Model
from ..table import LayerTable


def load_model(args: argparse.Namespace) -> Model:
    """The model, with the options of the command line."""
    return fastconv.load(args.model, threads=args.threads, accuracy=args.accuracy)


def show(args: argparse.Namespace, table: LayerTable) -> None:
    """Print a table, or with --json its document."""
    if args.json:
        print_json(args, table.as_dict())
    else:
        print(table)


def print_json(args: argparse.Namespace, document: dict[str, Any]) -> None:
    """Print a document about a model."""
    print(json.dumps({"fastconv": fastconv.__version__, "model": args.model} | document, indent=1, allow_nan=False))


def printable(name: str) -> str:
    """A name, escaped if it could hold commands to the terminal."""
    return name if name.isprintable() else repr(name)[1:-1]
