"""The kinds of files that `load` accepts and refuses, recognized by their contents; and metadata."""

import gzip
import io
import json
import pickle
import struct
import zipfile

import numpy as np
import onnx
import pytest
from onnx import helper

import fastconv
from fastconv import ModelError
from fastconv.convert import convert
from fastconv.onnx_json import read
from fastconv.onnx_json.protobuf import parse_onnx
from fastconv.onnx_json.source import parse_json

from ..support.onnx_dicts import text, tiny


def saved(save, *arrays):
    file = io.BytesIO()
    save(file, *arrays)
    return file.getvalue()


def archive(*names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as z:
        for name in names:
            z.writestr(name, b"x" * 9)
    return file.getvalue()


def message(*fields):
    """A protobuf message of (number, bytes) fields."""
    return b"".join(bytes([number << 3 | 2, len(data)]) + data for number, data in fields)


GRAPH_DEF = message((1, message((1, b"input_1"), (2, b"Placeholder"))), (1, message((1, b"w"), (2, b"Const"))))
SAVED_MODEL = b"\x08\x01" + message((2, message((1, message((2, b"\n\5Const"), (4, b"serve"))))))
OTHERS = {
    "empty": (b"", "an empty file"),
    "blank": (b" \n", "an empty file"),
    "npy": (saved(np.save, np.zeros(3)), r"an array of NumPy.* run MODEL -i"),
    "npz": (saved(np.savez, np.zeros(3)), r"arrays of NumPy.* run MODEL -i"),
    "pt": (archive("archive/data.pkl", "archive/version"), r"a file of PyTorch .*fastconv\.from_torch or torch\.onnx\.export"),
    "pt2": (archive("net/data/weights/weight_0"), r"a file of PyTorch .*from_torch"),
    "pth of old": (pickle.dumps({"a": 1}, 2), r"a pickle.*PyTorch.*from_torch"),
    "safetensors": (struct.pack("<Q", 22) + b'{"__metadata__":{"a":1}}', r"weights alone .*--weights"),
    "tflite": (b"\x1c\0\0\0TFL3\x14\0", r"TensorFlow Lite .*tf2onnx"),
    "h5": (b"\x89HDF\r\n\x1a\n\0", r"HDF5 .*tf2onnx"),
    "keras": (archive("metadata.json", "config.json"), r"Keras .*format='onnx'"),
    "zip": (archive("net.onnx"), "a zip archive"),
    "gz": (gzip.compress(b"x"), "a gzip archive"),
    "GraphDef": (GRAPH_DEF, r"a TensorFlow graph .*tf2onnx"),
    "SavedModel": (SAVED_MODEL, r"a TensorFlow graph .*tf2onnx"),
    "html": (b"\n<!DOCTYPE html>\n<html>", "a web page"),
    "xml": (b'<?xml version="1.0"?>\n<net name="a">', "OpenVINO"),
    "png": (b"\x89PNG\r\n\x1a\n", "a picture.*--image"),
    "jpg": (b"\xff\xd8\xff\xe0\0\x10JFIF", "a picture.*--image"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_kind_of_file_is_named(tmp_path, name):
    """The file's name does not matter, and bytes are recognized too."""
    data, expected = OTHERS[name]
    for path in (tmp_path / "m.json", tmp_path / "m.onnx", tmp_path / "m.pb"):
        path.write_bytes(data)
        with pytest.raises(ModelError, match=expected) as e:
            fastconv.load(path)
        assert "not an ONNX model" in str(e.value)
        assert "\n" not in str(e.value)
        if path.suffix != ".pb":
            with pytest.raises(ModelError, match=expected):
                convert(path, tmp_path / "out.json")
    with pytest.raises(ModelError, match=expected):
        fastconv.load(data)


def test_another_kind_of_file_needs_no_onnx_to_be_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    (tmp_path / "m.onnx").write_bytes(OTHERS["h5"][0])
    with pytest.raises(ModelError, match="HDF5"):
        fastconv.load(tmp_path / "m.onnx")


def test_a_folder_is_named(tmp_path):
    with pytest.raises(ModelError, match="a folder, not an ONNX model: name the file in it"):
        fastconv.load(tmp_path)


@pytest.mark.parametrize("data", [b"\x93", b"no JSON", b"\xff\xfe", b"\x08", b"PK", b"{"])
def test_what_is_not_known_stays_so(data):
    with pytest.raises(ModelError, match=r"^not (JSON|an ONNX model)"):
        read(data)


def test_onnx_as_bytes(tmp_path):
    """Bytes have no folder of weights: these are inside, or `external_dir` names their folder."""
    (tmp_path / "m.json").write_bytes(text(tiny()))
    convert(tmp_path / "m.json", tmp_path / "m.onnx")
    data = (tmp_path / "m.onnx").read_bytes()
    assert str(read(data)) == str(read(tiny()))
    x = np.ones((1, 3, 8, 8), np.float32)
    np.testing.assert_array_equal(fastconv.load(data)(x), fastconv.load(tiny())(x))
    again = pickle.loads(pickle.dumps(fastconv.load(data)))
    np.testing.assert_array_equal(again(x), fastconv.load(tiny())(x))
    (tmp_path / "m.bin").write_bytes(data)  # whatever its name
    assert str(read(tmp_path / "m.bin")) == str(read(tiny()))

    onnx.save(onnx.load(tmp_path / "m.onnx"), tmp_path / "outside.onnx", save_as_external_data=True, size_threshold=0)
    data = (tmp_path / "outside.onnx").read_bytes()
    with pytest.raises(ModelError, match="external_dir="):
        read(data)
    assert str(read(data, external_dir=tmp_path)) == str(read(tiny()))


# ---- metadata

PROPS = {"character": "0\n1\nä\n字", "empty": "", "": "no key"}


def with_metadata(props):
    return {**tiny(), "metadata_props": [{"key": key, "value": value} for key, value in props]}


def test_metadata_is_kept(tmp_path):
    """Metadata survives every conversion, and is read-only."""
    source = tmp_path / "m.json"
    source.write_bytes(text(with_metadata(PROPS.items())))
    model = fastconv.load(source)
    assert dict(model.metadata) == PROPS
    with pytest.raises(TypeError):
        model.metadata["character"] = "x"
    assert dict(pickle.loads(pickle.dumps(model)).metadata) == PROPS
    convert(source, tmp_path / "m.onnx")
    assert dict(fastconv.load(tmp_path / "m.onnx").metadata) == PROPS
    model.save(tmp_path / "saved.json")
    assert dict(fastconv.load(tmp_path / "saved.json").metadata) == PROPS
    onnx.checker.check_model(onnx.load(tmp_path / "saved.json"))
    assert dict(fastconv.load(tiny()).metadata) == {}


def test_metadata_of_the_onnx_package():
    proto = parse_onnx(helper.make_model(helper.make_graph([], "g", [], [])).SerializeToString())
    helper.set_model_props(proto, PROPS)
    graph = json.loads(text({**tiny(), "metadata_props": [{"key": p.key, "value": p.value} for p in proto.metadata_props]}))
    assert dict(fastconv.load(parse_json(text(graph))).metadata) == PROPS


@pytest.mark.parametrize(
    "props, message",
    [
        ([("a", "1"), ("a", "1")], r"metadata_props\[1\]: key 'a' appears twice"),
        ([("a", "1"), ("b", 2)], r"metadata_props\[1\]\.value: expected a string, got 2"),
        ([("\ud800", "1")], r"metadata_props\[0\]\.key: expected Unicode text"),
        ([("a", ["1"])], r"metadata_props\[0\]\.value: expected a string, got a list"),
    ],
)
def test_wrong_metadata(props, message):
    with pytest.raises(ModelError, match=message):
        read(with_metadata(props))


def test_metadata_counts_as_the_file_does(tmp_path):
    data = text(with_metadata([("a", "x" * 5000)]))
    (tmp_path / "m.json").write_bytes(data)
    assert read(tmp_path / "m.json", max_bytes=len(data)).metadata["a"] == "x" * 5000
    with pytest.raises(ModelError, match="max_bytes=5000"):
        read(tmp_path / "m.json", max_bytes=5000)
