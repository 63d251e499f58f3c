"""Pictures a second of `fastconv predict`: one process with two threads, two processes of one, two workers on Ray.

    pip install '.[ray]' scikit-image
    python bench/predict.py NET.onnx [--pictures 2000] [--rounds 2]

Makes JPEG files of 500×375 pixels, as ImageNet's are on average, of scikit-image's pictures. Every way reads, decodes and
preprocesses them. Starting the workers is not counted: a round's rate is that of its parts after the first ones. The ways take
turns (A B C A B C). The second table is the resident memory of the workers as the pictures go by.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import skimage.data

import fastconv
from fastconv import vision
from fastconv.predict import local
from fastconv.predict.parts import Parts
from fastconv.predict.pictures import list_pictures
from fastconv.predict.work import Work

PART = 32
#: parts until every worker has its model and its plan
WARM = 6
MIB = 1 << 20


def make_pictures(folder: Path, count: int) -> None:
    """Cuts of scikit-image's pictures, resized."""
    samples = [getattr(skimage.data, name)() for name in ("astronaut", "chelsea", "coffee", "rocket")]
    rng = np.random.default_rng(0)
    for i in range(count):
        sample = samples[i % len(samples)]
        y, x = (rng.integers(0, n // 2) for n in sample.shape[:2])
        vision.write(folder / f"{i:05}.jpg", vision.resize(sample[y : y + 225, x : x + 300], (375, 500)))


def ways(work: Callable[[int], Work], parts: Parts) -> dict[str, Callable[[], Iterator[tuple[int, object]]]]:
    """Each way of answering all parts."""
    every = range(len(parts))
    one = work(2)
    return {
        "one process, 2 threads": lambda: ((i, one.answers(parts[i])) for i in every),
        "2 processes of 1 thread": lambda: local.answer_parts(work(1), parts, every, 2),
        "2 workers on Ray": lambda: fastconv.ray.answer_parts(work(1), parts, every, 2),
    }


def memory(pids: Iterable[int]) -> float:
    """The resident memory of processes, MiB."""
    pages = 0
    for pid in pids:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            pages += int(file.read().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB


def main() -> None:
    """Print the two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    how = vision.guess_preprocess(fastconv.load(args.model)).how
    with tempfile.TemporaryDirectory() as folder:
        make_pictures(Path(folder), args.pictures)
        parts = Parts(folder, PART, list_pictures([folder]))
        each = ways(
            lambda threads: Work(
                fastconv.BatchPredictor(os.path.abspath(args.model), threads=threads), "classify", {"preprocess": how}
            ),
            parts,
        )
        rates: dict[str, list[float]] = {name: [] for name in each}
        used: list[tuple[int, float]] = []
        for _ in range(args.rounds):
            for name, answers in each.items():
                began, seen = 0.0, 0
                for n, (i, _) in enumerate(answers()):
                    if n == WARM:
                        began = time.perf_counter()
                    seen += len(parts[i]) if n > WARM else 0
                    if name.startswith("2 processes") and n % (len(parts) // 4) == 0:
                        used.append((n * PART, memory(p.pid for p in multiprocessing.active_children() if p.pid)))
                rates[name].append(seen / (time.perf_counter() - began))
    print("| | pictures a second | of the first |\n| --- | ---: | ---: |")
    first = statistics.median(next(iter(rates.values())))
    for name, found in rates.items():
        print(f"| {name} | {statistics.median(found):.0f} | {statistics.median(found) / first:.2f} |")
    print("\n| pictures done | memory of the 2 processes, MiB |\n| ---: | ---: |")
    for count, size in used:
        print(f"| {count} | {size:.0f} |")


if __name__ == "__main__":
    main()
