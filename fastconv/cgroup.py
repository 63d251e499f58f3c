"""The control groups of this process, which limit CPUs and memory of a container."""

from __future__ import annotations

import os


def group_folders(root: str | os.PathLike[str] = "/") -> list[str]:
    """The folders of the process's control group (version 2) and of the groups around it, up to that of all."""
    try:
        groups = text_of(root, "proc/self/cgroup").splitlines()
    except OSError:
        groups = []
    group = next((line.split(":", 2)[2] for line in groups if line.startswith("0:")), "/")
    parts = [p for p in group.split("/") if p]
    return [os.path.join(root, "sys/fs/cgroup", *parts[:depth]) for depth in range(len(parts), -1, -1)]


def text_of(*path: str | os.PathLike[str]) -> str:
    """The text of a file."""
    with open(os.path.join(*path)) as file:
        return file.read()
