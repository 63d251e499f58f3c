"""What this installation is and what it uses on this machine, for people and for bug reports."""

from __future__ import annotations

import os
import platform

import numpy as np

import fastconv

from . import _executor, kernels
from .threads import cpu_limit, resolve


def config() -> dict[str, str]:
    """Instruction sets, threads and where they come from, OpenMP and versions, as words."""
    threads, limit = resolve(None), cpu_limit()
    chosen = kernels.load()
    source = "FASTCONV_ISA" if os.environ.get("FASTCONV_ISA") else "the fastest of this machine"
    return {
        "fastconv": fastconv.__version__,
        "instruction set": f"{chosen.isa} ({source}; possible: {', '.join(kernels.available())}), vectors of {chosen.V} floats",
        "threads": f"{threads.count} ({threads.source})",
        "CPUs": f"{limit.count} ({limit.source})",
        "OpenMP": f"version {_executor.openmp}" if _executor.openmp else "none: built serial",
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "platform": platform.platform(),
    }


def show_config() -> None:
    """Print the instruction set, threads and where they come from, OpenMP and versions."""
    rows = config()
    width = max(map(len, rows))
    for key, value in rows.items():
        print(f"{key:<{width}}  {value}")
