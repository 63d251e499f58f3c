"""`fastconv quantize`."""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import fastconv

from .. import convert as conversion
from ..errors import InputError
from ..file_kinds import regular
from ..model import Model
from .arguments import ACCURACY, JSON, MODEL, PREPROCESS, SHAPE, THREADS, Commands, add_command, count, target
from .common import chosen_preprocess, load_model, picture_files, progress_bar, read_picture, show
from .inputs import read_arrays
from .pictures import picture_size

if TYPE_CHECKING:
    from ..quantization.calibration import Data

#: files of arrays
ARRAYS = (".npy", ".npz")


def add(commands: Commands) -> None:
    """Add the command and its arguments."""
    shared = MODEL, PREPROCESS, SHAPE, THREADS, ACCURACY, JSON
    parser = add_command(commands, quantize, "MODEL --calibrate pictures/ -o digits8.json", *shared)
    parser.add_argument(
        "--calibrate", type=Path, action="append", required=True, metavar="PATH",
        help="what the network typically sees: a picture, a folder of pictures, or arrays of many inputs, .npy or .npz; may be "
        "repeated",
    )  # fmt: skip
    parser.add_argument("--images", type=count, default=200, metavar="N", help="the most images to take; default: 200")
    parser.add_argument(
        "--ranges", choices=("mse", "percentile"), default="mse",
        help="mse: each range has the least mean squared error; percentile: it leaves out 0.01 %% of the numbers; default: mse",
    )  # fmt: skip
    parser.add_argument(
        "--fallback", type=float, metavar="X",
        help="leave the layers that the outputs suffer from most in float until these have X dB; with --labels until X %% "
        "of the answers are right",
    )  # fmt: skip
    parser.add_argument(
        "--labels", type=Path, metavar="FILE",
        help="a .csv file of pictures' names and the indices of their classes: measures how many answers are right",
    )  # fmt: skip
    parser.add_argument("-o", "--output", type=target, required=True, metavar="FILE", help="the network, .json or .onnx")


def quantize(args: argparse.Namespace) -> None:
    """Quantize a model to 8-bit integers, with pictures or arrays like those that it will see, and print what that costs."""
    if args.output.suffix not in (".json", ".onnx"):
        raise InputError(f"{args.output}: expected a name that ends in .json or .onnx")
    model = load_model(args)
    data, labels = _calibration(args, model)
    options = {"ranges": args.ranges, "fallback": args.fallback, "labels": labels}
    with progress_bar(1, "quantize") as advance:
        made = fastconv.quantize(model, data, **options, advance=advance)
    _save(made, args.output)
    show(args, made.quantization)
    if not args.json:
        print(f"wrote {args.output}")


class _Pictures:
    """The inputs that pictures make, read anew each time."""

    def __init__(self, args: argparse.Namespace, model: Model, files: Sequence[Path]):
        self._image = fastconv.vision.picture_input(model.inputs)
        self._files = files
        self._how, self._size = chosen_preprocess(args, model), picture_size(args, model)
        tasks = fastconv.vision.possible_tasks(model)
        self._by = fastconv.vision.tasks.TASKS[tasks[0]].by if len(tasks) == 1 else "crop"

    def __len__(self) -> int:
        return len(self._files)

    def __iter__(self) -> Iterator[np.ndarray]:
        for file in self._files:
            yield fastconv.vision.preprocess(read_picture(file), self._image, self._how, self._by, self._size)


def _calibration(args: argparse.Namespace, model: Model) -> tuple[Data, list[int] | None]:
    """The inputs of --calibrate, and the classes of --labels."""
    arrays = [path for path in args.calibrate if path.suffix in ARRAYS]
    if arrays and len(arrays) < len(args.calibrate):
        raise InputError("--calibrate: expected pictures or arrays, not both")
    if arrays:
        if args.labels:
            raise InputError("--labels names pictures: give some with --calibrate")
        given = read_arrays(model, map(str, arrays))
        return {name: array[: args.images] for name, array in given.items()}, None
    files = picture_files(args.calibrate)
    labels = None if args.labels is None else _read_labels(args.labels)
    if labels is not None and (unknown := [file for file in files if file.name not in labels]):
        raise InputError(f"{args.labels}: it has no line for {unknown[0].name}")
    chosen = [files[i * len(files) // min(args.images, len(files))] for i in range(min(args.images, len(files)))]
    classes = None if labels is None else [labels[file.name] for file in chosen]
    return _Pictures(args, model, chosen), classes


def _read_labels(path: Path) -> dict[str, int]:
    """The class of each picture by its name."""
    labels: dict[str, int] = {}
    try:
        with open(path, encoding="utf-8", newline="", opener=regular) as file:
            for row in csv.reader(file):
                if len(row) == 2 and row[1].strip().isdecimal():
                    labels[Path(row[0].strip()).name] = int(row[1])
                elif row and labels:
                    raise InputError(f"{path}: expected a picture's name and the index of its class, got {','.join(row)!r:.60}")
    except (UnicodeDecodeError, csv.Error):
        raise InputError(f"{path}: not a .csv file") from None
    if not labels:
        raise InputError(f"{path}: expected lines such as cat.jpg,281: a picture's name and the index of its class")
    return labels


def _save(model: Model, path: Path) -> None:
    """Write a model; .onnx through a .json file, which needs the onnx package."""
    if path.suffix == ".json":
        model.save(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder, "model.json")
        model.save(written)
        conversion.convert(written, path)
