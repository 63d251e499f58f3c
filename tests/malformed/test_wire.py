"""Bytes that are no protobuf message, or one that its readers merge, skip or take in parts."""

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from onnx import ModelProto, TensorProto, helper

import fastconv
from fastconv.errors import ModelError
from fastconv.onnx_json import read, wire

from ..support.onnx_dicts import tiny
from .harness import message_of, named, onnx_bytes

WIRE = onnx_bytes(tiny())


def varint(n):
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def nested(depth, *tags):
    """Messages one inside the other, by the tags of their fields."""
    deep = b""
    for _ in range(depth):
        for tag in tags[::-1]:
            deep = tag + varint(len(deep)) + deep
    return deep


DEEP = nested(5000, b"\x0a", b"\x2a", b"\x32")  # node, attribute, graph
DAMAGED = {
    "T29-varint-of-11-bytes": (b"\xff" * 11, "a number that does not end"),
    "T29-varint-of-65-bits": (b"\x08" + b"\xff" * 9 + b"\x02", "larger than 64 bits"),
    "T29-varint-of-zeros": (b"\x08" + b"\x80" * 10 + b"\x01", "a number that does not end"),
    "T29-varint-without-its-end": (b"\x08\x80", "a number that does not end"),
    "T29-length-beyond-the-end": (b"\x3a\x05ab", "a field of 5 bytes, of which 2 are there"),
    "T29-length-of-32-bits": (b"\x3a\xff\xff\xff\xff\x07abc", "of which 3 are there"),
    "T29-length-of-64-bits": (b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "of which 0 are there"),
    "T29-fixed-beyond-the-end": (b"\x9d\x06abc", "3 are there"),
    "T29-group": (b"\x3b\x3c", "wire type 3"),
    "T29-wire-type-7": (b"\x0f", "wire type 7"),
    "T29-field-0": (b"\x00\x00", "a field with the number 0"),
    "T29-field-of-30-bits": (b"\x80\x80\x80\x80\x10\x00", "a field with the number 536870912"),
    "T29-other-wire-type": (b"\x0a\x01a", "ir_version: wire type 2, expected 0"),
    "T29-text-not-utf-8": (b"\x12\x01\xff", "producer_name: text that is not UTF-8"),
    "T29-name-not-utf-8": (b"\x3a\x09\x0a\x07\x12\x01y\x0a\x02\xff\xff", r"node\[0\]\.input\[0\]: text that is not UTF-8"),
    "T29-packed-half-a-float": (b"\x3a\x07\x2a\x05\x22\x03abc", r"initializer\[0\]\.float_data: 3 bytes, not a multiple of 4"),
    "T29-packed-varint-without-its-end": (b"\x3a\x05\x2a\x03\x0a\x01\x80", r"initializer\[0\]: a number that does not end"),
    "T29-int32-beyond-32-bits": (b"\x3a\x08\x2a\x06\x10\x80\x80\x80\x80\x10", r"data_type: 4294967296 is no int32"),
    "T29-message-in-two-halves": (b"\x3a\x01\x12\x3a\x02\x01a", "graph: a number that does not end"),
    "T29-graphs-5000-deep": (b"\x3a" + varint(len(DEEP)) + DEEP, "nested too deeply"),
}  # fmt: skip


@pytest.mark.parametrize("data, message", named(DAMAGED))
def test_damaged_files(data, message, tmp_path):
    with pytest.raises(ModelError, match=f"^not an ONNX model: .*{message}"):
        wire.parse(data)
    (tmp_path / "m.onnx").write_bytes(data)
    with pytest.raises(ModelError) as e:
        read(tmp_path / "m.onnx")
    message_of(e.value)


@pytest.mark.parametrize(
    "data", named({name.replace("T29-", "T29-after-a-model-"): data for name, (data, _) in DAMAGED.items()})
)
def test_damage_after_a_model(data, tmp_path):
    """What protobuf refuses is refused."""
    (tmp_path / "m.onnx").write_bytes(WIRE + data)
    with pytest.raises(ModelError) as e:
        read(tmp_path / "m.onnx")
    message_of(e.value)


@pytest.mark.parametrize("step", named({"T29-truncated": 7}))
def test_truncated(step, tmp_path):
    path = tmp_path / "m.onnx"
    for n in range(0, len(WIRE), step):
        path.write_bytes(WIRE[:n])
        with pytest.raises(ModelError):
            read(path)


@pytest.mark.parametrize("data", named({"T29-model-twice": WIRE + WIRE}))
def test_a_message_twice_is_merged(data, tmp_path):
    """Every name is then defined twice."""
    (tmp_path / "m.onnx").write_bytes(data)
    with pytest.raises(ModelError, match=r"given twice|imported twice"):
        read(tmp_path / "m.onnx")


PARTS = {
    "T29-scalar-twice": b"\x08\x07\x08\x0a",
    "T29-unknown-fields": b"\xfa\x7f\x02ab\x98\x06\x05",
    "T29-many-unknown-fields": b"\x98\x06\x05" * 20_000,
    "T29-many-empty-graphs": b"\x3a\x00" * 20_000,
    "T29-long-way-of-writing-a-tag": b"\x88\x80\x00\x0a",
    "T29-empty-training-info": b"\xa2\x01\x00",
}


@pytest.mark.parametrize("data", named(PARTS))
def test_parts_that_change_nothing(data):
    x = np.ones((1, 3, 8, 8), np.float32)
    for changed in (data + WIRE, WIRE + data):
        try:
            ModelProto.FromString(changed)
        except DecodeError:
            pytest.fail("protobuf reads it")
        model = read(changed) if changed[:1] == b"\x08" else wire.parse(changed)
        assert model
    assert np.array_equal(fastconv.load(WIRE + data)(x), fastconv.load(WIRE)(x), equal_nan=True)


@pytest.mark.parametrize("packed", named({"T29-packed-and-unpacked-mixed": b"\x22\x08" + np.float32([1, 2]).tobytes()}))
def test_numbers_packed_and_apart(packed):
    w = TensorProto(dims=[3], data_type=TensorProto.FLOAT, name="w").SerializeToString()
    w += packed + b"\x25" + np.float32(3).tobytes()
    made = helper.make_model(
        helper.make_graph([helper.make_node("Identity", ["w"], ["y"])], "g", [], [helper.make_empty_tensor_value_info("y")]),
        opset_imports=[helper.make_opsetid("", 22)],
    )
    graph = made.graph.SerializeToString() + b"\x2a" + varint(len(w)) + w
    made.ClearField("graph")
    data = made.SerializeToString() + b"\x3a" + varint(len(graph)) + graph
    assert fastconv.load(data)().tolist() == [1, 2, 3]
