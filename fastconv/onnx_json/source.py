"""Reading a model from a path, from bytes, or from parsed JSON."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypedDict

from .. import strict_json
from ..arguments import file_path, whole_number
from ..budget import Budget
from ..errors import ModelError
from ..external_data import DataFile, DataReader, Origin
from ..file_kinds import other_kind, regular
from ..graph import Graph
from ..strict_json import Fields
from . import wire
from .format import MODEL
from .reader import GraphReader
from .tensors import TensorReader

#: A path, the contents of a file as bytes (JSON or `.onnx`), or parsed JSON.
Source = str | os.PathLike[str] | bytes | Mapping[str, object]


class Parsed(NamedTuple):
    """A model's dict, what it was parsed from, and where its weights are."""

    source: Source
    model: Any
    origin: Origin | None
    folder: str | None  # of its data files


class Reading(TypedDict, total=False):
    """The keywords of `read`."""

    external_dir: str | os.PathLike[str] | None
    follow_links: bool
    max_bytes: int | None


def read(
    source: Source | Parsed,
    *,
    external_dir: str | os.PathLike[str] | None = None,
    follow_links: bool = False,
    max_bytes: int | None = None,
) -> Graph:
    """The Graph of a model.

    Weights outside the file are looked for in its folder, or in `external_dir`; symbolic links among them are followed only
    with `follow_links`. `max_bytes` bounds the size of the file, and the bytes of all weights together; see `Budget`.
    ModelError if the model is malformed, UnsupportedError with every place that uses an unsupported feature, and OSError if the
    file cannot be read.
    """
    if external_dir is not None:
        external_dir = file_path("external_dir", external_dir)
    budget = Budget(max_bytes)
    parsed = source if isinstance(source, Parsed) else parse(source, budget.max_bytes)
    with DataReader(parsed.folder if external_dir is None else external_dir, follow_links) as reader:
        return GraphReader(TensorReader(reader, budget, parsed.origin)).model(Fields(parsed.model, "", MODEL))


def parse(source: Source, max_bytes: int | None = None, parser: Callable[[bytes], Any] | None = None) -> Parsed:
    """The dict of a model; `parser` makes it of a file's bytes, by default as its name or its first byte says."""
    if max_bytes is not None:
        max_bytes = whole_number("max_bytes", max_bytes)
    if isinstance(source, Mapping):
        return Parsed(source, dict(source), None, None)
    if isinstance(source, bytes):
        return Parsed(source, (parser or _parser(source))(source), Origin(source, None), None)
    path = file_path("source", source)
    if os.path.isdir(path):
        raise ModelError("a folder, not an ONNX model: name the file in it")
    with open(path, "rb", opener=regular) as file:
        again = DataFile(os.dup(file.fileno()), repr(path))
        data = file.read(-1 if max_bytes is None else max_bytes + 1)
    if max_bytes is not None and len(data) > max_bytes:
        raise ModelError(f"{path} is larger than max_bytes={max_bytes}")
    model = (parser or _parser(data, path))(data)
    return Parsed(source, model, Origin(data, again), os.path.dirname(path) or ".")


def _parser(data: bytes, path: str = "") -> Callable[[bytes], Any]:
    """The parser of a file. A ModelProto begins with the tag of its IR version; no JSON begins with that byte."""
    return _parse_onnx if path.lower().endswith(".onnx") or data.startswith(b"\x08") else parse_json


def _parse_onnx(data: bytes) -> Any:
    """The dict of a `.onnx` file's bytes."""
    try:
        model = wire.parse(data)
    except ModelError as e:
        raise other_kind(data) or e from None
    if "graph" not in model:
        raise other_kind(data) or ModelError("not an ONNX model: it has no graph")
    return model


def parse_json(data: bytes) -> Any:
    """The parsed JSON of a file's bytes."""
    try:
        return strict_json.parse(data)
    except ModelError as e:
        raise other_kind(data) or e from None
