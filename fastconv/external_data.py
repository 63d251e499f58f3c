"""The files of a model: reading weights from data files, and writing a model with its data file.

A model names its data file itself, so `open_data_file` trusts nothing: the name must be relative, without `..`, and by default
no part of it may be a link. It is the only function of fastconv that opens a file named by a model. Hard links are treated as
files: whoever can make one beside the model can write there anyway.

Data is read, never mapped into memory. Large weights are read when they are packed. Their file stays open until then, so it may
be deleted or replaced; a file that was written to since the model was loaded is an error.
"""

from __future__ import annotations

import errno
import itertools
import math
import os
import re
import stat
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import BinaryIO

import numpy as np

from .errors import ModelError
from .strict_json import raw
from .weights import Weights
from .write_files import write_files

#: Tensors begin at multiples of this in the files that fastconv writes.
ALIGNMENT = 64
#: Larger reads are split: Linux reads at most 2 GiB at once.
_LARGEST_READ = 1 << 30
#: Tensors of at least LARGE bytes stay in their file, for at most MOST_OPEN files; others are read at once.
LARGE, MOST_OPEN = 1 << 16, 8
CHANGED = "was written to since the model was loaded"


def check_location(location: str) -> list[str]:
    """The parts of a data file's name; ModelError unless it is plainly a file below the model's folder."""
    parts = location.split("/")
    strange = re.search(r"[\\\0\ud800-\udfff]|^[A-Za-z]:", location)
    if strange or any(part in ("", ".", "..") for part in parts):
        raise ModelError(f"external data location {location!r:.200} is not a plain path below the model's folder")
    return parts


def open_data_file(directory: str | os.PathLike[str] | None, location: str, follow_links: bool = False) -> int:
    """A file descriptor of the data file `location` below `directory`; ModelError if it may not or cannot be opened."""
    parts = check_location(location)
    if directory is None:
        raise ModelError(
            f"external data {location!r:.200}: a model that is not a file needs external_dir=, the folder of its data"
        )
    no_links = 0 if follow_links else os.O_NOFOLLOW
    folder = file = -1
    try:
        folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for part in parts[:-1]:  # one folder at a time, so that no link can be put in between check and use
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | no_links, dir_fd=folder)
            os.close(folder)
            folder = below
        # O_NONBLOCK: opening a pipe would wait for its writer.
        file = os.open(parts[-1], os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | no_links, dir_fd=folder)
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise ModelError(f"external data {location!r:.200} is not a regular file")
    except BaseException as e:
        if file >= 0:
            os.close(file)
        if not isinstance(e, OSError):
            raise
        if e.errno in (errno.ELOOP, errno.ENOTDIR) and not follow_links:
            raise ModelError(
                f"external data {location!r:.200}: a part of the path is a symbolic link or no folder; to allow links, "
                f"call load(..., external_dir={os.fspath(directory)!r}, follow_links=True)"
            ) from None
        raise ModelError(f"external data {location!r:.200} in {os.fspath(directory)!r}: {e.strerror}") from None
    finally:
        if folder >= 0:
            os.close(folder)
    return file


class DataFile:
    """An open file, closed with the last reference to it; messages call it `name`."""

    def __init__(self, file: int, name: str):
        self._file = file
        self.name = name
        self._opened = self._state()
        self._sha1: str | None = None

    def __del__(self) -> None:
        os.close(self._file)

    def _state(self) -> tuple[int, int]:
        state = os.fstat(self._file)
        return state.st_size, state.st_mtime_ns

    @property
    def size(self) -> int:
        """Its size in bytes, now."""
        return self._state()[0]

    def read(self, offset: int, count: int) -> np.ndarray:
        """`count` bytes (uint8[n]) from `offset` on; ModelError if there are fewer."""
        data = np.empty(count, np.uint8)
        done = 0
        while done < count:
            n = os.preadv(self._file, [data.data[done : done + _LARGEST_READ]], offset + done)
            if n == 0:
                raise ModelError(f"{self.name} shrank while it was read")
            done += n
        return data

    def read_unchanged(self, offset: int, count: int) -> np.ndarray:
        """The same; ModelError if the file was written to since it was opened."""
        data = self.read(offset, count)
        if self._state() != self._opened:
            raise ModelError(f"{self.name} {CHANGED}")
        return data

    def verify(self, checksum: str) -> None:
        """ModelError unless this is the file's SHA-1."""
        import hashlib  # takes 3 ms, for OpenSSL, and few models have checksums

        if self._sha1 is None:
            with open(os.dup(self._file), "rb") as f:
                f.seek(0)
                self._sha1 = hashlib.file_digest(f, lambda: hashlib.sha1(usedforsecurity=False)).hexdigest()
        if checksum.lower() != self._sha1:
            raise ModelError(f"{self.name} has checksum {self._sha1}, the model says {checksum!r:.60}")


class Stored(Weights):
    """A tensor in a file, little-endian from `offset` on."""

    def __init__(self, file: DataFile, offset: int, shape: tuple[int, ...], dtype: np.dtype):
        super().__init__(shape, dtype)
        self._file = file
        self._offset = offset

    def rows(self, begin: int, end: int) -> np.ndarray:
        """Read them from the file."""
        row = self.nbytes // len(self)
        data = self._file.read_unchanged(self._offset + begin * row, (end - begin) * row)
        array = data.view(self.dtype.newbyteorder("<"))
        return array.reshape(end - begin, *self.shape[1:]).astype(self.dtype, copy=False)

    @property
    def key(self) -> Hashable:
        """The place in the file."""
        return id(self._file), self._offset, self.shape


class Encoded(Weights):
    """A tensor in base64: `length` characters from `offset` on of a text, which may be in a file."""

    def __init__(self, text: DataFile | bytes | str, offset: int, length: int, shape: tuple[int, ...], dtype: np.dtype):
        super().__init__(shape, dtype)
        self._text = text
        self._offset = offset
        self._length = length

    def rows(self, begin: int, end: int) -> np.ndarray:
        """Decode the groups of four characters, of three bytes each, that hold them."""
        row = self.nbytes // len(self)
        first, last = begin * row // 3, -(-end * row // 3)
        start, stop = self._offset + 4 * first, self._offset + min(4 * last, self._length)
        text = self._text.read_unchanged(start, stop - start) if isinstance(self._text, DataFile) else self._text[start:stop]
        count = (end - begin) * math.prod(self.shape[1:])
        try:
            data = raw(text if isinstance(text, str) else bytes(text).decode("ascii"))
            array = np.frombuffer(data, self.dtype.newbyteorder("<"), count, begin * row - 3 * first)
        except ValueError:  # written to within a tick of the file system's clock
            raise ModelError(f"{self._text.name if isinstance(self._text, DataFile) else 'the model'} {CHANGED}") from None
        return array.reshape(end - begin, *self.shape[1:]).astype(self.dtype)

    @property
    def key(self) -> Hashable:
        """The place in the text."""
        return id(self._text), self._offset, self.shape


class Origin:
    """The contents of a model file: its large weights are not kept, but read again from their place in it.

    data: the contents; file: the open file, None if the caller holds `data`.
    """

    def __init__(self, data: bytes, file: DataFile | None):
        self._data = data
        self._file = file
        self._end = 0
        #: bytes that may still be searched: a text with escapes is not found, and is searched for to the end
        self._left = 4 * len(data)

    def stored(self, value: bytes | str, shape: tuple[int, ...], dtype: np.dtype) -> Weights | None:
        """Weights for the tensor with this raw_data, base64 if it is text; None if the tensor should be kept in memory."""
        if math.prod(shape) * dtype.itemsize < LARGE or self._left < 0:
            return None
        part = value.encode("ascii") if isinstance(value, str) else value
        at = self._data.find(part[:64], self._end)
        self._left -= (at if at >= 0 else len(self._data)) - self._end
        if at < 0 or not self._data.startswith(part, at):
            return None
        self._end = at + len(part)
        if isinstance(value, str):
            return Encoded(self._file or self._data, at, len(part), shape, dtype)
        return Stored(self._file, at, shape, dtype) if self._file else None


class DataReader:
    """Reads ranges of the data files below one folder.

    Only the file read last stays open for the next read: a model has its tensors one after the other in one file, or each in a
    file of its own, and those may be more files than a process can open.
    """

    def __init__(self, directory: str | os.PathLike[str] | None, follow_links: bool = False):
        self.directory = directory
        self.follow_links = follow_links
        self._file: DataFile | None = None
        self._location = ""
        self._kept: dict[str, DataFile] = {}

    def __enter__(self) -> DataReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file = None
        self._kept.clear()

    def read(self, entries: Mapping[str, str], nbytes: int | None = None) -> np.ndarray:
        """The bytes (uint8[n]) that a tensor's external_data entries name; the tensor needs `nbytes`, if that is known.

        `location` is required, `offset` and `length` are optional, `checksum` (SHA-1 of the file) is verified if given, and
        other keys are ignored. ModelError if the range is not inside the file, before memory is allocated.
        """
        return DataFile.read(*self._find(entries, nbytes))

    def stored(self, entries: Mapping[str, str], shape: tuple[int, ...], dtype: np.dtype) -> Stored | None:
        """The tensor that the entries name, to be read later; None if it should be read at once."""
        nbytes = math.prod(shape) * dtype.itemsize
        if nbytes < LARGE:
            return None
        file, offset, _ = self._find(entries, nbytes)
        if len(self._kept) == MOST_OPEN and self._location not in self._kept:
            return None
        self._kept[self._location] = file
        return Stored(file, offset, shape, dtype)

    def _find(self, entries: Mapping[str, str], nbytes: int | None) -> tuple[DataFile, int, int]:
        """The file, the offset and the number of bytes."""
        if "location" not in entries:
            raise ModelError("external data has no location")
        location = entries["location"]
        offset = _decimal("offset", entries["offset"]) if "offset" in entries else 0
        length = _decimal("length", entries["length"]) if "length" in entries else None
        if None not in (length, nbytes) and length != nbytes:
            raise ModelError(f"external data {location!r:.200} has length {length}, but the tensor takes {nbytes} bytes")
        if self._file is None or self._location != location:
            self._file = None  # closed before the next is opened
            self._file = self._kept.get(location) or DataFile(
                open_data_file(self.directory, location, self.follow_links), f"external data {location!r:.200}"
            )
            self._location = location
        size = self._file.size
        count = nbytes if nbytes is not None else length if length is not None else max(size - offset, 0)
        if offset + count > size:
            raise ModelError(
                f"external data {location!r:.200} is {size} bytes long, so it has no {count} bytes at offset {offset}"
            )
        if "checksum" in entries:
            self._file.verify(entries["checksum"])
        return self._file, offset, count


def _decimal(key: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > 19 or int(text) >= 1 << 63:
        raise ModelError(f"external data {key} {text!r:.60} is not a number of bytes")
    return int(text)


class DataWriter:
    """Collects the tensors of a data file, to be written beside a model."""

    def __init__(self, location: str):
        self.location = location
        self._blocks: list[tuple[int, np.ndarray]] = []
        self._end = 0

    def add(self, data: np.ndarray) -> dict[str, str]:
        """Add a tensor's bytes (uint8[n]) to the file; returns its external_data entries."""
        check_location(self.location)
        offset = -(-self._end // ALIGNMENT) * ALIGNMENT
        self._blocks.append((offset, data))
        self._end = offset + data.nbytes
        return {"location": self.location, "offset": str(offset), "length": str(data.nbytes)}

    def write(self, file: BinaryIO) -> None:
        """Write the data file."""
        for offset, data in self._blocks:
            file.write(bytes(offset - file.tell()))
            file.write(data.data)

    def __len__(self) -> int:
        return len(self._blocks)


def data_beside(path: str | os.PathLike[str]) -> DataWriter:
    """A writer for the data file of a model at `path`: `path` + ".data", with a number before ".data" if that exists.

    So a model that is replaced keeps its data file until the new model has its place, and no moment has parts of both.
    """
    names = (f"{os.path.basename(path)}{f'.{i}' if i else ''}.data" for i in itertools.count())
    return DataWriter(next(name for name in names if not os.path.lexists(os.path.join(os.path.dirname(path), name))))


def write_model(path: str | os.PathLike[str], model: bytes, data: DataWriter) -> list[str]:
    """Write a model and, if it has one, its data file beside it: both or none. Returns their paths, the model's first.

    Data files that `data_beside` has named for earlier models at this path are removed.
    """
    path = os.fspath(path)
    folder, name = os.path.split(path)
    files: dict[str, Callable[[BinaryIO], object]] = {path: lambda file: file.write(model)}
    if len(data):
        files = {os.path.join(folder, data.location): data.write, **files}
    write_files(files)
    if len(data):
        for other in os.listdir(folder or "."):
            if other != data.location and re.fullmatch(rf"{re.escape(name)}(\.\d+)?\.data", other):
                with suppress(OSError):
                    os.unlink(os.path.join(folder, other))
    return list(files)[::-1]
