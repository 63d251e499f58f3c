"""The machine and the build that measurements are of: for the headers of reports, and the files of pytest-benchmark."""

from __future__ import annotations

from typing import Any

import fastconv

from .. import kernels
from ..config import cpu
from ..threads import cpu_limit
from .commit import commit


def build() -> str:
    """The version and the commit of the package: "fastconv 0.1.0, commit 0123456789"."""
    found = commit()
    return f"fastconv {fastconv.__version__}, {f'commit {shortened(found)}' if found else 'commit unknown'}"


def shortened(found: str) -> str:
    """A commit's first ten digits, and its plus sign."""
    return found[:10] + "+" * found.endswith("+")


def header(isas: list[str]) -> str:
    """The build, the CPU and the instruction sets in a line."""
    cpus = cpu_limit().count
    return f"{build()}; {cpu()}, {cpus} CPU{'s' if cpus > 1 else ''}; {', '.join(isas)}"


def machine_info() -> dict[str, Any]:
    """What pytest-benchmark does not know of the machine."""
    return {"cpu": cpu(), "cpus": cpu_limit().count, "isa": kernels.load().isa}


def commit_info() -> dict[str, Any]:
    """The commit of this build, as pytest-benchmark writes one."""
    found = commit()
    info = {"id": found.rstrip("+") or "unversioned", "time": None, "dirty": found.endswith("+"), "branch": "(unknown)"}
    return info | {"project": "fastconv", "version": fastconv.__version__}
