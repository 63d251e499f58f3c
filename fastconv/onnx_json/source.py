"""Reading a model from a path, from bytes, or from parsed JSON."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import Any, TypedDict

from ..errors import ModelError
from ..external_data import DataFile, DataReader, Origin
from ..file_kinds import other_kind
from ..graph import Graph
from ..strict_json import Fields, parse
from . import wire
from .format import MODEL
from .reader import GraphReader
from .tensors import TensorReader

#: A path, the contents of a file as bytes (JSON or `.onnx`), or parsed JSON.
Source = str | os.PathLike[str] | bytes | Mapping[str, object]


class Reading(TypedDict, total=False):
    """The keywords of `read`."""

    external_dir: str | os.PathLike[str] | None
    follow_links: bool
    max_bytes: int | None


def read(
    source: Source,
    *,
    external_dir: str | os.PathLike[str] | None = None,
    follow_links: bool = False,
    max_bytes: int | None = None,
) -> Graph:
    """The Graph of a model.

    Weights outside the file are looked for in its folder, or in `external_dir`; symbolic links among them are followed only
    with `follow_links`. `max_bytes` bounds the size of the file, and the bytes of all weights together.
    ModelError if the model is malformed, UnsupportedError with every place that uses an unsupported feature, and OSError if the
    file cannot be read.
    """
    origin = None
    if isinstance(source, Mapping):
        model = dict(source)
    elif isinstance(source, bytes):
        model, origin = _parse(source), Origin(source, None)
    else:
        path = os.fspath(source)
        if os.path.isdir(path):
            raise ModelError("a folder, not an ONNX model: name the file in it")
        external_dir = os.path.dirname(path) or "." if external_dir is None else external_dir
        with open(path, "rb") as file:
            again = DataFile(os.dup(file.fileno()), repr(path)) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else None
            data = file.read(-1 if max_bytes is None else max_bytes + 1)
        if max_bytes is not None and len(data) > max_bytes:
            raise ModelError(f"{path} is larger than max_bytes={max_bytes}")
        model = wire.parse(data) if path.lower().endswith(".onnx") else _parse(data)
        origin = Origin(data, again) if again else None
    with DataReader(external_dir, follow_links) as reader:
        return GraphReader(TensorReader(reader, max_bytes, origin)).model(Fields(model, "", MODEL))


def _parse(data: bytes) -> Any:
    """The dict of a model in JSON or in ONNX, which begins with the tag of its IR version: no JSON begins with that byte."""
    return wire.parse(data) if data.startswith(b"\x08") else parse_json(data)


def parse_json(data: bytes) -> Any:
    """The parsed JSON of a file's bytes."""
    try:
        return parse(data)
    except ModelError as e:
        raise other_kind(data) or e from None
