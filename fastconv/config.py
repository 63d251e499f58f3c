"""This installation and what it uses on this machine: for users and bug reports."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

import numpy as np

import fastconv

from . import _executor, kernels
from .threads import cpu_limit, resolve

#: flags of /proc/cpuinfo for vector and matrix instructions
FLAGS = re.compile(r"avx\w*|fma4?|f16c|amx\w*|asimd\w*|sve\w*|i8mm|bf16")
#: fields of /proc/cpuinfo that identify the CPU, on x86 and on arm64, and how they are printed
KINDS = {"cpu family": "family", "model": "model", "stepping": "stepping"}
ARM_KINDS = {"CPU implementer": "implementer", "CPU part": "part"}


def _processors(root: Path) -> list[dict[str, str]]:
    """The fields of each processor in /proc/cpuinfo; none if the system has no such file."""
    try:
        text = (root / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    fields = ([line.partition(":") for line in block.splitlines()] for block in text.split("\n\n"))
    blocks = [{key.strip(): value.strip() for key, _, value in block} for block in fields]
    return [b for b in blocks if "processor" in b]


def _name(processor: dict[str, str]) -> str:
    name = processor.get("model name", platform.machine())
    kinds = KINDS if "cpu family" in processor else ARM_KINDS
    numbers = ", ".join(f"{word} {processor[key]}" for key, word in kinds.items() if key in processor)
    # virtual machines report families of CPUs, as "Intel(R) Xeon(R) CPU @ 2.20GHz"
    identifies = kinds is KINDS and re.search(r"\d", name.partition("@")[0])
    return name if identifies or not numbers else f"{name} ({numbers})"


def cpu(root: Path = Path("/")) -> str:
    """The CPU's name, with numbers if it names a family only: "Intel(R) Xeon(R) Processor (family 6, model 143, …)"."""
    names = dict.fromkeys(map(_name, _processors(root)))  # several if cores differ
    return " + ".join(names) or platform.processor() or platform.machine()


def cpu_flags(root: Path = Path("/")) -> str:
    """The vector and matrix instructions that all processors have, by Linux's names; empty if it lists none."""
    flags = [p.get("flags", p.get("Features", "")).split() for p in _processors(root)]
    return " ".join(f for f in sorted(set(flags[0]).intersection(*flags[1:])) if FLAGS.fullmatch(f)) if flags else ""


def built() -> list[str]:
    """The instruction sets that this installation has kernels for: first those that this machine can run, slowest first."""
    possible = kernels.available()
    return [*possible, *sorted(set(kernels.built()).difference(possible))]


def config() -> dict[str, str]:
    """The rows that `show_config` prints: the name of each and its text."""
    threads, limit = resolve(None), cpu_limit()
    chosen = kernels.load()
    source = "FASTCONV_ISA" if os.environ.get("FASTCONV_ISA") else "the fastest of this machine"
    return {
        "fastconv": fastconv.__version__,
        "CPU": cpu(),
        "CPU flags": cpu_flags() or "unknown",
        "instruction sets": f"built: {', '.join(built())}; possible here: {', '.join(kernels.available())}",
        "instruction set": f"{chosen.isa} ({source}), vectors of {chosen.V} floats",
        "threads": f"{threads.count} ({threads.source})",
        "CPUs": f"{limit.count} ({limit.source})",
        "OpenMP": f"version {_executor.openmp}" if _executor.openmp else "none: built serial",
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "platform": platform.platform(),
    }


def show_config() -> None:
    """Print the CPU, instruction sets, threads and their source, OpenMP and versions.

    Examples
    --------
    >>> import fastconv
    >>> fastconv.show_config()  # doctest: +ELLIPSIS
    fastconv ...
    """
    rows = config()
    width = max(map(len, rows))
    for key, value in rows.items():
        print(f"{key:<{width}}  {value}")
