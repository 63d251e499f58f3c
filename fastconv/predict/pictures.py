"""Which pictures: those of files, folders, patterns, lists of paths, and shards as webdataset writes them."""

from __future__ import annotations

import glob
import io
import os
import tarfile
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import fastconv

from ..errors import InputError
from ..pixels import SUFFIXES

if TYPE_CHECKING:
    import numpy as np


class Picture(NamedTuple):
    """A picture: a file, or `size` bytes of a shard from `offset`. The path is absolute: workers may have other folders."""

    path: str
    member: str | None = None
    offset: int = 0
    size: int = 0

    @property
    def name(self) -> str:
        """The path; of a picture in a shard, shard/member."""
        return self.path if self.member is None else f"{self.path}/{self.member}"

    def read(self) -> np.ndarray:
        """Its pixels: uint8, H×W×3."""
        if self.member is None:
            return fastconv.vision.read(self.path)
        with open(self.path, "rb") as shard:
            shard.seek(self.offset)
            return fastconv.vision.read(io.BytesIO(shard.read(self.size)))


def list_pictures(arguments: Iterable[str]) -> list[Picture]:
    """The pictures that the arguments of the command line name, each once, in their order; a folder's by name.

    InputError if an argument names none.
    """
    pictures: dict[Picture, None] = {}
    for argument in arguments:
        found = [p._replace(path=os.path.abspath(p.path)) for p in _pictures(argument)]
        if not found:
            raise InputError(f"{argument}: no pictures there ({', '.join(SUFFIXES)})")
        pictures.update(dict.fromkeys(found))
    return list(pictures)


def _pictures(argument: str) -> Iterator[Picture]:
    """The pictures of a folder and its folders, a pattern, a list (.txt), a shard (.tar) or a file."""
    if os.path.isdir(argument):
        for folder, folders, files in os.walk(argument):
            folders.sort()
            yield from (Picture(os.path.join(folder, f)) for f in sorted(files) if f.lower().endswith(SUFFIXES))
    elif not os.path.exists(argument) and glob.has_magic(argument):
        for path in sorted(glob.glob(argument, recursive=True)):
            yield from _pictures(path)
    elif argument.lower().endswith(".txt"):
        yield from map(Picture, _lines(argument))
    elif argument.lower().endswith(".tar"):
        yield from _members(argument)
    else:
        os.stat(argument)  # for its error
        yield Picture(argument)


def _lines(path: str) -> Iterator[str]:
    """The paths in a list, one a line; relative ones are relative to the list."""
    with open(path, encoding="utf-8") as file:
        try:
            for line in file:
                if line.strip():
                    yield os.path.join(os.path.dirname(path), line.rstrip("\n"))
        except UnicodeDecodeError:
            raise InputError(f"{path}: not a list of paths in UTF-8") from None


def _members(path: str) -> Iterator[Picture]:
    """The pictures in a shard, whose headers are read to find them."""
    try:
        with tarfile.open(path, "r:") as shard:
            for member in shard:
                if member.isreg() and member.name.lower().endswith(SUFFIXES):
                    yield Picture(path, member.name, member.offset_data, member.size)
    except tarfile.TarError as e:
        raise InputError(f"{path}: not an uncompressed tar file: {e}") from None


__all__ = ["Picture", "list_pictures"]
