"""The readers of files, on any bytes: a graph or a ModelError. What protobuf reads of `.onnx` is read the same."""

import onnx
from google.protobuf.message import DecodeError

from fastconv.onnx_json import read, wire
from fastconv.onnx_json.protobuf import as_dict

from ..io.test_wire import keeps_bytes, same
from .check import Finding, only_errors_of_models

#: inputs are small, and so is all that they may ask for
MAX_BYTES = 1 << 24


def read_json(data):
    """The JSON reader."""
    with only_errors_of_models(data, ".json"):
        read(data, max_bytes=MAX_BYTES)


def read_onnx(data):
    """The `.onnx` reader, beside protobuf's own."""
    with only_errors_of_models(data, ".onnx"):
        ours = wire.parse(data)
        try:
            same(ours, as_dict(onnx.ModelProto.FromString(data)))
        except (DecodeError, UnicodeDecodeError):
            if not keeps_bytes(ours):
                raise Finding("protobuf refuses it", data, ".onnx") from None
        except AssertionError as e:
            raise Finding(f"protobuf reads something else at {e!s:.100}", data, ".onnx") from None
        read(ours, max_bytes=MAX_BYTES)
