"""`fastconv run`."""

from __future__ import annotations

import argparse
import zipfile
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from ..errors import InputError
from ..graph import shape_text
from ..write_files import write_files
from .arguments import ACCURACY, FILES, JSON, MODEL, SHAPE, THREADS, Commands, add_command, target
from .common import load_model, print_json, printable
from .inputs import random_arrays, read_arrays


def add(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = add_command(commands, run, "MODEL --random --output logits", MODEL, FILES, SHAPE, THREADS, ACCURACY, JSON)
    parser.add_argument("--random", action="store_true", help="random numbers for the inputs that no --input gives")
    parser.add_argument(
        "--output", action="append", metavar="NAME", help="a tensor to print, any of the model's; default: its outputs"
    )
    parser.add_argument("-o", "--save", type=target, metavar="FILE.npz", help="save the printed tensors, by name")


def run(args: argparse.Namespace) -> None:
    """Run a model on arrays from .npy and .npz files, or on random ones, and print its outputs."""
    model = load_model(args)
    inputs = read_arrays(model, args.input)
    if args.random:
        inputs = random_arrays(model, args.shape, inputs)
    if missing := [t.name for t in model.inputs if t.name not in inputs]:
        name = f"{missing[0]}=" if len(model.inputs) > 1 else ""
        raise InputError(f"input {missing[0]!r} is missing: give it with -i {name}FILE, or random numbers with --random")
    outputs: dict[str, np.ndarray] = {}
    for name, value in model.run(inputs, outputs=args.output).items():
        outputs |= {f"{name}[{i}]": a for i, a in enumerate(value)} if isinstance(value, list) else {name: value}
    if args.save:
        write_files({args.save: lambda file: _save_npz(file, outputs)})
    facts = {name: _facts(array) for name, array in outputs.items()}
    if args.json:
        print_json(args, {"outputs": [{"name": n} | f for n, f in facts.items()], "saved": args.save and str(args.save)})
        return
    for name, known in facts.items():
        print(_describe(name, known))
    if args.save:
        print(f"wrote {args.save}")


def _save_npz(file: BinaryIO, arrays: Mapping[str, np.ndarray]) -> None:
    """Like np.savez, but for any names: np.savez takes them as keyword arguments, so none can be "file"."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _facts(array: np.ndarray) -> dict[str, Any]:
    """Dtype, shape and statistics of an array; for vectors of floats also the five largest of each of the first four."""
    facts: dict[str, Any] = {"dtype": str(array.dtype), "shape": array.shape}
    if not array.size or array.dtype.kind not in "fiub":
        return facts
    if array.size == 1:
        return facts | {"value": _number(array.item())}
    values = array[np.isfinite(array)].astype(np.float64)
    if values.size:
        facts |= {"min": float(values.min()), "mean": float(values.mean()), "max": float(values.max())}
    facts["not_finite"] = array.size - values.size
    if array.ndim in (1, 2) and array.shape[-1] > 1 and array.dtype.kind == "f":
        rows = [(row, np.argsort(-row, kind="stable")[:5]) for row in array.reshape(-1, array.shape[-1])[:4]]
        facts["largest"] = [[{"index": int(i), "value": _number(float(row[i]))} for i in best] for row, best in rows]
    return facts


def _number(value: float) -> float | str:
    """The number, but NaN and infinities as text: JSON has none."""
    return value if np.isfinite(value) else str(value)


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
