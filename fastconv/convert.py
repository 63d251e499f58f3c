"""Converting between `.onnx` and `.json`: the whole ModelProto, documentation and weights included.

The onnx package's protobuf does the work.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .arguments import file_path
from .dtypes import DATA_TYPES
from .errors import InputError, ModelError
from .external_data import DataReader, DataWriter, data_beside, write_model
from .file_kinds import regular
from .onnx_json.format import DATA_LOCATIONS, TENSOR_DATA
from .onnx_json.protobuf import parse_onnx
from .onnx_json.source import parse_json
from .onnx_json.writer import INSIDE, SMALL, to_json
from .state_dict import Placement, place
from .strict_json import brief, string

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

#: A protobuf file holds less than 2 GiB: weights of more bytes than this go to a data file.
INSIDE_ONNX = 1 << 30
#: The first bytes of torch.save's files, in today's and in the older format.
ZIP, PICKLE = b"PK\x03\x04", b"\x80\x02"


class Converted(NamedTuple):
    """The files that `convert` wrote, the model's first, and the places of the weights that it was given."""

    files: list[Path]
    placed: tuple[Placement, ...]


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    weights: str | os.PathLike[str] | Mapping[str, ArrayLike] | None = None,
    ignore_unused: bool = False,
    epsilon: float = 1e-5,
    external_dir: str | os.PathLike[str] | None = None,
    follow_links: bool = False,
) -> Converted:
    """Write the model in `source` as `target`; the suffixes, `.onnx` or `.json`, determine the formats.

    weights: a PyTorch state dict, in a `.safetensors`, `.pt` or `.pth` file or as arrays by name, that replaces the model's
    weights; `fastconv.state_dict` describes how arrays are matched if their names differ. Other weights stay.
    ignore_unused: accept arrays that fit nowhere. epsilon: for BatchNorms folded in the model, if the model does not state it.
    The result lists the placements.

    Large weights go to a data file beside the target, named as in `save`: more than about 1 MB beside JSON, more than 1 GB
    beside `.onnx`. Weights outside the source are looked for in its folder, or in `external_dir`; symbolic links among
    them are followed only with `follow_links`. No half-written file is left. ModelError if the source is malformed or weights
    do not fit, naming them all; InputError for other suffixes; OSError if a file cannot be read or written.
    """
    source, target = Path(file_path("source", source)), Path(file_path("target", target))
    for path in (source, target):
        if path.suffix not in (".onnx", ".json"):
            raise InputError(f"{path}: expected a name that ends in .onnx or .json")
    with open(source, "rb", opener=regular) as file:
        model = (parse_onnx if source.suffix == ".onnx" else _parse_json)(file.read())
    if not model.HasField("graph"):
        raise ModelError(f"{source} is not an ONNX model: it has no graph")
    placed: tuple[Placement, ...] = ()
    if weights is not None:
        arrays: Mapping[str, ArrayLike] = weights if isinstance(weights, Mapping) else read_weights(weights)
        placed = place(model.graph, arrays, ignore_unused=ignore_unused, epsilon=epsilon)
    with DataReader(source.parent if external_dir is None else external_dir, follow_links) as reader:
        for tensor in _tensors(model):
            _take_in(tensor, reader)
    data = data_beside(target)
    tensors = [t for t in _tensors(model) if len(t.raw_data) >= SMALL]
    if sum(len(t.raw_data) for t in tensors) > (INSIDE_ONNX if target.suffix == ".onnx" else INSIDE):
        for tensor in tensors:
            _put_out(tensor, data)
    files = write_model(target, _serialize(model, target.suffix), data)
    return Converted([*map(Path, files)], placed)


def read_weights(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The arrays by name of a `.safetensors` file or a PyTorch checkpoint, told apart by their first bytes."""
    with open(path, "rb", opener=regular) as file:
        head = file.read(len(ZIP))
    arrays = read_torch(path) if head.startswith((ZIP, PICKLE)) else read_safetensors(path)
    wrapped = all(key.startswith("module.") for key in arrays)  # torch.nn.DataParallel's prefix
    return {key.removeprefix("module."): array for key, array in arrays.items()} if wrapped else arrays


def read_safetensors(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The arrays of a `.safetensors` file by name. ModelError if it is none, OSError if it cannot be read."""
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError:
        raise ModelError("weights need the safetensors package: pip install 'fastconv[safetensors]'") from None
    try:
        return load_file(path)
    except (SafetensorError, KeyError) as e:  # KeyError: a type that NumPy lacks
        raise ModelError(f"{path} is not a .safetensors file that NumPy can hold: {e}") from None


def read_torch(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The arrays of a state dict saved by torch.save, alone or as "state_dict", "model_state_dict" or "model" of a checkpoint.

    Nothing but tensors and plain containers is unpickled. ModelError if it is no such file, or torch is missing.
    """
    try:
        import torch
    except ImportError:
        raise ModelError("weights of PyTorch need the torch package: pip install 'fastconv[torch]'") from None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as e:  # torch has no error of its own for it
        reason = str(e).strip().partition("\n")[0]
        raise ModelError(
            f"{path} is not a state dict of PyTorch, as torch.save(net.state_dict(), ...) writes it: {reason}"
        ) from None
    if isinstance(state, Mapping) and (inner := [k for k in ("state_dict", "model_state_dict", "model") if k in state]):
        state = state[inner[0]]
    if not (isinstance(state, Mapping) and state and all(isinstance(x, torch.Tensor) for x in state.values())):
        has = ", ".join(map(brief, state)) if isinstance(state, Mapping) else f"a {type(state).__name__}"
        raise ModelError(f"{path} is not a state dict of PyTorch: expected tensors by name, got {has or 'nothing'}")
    try:
        return {str(key): x.detach().numpy() for key, x in state.items()}
    except (TypeError, RuntimeError) as e:
        raise ModelError(f"{path} has a tensor that NumPy cannot hold: {e}") from None


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
        return bytes(model.SerializeToString(deterministic=True))
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
    """Move a tensor's values to its raw_data, from its data file or from a long list of numbers, which would bloat JSON."""
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
