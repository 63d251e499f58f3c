"""What several commands share: loading the model, reading pictures, printing tables, documents, names and progress."""

from __future__ import annotations

import argparse
import json
import sys
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np

import fastconv

from ..errors import InputError
from ..file_kinds import regular
from ..model import Model
from ..pixels import SUFFIXES
from ..table import LayerTable, table_lines, text_table
from ..write_files import write_files

T = TypeVar("T")
#: seconds of work before a bar appears, and between two changes of a bar
PATIENCE, PAUSE = 2.0, 0.1


def load_model(args: argparse.Namespace) -> Model:
    """The model, with the options of the command line."""
    return fastconv.load(args.model, threads=args.threads, accuracy=args.accuracy, weights=args.weights)


# ---- pictures


def picture_files(paths: Iterable[Path]) -> list[Path]:
    """The files of --image: those named, and those in the folders named whose names end as those of pictures do."""
    files: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        found = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES)
        if not found:
            raise InputError(f"{path}: a folder without pictures ({', '.join(SUFFIXES)})")
        files += found
    return list(dict.fromkeys(files))


def read_picture(path: Path) -> np.ndarray:
    """The picture in a file: uint8, H×W×3."""
    if path.suffix in (".npy", ".npz"):
        raise InputError(f"{path}: an array, not a picture: give it with --input")
    return fastconv.vision.read(path)


def read_labels(path: Path | None) -> list[str] | None:
    """The names in a file, one a line; None without a file."""
    if path is None:
        return None
    try:
        with open(path, encoding="utf-8", opener=regular) as file:
            return file.read().splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text of names, one a line") from None


def chosen_preprocess(args: argparse.Namespace, model: Model) -> str:
    """How the network takes pixels: --preprocess, or a guess, which is printed."""
    if args.preprocess is not None:
        return str(args.preprocess)
    how, reason = fastconv.vision.guess_preprocess(model)
    print(f"preprocess: {how} (guessed: {reason}); change it with --preprocess", file=sys.stderr)
    return how


# ---- printing


def show(args: argparse.Namespace, table: LayerTable) -> None:
    """Print a table of layers, or with --json its document."""
    if args.json:
        print_json(args, table.as_dict())
    else:
        print(table.text(terminal_table))


def terminal_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], left: int, notes: Sequence[Sequence[str]] | None = None
) -> str:
    """The lines of `text_table` for stdout: if that is a terminal and rich is installed, with styles."""
    if not sys.stdout.isatty():
        return text_table(header, rows, left, notes)
    try:
        from rich.console import Console
        from rich.text import Text
    except ImportError:
        return text_table(header, rows, left, notes)
    (head, rule), *groups = table_lines(header, rows, left, notes)
    styled = [(head, "bold"), (rule, "dim")]
    for row, *below in groups:
        styled += [(row, ""), *((note, "dim") for note in below)]
    console = Console()
    with console.capture() as captured:
        for line, style in styled:
            console.print(Text(line, style), soft_wrap=True)  # a line is never cut
    return captured.get().rstrip("\n")


def print_json(args: argparse.Namespace, document: dict[str, Any]) -> None:
    """Print a document about a model."""
    print(json.dumps({"fastconv": fastconv.__version__, "model": args.model} | document, indent=1, allow_nan=False))


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Like np.savez, but for any names: np.savez takes them as keyword arguments, so none can be "file"."""

    def write(file: BinaryIO) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)

    write_files({str(path): write})


def error_line(error: Exception) -> str:
    """An error in one line."""
    text = str(error)
    if isinstance(error, OSError) and error.filename:
        text = f"{error.filename}: {error.strerror}"
    return f"fastconv: error: {'out of memory: ' if isinstance(error, MemoryError) else ''}{text}"


# ---- progress


def progress(items: Sequence[T], label: str) -> Iterator[T]:
    """The items, with a bar for those done, as `progress_bar` shows it."""
    with progress_bar(len(items), label) as advance:
        for item in items:
            yield item
            advance(1)


@contextmanager
def progress_bar(total: float, label: str) -> Iterator[Callable[[float], None]]:
    """A bar for work of `total` seconds or things; yields a function that takes how much more is done.

    It is shown on stderr if that is a terminal, once the work has taken two seconds: by rich if it is installed.
    """
    if not sys.stderr.isatty():
        yield lambda amount: None
        return
    began, done, last, paint, close = time.monotonic(), 0.0, 0.0, None, None

    def advance(amount: float) -> None:
        nonlocal done, last, paint, close
        done, now = done + amount, time.monotonic()
        if now - began >= PATIENCE and now - last >= PAUSE:
            if paint is None:
                paint, close = _painter(total, label)
            last = now
            paint(done)

    try:
        yield advance
    finally:
        if close is not None:
            close()


def _painter(total: float, label: str) -> tuple[Callable[[float], None], Callable[[], None]]:
    """Functions that show a bar with so much done, and that remove it."""
    try:
        from rich.console import Console
        from rich.progress import Progress
    except ImportError:
        # the cursor stays where the line begins: the next message covers it
        return (
            lambda done: print(f"{label} {done / total:4.0%}", end="\r", file=sys.stderr, flush=True),
            lambda: print(" " * (len(label) + 5), end="\r", file=sys.stderr, flush=True),
        )
    # without auto_refresh it has no thread, which would disturb what is timed
    bar = Progress(console=Console(stderr=True), transient=True, redirect_stdout=sys.stdout.isatty(), auto_refresh=False)
    task = bar.add_task(label, total=total)

    def paint(done: float) -> None:
        bar.start()  # the first time
        bar.update(task, completed=done, refresh=True)

    return paint, bar.stop
