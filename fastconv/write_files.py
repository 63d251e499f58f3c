"""Writing files whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO


def write_files(files: Mapping[Path, Callable[[BinaryIO], object]]) -> None:
    """Write each file with its function, so that no reader ever finds a half-written one.

    All are complete under temporary names before the first is renamed to its own. An existing file is replaced, and so is a
    link: it is never followed. After an error nothing is left behind, and existing files are unchanged.
    """
    made: list[Path] = []
    try:
        for target, write in files.items():
            if target.is_dir() and not target.is_symlink():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
            temporary = target.with_name(f".{os.urandom(8).hex()}.tmp")
            with open(temporary, "xb") as file:  # x: a new file, so no link that somebody else has made
                made.append(temporary)
                write(file)
        for temporary, target in zip(list(made), files, strict=True):
            os.replace(temporary, target)
            made.remove(temporary)
    finally:
        for temporary in made:
            with suppress(OSError):
                temporary.unlink()


__all__ = ["write_files"]
