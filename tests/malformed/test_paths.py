"""Data files beside a model: a file may name those of its own folder, and no others."""

import os
import re

import numpy as np
import pytest

import fastconv
from fastconv.convert import convert
from fastconv.errors import UnsupportedError
from fastconv.onnx_json import read

from ..support.onnx_dicts import info, ints, model, node, tensor, text
from .harness import named, onnx_bytes, refused


def external(location="w.bin", dims=("2",), **entries):
    entries = [{"key": k, "value": v} for k, v in {"location": location, **entries}.items()]
    return {"name": "w", "dims": list(dims), "data_type": 1, "data_location": "EXTERNAL", "external_data": entries}


def branches(graph):
    """An If whose branches are both this graph."""
    attributes = [{"name": name, "g": graph, "type": "GRAPH"} for name in ("then_branch", "else_branch")]
    condition = {"name": "condition", "dims": [], "data_type": 9, "int32_data": [1]}
    return model([node("If", ["condition"], ["y"], *attributes)], [condition])


def places(t):
    """A model with a tensor in each place where one is read, and its JSON path."""
    value = {"name": "value", "t": t, "type": "TENSOR"}
    constant = node("Constant", [], ["w"], value)
    inner = {"name": "inner", "output": [{"name": "w"}]}
    return {
        "initializer": (model([node("Identity", ["w"], ["y"])], [t]), "graph.initializer[0]"),
        "Constant": (model([node("Constant", [], ["y"], value)]), "graph.node[0].attribute[0].t"),
        "attribute": (
            model([node("ConstantOfShape", ["s"], ["y"], value)], [tensor("s", np.int64([2]))]),
            "graph.node[0].attribute[0].t",
        ),
        "subgraph": (branches({**inner, "node": [constant]}), "graph.node[0].attribute[0].g.node[0].attribute[0].t"),
        "initializer-of-subgraph": (branches({**inner, "initializer": [t]}), "graph.node[0].attribute[0].g.initializer[0]"),
    }


PLACES = list(places(external()))


@pytest.fixture
def folder(tmp_path):
    """A model's folder with a data file and links out of it, and a secret beside it."""
    (tmp_path / "secret").write_bytes(np.float32([666, 666]).tobytes())
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "w.bin").write_bytes(np.float32([1, 2]).tobytes())
    (folder / "link").symlink_to("../secret")
    (folder / "dir").symlink_to("..")
    (folder / "inside").symlink_to("w.bin")
    (folder / "self").symlink_to("self")
    os.mkfifo(folder / "pipe")
    return folder


LOCATIONS = {
    "T01-parent": "../secret",
    "T01-parents": "../../../../../../../../etc/hostname",
    "T01-parent-alone": "..",
    "T02-parent-within": "junk/../../secret",
    "T02-parent-after-hash": "#/../../secret",
    "T02-back-inside": "junk/../w.bin",
    "T02-dot": "./w.bin",
    "T02-dot-alone": ".",
    "T02-trailing-slash": "w.bin/",
    "T02-two-slashes": "dir//secret",
    "T02-backslash": "..\\secret",
    "T02-drive": "C:x",
    "T02-nul": "w.bin\0",
    "T02-nul-before-an-ending": "w.bin\0.txt",
    "T02-percent": "%2e%2e/secret",
    "T02-full-width-dots": "\uff0e\uff0e/secret",
    "T02-newline": "w.bin\n",
    "T02-home": "~/secret",
    "T02-variable": "$HOME",
    "T02-url": "file:///etc/hostname",
    "T02-empty": "",
    "T02-absent": "absent",
    "T02-name-of-a-megabyte": "x" * (1 << 20),
    "T02-path-of-10000-folders": "d/" * 10_000 + "w",
    "T03-absolute": "/etc/hostname",
    "T03-absolute-and-inside": "//w.bin",
    "T03-host": "//host/x",
    "T03-descriptor": "/proc/self/fd/0",
    "T03-device": "/dev/zero",
    "T04-link": "link",
    "T04-link-inside": "inside",
    "T04-link-to-itself": "self",
    "T04-folder-is-a-link": "dir/secret",
    "T04-pipe": "pipe",
    "T04-folder": "dir",
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("location", named(LOCATIONS))
def test_locations(folder, place, location):
    m, where = places(external(location))[place]
    match = rf"^(node .*: )?{re.escape(where)}\.external_data: "
    refused(m, match, external_dir=folder)
    for name, data in (("m.json", text(m)), ("m.onnx", onnx_bytes(m))):
        (folder / name).write_bytes(data)
        refused(folder / name, match)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("location", named({"T04-no-folder": "w.bin"}))
def test_a_model_that_is_no_file_has_no_folder(folder, place, location, monkeypatch):
    monkeypatch.chdir(folder)
    refused(places(external(location))[place][0], "external_dir=")


@pytest.mark.parametrize("location", named({"T04b-link-that-is-meant": "link"}))
def test_links_that_are_meant(folder, location):
    m, _ = places(external(location))["initializer"]
    refused(m, r"load\(\.\.\., external_dir=.*, follow_links=True\)", external_dir=folder)
    assert read(m, external_dir=folder, follow_links=True).nodes[0].inputs[0].constant.tolist() == [666, 666]


@pytest.mark.parametrize("location", named({"T05-hard-link": "hard"}))
def test_hard_links_are_followed(folder, location):
    os.link(folder.parent / "secret", folder / location)
    m, _ = places(external(location))["initializer"]
    assert read(m, external_dir=folder).nodes[0].inputs[0].constant.tolist() == [666, 666]


def small():
    m = model([node("MatMul", ["x", "w"], ["y"])], [tensor("w", np.ones((3, 2000), np.float32))], [info("x", 1, 3)])
    return m | {"graph": m["graph"] | {"output": [{"name": "y"}]}}


@pytest.mark.parametrize("ending", named({"T06-save-over-links": ".json", "T06-convert-over-links": ".onnx"}))
def test_links_are_never_written_through(tmp_path, ending):
    precious, path = tmp_path / "precious", tmp_path / "to" / f"m{ending}"
    precious.write_bytes(b"precious")
    path.parent.mkdir()
    (tmp_path / "from.json").write_bytes(text(small()))
    for name in (path.name, f"{path.name}.data", f"{path.name}.1.data"):
        (path.parent / name).symlink_to(precious)
    if ending == ".json":
        fastconv.load(small()).save(path)
    else:
        convert(tmp_path / "from.json", path)
    assert precious.read_bytes() == b"precious"
    assert not path.is_symlink()
    assert fastconv.load(path)(np.ones((1, 3), np.float32)).shape == (1, 2000)


@pytest.mark.parametrize("key", named({"T07-sparse-initializer": "graph", "T07-sparse-attribute": "node"}))
def test_sparse_tensors_are_never_opened(folder, key):
    sparse = {"values": external("../secret"), "indices": external("../secret"), "dims": ["9"]}
    attribute = {"name": "sparse_value", "sparse_tensor": sparse, "type": "SPARSE_TENSOR"}
    m = {
        "graph": model([node("Identity", ["w"], ["y"])], sparse_initializer=[sparse]),
        "node": model([node("Constant", [], ["y"], attribute)]),
    }[key]
    refused(m, "not supported", UnsupportedError, external_dir=folder)


@pytest.mark.parametrize("key", named({"T07-function-body": "functions", "T07-training": "training_info"}))
def test_parts_that_are_not_read_are_never_opened(folder, key):
    constant = node("Constant", [], ["b"], {"name": "value", "t": external("../secret"), "type": "TENSOR"})
    part = {
        "functions": {"name": "F", "domain": "d", "output": ["b"], "node": [constant]},
        "training_info": {"initialization": {"initializer": [external("../secret")], "name": "t"}},
    }[key]
    m = model([node("Relu", ["x"], ["y"])]) | {key: [part]}
    try:
        g = read(m, external_dir=folder)
    except fastconv.ModelError:
        return
    assert not any(v is not None and v.constant is not None for n in g.nodes for v in n.inputs)


@pytest.mark.parametrize("m", named({"T07-function-that-is-called": node("F", ["x"], ["y"], domain="d")}))
def test_data_of_functions(folder, m):
    constant = node("Constant", [], ["b"], {"name": "value", "t": external("../secret"), "type": "TENSOR"})
    function = {"name": "F", "domain": "d", "input": ["a"], "output": ["b"], "node": [constant]}
    function["opset_import"] = [{"domain": "", "version": "22"}]
    m = model([m]) | {"functions": [function]}
    m["opset_import"].append({"domain": "d", "version": "1"})
    refused(m, r"functions|not supported", external_dir=folder)


KEYS = {f"T08-key-{key}": key for key in ("__class__", "follow_links", "directory", "_file", "basepath", "max_bytes", "")}


@pytest.mark.parametrize("key", named(KEYS))
def test_other_keys_set_nothing(folder, key):
    m, _ = places(external(**{key: "/etc"}))["initializer"]
    assert read(m, external_dir=folder).nodes[0].inputs[0].constant.tolist() == [1, 2]


@pytest.mark.parametrize("key", named({"T08-key-that-is-no-text": "key", "T08-value-that-is-no-text": "value"}))
def test_entries_are_texts(folder, key):
    t = external()
    t["external_data"][0][key] = 5
    refused(places(t)["initializer"][0], rf"external_data\[0\]\.{key}: expected a string", external_dir=folder)


@pytest.mark.parametrize("key", named({"T08-key-twice": "location"}))
def test_keys_that_come_twice(folder, key):
    t = external()
    t["external_data"].append({"key": key, "value": "../secret"})
    refused(places(t)["initializer"][0], rf"external_data\[1\]: key '{key}' appears twice", external_dir=folder)


RANGES = {
    "negative": "-1",
    "int64-max": str((1 << 63) - 1),
    "2-to-the-63": str(1 << 63),
    "2-to-the-64": str(1 << 64),
    "float": "1e3",
    "decimal": "1.0",
    "empty": "",
    "beyond-the-end": "9",
    "not-that-of-dims": "1",
    "hexadecimal": "0x8",
    "underscore": "1_0",
    "space": " 1",
    "other-digits": "٣",
    "5000-digits": "9" * 5000,
}


@pytest.mark.parametrize(
    "key, value", named({f"T09-{key}-{name}": (key, v) for key in ("offset", "length") for name, v in RANGES.items()})
)
def test_ranges(folder, key, value):
    refused(
        places(external(**{key: value}))["initializer"][0], r"graph\.initializer\[0\]\.external_data: ", external_dir=folder
    )


@pytest.mark.parametrize("offset, length", named({"T09-sum-overflows": (1 << 62, (1 << 63) - 1)}))
def test_ranges_that_overflow(folder, offset, length):
    refused(places(external(offset=str(offset), length=str(length)))["initializer"][0], "external_data: ", external_dir=folder)


@pytest.mark.parametrize("dims", named({"T09-dims-of-a-terabyte": ["274877906944"], "T09-dims-overflow": ["4294967296"] * 2}))
def test_dims_beyond_the_file(folder, dims):
    refused(places(external(dims=dims))["initializer"][0], r"graph\.initializer\[0\]", external_dir=folder)
    weights = tensor("w", np.ones((1, 1, 3, 3), np.float32))
    del weights["raw_data"]
    conv = model([node("Conv", ["x", "w"], ["y"], ints("pads", 1, 1, 1, 1))], [external(dims=dims)])
    refused(conv, r"graph\.initializer\[0\]", external_dir=folder)
