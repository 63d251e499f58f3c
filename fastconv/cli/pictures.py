"""`fastconv run --image`: the network's answer to each picture as text, as a drawing, or as arrays."""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import fastconv

from ..errors import InputError, printable
from ..model import Model
from ..pixels import SUFFIXES
from .common import (
    chosen_preprocess,
    error_line,
    picture_files,
    print_json,
    progress,
    read_labels,
    read_picture,
    save_arrays,
    terminal_table,
)
from .inputs import given_shapes

if TYPE_CHECKING:
    from ..vision.tasks import Answer

#: the options for the tasks of `fastconv.vision`, and what they print and draw
TASKS = {
    "classify": "the most likely classes, with bars below the picture",
    "detect": "boxes around objects, by the outputs of CenterNet",
    "segment": "the part of the picture that the network looks for, cut out",
    "pose": "the keypoints of a person, by the outputs of MoveNet",
    "embed": "the vector that stands for the picture; of several pictures, those most alike",
}


def chosen_task(args: argparse.Namespace, model: Model) -> str | None:
    """The task of the command line, or the only one that the outputs may be for; None if values are to be printed."""
    possible = [args.task] if args.task or args.value else _possible(args, model)
    return possible[0] if len(possible) == 1 else None


def picture_array(args: argparse.Namespace, model: Model) -> dict[str, np.ndarray]:
    """The model's input from the only picture, of which values are to be printed."""
    image = fastconv.vision.picture_input(model.inputs)
    possible = " and ".join(f"--{t}" for t in _possible(args, model))
    why = "--value is given" if args.value else f"the outputs fit {f'{possible}: say which' if possible else 'no task'}"
    if args.output and args.output.suffix != ".npz":
        raise InputError(f"{args.output}: nothing to draw, since {why}; a .npz file takes values")
    files, several = _files(args)
    if several:
        raise InputError(f"several pictures need a task, but {why}")
    picture = read_picture(files[0])
    if not args.value:
        print(f"task: none, since {why}", file=sys.stderr)
    return {
        image.name: fastconv.vision.preprocess(picture, image, chosen_preprocess(args, model), size=picture_size(args, model))
    }


def answer_pictures(args: argparse.Namespace, model: Model, task: str) -> int:
    """Print the answer to each picture, with -o draw or save it. Returns 1 if some of several pictures could not be read."""
    decode, options = fastconv.vision.tasks.TASKS[task].decode, task_options(args, model, task)
    files, several = _files(args)
    targets = _targets(args.output, files, several)
    answers: dict[Path, Answer] = {}
    for path in progress(files, "pictures"):
        try:
            picture = read_picture(path)
        except (InputError, OSError) as e:
            if not several:
                raise
            print(error_line(e), file=sys.stderr)
            continue
        answer = decode(model, picture, **options)
        if path in targets:
            targets[path].parent.mkdir(exist_ok=True)
            fastconv.vision.write(targets[path], answer.draw(picture))
        if not answers:  # after what may fail: an error is one line
            how = chosen_preprocess(args, model)
        answers[path] = answer
    if answers:
        _report(args, answers, several, {"task": task, "preprocess": how})
    return 0 if len(answers) == len(files) else 1


def _possible(args: argparse.Namespace, model: Model) -> list[str]:
    return fastconv.vision.possible_tasks(model, labels=args.labels is not None or args.top is not None)


def _files(args: argparse.Namespace) -> tuple[list[Path], bool]:
    """The files of the pictures, and whether there may be several."""
    return picture_files(args.image), len(args.image) > 1 or args.image[0].is_dir()


def picture_size(args: argparse.Namespace, model: Model) -> tuple[int, ...] | None:
    """(height, width) of --shape."""
    for dims in given_shapes(model, args.shape).values():
        return dims[1:-1] if dims[-1] in (1, 3) else dims[2:]
    return None


def task_options(args: argparse.Namespace, model: Model, task: str) -> dict[str, Any]:
    """The arguments of the task's function that the command line gives."""
    given = {
        "top": args.top,
        "labels": read_labels(args.labels),
        "preprocess": args.preprocess,
        "size": picture_size(args, model),
    }
    options = {name: value for name, value in given.items() if value is not None}
    if unknown := options.keys() - inspect.signature(fastconv.vision.tasks.TASKS[task].decode).parameters:
        raise InputError(f"--{min(unknown)} is for classes: {task} has none")
    return options


def _targets(output: Path | None, files: Sequence[Path], several: bool) -> dict[Path, Path]:
    """The file for the drawing of each picture; none without -o, or if that is a .npz file."""
    if output is None or output.suffix == ".npz":
        return {}
    if not several and not output.is_dir():
        targets = {files[0]: output}
    elif output.suffix.lower() in SUFFIXES and not output.is_dir():
        raise InputError(f"{output}: there are several pictures: expected a folder for the drawings, or a .npz file")
    else:
        targets = {f: output / (f.name if f.suffix.lower() in SUFFIXES else f"{f.name}.png") for f in files}
    sources, taken = {f.resolve() for f in files}, set()
    for file, drawing in targets.items():
        if drawing.resolve() in sources or drawing in taken:
            raise InputError(f"{drawing}: the drawing of {file} would replace a picture: name another place with -o")
        taken.add(drawing)
    return targets


def _report(args: argparse.Namespace, answers: Mapping[Path, Answer], several: bool, facts: Mapping[str, str]) -> None:
    """Print the answers, or a document of them and the facts, and save their arrays in a .npz file."""
    if args.output and args.output.suffix == ".npz":
        arrays = {f"{path}/{n}" if several else n: a for path, each in answers.items() for n, a in each.arrays().items()}
        save_arrays(args.output, arrays)
    if args.json:
        pictures = [{"file": str(path)} | answer.as_dict() for path, answer in answers.items()]
        print_json(args, {**facts, "pictures": pictures, "saved": args.output and str(args.output)})
        return
    if several:
        rows = [(printable(str(path)), printable(text)) for path, text in zip(answers, _briefs(answers), strict=True)]
        print(terminal_table(("picture", "answer"), rows, 2))
    else:
        for line in next(iter(answers.values())).lines():
            print(printable(line))
    if args.output:
        print(f"wrote {args.output}")


def _briefs(answers: Mapping[Path, Answer]) -> list[str]:
    """The answers in a few words; that of an embedding is the picture most like it."""
    vectors = [a["vector"] for answer in answers.values() if "vector" in (a := answer.arrays())]
    if len(vectors) < 2:
        return [answer.brief() for answer in answers.values()]
    indices, cosines = fastconv.vision.nearest(vectors, vectors, k=2)
    names, briefs = list(answers), []
    for i, (row, near) in enumerate(zip(indices, cosines, strict=True)):
        k = int(row[0] == i)  # the nearest is the picture itself, but for one that is the same
        briefs.append(f"most like {names[row[k]].name}, cosine {near[k]:.2f}")
    return briefs
