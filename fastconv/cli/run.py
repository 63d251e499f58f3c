"""`fastconv run`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import InputError, printable
from ..graph import shape_text
from ..model import Model
from ..shown import number
from .arguments import (
    ACCURACY,
    FILES,
    IMAGE,
    JSON,
    LABELS,
    MODEL,
    PREPROCESS,
    SHAPE,
    THREADS,
    Commands,
    add_command,
    count,
    new_path,
)
from .common import load_model, print_json, save_arrays
from .inputs import random_arrays, read_arrays
from .pictures import TASKS, answer_pictures, chosen_task, picture_array


def add(commands: Commands) -> None:
    """Add the command and its arguments."""
    shared = MODEL, IMAGE, PREPROCESS, LABELS, FILES, SHAPE, THREADS, ACCURACY, JSON
    parser = add_command(commands, run, "MODEL --random --value logits", *shared)
    parser.add_argument("--top", type=count, metavar="N", help="how many classes to print; default: 5")
    task = parser.add_mutually_exclusive_group()
    for name, brief in TASKS.items():
        task.add_argument(f"--{name}", dest="task", action="store_const", const=name, help=brief)
    parser.add_argument("--random", action="store_true", help="random numbers for the inputs that no --input gives")
    parser.add_argument(
        "--value", action="append", metavar="NAME", help="a value of the graph to print, as it is; default: the model's outputs"
    )
    parser.add_argument(
        "-o", "--output", type=new_path, metavar="FILE",
        help="of pictures: the drawing, or a folder for several, or a .npz of the answer's arrays; else a .npz of the values",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Run a model on pictures and print what it sees, or on arrays from files or random ones and print its outputs."""
    model = load_model(args)
    if args.image and (args.input or args.random):
        raise InputError("--image gives the model's input: leave out --input and --random")
    if args.task and args.value:
        raise InputError(f"--value prints values as they are: leave out --{args.task}")
    for name in ("task", "top", "labels", "preprocess"):
        if not args.image and (given := getattr(args, name)):
            raise InputError(f"--{given if name == 'task' else name} is for pictures: give one with --image FILE")
    if args.image and (task := chosen_task(args, model)):
        return answer_pictures(args, model, task)
    print_values(args, model, picture_array(args, model) if args.image else input_arrays(args, model))
    return 0


def input_arrays(args: argparse.Namespace, model: Model) -> dict[str, np.ndarray]:
    """The inputs that --input and --random give."""
    inputs = read_arrays(model, args.input)
    if args.random:
        inputs = random_arrays(model, args.shape, inputs)
    if missing := [t.name for t in model.inputs if t.name not in inputs]:
        name = f"{missing[0]}=" if len(model.inputs) > 1 else ""
        raise InputError(f"input {missing[0]!r} is missing: give it with -i {name}FILE, or random numbers with --random")
    return inputs


def print_values(args: argparse.Namespace, model: Model, inputs: Mapping[str, np.ndarray]) -> None:
    """Print, and with -o save, the model's outputs or the values of --value."""
    if args.output and (args.output.suffix != ".npz" or args.output.is_dir()):
        raise InputError(f"{args.output}: expected a file whose name ends in .npz")
    outputs: dict[str, np.ndarray] = {}
    for name, value in model.run(inputs, outputs=args.value).items():
        outputs |= {f"{name}[{i}]": a for i, a in enumerate(value)} if isinstance(value, list) else {name: value}
    if args.output:
        save_arrays(args.output, outputs)
    facts = {name: _facts(array) for name, array in outputs.items()}
    if args.json:
        print_json(args, {"outputs": [{"name": n} | f for n, f in facts.items()], "saved": args.output and str(args.output)})
        return
    for name, known in facts.items():
        print(_describe(name, known))
    if args.output:
        print(f"wrote {args.output}")


def _facts(array: np.ndarray) -> dict[str, Any]:
    """Dtype, shape and statistics of an array; for vectors of floats also the five largest of each of the first four."""
    facts: dict[str, Any] = {"dtype": str(array.dtype), "shape": array.shape}
    if not array.size or array.dtype.kind not in "fiub":
        return facts
    if array.size == 1:
        return facts | {"value": number(array.item())}
    values = array[np.isfinite(array)].astype(np.float64)
    if values.size:
        facts |= {"min": float(values.min()), "mean": float(values.mean()), "max": float(values.max())}
    facts["not_finite"] = array.size - values.size
    if array.ndim in (1, 2) and array.shape[-1] > 1 and array.dtype.kind == "f":
        rows = [(row, np.argsort(-row, kind="stable")[:5]) for row in array.reshape(-1, array.shape[-1])[:4]]
        facts["largest"] = [[{"index": int(i), "value": number(float(row[i]))} for i in best] for row, best in rows]
    return facts


def _describe(name: str, facts: Mapping[str, Any]) -> str:
    """The facts about an array as lines of text."""

    def text(value: float | str) -> str:
        return value if isinstance(value, str) else f"{value:.6g}"

    line = f"{printable(name)} {facts['dtype']} {shape_text(facts['shape'])}"
    if "value" in facts:
        return f"{line}  {text(facts['value'])}"
    line += "".join(f"  {key} {text(facts[key])}" for key in ("min", "mean", "max") if key in facts)
    if facts.get("not_finite"):
        line += f"  not finite {facts['not_finite']}"
    largest = facts.get("largest", [])
    for n, best in enumerate(largest):
        line += f"\n  {n}: largest " + "  ".join(f"[{b['index']}] {text(b['value'])}" for b in best)
    more = facts["shape"][0] - len(largest) if largest and len(facts["shape"]) == 2 else 0
    return line + (f"\n  ... {more} more" if more else "")
