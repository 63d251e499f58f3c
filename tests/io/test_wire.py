"""The reader of protobuf's wire format against the onnx package's protobuf, on whole files and on damaged ones."""

import random

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

import fastconv
from fastconv.errors import ModelError
from fastconv.onnx_json import wire
from fastconv.onnx_json.protobuf import as_dict

from ..ops.onnx_cases import node_cases

#: fields whose messages the reader keeps as bytes, and messages of which it has some fields
BYTES = {
    "configuration", "device_configurations", "graphs", "map_type", "opaque_type", "quantization_annotation", "segment",
    "sparse_tensor", "sparse_tensor_type", "sparse_tensors", "tensors", "tp", "training_info", "type_protos",
}  # fmt: skip
ENUMS = {"type": onnx.AttributeProto.AttributeType.values(), "data_location": TensorProto.DataLocation.values()}


def model(**attributes):
    """A model of one node with every kind of value that the reader knows, and the given attributes."""
    weights = [
        numpy_helper.from_array(np.arange(6, dtype=np.float32).reshape(2, 3), "raw"),
        helper.make_tensor("floats", TensorProto.FLOAT, [3], [0.1, -0.0, float("inf")]),
        helper.make_tensor("doubles", TensorProto.DOUBLE, [2], [1e300, -2.5]),
        helper.make_tensor("int32s", TensorProto.INT32, [3], [0, -1, -(1 << 31)]),
        helper.make_tensor("int64s", TensorProto.INT64, [3], [(1 << 63) - 1, -1, -(1 << 63)]),
        helper.make_tensor("uint64s", TensorProto.UINT64, [2], [(1 << 64) - 1, 300]),
        helper.make_tensor("strings", TensorProto.STRING, [2], [b"\xff\0", "é".encode()]),
    ]
    inner = helper.make_graph([helper.make_node("Relu", ["a"], ["b"])], "inner", [], [helper.make_empty_tensor_value_info("b")])
    values = {"i": -3, "f": 0.1, "s": "é", "ints": [1, -1, 1 << 40], "floats": [0.5, -1.5], "strings": ["a", ""], "g": inner}
    node = helper.make_node("Any", ["x", ""], ["y"], "név", domain="ours", **values, t=weights[0], **attributes)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, None])
    s = helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, [1])
    graph = helper.make_graph([node], "g", [x, s], [x], weights, doc_string="text")
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22), helper.make_opsetid("ours", 1)])
    helper.set_model_props(made, {"key": "value"})
    return made


def unknown(name, value):
    """Whether it is a number that an enum does not have: protobuf drops the field, and the reader of the model refuses it."""
    return isinstance(value, int) and value not in ENUMS.get(name, [value])


def same(ours, theirs, path=""):
    """Check that two dicts of a message are equal, NaN included, but for what is kept as bytes."""
    if isinstance(theirs, dict):
        names = {name for name in theirs if name not in BYTES}
        assert {name for name, value in ours.items() if name not in BYTES and not unknown(name, value)} == names, path
        for name in names:
            same(ours[name], theirs[name], f"{path}.{name}")
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs), path
        for a, b in zip(ours, theirs, strict=True):
            same(a, b, path)
    else:
        assert type(ours) is type(theirs), path
        assert ours == theirs or (ours != ours and theirs != theirs), path


def keeps_bytes(value):
    """Whether there is a message that the reader keeps as bytes."""
    if isinstance(value, dict):
        return any(name in BYTES or keeps_bytes(inner) for name, inner in value.items())
    return isinstance(value, list) and any(map(keeps_bytes, value))


def test_every_kind_of_value():
    made = model()
    same(wire.parse(made.SerializeToString()), as_dict(made))


@pytest.mark.slow
def test_every_node_case():
    cases = [case for found in node_cases().values() for case in found]
    assert len(cases) > 1000
    for case in cases:
        same(wire.parse(case.model.SerializeToString()), as_dict(case.model))


def test_numbers_that_are_not_packed():
    """Parsers take both forms of repeated numbers: packed, and each with a tag of its own."""
    packed = TensorProto(dims=[3], data_type=TensorProto.FLOAT, name="w", float_data=[1, 2, 3])
    apart = b"".join(b"\x25" + np.float32(v).tobytes() for v in (1, 2, 3))
    rest = TensorProto(dims=[3], data_type=TensorProto.FLOAT, name="w").SerializeToString()
    made = helper.make_model(helper.make_graph([], "g", [], [helper.make_empty_tensor_value_info("w")], [packed]))
    data = made.SerializeToString()
    inner = packed.SerializeToString()
    graph = made.graph.SerializeToString()
    changed = graph.replace(b"\x2a" + bytes([len(inner)]) + inner, b"\x2a" + bytes([len(rest) + 15]) + rest + apart)
    data = data.replace(b"\x3a" + bytes([len(graph)]) + graph, b"\x3a" + bytes([len(changed)]) + changed)
    (w,) = wire.parse(data)["graph"]["initializer"]
    assert w["float_data"] == [1, 2, 3]


def test_packed_numbers_that_are_none():
    data = b"\x3a\x04\x2a\x02\x0a\x00"  # a graph with an initializer whose dims are packed
    same(wire.parse(data), as_dict(onnx.ModelProto.FromString(data)))
    assert wire.parse(data) == {"graph": {"initializer": [{}]}}


def test_a_message_that_comes_twice_is_merged():
    first = helper.make_model(helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "first", [], []))
    second = onnx.ModelProto(graph=helper.make_graph([helper.make_node("Relu", ["y"], ["z"])], "second", [], []))
    data = first.SerializeToString() + second.SerializeToString()
    same(wire.parse(data), as_dict(onnx.ModelProto.FromString(data)))
    assert wire.parse(data)["graph"]["name"] == "second"


def test_of_alternatives_the_last_one_counts():
    """A type, and a dimension, is one of several fields; the same one twice is merged."""

    def field(number, *parts):
        data = b"".join(parts)
        return bytes([number << 3 | 2, len(data)]) + data

    size, symbol, elem_type = b"\x08\x05", field(2, b"N"), b"\x08\x07"
    tensor = field(1, elem_type, field(2, field(1, size), field(1, symbol), field(1, size, symbol), field(1, symbol, size)))
    more, sequence = field(1, field(2, field(1, size))), field(4, field(1, tensor))
    for parts in ([tensor, sequence], [sequence, tensor], [tensor, more], [tensor, sequence, more], [more, field(8), tensor]):
        for info in (field(2, *parts), b"".join(field(2, part) for part in parts)):
            data = field(7, field(11, field(1, b"x"), info))
            same(wire.parse(data), as_dict(onnx.ModelProto.FromString(data)))


def test_fields_of_a_newer_format_are_skipped():
    data = model().SerializeToString() + b"\x98\x06\x05" + b"\x9a\x06\x02ab" + b"\x9d\x06abcd" + b"\x99\x06abcdefgh"
    same(wire.parse(data), as_dict(model()))


def test_a_file_without_a_graph():
    with pytest.raises(ModelError, match="not an ONNX model: it has no graph"):
        fastconv.load(b"\x08\x08")


SOUND = model().SerializeToString()


@pytest.mark.slow
@given(st.integers(0, 1 << 32))
def test_what_protobuf_reads_of_a_damaged_file(seed):
    """Both read the same; this one takes nothing that protobuf refuses, but in messages that it does not look into."""
    rng = random.Random(seed)
    data = bytearray(SOUND)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data))
        data[at : at + rng.randint(0, 3)] = rng.randbytes(rng.randint(0, 3))
    try:
        ours = wire.parse(bytes(data))
    except ModelError:
        return
    try:
        theirs = as_dict(onnx.ModelProto.FromString(bytes(data)))
    except (DecodeError, UnicodeDecodeError):
        assert keeps_bytes(ours)
        return
    same(ours, theirs)


def test_a_file_is_read_without_the_onnx_package(tmp_path, monkeypatch):
    for name in ("onnx", "google.protobuf", "google.protobuf.message"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    relu = onnx_relu()
    (tmp_path / "m.onnx").write_bytes(relu)
    x = np.float32([[-1, 2]])
    assert fastconv.load(tmp_path / "m.onnx")(x).tolist() == [[0, 2]]
    assert fastconv.load(relu)(x).tolist() == [[0, 2]]


def onnx_relu():
    """The bytes of a model of one Relu, made while the onnx package is there."""
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 2]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", info[:1], info[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)]).SerializeToString()
