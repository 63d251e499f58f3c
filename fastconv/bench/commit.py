"""The commit that this package was built from. setup.py loads this file by its path: it imports the standard library only."""

from __future__ import annotations

import subprocess
from pathlib import Path

#: a build writes the commit into this file
FILE = Path(__file__).with_name("commit.txt")
CHECKOUT = Path(__file__).parents[2]
#: the parts of a checkout that a build is made of
BUILT = ("fastconv", "pyx", "setup.py")


def commit() -> str:
    """The commit, with a plus sign if the code has changed since; empty if neither the build nor a checkout has one."""
    try:
        return FILE.read_text(encoding="ascii")
    except OSError:
        return of_checkout(CHECKOUT)


def of_checkout(root: Path) -> str:
    """The commit of the checkout in a folder; empty if there is none."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True).stdout.strip()

    if not (root / ".git").exists():  # git would take the repository of a folder above
        return ""
    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", *BUILT)
        return git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return ""
