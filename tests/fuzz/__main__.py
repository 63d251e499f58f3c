"""All targets, guided by coverage; prints the executions, the coverage and the findings of each. See `--help`."""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .. import conftest
from .models import CORPUS, NAMES, seed

TARGETS = ("json", "onnx", "mutations", "networks")


def prepare(folder, target):
    """Put the corpus that is kept and the seeds where libFuzzer adds what it finds."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in (CORPUS / target).glob("*"):
        (folder / path.name).write_bytes(path.read_bytes())
    for name in NAMES if target in ("json", "onnx") else ():
        data = seed(name) if target == "json" else (CORPUS / "models" / f"{name}.onnx").read_bytes()
        (folder / f"{name}.{target}").write_bytes(data)


def write_dictionary(path):
    """The words of the format, as libFuzzer puts them into inputs."""
    from fastconv.onnx_json import format as tables
    from fastconv.ops import REGISTRY

    found = [table for name, table in vars(tables).items() if name.isupper() and isinstance(table, dict)]
    words = {word for table in found for word in table if isinstance(word, str)} | set(REGISTRY) | {"NaN", "Infinity"}
    numbers = [-1, 0, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63, 1 << 64]
    texts = [*words, *map(json.dumps, sorted(words)), *map(str, numbers)]
    path.write_text("".join(f"{json.dumps(text)}\n" for text in sorted(texts)))


def fuzz(target, seconds, seed, out):
    """(executions, lines of coverage) of a target in so many seconds: in several processes, if findings end some."""
    corpus = out / "corpus" / target
    prepare(corpus, target)
    write_dictionary(out / "dictionary.txt")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}  # tests are not installed
    until, executions, coverage = time.monotonic() + seconds, 0, 0
    while (left := until - time.monotonic()) > 1:
        options = {
            "max_total_time": int(left), "seed": seed, "max_len": 4096, "timeout": 60, "rss_limit_mb": 4096,
            "dict": out / "dictionary.txt", "artifact_prefix": f"{out / 'findings' / target}-", "print_final_stats": 1,
        }  # fmt: skip
        flags = [f"-{name}={value}" for name, value in options.items()]
        command = [sys.executable, "-m", f"{__package__}.guided", target, out / "findings", *flags, corpus]
        log = subprocess.run(
            command, cwd=conftest.CHECKOUT, env=environment, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, errors="replace",
        ).stderr  # fmt: skip
        (out / f"{target}.log").write_text(log)
        if not (done := re.search(r"number_of_executed_units: (\d+)", log)):
            sys.exit(f"{target} did not run:\n{log[-2000:]}")
        executions += int(done[1])
        coverage = max([coverage, *map(int, re.findall(r"cov: (\d+)", log))])
        seed += 1
    return executions, coverage


def main():
    parser = argparse.ArgumentParser(prog=f"python -m {__package__}", description=__doc__)
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=TARGETS, help="default: all")
    parser.add_argument("--minutes", type=float, default=1, help="for all targets together")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes at once")
    parser.add_argument("--seed", type=int, default=1, help="of the random numbers; 0: another one each time")
    parser.add_argument("--out", type=Path, default=Path("build/fuzz"), help="the folder of findings and of the corpus")
    args = parser.parse_args()
    out = args.out.resolve()
    (out / "findings").mkdir(parents=True, exist_ok=True)
    seconds = 60 * args.minutes * min(args.jobs, len(args.targets)) / len(args.targets)
    with ThreadPoolExecutor(args.jobs) as pool:
        results = list(pool.map(lambda target: fuzz(target, seconds, args.seed, out), args.targets))
    for target, (executions, coverage) in zip(args.targets, results, strict=True):
        print(f"{target:10} {executions:10,} executions   {coverage:6,} edges of the package's code")
    findings = sorted(path for path in (out / "findings").iterdir() if path.suffix != ".txt")
    print(f"{sum(executions for executions, _ in results):,} executions, {len(findings)} findings", *findings, sep="\n  ")
    return bool(findings)


if __name__ == "__main__":
    sys.exit(main())
