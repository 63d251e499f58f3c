"""Writing files whole or not at all."""

import errno
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import BinaryIO


def write_files(files: Mapping[str, Callable[[BinaryIO], object]]) -> None:
    """Write each file, by its path, with its function, so that no reader ever finds a half-written one.

    All are complete under temporary names before the first is renamed to its own. An existing file is replaced, and so is a
    link: it is never followed. After an error nothing is left behind, and existing files are unchanged.
    """
    made: list[str] = []
    try:
        for target, write in files.items():
            if os.path.isdir(target) and not os.path.islink(target):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
            temporary = os.path.join(os.path.dirname(target), f".{os.urandom(8).hex()}.tmp")
            made.append(temporary)  # before it is made: the memory for an open file may end after that
            try:
                with open(temporary, "xb") as file:  # x: a new file, so no link that somebody else has made
                    write(file)
            except OSError as e:  # that of a full disk names no file, others the temporary one
                raise OSError(e.errno, e.strerror or str(e), str(target)) from e
        for temporary, target in zip(list(made), files, strict=True):
            os.replace(temporary, target)
            made.remove(temporary)
    finally:
        for temporary in made:
            with suppress(OSError):
                os.unlink(temporary)


__all__ = ["write_files"]
