"""`.onnx` files: protobuf's wire format, read to the dict that a model's JSON parses to, except that bytes stay bytes.

A message is a list of fields, each a tag (its number and wire type) and a value. As in protobuf, the last value of a field
that is not repeated counts, two messages in such a field are merged, and fields with unknown numbers are skipped. Nothing is
allocated by a size that the file states: a value is a part of the file's bytes.

Source: https://protobuf.dev/programming-guides/encoding and onnx.proto of the ONNX repository.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..errors import ModelError

#: The most levels of messages, as in protobuf's own readers: a graph in a node of a graph takes three.
MOST_LEVELS = 100

#: The fields of each message: number, name (with * if it is repeated) and kind, a message or a key of WIRE_TYPES. Messages that
#: the reader does not look into are bytes.
MESSAGES = {
    "Model": """1 ir_version int64, 2 producer_name string, 3 producer_version string, 4 domain string, 5 model_version int64,
        6 doc_string string, 7 graph Graph, 8 opset_import* Opset, 14 metadata_props* Entry, 20 training_info* bytes,
        25 functions* Function, 26 configuration* bytes""",
    "Opset": "1 domain string, 2 version int64",
    "Function": "1 name string, 10 domain string",
    "Graph": """1 node* Node, 2 name string, 5 initializer* Tensor, 10 doc_string string, 11 input* ValueInfo,
        12 output* ValueInfo, 13 value_info* ValueInfo, 14 quantization_annotation* bytes, 15 sparse_initializer* SparseTensor,
        16 metadata_props* Entry""",
    "Node": """1 input* string, 2 output* string, 3 name string, 4 op_type string, 5 attribute* Attribute, 6 doc_string string,
        7 domain string, 8 overload string, 9 metadata_props* Entry, 10 device_configurations* bytes""",
    "Attribute": """1 name string, 2 f float, 3 i int64, 4 s bytes, 5 t Tensor, 6 g Graph, 7 floats* float, 8 ints* int64,
        9 strings* bytes, 10 tensors* bytes, 11 graphs* bytes, 13 doc_string string, 14 tp bytes, 15 type_protos* bytes,
        20 type int32, 21 ref_attr_name string, 22 sparse_tensor bytes, 23 sparse_tensors* bytes""",
    "Tensor": """1 dims* int64, 2 data_type int32, 3 segment bytes, 4 float_data* float, 5 int32_data* int32,
        6 string_data* bytes, 7 int64_data* int64, 8 name string, 9 raw_data bytes, 10 double_data* double,
        11 uint64_data* uint64, 12 doc_string string, 13 external_data* Entry, 14 data_location int32,
        16 metadata_props* Entry""",
    "SparseTensor": "1 values Tensor, 2 indices Tensor, 3 dims* int64",
    "Entry": "1 key string, 2 value string",
    "ValueInfo": "1 name string, 2 type Type, 3 doc_string string, 4 metadata_props* Entry",
    "Type": """1 tensor_type TensorType, 4 sequence_type Element, 5 map_type bytes, 6 denotation string, 7 opaque_type bytes,
        8 sparse_tensor_type bytes, 9 optional_type Element""",
    "TensorType": "1 elem_type int32, 2 shape Shape",
    "Element": "1 elem_type Type",
    "Shape": "1 dim* Dim",
    "Dim": "1 dim_value int64, 2 dim_param string, 3 denotation string",
}
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
#: the fields of a message of which the last one counts, and unsets the others
ONE_OF = {
    "Type": frozenset({"tensor_type", "sequence_type", "map_type", "opaque_type", "sparse_tensor_type", "optional_type"}),
    "Dim": frozenset({"dim_value", "dim_param"}),
}
#: the wire type of each kind; all others are messages
WIRE_TYPES = {
    "int32": VARINT, "int64": VARINT, "uint64": VARINT, "float": FIXED32, "double": FIXED64, "string": LENGTH, "bytes": LENGTH
}  # fmt: skip
FIXED = {FIXED32: 4, FIXED64: 8}
NUMBERS: dict[str, np.dtype[Any]] = {"float": np.dtype("<f4"), "double": np.dtype("<f8")}


class Field(NamedTuple):
    """A field of a message."""

    name: str
    kind: str
    repeated: bool

    @property
    def wire_type(self) -> int:
        """How its values are written."""
        return WIRE_TYPES.get(self.kind, LENGTH)


def _fields(text: str) -> dict[int, Field]:
    rows = (row.split() for row in text.split(","))
    return {int(number): Field(name.rstrip("*"), kind, name.endswith("*")) for number, name, kind in rows}


FIELDS = {message: _fields(text) for message, text in MESSAGES.items()}


class WireError(ValueError):
    """Bytes that are no message, and the path of the field in which they are."""

    def __init__(self, problem: str, path: str = ""):
        super().__init__(f"{path}: {problem}" if path else problem)
        self.problem = problem
        self.path = path

    def inside(self, place: str) -> WireError:
        """The same error, as the message around this one sees it."""
        return WireError(self.problem, f"{place}.{self.path}" if self.path else place)


def parse(data: bytes) -> dict[str, Any]:
    """The dict of a `.onnx` file's bytes. ModelError if they are no ModelProto."""
    try:
        return _message(data, "Model", 0, {})
    except WireError as e:
        raise ModelError(f"not an ONNX model: {e}") from None


def _message(message: bytes | memoryview, kind: str, level: int, out: dict[str, Any]) -> dict[str, Any]:
    """The fields of a message by name, added to those that an earlier part of it has."""
    if level > MOST_LEVELS:
        raise WireError("messages nested too deeply")
    data, at, fields = memoryview(message), 0, FIELDS[kind]
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire_type = tag >> 3, tag & 7
        if not 0 < number < 1 << 29:
            raise WireError(f"a field with the number {number}")
        value, at = _value(data, at, wire_type)
        field = fields.get(number)
        if field is None:
            continue
        packed = field.repeated and wire_type == LENGTH != field.wire_type
        if wire_type != field.wire_type and not packed:
            raise WireError(f"wire type {wire_type}, expected {field.wire_type}", field.name)
        if packed:
            if numbers := _packed(value, field):  # a list of none is no field
                out.setdefault(field.name, []).extend(numbers)
        elif field.repeated:
            items = out.setdefault(field.name, [])
            items.append(_item(value, field, level, f"{field.name}[{len(items)}]"))
        else:
            if field.name in (alternatives := ONE_OF.get(kind, frozenset())):
                for other in alternatives - {field.name}:
                    out.pop(other, None)
            out[field.name] = _item(value, field, level, field.name, out.get(field.name))
    return out


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """(an unsigned number of 64 bits, in seven bits a byte from the lowest on; the place behind it)."""
    number = 0
    for i, byte in enumerate(data[at : at + 10]):
        number |= (byte & 127) << 7 * i
        if byte < 128:
            if number >> 64:
                break
            return number, at + i + 1
    raise WireError("a number that does not end, or is larger than 64 bits")


def _value(data: memoryview, at: int, wire_type: int) -> tuple[Any, int]:
    """(the value of a field: a number or the bytes; the place behind it)."""
    if wire_type == VARINT:
        return _varint(data, at)
    if wire_type == LENGTH:
        size, at = _varint(data, at)
    elif wire_type in FIXED:
        size = FIXED[wire_type]
    else:
        raise WireError(f"wire type {wire_type}")
    if size > len(data) - at:
        raise WireError(f"a field of {size} bytes, of which {len(data) - at} are there")
    return data[at : at + size], at + size


def _item(value: Any, field: Field, level: int, place: str, earlier: dict[str, Any] | None = None) -> Any:
    """The value of a field as its type has it; a message is added to its earlier part."""
    if field.kind in FIELDS:
        try:
            return _message(value, field.kind, level + 1, {} if earlier is None else earlier)
        except WireError as e:
            raise e.inside(place) from None
    if field.wire_type == VARINT:
        return _number(value, field)
    if field.kind in NUMBERS:
        return np.frombuffer(value, NUMBERS[field.kind])[0].item()
    if field.kind == "bytes":
        return bytes(value)
    try:
        return str(value, "utf-8")
    except UnicodeDecodeError:
        raise WireError("text that is not UTF-8", place) from None


def _number(number: int, field: Field) -> int:
    """An integer of 64 unsigned bits as the field's type has it: negative ones are two's complements of 64 bits."""
    if field.kind == "uint64":
        return number
    signed = number - (1 << 64) if number >> 63 else number
    if field.kind == "int32" and not -(1 << 31) <= signed < 1 << 31:
        raise WireError(f"{signed} is no int32", field.name)
    return signed


def _packed(data: memoryview, field: Field) -> list[Any]:
    """The numbers of a repeated field that are written one after the other."""
    if field.kind in NUMBERS:
        dtype = NUMBERS[field.kind]
        if len(data) % dtype.itemsize:
            raise WireError(f"{len(data)} bytes, not a multiple of {dtype.itemsize}", field.name)
        values: list[float] = np.frombuffer(data, dtype).tolist()
        return values
    numbers: list[int] = []
    at = 0
    while at < len(data):
        number, at = _varint(data, at)
        numbers.append(_number(number, field))
    return numbers


__all__ = ["parse"]
