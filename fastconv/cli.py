"""The command line: `fastconv demo | run | summary | profile | convert | dump | bench | config`, also `python -m fastconv`.

Each command is one function of the parsed arguments; what it prints goes to stdout, with --json as one document, errors and
warnings to stderr, a line each. Without a command it prints help and, as pip does, calls that a success.
Exit codes: 0, 2 for an error (as argparse has it), 130 after Ctrl-C, 141 where the reader of a pipe has gone.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import shlex
import sys
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

import fastconv

from .errors import FastconvError, InputError, ModelError, did_you_mean
from .graph import shape_text
from .model import ACCURACIES
from .passes import PASSES
from .report import Profile, Summary

#: name (None where the model's only input is meant) and dimensions
NamedShape = tuple[str | None, tuple[int, ...]]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; a command line that makes no sense is a SystemExit(2), as argparse has it."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a name may have characters that this terminal's encoding has not
        sys.stdout.reconfigure(errors="backslashreplace")
    parser = _parser()
    args = parser.parse_args(argv)
    if args.command is None:
        parser.print_help()
        return 0
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            args.command(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still buffered would fail once more when Python closes stdout: let it go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return 130
    except ModelError as e:
        return _fail(f"{args.model}: {e}")
    except FastconvError as e:
        return _fail(str(e))
    except OSError as e:
        return _fail(f"{e.filename}: {e.strerror}" if e.filename else str(e))
    except MemoryError as e:
        return _fail(f"out of memory: {e}")
    return 0


def _warn(message: Warning | str, *place: Any, **to: Any) -> None:
    print(f"fastconv: warning: {message}", file=sys.stderr)


def _fail(message: str) -> int:
    print(f"fastconv: error: {message}", file=sys.stderr)
    return 2


# ---- the commands


def demo(args: argparse.Namespace) -> None:
    """Read handwritten digits with the embedded model, and race its layers against plain loops."""
    from .demo import demo

    demo(args.threads, args.accuracy)


def run(args: argparse.Namespace) -> None:
    """Run a model on arrays from .npy and .npz files, or on random ones, and print what comes out."""
    model = _load(args)
    inputs = _read_arrays(model, args.input)
    if args.random:
        inputs = _random(model, args.shape, inputs)
    if missing := [t.name for t in model.inputs if t.name not in inputs]:
        name = f"{missing[0]}=" if len(model.inputs) > 1 else ""
        raise InputError(f"input {missing[0]!r} is missing: give it with -i {name}FILE, or random numbers with --random")
    outputs: dict[str, np.ndarray] = {}
    for name, value in model.run(inputs, outputs=args.output).items():
        outputs |= {f"{name}[{i}]": a for i, a in enumerate(value)} if isinstance(value, list) else {name: value}
    if args.save:
        _write(args.save, lambda f: _save_npz(f, outputs))
    about = {name: _about(array) for name, array in outputs.items()}
    if args.json:
        _print_json(args, {"outputs": [{"name": n} | a for n, a in about.items()], "saved": args.save and str(args.save)})
        return
    for name, a in about.items():
        print(_describe(name, a))
    if args.save:
        print(f"wrote {args.save}")


def summary(args: argparse.Namespace) -> None:
    """Print the table of a model's layers: shapes, windows, parameters, operations."""
    model = _load(args)
    _show(args, model.summary(_given(model, args.shape)))


def profile(args: argparse.Namespace) -> None:
    """Print the time of each layer: the median over some runs, on random input or on that of files."""
    model = _load(args)
    _show(args, model.profile(_random(model, args.shape, _read_arrays(model, args.input)), args.runs))


def convert(args: argparse.Namespace) -> None:
    """Convert a model between .onnx and .json, with other weights where a file has them."""
    from .convert import convert

    weights = {"weights": args.weights, "ignore_unused": args.ignore_unused, "epsilon": args.epsilon}
    done = convert(args.model, args.target or args.output, **weights)
    for placement in done.placed:
        print(_printable(str(placement)))
    for path in done.files:
        print(f"wrote {path}")


def dump(args: argparse.Namespace) -> None:
    """Print a model's graph after a stage, or its plan: implementations, layouts, arena offsets, refusals."""
    model = _load(args)
    print(model.dump(args.after, _shapes(model, args.shape) if args.shape or args.after == "plan" else None))


def bench(args: argparse.Namespace) -> None:
    """Time a model on random input, for each number of threads."""
    results: list[dict[str, float]] = []
    for threads in args.threads:
        model = fastconv.load(args.model, threads=threads, accuracy=args.accuracy)
        inputs = _random(model, args.shape)
        if not results and not args.json:
            shapes = ", ".join(f"{_printable(name)} {a.dtype} {shape_text(a.shape)}" for name, a in inputs.items())
            print(f"{args.model}: {shapes}; milliseconds a call, of which the first makes the plan\n")
            print("threads    median      mean       min       p95     first     calls    items/s")
        r = _measure(model, inputs, args.seconds)
        results.append({"threads": model.threads} | r)
        times = "".join(f"{r[key]:10.3f}" for key in ("median_ms", "mean_ms", "min_ms", "p95_ms", "first_ms"))
        if not args.json:
            print(f"{model.threads:>7}{times}{r['calls']:10d}{r['items_per_second']:11.1f}", flush=True)
    if args.json:
        _print_json(args, {"inputs": {name: a.shape for name, a in inputs.items()}, "results": results})


def config(args: argparse.Namespace) -> None:
    """Print versions, instruction sets and threads: what a bug report should have."""
    from .config import config, show_config

    if args.json:
        print(json.dumps(config(), indent=1))
    else:
        show_config()


def _load(args: argparse.Namespace) -> fastconv.Model:
    return fastconv.load(args.model, threads=args.threads, accuracy=args.accuracy)


def _show(args: argparse.Namespace, table: Summary | Profile) -> None:
    if args.json:
        _print_json(args, table.as_dict())
    else:
        print(table)


def _print_json(args: argparse.Namespace, document: dict[str, Any]) -> None:
    print(json.dumps({"fastconv": fastconv.__version__, "model": args.model} | document, indent=1, allow_nan=False))


# ---- their arguments


class Parser(argparse.ArgumentParser):
    """Its error about a choice that there is none of ends with the one that is like it."""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as e:
            e.message += did_you_mean(value, action.choices or ())
            raise


def _example(command: str) -> dict[str, Any]:
    """What help ends with: a command that works as it is, as MODEL is the one that fastconv brings."""
    text = f"example:\n  fastconv {command.replace('MODEL', shlex.quote(str(fastconv.data.DIGITS)))}"
    return {"epilog": text, "formatter_class": argparse.RawDescriptionHelpFormatter}


def _parser() -> argparse.ArgumentParser:
    parser = Parser("fastconv", description="Run convolutional networks on the CPU.", **_example("demo"))
    parser.add_argument("--version", action="version", version=f"fastconv {fastconv.__version__}")
    parser.set_defaults(command=None)
    commands = parser.add_subparsers(metavar="COMMAND")

    def add(command: Callable[[argparse.Namespace], None], example: str, *parents: Parser) -> Parser:
        text = command.__doc__ or ""
        brief = text[0].lower() + text[1:].rstrip(".")
        example = f"{command.__name__} {example}".rstrip()
        sub = commands.add_parser(command.__name__, help=brief, description=text, parents=parents, **_example(example))
        sub.set_defaults(command=command)
        return sub

    model, shape, files, threads, accuracy, as_json = (Parser(add_help=False) for _ in range(6))
    model.add_argument("model", help="the model, .json or .onnx")
    shape.add_argument(
        "--shape", type=_shape, action="append", default=[], metavar="[NAME=]1x3x224x224",
        help="shape of an input; NAME= may be left out where the model has one; a batch that the model leaves open is 1",
    )  # fmt: skip
    files.add_argument(
        "-i", "--input", action="append", default=[], metavar="[NAME=]FILE",
        help="an input from a .npy file, or those in a .npz file by their names; NAME= may be left out where the model has one",
    )  # fmt: skip
    threads.add_argument(
        "--threads",
        type=_count,
        metavar="N",
        help="most threads to use; default: FASTCONV_NUM_THREADS, OMP_NUM_THREADS, the CPUs",
    )

    accuracy.add_argument(
        "--accuracy",
        choices=ACCURACIES,
        default="default",
        help="exact: no Winograd, and denormals are kept; default: the fastest of all",
    )
    as_json.add_argument("--json", action="store_true", help="print one JSON document instead")
    loading = threads, accuracy

    add(demo, "", *loading).set_defaults(model=fastconv.data.DIGITS)

    sub = add(run, "MODEL --random --output logits", model, files, shape, *loading, as_json)
    sub.add_argument("--random", action="store_true", help="random numbers for the inputs that no --input gives")
    sub.add_argument(
        "--output", action="append", metavar="NAME", help="a tensor to print, any of the model's; default: its outputs"
    )
    sub.add_argument("-o", "--save", type=_target, metavar="FILE.npz", help="save what is printed, by name")

    add(summary, "MODEL --shape 8x1x8x8", model, shape, *loading, as_json)

    sub = add(profile, "MODEL --shape 8x1x8x8", model, files, shape, *loading, as_json)
    sub.add_argument("--runs", type=_count, default=10, metavar="N", help="how often to run it; default: 10")

    sub = add(convert, "MODEL digits.onnx")
    sub.add_argument("model", metavar="source", help="the model to read, .onnx or .json")
    to = sub.add_mutually_exclusive_group(required=True)
    to.add_argument("target", type=_target, nargs="?", help="the file to write, .json or .onnx")
    to.add_argument("-o", "--output", type=_target, metavar="TARGET", help="the same")
    sub.add_argument("--weights", metavar="FILE", help="other weights: a state dict of PyTorch, .safetensors, .pt or .pth")
    sub.add_argument("--ignore-unused", action="store_true", help="let there be weights that nothing in the model takes")
    sub.add_argument(
        "--epsilon", type=float, default=1e-5, help="that of BatchNorms which the model has folded; default: 1e-5, as PyTorch's"
    )

    sub = add(dump, "MODEL --after fuse_epilogues", model, shape, *loading)
    stages = ["read", *(p.__name__ for p in PASSES), "plan"]
    sub.add_argument("--after", choices=stages, default="plan", metavar="STAGE", help=f"{', '.join(stages)}; default: plan")

    sub = add(bench, "MODEL --threads 1,2 --seconds 0.5", model, shape, accuracy, as_json)
    sub.add_argument("--threads", type=_counts, default=[None], metavar="N[,N...]", help="numbers of threads to compare")
    sub.add_argument("--seconds", type=_seconds, default=2.0, help="how long to measure each; default: 2")

    add(config, "--json", as_json)
    return parser


def _shape(text: str) -> NamedShape:
    name, _, dims = text.rpartition("=")
    if not re.fullmatch(r"[0-9]{1,18}([x×,][0-9]{1,18})*", dims):
        raise argparse.ArgumentTypeError(f"expected a shape such as 1x3x224x224 or NAME=1,3,224,224, got {text!r}")
    return name or None, tuple(map(int, re.split("[x×,]", dims)))


def _count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", text) or not int(text):
        raise argparse.ArgumentTypeError(f"expected a number of 1 or more, got {text!r}")
    return int(text)


def _counts(text: str) -> list[int]:
    return [_count(t) for t in text.split(",")]


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]*\.?[0-9]+", text):
        raise argparse.ArgumentTypeError(f"expected a number of seconds, got {text!r}")
    return float(text)


def _target(text: str) -> Path:
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(
            f"{text!r} is a folder" if path.is_dir() else f"there is no folder {str(path.parent)!r}"
        )
    return path


# ---- arrays


def _named(model: fastconv.Model, name: str | None, what: str) -> str:
    """The input that `what` is for."""
    names = [t.name for t in model.inputs]
    if name is None and len(names) == 1:
        return names[0]
    if name not in names:
        problem = "for which input? Say NAME=" if name is None else f"there is no input {name!r}"
        hint = did_you_mean(name, names) if name else ""
        raise InputError(f"{what}: {problem}; the model's inputs are {', '.join(map(repr, names)) or 'none'}{hint}")
    return name


def _given(model: fastconv.Model, shapes: Iterable[NamedShape]) -> dict[str, tuple[int, ...]]:
    """The shapes that --shape gives, by input."""
    return {_named(model, name, shape_text(dims)): dims for name, dims in shapes}


def _shapes(model: fastconv.Model, given: Iterable[NamedShape], but: Container[str] = ()) -> dict[str, tuple[int, ...]]:
    """A shape for every input, but for some: the one given, else the declared one with 1 for a batch that is open."""
    shapes = _given(model, given)
    for t in model.inputs:
        if t.name not in shapes and t.name not in but:
            if t.shape is None or not all(isinstance(d, int) for d in t.shape[1:]):
                raise InputError(f"input {t.name!r} is {shape_text(t.shape)}: say its sizes with --shape {t.name}=...")
            shapes[t.name] = tuple(d if isinstance(d, int) else 1 for d in t.shape)
    return shapes


def _random(
    model: fastconv.Model, given: Iterable[NamedShape], arrays: Mapping[str, np.ndarray] | None = None
) -> dict[str, np.ndarray]:
    """`arrays`, and random ones for the other inputs, the same each time: normal numbers for floats, else 0 and 1, as both are
    likely indices."""
    arrays = arrays or {}
    rng, shapes = np.random.default_rng(0), _shapes(model, given, arrays)

    def array(t: fastconv.TensorInfo) -> np.ndarray:
        shape = shapes[t.name]
        values = rng.standard_normal(shape, np.float32) if t.dtype.kind == "f" else rng.integers(0, 2, shape)
        return values.astype(t.dtype)

    try:
        return {t.name: arrays[t.name] if t.name in arrays else array(t) for t in model.inputs}
    except ValueError as e:  # "Maximum allowed dimension exceeded"
        raise InputError(f"{', '.join(map(shape_text, shapes.values()))}: {e}") from None


def _read_arrays(model: fastconv.Model, specs: Iterable[str]) -> dict[str, np.ndarray]:
    """The inputs in files: of a .npz all arrays by their names, or its only one for the input that is meant."""
    arrays: dict[str, np.ndarray] = {}
    for spec in specs:
        name, path = spec.split("=", 1) if "=" in spec else (None, spec)
        found: dict[str | None, np.ndarray]
        try:
            loaded = np.load(path, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                found = {None: loaded}
            else:
                with loaded:
                    found = dict(loaded)
        except (ValueError, EOFError, zipfile.BadZipFile, zlib.error):  # NumPy's words for it advise to unpickle
            raise InputError(f"{path}: not a .npy or .npz file of numbers") from None
        if len(found) == 1 and (name or len(model.inputs) == 1):
            found = {name: next(iter(found.values()))}
        arrays |= {_named(model, n, path): a for n, a in found.items()}
    return arrays


def _save_npz(f: BinaryIO, arrays: Mapping[str, np.ndarray]) -> None:
    """What np.savez does, but for any names: its own are keyword arguments, so that "file" cannot be one."""
    with zipfile.ZipFile(f, "w") as file:
        for name, array in arrays.items():
            with file.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _write(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file under another name first, so that no reader meets a half-written one."""
    temporary = path.with_name(f".{os.urandom(8).hex()}.tmp")
    try:
        with open(temporary, "xb") as f:
            write(f)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _printable(name: str) -> str:
    """A name without what could be a command to the terminal."""
    return name if name.isprintable() else repr(name)[1:-1]


def _about(array: np.ndarray) -> dict[str, Any]:
    """What is said of an array, and of vectors of numbers of each of the first four: where its largest five are."""
    about: dict[str, Any] = {"dtype": str(array.dtype), "shape": array.shape}
    if not array.size or array.dtype.kind not in "fiub":
        return about
    if array.size == 1:
        return about | {"value": _number(array.item())}
    values = array[np.isfinite(array)].astype(np.float64)
    if values.size:
        about |= {"min": float(values.min()), "mean": float(values.mean()), "max": float(values.max())}
    about["not_finite"] = array.size - values.size
    if array.ndim in (1, 2) and array.shape[-1] > 1 and array.dtype.kind == "f":
        rows = [(row, np.argsort(-row, kind="stable")[:5]) for row in array.reshape(-1, array.shape[-1])[:4]]
        about["largest"] = [[{"index": int(i), "value": _number(float(row[i]))} for i in best] for row, best in rows]
    return about


def _number(value: float) -> float | str:
    """The number, but NaN and infinities as text: JSON has none."""
    return value if np.isfinite(value) else str(value)


def _describe(name: str, about: Mapping[str, Any]) -> str:
    """The same as lines."""

    def text(value: float | str) -> str:
        return value if isinstance(value, str) else f"{value:.6g}"

    line = f"{_printable(name)} {about['dtype']} {shape_text(about['shape'])}"
    if "value" in about:
        return f"{line}  {text(about['value'])}"
    line += "".join(f"  {key} {text(about[key])}" for key in ("min", "mean", "max") if key in about)
    if about.get("not_finite"):
        line += f"  not finite {about['not_finite']}"
    largest = about.get("largest", [])
    for n, best in enumerate(largest):
        line += f"\n  {n}: largest " + "  ".join(f"[{b['index']}] {text(b['value'])}" for b in best)
    more = about["shape"][0] - len(largest) if largest and len(about["shape"]) == 2 else 0
    return line + (f"\n  ... {more} more" if more else "")


# ---- time


def _measure(model: fastconv.Model, inputs: dict[str, np.ndarray], seconds: float) -> dict[str, float]:
    """Calls for so many seconds, at least three: milliseconds of each. The first call, which makes the plan, stands apart."""
    times: list[tuple[float, float]] = []
    end = float("inf")
    while len(times) < 4 or times[-1][1] < end:
        began = time.perf_counter()
        model.run(inputs)
        times.append((began, time.perf_counter()))
        end = min(end, times[0][1] + seconds)
    first, *rest = (1e3 * (b - a) for a, b in times)
    items = next((a.shape[0] for a in inputs.values() if a.ndim), 1)
    return {
        "calls": len(rest),
        "median_ms": float(np.median(rest)),
        "mean_ms": float(np.mean(rest)),
        "min_ms": min(rest),
        "p95_ms": float(np.percentile(rest, 95)),
        "first_ms": first,
        "items_per_second": 1e3 * items / float(np.mean(rest)),
    }
