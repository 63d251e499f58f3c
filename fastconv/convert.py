"""Between `.onnx` and `.json`: the whole ModelProto, documentation and all, with its weights.

The onnx package's protobuf does the work. Weights outside a file come along, whichever of its tensors they belong to.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .dtypes import DATA_TYPES
from .errors import InputError, ModelError
from .external_data import DataReader, DataWriter, write_model
from .onnx_json import DATA_LOCATIONS, INSIDE, SMALL, TENSOR_DATA, parse_json, parse_onnx, to_json
from .strict_json import brief, string

#: A protobuf file holds less than 2 GiB: weights of more bytes than this go to a data file.
INSIDE_ONNX = 1 << 30


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    weights: str | os.PathLike[str] | Mapping[str, np.ndarray] | None = None,
    external_dir: str | os.PathLike[str] | None = None,
    follow_links: bool = False,
) -> list[Path]:
    """Write the model in `source` as `target`; the endings, `.onnx` or `.json`, say what they are. Gives the files written.

    weights: a `.safetensors` file, or arrays by name, that take the place of the initializers of the same names, which must be
    of the same shapes and dtypes; initializers that are not among them stay as they are.

    Large weights go to a data file beside the target, named `target` + ".data": more than about 1 MB beside JSON, more than
    1 GB beside `.onnx`. Weights outside the source are looked for in its folder, or in `external_dir`; symbolic links among
    them are followed only with `follow_links`. Nothing half-written is left. ModelError where the source is wrong, and one that
    says all where weights do not fit it; InputError for other endings, OSError where a file cannot be read or written.
    """
    source, target = Path(source), Path(target)
    for path in (source, target):
        if path.suffix not in (".onnx", ".json"):
            raise InputError(f"{path}: expected a name that ends in .onnx or .json")
    model = (parse_onnx if source.suffix == ".onnx" else _parse_json)(source.read_bytes())
    if not model.HasField("graph"):
        raise ModelError(f"{source} is not an ONNX model: it has no graph")
    if weights is not None:
        _replace(model, weights if isinstance(weights, Mapping) else read_safetensors(weights))
    with DataReader(source.parent if external_dir is None else external_dir, follow_links) as reader:
        for tensor in _tensors(model):
            _take_in(tensor, reader)
    data = DataWriter(f"{target.name}.data")
    tensors = [t for t in _tensors(model) if len(t.raw_data) >= SMALL]
    if sum(len(t.raw_data) for t in tensors) > (INSIDE_ONNX if target.suffix == ".onnx" else INSIDE):
        for tensor in tensors:
            _put_out(tensor, data)
    return write_model(target, _serialize(model, target.suffix), data)


def read_safetensors(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The arrays of a `.safetensors` file by name. ModelError where it is none, OSError where it cannot be read."""
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError:
        raise ModelError("weights need the safetensors package: pip install 'fastconv[safetensors]'") from None
    try:
        return load_file(path)
    except (SafetensorError, KeyError) as e:  # KeyError: a type that NumPy lacks
        raise ModelError(f"{path} is not a .safetensors file that NumPy can hold: {e}") from None


def _replace(model: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """Give the initializers (and Constant nodes' tensors) of these names these values."""
    tensors = {t.name: t for t in model.graph.initializer}
    tensors |= {n.output[0]: a.t for n in model.graph.node if n.op_type == "Constant" for a in n.attribute if a.name == "value"}
    wrong = []
    for name, array in arrays.items():
        tensor = tensors.get(name)
        if tensor is None:
            wrong.append(f"{brief(name)}: the model has no initializer of this name")
            continue
        kind = DATA_TYPES.get(tensor.data_type)
        expected, got = (kind.numpy if kind else "?", tuple(tensor.dims)), (array.dtype.name, array.shape)
        if expected != got:
            wrong.append(f"{brief(name)}: expected {_text(*expected)}, got {_text(*got)}")
            continue
        for field in (*TENSOR_DATA, "external_data", "data_location"):
            tensor.ClearField(field)
        tensor.raw_data = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    if wrong:
        raise ModelError("\n  ".join(["the weights do not fit the model:", *wrong]))


def _text(dtype: str, shape: tuple[int, ...]) -> str:
    return f"{dtype} {'×'.join(map(str, shape)) or 'scalar'}"


def _parse_json(text: bytes) -> Any:
    try:
        from google.protobuf import json_format
        from onnx import ModelProto
    except ImportError:
        raise ModelError("converting needs the onnx package: pip install 'fastconv[onnx]'") from None
    try:
        return json_format.ParseDict(parse_json(text), ModelProto())
    except json_format.ParseError as e:
        raise ModelError(f"not an ONNX model: {e}") from None


def _serialize(model: Any, suffix: str) -> bytes:
    if suffix == ".onnx":
        return model.SerializeToString(deterministic=True)
    from google.protobuf.json_format import MessageToDict

    return to_json(MessageToDict(model, preserving_proto_field_name=True))


def _tensors(message: Any) -> Iterator[Any]:
    """Every TensorProto of a message, wherever it is: initializers, attributes, sparse tensors, subgraphs, functions."""
    if message.DESCRIPTOR.name == "TensorProto":
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for item in [value] if hasattr(value, "ListFields") else value:
                yield from _tensors(item)


def _take_in(tensor: Any, reader: DataReader) -> None:
    """Put a tensor's values into its raw_data, from its data file or from a list of numbers long enough to bloat JSON."""
    from onnx import numpy_helper

    try:
        if tensor.data_location == DATA_LOCATIONS["EXTERNAL"]:
            if any(len(getattr(tensor, field)) for field in TENSOR_DATA):
                raise ModelError("it has values both inside and outside the file")
            entries = {string(entry.key): string(entry.value) for entry in tensor.external_data}
            tensor.raw_data = reader.read(entries).tobytes()
            tensor.ClearField("external_data")
            tensor.ClearField("data_location")
        kind = DATA_TYPES.get(tensor.data_type)
        for field in TENSOR_DATA[1:]:
            if kind is not None and kind.numpy and len(getattr(tensor, field)) >= SMALL:
                values = numpy_helper.to_array(tensor)
                tensor.ClearField(field)
                tensor.raw_data = numpy_helper.from_array(values).raw_data
    except ValueError as e:
        raise ModelError(f"tensor {brief(tensor.name)}: {e}") from None


def _put_out(tensor: Any, data: DataWriter) -> None:
    """Move a tensor's values to the data file."""
    entries = data.add(np.frombuffer(tensor.raw_data, np.uint8))
    tensor.ClearField("raw_data")
    tensor.data_location = DATA_LOCATIONS["EXTERNAL"]
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
