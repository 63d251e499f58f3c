"""`.onnx` files: the onnx package's ModelProto, and any message as the dict that its JSON parses to."""

from __future__ import annotations

from typing import Any

from ..errors import ModelError
from ..file_kinds import other_kind


def parse_onnx(data: bytes) -> Any:
    """The onnx package's ModelProto of a `.onnx` file's bytes."""
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError:
        raise other_kind(data) or ModelError("a .onnx file needs the onnx package: pip install 'fastconv[onnx]'") from None
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
        _check_text(model)
    except (DecodeError, UnicodeDecodeError, ModelError) as e:
        raise other_kind(data) or ModelError(f"not an ONNX model: {e}") from None
    if not model.HasField("graph"):
        raise other_kind(data) or ModelError("not an ONNX model: it has no graph")
    return model


def _check_text(message: Any) -> None:
    """Refuse text that is not UTF-8: protobuf returns it as bytes, or raises UnicodeDecodeError."""
    for field, value in message.ListFields():
        items = [value] if isinstance(value, str | bytes) or hasattr(value, "ListFields") else value
        if field.type == field.TYPE_STRING and any(isinstance(item, bytes) for item in items):
            raise ModelError(f"a {field.name} in it is not UTF-8")
        if field.message_type is not None:
            for item in items:
                _check_text(item)


def as_dict(message: Any) -> Any:
    """A protobuf message as the dict that its JSON parses to, except that bytes stay bytes."""
    if hasattr(message, "ListFields"):
        return {field.name: as_dict(value) for field, value in message.ListFields()}
    if isinstance(message, str | bytes | int | float):
        return message
    items = list(message)
    return [as_dict(item) for item in items] if hasattr(items[0], "ListFields") else items
