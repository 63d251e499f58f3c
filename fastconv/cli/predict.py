"""`fastconv predict`."""

from __future__ import annotations

import argparse
import hashlib
import os
from contextlib import closing
from pathlib import Path

import fastconv

from ..errors import InputError
from ..predict import local, parts, pictures, work
from ..threads import cpu_limit
from .arguments import ACCURACY, LABELS, PREPROCESS, SHAPE, Commands, add_command, count, new_path
from .common import chosen_preprocess, load_model, progress_bar
from .pictures import TASKS, chosen_task, task_options


def add(commands: Commands) -> None:
    """Add the command and its arguments."""
    usage = "pictures/ --model MODEL -o answers.parquet"
    parser = add_command(commands, predict, usage, PREPROCESS, LABELS, SHAPE, ACCURACY)
    parser.add_argument(
        "pictures", nargs="+", metavar="PICTURES",
        help="files, folders and theirs, 'patterns/*.jpg', lists of paths (.txt), shards as webdataset writes them (.tar)",
    )  # fmt: skip
    parser.add_argument("--model", required=True, help="the model, .json or .onnx")
    parser.add_argument("--top", type=count, metavar="N", help="how many classes to keep; default: 5")
    task = parser.add_mutually_exclusive_group()
    for name, brief in TASKS.items():
        task.add_argument(f"--{name}", dest="task", action="store_const", const=name, help=brief)
    parser.add_argument(
        "-o", "--output", type=new_path, required=True, metavar="FOLDER",
        help="the answers: a folder of Parquet files, as pyarrow, pandas, Spark and DuckDB read it",
    )  # fmt: skip
    parser.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    parser.add_argument(
        "--part-size", type=count, default=256, metavar="N", help="the pictures of a file of answers; default: 256"
    )
    parser.add_argument("--workers", type=count, metavar="N", help="how many processes; default: the number of CPUs")
    parser.add_argument(
        "--ray", nargs="?", const="", metavar="ADDRESS",
        help="on a cluster of Ray, by its address, RAY_ADDRESS, or a new one on this machine",
    )  # fmt: skip
    parser.set_defaults(value=None, threads=1)


def predict(args: argparse.Namespace) -> int:
    """Run a task on any number of pictures, in parallel, and write the answers in parts that survive a stop."""
    work.arrow()  # for its error
    fastconv.vision.pictures.pillow()
    model = load_model(args)
    task = chosen_task(args, model)
    if task is None:
        raise InputError(f"the model's outputs do not show the task: give one of {', '.join(f'--{t}' for t in TASKS)}")
    fastconv.vision.tasks.TASKS[task].check(task, {output.name: output.shape for output in model.outputs})
    options = task_options(args, model, task) | {"preprocess": chosen_preprocess(args, model)}
    facts = {
        "fastconv": fastconv.__version__,
        "model": hashlib.sha256(Path(args.model).read_bytes()).hexdigest(),
        "pictures": args.pictures,
        "task": task,
        "accuracy": args.accuracy,
        "weights": args.weights,
        "options": {k: list(v) if isinstance(v, tuple) else v for k, v in options.items()},
    }
    folder = str(args.output)
    if args.resume:
        run = parts.resume(folder, facts)
    else:
        run = parts.create(folder, args.part_size, pictures.list_pictures(args.pictures), facts)
    predictor = fastconv.BatchPredictor(os.path.abspath(args.model), accuracy=args.accuracy, weights=args.weights)
    with parts.locked(run):
        _answer(args, run, work.Work(predictor, task, options))
        failed = run.errors()
    print(f"{folder}: {len(run.pictures)} pictures, {failed} with an error")
    return 1 if failed else 0


def _answer(args: argparse.Namespace, run: parts.Parts, of_part: work.Work) -> None:
    """Write the parts that are missing, with a progress bar."""
    missing = run.missing()
    if args.ray is None:
        answers = local.answer_parts(of_part, run, missing, args.workers or cpu_limit().count)
    else:
        fastconv.ray.connect(args.ray)
        answers = fastconv.ray.answer_parts(of_part, run, missing, args.workers)
    with progress_bar(sum(len(run[i]) for i in missing), "pictures") as advance, closing(answers):
        for i, table in answers:
            run.write(i, table)
            advance(len(table))
