"""What a session takes from the model's file, with onnxruntime's errors: its dict, and its declared inputs and outputs."""

from __future__ import annotations

import os
from typing import Any

from ... import onnx_json
from ...errors import ModelError
from ...file_kinds import other_kind
from ...onnx_json import Parsed, wire
from ...onnx_json.format import VALUE_INFO
from ...onnx_json.value_info import declared_value
from ...strict_json import Fields
from ...tensor_info import TensorInfo, info_of
from .errors import Fail, InvalidArgument, InvalidGraph, InvalidProtobuf, NoSuchFile, failure
from .options import SessionOptions
from .values import NodeArg, type_name


def parse(source: str | os.PathLike[str] | bytes, options: SessionOptions) -> Parsed:
    """The parsed file, with the sizes that the options give to symbols."""
    where = "" if isinstance(source, bytes) else f"Load model from {os.fspath(source)} failed:"
    failed = f"{where}Protobuf parsing failed." if where else "Failed to load model because protobuf parsing failed."

    def parser(data: bytes) -> dict[str, Any]:
        try:
            model = wire.parse(data)
        except ModelError as e:
            raise failure(InvalidProtobuf, f"{failed} {other_kind(data) or e}") from e
        if "graph" not in model:
            raise failure(InvalidArgument, f"{where}No graph was found in the protobuf.")
        return model

    try:
        parsed = onnx_json.parse(source, parser=parser)
    except FileNotFoundError as e:
        raise failure(NoSuchFile, f"{where}Load model {os.fspath(e.filename)} failed. File doesn't exist") from e
    except OSError as e:
        raise failure(Fail, f"{where}{e}") from e
    except ModelError as e:  # a folder
        raise failure(InvalidProtobuf, f"{failed} {e}") from e
    graph = parsed.model["graph"]
    for info in (*graph.get("input", ()), *graph.get("output", ())):
        for dim in _dims(info):
            for (field, text), size in options._sizes.items():
                if dim.get(field) == text:
                    dim.pop("dim_param", None)
                    dim["dim_value"] = size
    return parsed


def overridable(model: dict[str, Any]) -> list[TensorInfo]:
    """The inputs with initializers; before IR version 4, these were constants that had to be listed."""
    if model.get("ir_version", 0) < 4:
        return []
    weights = {tensor.get("name") for tensor in model["graph"].get("initializer", ())}
    infos = [info for info in model["graph"].get("input", ()) if info.get("name") in weights]
    try:
        return [info_of(declared_value(Fields(info, "graph.input", VALUE_INFO))) for info in infos]
    except ModelError as e:
        raise failure(InvalidGraph, f"This is an invalid model. {e}") from e


def node_arg(info: TensorInfo, declared: dict[str, Any]) -> NodeArg:
    """An input or output with the symbols that the file has: fastconv's are only those that are identifiers."""
    texts = [d.get("dim_param") or None for d in _dims(declared)]
    sizes = info.shape or ()
    if len(texts) != len(sizes):
        return NodeArg(info.name, list(sizes), type_name(info.dtype))
    shape = [size if isinstance(size, int) else text or size for size, text in zip(sizes, texts, strict=True)]
    return NodeArg(info.name, shape, type_name(info.dtype))


def _dims(info: dict[str, Any]) -> list[dict[str, Any]]:
    """The sizes that the file declares for an input or output."""
    dims: list[dict[str, Any]] = info.get("type", {}).get("tensor_type", {}).get("shape", {}).get("dim", [])
    return dims


__all__ = ["node_arg", "overridable", "parse"]
