"""Arguments that commands share, and the types of arguments."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import fastconv

from ..errors import did_you_mean
from ..model import ACCURACIES, WEIGHTS_TYPES
from ..pixels import PIXELS

#: what commands are added to
Commands: TypeAlias = "argparse._SubParsersAction[Parser]"
#: the name of an input (None: the model's only one) and its dimensions
NamedShape = tuple[str | None, tuple[int, ...]]


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line, and that about an unknown choice suggests a similar one."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._negative_number_matcher = re.compile(r"-\d")  # no option begins with a digit: -1..1 is a value

    def error(self, message: str) -> NoReturn:
        """Exit with one line, as all errors of the command do."""
        self.exit(2, f"{self.prog}: error: {message}; {self.prog} --help shows all\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as e:
            e.message += did_you_mean(value, action.choices or ())
            raise


def add_command(
    commands: Commands, command: Callable[[argparse.Namespace], int | None], usage: str, *parents: Parser
) -> Parser:
    """Add a command under its function's name. Help shows its docstring, and `usage` as an example."""
    text = command.__doc__ or ""
    brief = text[0].lower() + text[1:].rstrip(".")
    usage = f"{command.__name__} {usage}".rstrip()
    parser = commands.add_parser(command.__name__, help=brief, description=text, parents=[*parents, DEBUG], **example(usage))
    parser.set_defaults(command=command)
    return parser


def example(command: str) -> dict[str, Any]:
    """The end of a help text: a command that works as it is, with the embedded model as MODEL."""
    text = f"example:\n  fastconv {command.replace('MODEL', shlex.quote(str(fastconv.data.DIGITS)))}"
    return {"epilog": text, "formatter_class": argparse.RawDescriptionHelpFormatter}


# ---- types


def shape(text: str) -> NamedShape:
    """1x3x224x224 or NAME=1,3,224,224."""
    name, _, dims = text.rpartition("=")
    if not re.fullmatch(r"[0-9]{1,18}([x×,][0-9]{1,18})*", dims):
        raise argparse.ArgumentTypeError(f"expected a shape such as 1x3x224x224 or NAME=1,3,224,224, got {text!r}")
    return name or None, tuple(map(int, re.split("[x×,]", dims)))


def count(text: str) -> int:
    """An int of at least 1."""
    if not re.fullmatch(r"[0-9]{1,6}", text) or not int(text):
        raise argparse.ArgumentTypeError(f"expected a number of 1 or more, got {text!r}")
    return int(text)


def counts(text: str) -> list[int]:
    """Such ints, separated by commas."""
    return [count(t) for t in text.split(",")]


def seconds(text: str) -> float:
    """A number of seconds."""
    if not re.fullmatch(r"[0-9]*\.?[0-9]+", text):
        raise argparse.ArgumentTypeError(f"expected a number of seconds, got {text!r}")
    return float(text)


def new_path(text: str) -> Path:
    """A file or folder to be written, in a folder that exists."""
    path = Path(text)
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {str(path.parent)!r}")
    return path


def target(text: str) -> Path:
    """A file to be written, in a folder that exists."""
    if (path := new_path(text)).is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is a folder")
    return path


# ---- arguments of several commands

MODEL, SHAPE, FILES, IMAGE, PREPROCESS, LABELS, THREADS, ACCURACY, JSON, DEBUG = (Parser(add_help=False) for _ in range(10))
MODEL.add_argument("model", help="the model, .json or .onnx")
SHAPE.add_argument(
    "--shape", type=shape, action="append", default=[], metavar="[NAME=]1x3x224x224",
    help="shape of an input; NAME= may be left out for a model's only input; default: the model's shape, an open batch as 1",
)  # fmt: skip
FILES.add_argument(
    "-i", "--input", action="append", default=[], metavar="[NAME=]FILE",
    help="an input in a .npy file, or inputs by name in a .npz file; NAME= may be left out for a model's only input",
)  # fmt: skip
IMAGE.add_argument(
    "--image",
    type=Path,
    action="append",
    default=[],
    metavar="FILE",
    help="a picture, or a folder of pictures; may be repeated",
)
PREPROCESS.add_argument(
    "--preprocess",
    choices=PIXELS,
    help="what the network takes for a pixel: imagenet: by the mean and deviation of ImageNet's; caffe: B G R of 0..255 less "
    "104 117 123; 0..1; -1..1; raw: 0..255; default: a guess, which is printed",
)
LABELS.add_argument(
    "--labels", type=Path, metavar="FILE",
    help="the names of all classes, one a line; default: the model's, or ImageNet's for 1000, COCO's for 80 kinds of objects",
)  # fmt: skip
THREADS.add_argument(
    "--threads",
    type=count,
    metavar="N",
    help="most threads to use; default: FASTCONV_NUM_THREADS, else OMP_NUM_THREADS, else the number of CPUs",
)
ACCURACY.add_argument(
    "--accuracy",
    choices=ACCURACIES,
    default="default",
    help="exact: no Winograd, and denormals are kept; default: the fastest algorithms",
)
ACCURACY.add_argument(
    "--weights-type", dest="weights", choices=WEIGHTS_TYPES, default="float32",
    help="bf16 or float16: round the weights of fully connected layers, which then take half the memory; default: float32",
)  # fmt: skip
JSON.add_argument("--json", action="store_true", help="print one JSON document instead")
DEBUG.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="print the traceback of an error too")
