"""The folder of answers: the list of the pictures, and a Parquet file for each part of it, whole or absent."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, BinaryIO

from ..errors import InputError
from ..write_files import write_files
from .pictures import Picture
from .work import arrow

if TYPE_CHECKING:
    import pyarrow as pa

#: the facts of the run, which a resumed run must share, and its pictures. Readers of Parquet folders skip names with "_".
RUN, PICTURES = "_run.json", "_pictures.arrow"


class Parts:
    """A folder of answers. Part i has the rows of pictures i·size to (i+1)·size, in their order.

    Parameters
    ----------
    folder : str
        The folder.
    size : int
        The pictures of a part; the last may have fewer.
    pictures : list of Picture
        All pictures.
    """

    def __init__(self, folder: str, size: int, pictures: Sequence[Picture]):
        self.folder, self.size, self.pictures = folder, size, pictures

    def __getitem__(self, i: int) -> Sequence[Picture]:
        return self.pictures[i * self.size : (i + 1) * self.size]

    def __len__(self) -> int:
        return -(-len(self.pictures) // self.size)

    def path(self, i: int) -> str:
        """The file of a part."""
        return os.path.join(self.folder, f"part-{i:06}.parquet")

    def missing(self) -> list[int]:
        """The parts that are not there, or not whole."""
        return [i for i in range(len(self)) if not self._is_whole(i)]

    def errors(self) -> int:
        """The rows with an error."""
        from pyarrow import parquet

        columns = (parquet.read_table(self.path(i), columns=["error"])["error"] for i in range(len(self)))
        return sum(len(column) - column.null_count for column in columns)

    def write(self, i: int, table: pa.Table) -> None:
        """Write a part. It is on the disk when it gets its name, so that it is whole after a power failure too."""
        arrow()
        from pyarrow import parquet

        def write(file: BinaryIO) -> None:
            parquet.write_table(table, file)
            file.flush()
            os.fsync(file.fileno())

        write_files({self.path(i): write})

    def _is_whole(self, i: int) -> bool:
        from pyarrow import ArrowException, parquet

        try:
            return bool(parquet.read_metadata(self.path(i)).num_rows == len(self[i]))
        except (OSError, ArrowException):
            return False


def create(folder: str, size: int, pictures: Sequence[Picture], facts: Mapping[str, Any]) -> Parts:
    """A new folder of answers; InputError if it is there."""
    pa = arrow()
    from pyarrow import ipc

    try:
        os.mkdir(folder)
    except FileExistsError:
        raise InputError(f"{folder} is there: go on with --resume, or name another with -o") from None
    columns = dict(zip(Picture._fields, zip(*pictures, strict=True), strict=True))
    table = pa.table({name: pa.array(column, pa.int64() if name in ("offset", "size") else pa.string())
                      for name, column in columns.items()})  # fmt: skip

    def write_pictures(file: BinaryIO) -> None:
        with ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)

    document = json.dumps({**facts, "part_size": size}, indent=1).encode()
    # the facts last: a folder with them is complete
    write_files({os.path.join(folder, PICTURES): write_pictures})
    write_files({os.path.join(folder, RUN): lambda file: file.write(document)})
    return Parts(folder, size, pictures)


def resume(folder: str, facts: Mapping[str, Any]) -> Parts:
    """The folder of a run that was stopped, with its pictures; InputError if that run had other facts."""
    arrow()
    from pyarrow import ArrowException, ipc

    try:
        with open(os.path.join(folder, RUN), "rb") as file:
            begun = json.load(file)
        with open(os.path.join(folder, PICTURES), "rb") as file, ipc.open_file(file) as reader:
            columns = reader.read_all().to_pydict()
        size = begun.pop("part_size")
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{folder}: nothing to go on with: leave out --resume") from None
    except (ValueError, KeyError, ArrowException) as e:
        raise InputError(f"{folder}: not a folder of fastconv predict: {e}") from None
    for name, value in facts.items():
        if begun.get(name) != value:
            raise InputError(f"{folder}: begun with {name} {begun.get(name)!r}, not {value!r}")
    return Parts(folder, size, list(map(Picture, *(columns[name] for name in Picture._fields))))


@contextmanager
def locked(parts: Parts) -> Iterator[None]:
    """While it lasts no other process writes to the folder; what a killed one has left half-written is removed."""
    with open(os.path.join(parts.folder, RUN), "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{parts.folder}: another fastconv predict is writing to it") from None
        for name in os.listdir(parts.folder):
            if name.startswith(".") and name.endswith(".tmp"):
                with suppress(FileNotFoundError):
                    os.unlink(os.path.join(parts.folder, name))
        yield


__all__ = ["Parts", "create", "locked", "resume"]
