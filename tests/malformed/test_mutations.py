"""Malformed models, by class: each gets a ModelError that names its place, quickly, in little memory, and nothing else.

The numbers are those of the project's list of what has gone wrong in other readers: T01 to T13, T19, T20 and T23 to T29 are
the reader's part of it.
"""

import re
import time
import tracemalloc
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fastconv
from fastconv.errors import ModelError, UnsupportedError
from fastconv.graph import Graph
from fastconv.onnx_json import read

from ..support.onnx_dicts import b64, info, ints, model, node, tensor, text, tiny, with_attribute, with_weight


def refused(m, match, kind=ModelError, **options):
    """The message of the error that reading the model gives."""
    with pytest.raises(kind, match=match) as e:
        read(m, **options)
    assert len(str(e.value)) < 1000
    str(e.value).encode("utf-8")
    return str(e.value)


# External data: where it may be ------------------------------------------------------------------------------------------


def external(location="w.bin", dims=("2",), **entries):
    entries = [{"key": k, "value": v} for k, v in {"location": location, **entries}.items()]
    return {"name": "w", "dims": list(dims), "data_type": 1, "data_location": "EXTERNAL", "external_data": entries}


def places(t):
    """Models with a tensor in each place where fastconv reads one."""
    value = {"name": "value", "t": t, "type": "TENSOR"}
    return {
        "initializer": model([node("Identity", ["w"], ["y"])], [t]),
        "Constant": model([node("Constant", [], ["y"], value)]),
        "attribute": model([node("ConstantOfShape", ["s"], ["y"], value)], [tensor("s", np.int64([2]))]),
    }


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "secret").write_bytes(np.float32([666, 666]).tobytes())
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "w.bin").write_bytes(np.float32([1, 2]).tobytes())
    (folder / "link").symlink_to("../secret")
    (folder / "dir").symlink_to("..")
    return folder


@pytest.mark.parametrize("place", ["initializer", "Constant", "attribute"])
@pytest.mark.parametrize(
    "location",
    [
        "../secret",
        "junk/../../secret",
        "./w.bin",
        "w.bin/",
        "..\\secret",
        "C:x",
        "w.bin\0",
        "%2e%2e/secret",
        "/etc/hostname",
        "//host/x",
        "link",
        "dir/secret",
        "",
        "absent",
    ],
)
def test_t01_to_t04_and_t07_one_door_for_external_data(folder, place, location):
    paths = {
        "initializer": "graph.initializer[0]",
        "Constant": "graph.node[0].attribute[0].t",
        "attribute": "graph.node[0].attribute[0].t",
    }
    refused(places(external(location))[place], rf"{re.escape(paths[place])}\.external_data: ", external_dir=folder)
    (folder / "m.json").write_bytes(text(places(external(location))[place]))
    refused(folder / "m.json", rf"{re.escape(paths[place])}\.external_data: ")


@pytest.mark.parametrize("place", ["initializer", "Constant"])
def test_t04_a_model_that_is_no_file_has_no_folder(folder, place, monkeypatch):
    monkeypatch.chdir(folder)
    refused(places(external())[place], "external_dir=")
    refused(text(places(external())[place]), "external_dir=")


def test_t04b_links_that_are_meant(folder):
    m = places(external("link"))["initializer"]
    refused(m, r"load\(\.\.\., external_dir=.*, follow_links=True\)", external_dir=folder)
    assert read(m, external_dir=folder, follow_links=True).nodes[0].inputs[0].constant.tolist() == [666, 666]


def test_t07_sparse_tensors_are_never_opened(folder):
    sparse = {"values": external("../secret"), "indices": external("../secret"), "dims": ["9"]}
    m = model([node("Identity", ["w"], ["y"])], sparse_initializer=[sparse])
    refused(m, "sparse tensors are not supported", UnsupportedError, external_dir=folder)
    attribute = {"name": "sparse_value", "sparse_tensor": sparse, "type": "SPARSE_TENSOR"}
    refused(model([node("Constant", [], ["y"], attribute)]), "not supported", UnsupportedError, external_dir=folder)


def test_t08_keys_of_external_data_set_nothing(folder):
    entries = {"__class__": "x", "follow_links": "1", "directory": "/", "_file": "0", "basepath": "/etc"}
    g = read(places(external(**entries))["initializer"], external_dir=folder)
    assert g.nodes[0].inputs[0].constant.tolist() == [1, 2]
    t = external()
    t["external_data"].append({"key": "location", "value": "../secret"})
    refused(places(t)["initializer"], r"external_data\[1\]: key 'location' appears twice", external_dir=folder)
    for key in ("key", "value"):
        t = external()
        t["external_data"][0][key] = 5
        refused(places(t)["initializer"], rf"external_data\[0\]\.{key}: expected a string", external_dir=folder)


@pytest.mark.parametrize("key", ["offset", "length"])
@pytest.mark.parametrize("bad", ["-1", str((1 << 63) - 1), str(1 << 63), "1e3", "", "9", "1", "0x8", "9" * 5000])
def test_t09_ranges(folder, key, bad):
    refused(places(external(**{key: bad}))["initializer"], r"graph\.initializer\[0\]\.external_data: ", external_dir=folder)


# Tensors -----------------------------------------------------------------------------------------------------------------

HUGE = [
    ["4294967296", "4294967296"],
    ["9223372036854775807"],
    ["2", "9223372036854775807"],
    ["4611686018427387904"],
    ["-1"],
    ["0", "-1"],
    ["0", "9223372036854775807", "9"],
    ["9223372036854775808"],
    ["1"] * 33,
    ["1"] * 10_000,
    ["1000000000"],
    [[]],
    ["x"],
    [None],
]


@pytest.mark.parametrize("dims", HUGE, ids=lambda d: f"{len(d)}x{d[0]}")
def test_t10_dims(folder, dims):
    for m in (
        with_weight(dims=dims),
        with_weight(dims=dims, raw_data=None, float_data=[1]),
        places(external(dims=dims))["initializer"],
    ):
        tracemalloc.start()
        refused(m, r"graph\.initializer\[0\]", external_dir=folder)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 1_000_000 + 50 * len(dims)


def test_t10_an_empty_tensor_may_have_a_large_dimension():
    n = (1 << 61) - 1
    assert read(with_weight(dims=["0", str(n)], raw_data=None)).nodes[0].inputs[1].shape == (0, n)


@pytest.mark.parametrize(
    "fields, match",
    [
        ({"raw_data": b64(bytes(7))}, r"raw_data: 7 bytes, but dims \[2\] of FLOAT take 8"),
        ({"raw_data": b64(bytes(9))}, "9 bytes"),
        ({"raw_data": ""}, "0 bytes"),
        ({"raw_data": None}, "0 bytes"),
        ({"raw_data": None, "float_data": [1]}, r"float_data: 1 values, but dims are \[2\]"),
        ({"raw_data": None, "float_data": [1, 2, 3]}, "3 values"),
        ({"raw_data": None, "float_data": 5}, "float_data: expected a list, got 5"),
        ({"raw_data": None, "float_data": {"0": 1}}, "float_data: expected a list, got an object"),
        ({"dims": "2"}, "dims: expected a list"),
    ],
)
def test_t11_data_and_dims_disagree(fields, match):
    refused(with_weight(**fields), match)


@pytest.mark.parametrize(
    "field, data",
    [
        ("float_data", [1, 2]),
        ("int32_data", [1, 2]),
        ("int64_data", ["1"]),
        ("double_data", [1]),
        ("uint64_data", ["1"]),
        ("string_data", ["AA=="]),
        ("external_data", [{"key": "location", "value": "w.bin"}]),
        ("segment", {"begin": "0", "end": "1"}),
    ],
)
def test_t12_values_in_two_places(field, data):
    refused(with_weight(**{field: data}), rf"graph\.initializer\[0\]: both 'raw_data' and '{field}' are set")


def test_t12_a_place_that_says_otherwise(folder):
    refused(with_weight(data_location="EXTERNAL"), "data_location EXTERNAL and external_data go together")
    m = places(external())["initializer"]
    del m["graph"]["initializer"][0]["data_location"]
    refused(m, "data_location EXTERNAL and external_data go together", external_dir=folder)


@pytest.mark.parametrize(
    "fields, match, kind",
    [
        ({"data_type": 0}, "data_type: unknown data type 0", ModelError),
        ({"data_type": 99}, "unknown data type 99", ModelError),
        ({"data_type": -1}, "unknown data type -1", ModelError),
        ({"data_type": None}, "'data_type' is missing", ModelError),
        ({"data_type": 8}, "a tensor of STRING has its 2 values in string_data", ModelError),
        ({"data_type": 8, "raw_data": None}, "a tensor of STRING has its 2 values in string_data", ModelError),
        ({"data_type": 8, "raw_data": None, "string_data": ["eA=="]}, "a tensor of STRING has its 2 values", ModelError),
        ({"data_type": 8, "raw_data": None, "string_data": ["eA==", 5]}, r"string_data\[1\]: expected base64", ModelError),
        ({"data_type": 22}, r"8 bytes, but dims \[2\] of INT4 take 1", ModelError),
        ({"data_type": 14}, "data type COMPLEX64 is not supported", UnsupportedError),
        ({"raw_data": None, "int32_data": [1, 2]}, "int32_data: a tensor of FLOAT does not keep its values there", ModelError),
        ({"raw_data": None, "double_data": [1, 2]}, "double_data: a tensor of FLOAT", ModelError),
        ({"data_type": 7, "raw_data": None, "float_data": [1, 2]}, "float_data: a tensor of INT64", ModelError),
        ({"data_type": 7, "raw_data": None, "int64_data": [1, 2.5]}, r"int64_data\[1\]: expected an integer", ModelError),
        ({"data_type": 9, "raw_data": b64(b"\0\2")}, "raw_data: a BOOL that is neither 0 nor 1", ModelError),
        ({"name": None}, "'name' is missing", ModelError),
        ({"name": 5}, "name: expected a string, got 5", ModelError),
        ({"name": ""}, "the name is empty", ModelError),
    ],
)
def test_t13_types_of_tensors(fields, match, kind):
    refused(with_weight(**fields), match, kind)


@pytest.mark.parametrize(
    "attribute, op, match",
    [
        ({"name": "alpha", "i": "1", "type": "INT"}, "LeakyRelu", "attribute 'alpha' should be float, not 1"),
        ({"name": "alpha", "floats": [1.0], "type": "FLOATS"}, "LeakyRelu", "attribute 'alpha' should be float"),
        ({"name": "alpha", "s": "AAAA", "type": "STRING"}, "LeakyRelu", "attribute 'alpha' should be float"),
        ({"name": "perm", "floats": [0, 1], "type": "FLOATS"}, "Transpose", "attribute 'perm' should be"),
        ({"name": "alpha", "f": 1, "type": "INT"}, "LeakyRelu", "its type says 'i', but 'f' is set"),
        ({"name": "alpha", "f": 1, "i": 1, "type": "FLOAT"}, "LeakyRelu", "its type says 'f', but 'i' is set"),
        ({"name": "alpha", "f": 1, "ref_attr_name": "a", "type": "FLOAT"}, "LeakyRelu", "'ref_attr_name' is set"),
        ({"name": "alpha", "f": [1], "type": "FLOAT"}, "LeakyRelu", r"attribute\[0\]\.f: expected a number"),
        ({"name": "alpha", "f": 1}, "LeakyRelu", "'type' is missing"),
        ({"f": 1, "type": "FLOAT"}, "LeakyRelu", "'name' is missing"),
        ({"name": "alpha", "type": "TENSOR"}, "LeakyRelu", "'t' is missing"),
        ({"name": "alpha", "t": [], "type": "TENSOR"}, "LeakyRelu", r"attribute\[0\]\.t: expected an object"),
        ({"name": "auto_pad", "s": "/w==", "type": "STRING"}, "Conv", r"attribute\[0\]\.s: expected UTF-8"),
        ([], "LeakyRelu", r"graph\.node\[0\]\.attribute\[0\]: expected an object, got a list"),
    ],
)
def test_t13_types_of_attributes(attribute, op, match):
    refused(with_attribute(attribute, op), match)


def test_t13_the_same_attribute_twice():
    alpha = {"name": "alpha", "f": 1, "type": "FLOAT"}
    refused(
        model([node("LeakyRelu", ["x"], ["y"], alpha, alpha)]),
        r"graph\.node\[0\]\.attribute\[1\]: attribute 'alpha' appears twice",
    )


def test_t23_integers_are_never_cut_to_32_bits():
    weights = [tensor("w", np.ones((4, 3, 3, 3), np.float32))]
    for attribute in (
        ints("kernel_shape", (1 << 32) + 3, (1 << 32) + 3),
        {"name": "group", "i": str((1 << 32) + 1), "type": "INT"},
    ):
        m = model([node("Conv", ["x", "w"], ["y"], attribute)], weights)
        [value] = read(m).nodes[0].op.attributes().values()
        assert np.min(value) > 1 << 32


# The graph ---------------------------------------------------------------------------------------------------------------


def relu(a, b, **more):
    return node("Relu", [a], [b], **more)


@pytest.mark.parametrize(
    "m, match",
    [
        (model([relu("x", "y")] * 2), r"node\[1\]\.output\[0\]: 'y' is defined twice, first by graph\.node\[0\]\.output\[0\]"),
        (model([node("Dropout", ["x"], ["y", "y"])]), r"node\[0\]\.output\[1\]: 'y' is defined twice"),
        (model([relu("x", "x"), relu("x", "y")]), r"'x' is defined twice, first by graph\.input\[0\]"),
        (model([relu("x", "y")], [tensor("y", np.float32(1))]), r"'y' is defined twice, first by graph\.initializer\[0\]"),
        (model([relu("x", "y")], [tensor("w", np.float32(1))] * 2), r"graph\.initializer\[1\]: 'w' is defined twice"),
        (model([relu("x", "y")], inputs=[info("x", 1)] * 2), r"graph\.input\[1\]: 'x' is defined twice"),
        (model([relu("x", "y")], outputs=[info("y", 1)] * 2), r"graph\.output: a value is listed twice"),
        (model([relu("nobody", "y")]), r"node 'y' \(Relu\) at graph\.node\[0\]: it reads 'nobody', which nothing defines"),
        (model([relu("x", "z")]), r"graph\.output: nothing defines 'y'"),
        (model([relu("y", "y")]), r"node 'y' .*: it reads its own result 'y'"),
        (
            model([relu("x", "a"), node("Add", ["a", "c"], ["b"]), relu("b", "c"), relu("c", "y")]),
            r"\(Add\) at graph\.node\[1\].*cycle",
        ),
        (model([relu("x", "y")], outputs=[]), "graph: the graph has no outputs"),
        (model([relu("x", "y")], inputs=[{"name": "x"}]), r"graph\.input\[0\]: 'type' is missing"),
        (model([relu("x", "y")], inputs=[info("x", 1 << 63)]), r"input\[0\]\.type\.tensor_type\.shape\.dim\[0\]\.dim_value"),
        (model([relu("x", "y")], inputs=[info("x", *[1] * 33)]), r"tensor_type\.shape: more than 32 dimensions"),
        (model([relu("x", "y")], inputs=[info("x", 1, elem_type=0)]), "unknown data type 0"),
        (model([node("Relu", [], ["y"])]), r"node 'y' \(Relu\) at graph\.node\[0\]: has 0 inputs, expected 1"),
        (model([node("Relu", ["x", "x"], ["y"])]), "has 2 inputs"),
        (model([node("Relu", [""], ["y"])]), "has 0 inputs"),
        (model([node("Add", ["", "x"], ["y"])]), "a required input is left out"),
        (model([node("Relu", ["x"], [])]), "has 0 outputs"),
        (model([node("Constant", [], ["y"])]), r"\(Constant\).*exactly one"),
        (model([{"input": ["x"], "output": ["y"]}]), "'op_type' is missing"),
        (model([node("Constant", ["x"], ["y"], ints("value_ints", 1))]), r"\(Constant\).*has 1 inputs"),
        (model([node("Relu", "x", ["y"])]), r"graph\.node\[0\]\.input: expected a list"),
        (model([node("Relu", [5], ["y"])]), r"graph\.node\[0\]\.input\[0\]: expected a string"),
        (model(["Relu"]), r"graph\.node\[0\]: expected an object"),
        ({}, "the model: 'graph' is missing"),
        ({"graph": []}, "graph: expected an object, got a list"),
        ({"opset_import": {}}, "opset_import: expected"),
        ({"graph": {}}, "graph: the graph has no outputs"),
        ({"graf": {}}, "the model: unknown key 'graf'"),
        ({"opset_import": [], "opsetImport": []}, "the model: 'opset_import' appears in both spellings"),
    ],
)
def test_t19_and_t24_structure(m, match):
    refused(m, match)


def test_t19_inputs_of_other_types():
    sequence = {"name": "x", "type": {"sequence_type": {"elem_type": {}}}}
    refused(
        model([relu("x", "y")], inputs=[sequence]),
        r"graph\.input\[0\]\.type\.sequence_type\.elem_type: only tensors and",
        UnsupportedError,
    )
    refused(model([relu("x", "y")], inputs=[info("x", 1, elem_type=14)]), "COMPLEX64 is not supported", UnsupportedError)


@pytest.mark.slow
def test_t19_a_long_chain_needs_no_recursion():
    n = 5_000
    m = model([relu("x" if i == 0 else f"v{i}", "y" if i == n - 1 else f"v{i + 1}") for i in reversed(range(n))])
    assert len(read(m).nodes) == n
    m["graph"]["node"][-1]["input"] = ["v9"]
    refused(m, "cycle")


def nested(depth, leaf="{}"):
    branch = '{"node": [{"op_type": "If", "output": ["y"], "attribute": [{"name": "then_branch", "type": "GRAPH", "g": '
    return (branch * depth + leaf + "}]}]}" * depth).encode()


@pytest.mark.parametrize("depth", [1, 50, 200, 5_000, 100_000])
def test_t20_nested_subgraphs(depth):
    """Nesting too deep for the reader or for Python's json is a ModelError, and is found quickly."""
    m = b'{"opset_import": [{"version": "22"}], "graph": %s}' % nested(depth)
    start = time.perf_counter()
    refused(m, "more than 16 graphs one inside|nested too deeply|no outputs")
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize("key", ["graph", "doc_string", "metadata_props", "training_info", "configuration"])
@pytest.mark.parametrize("open_, close", [("[", "]"), ('{"graph":', "}")])
def test_t20_nesting_anywhere(key, open_, close):
    for depth in (900, 20_000):
        deep = open_ * depth + "1" + close * depth
        refused(f'{{"{key}": {deep}}}'.encode(), "nested too deeply|is missing|expected|unknown key")


# Text and names ----------------------------------------------------------------------------------------------------------


def test_t25_truncated_anywhere():
    full = text(tiny())
    read(full)
    for n in range(1, len(full)):
        with pytest.raises(ModelError, match="not JSON"):
            read(full[:n])


NAMES = [
    "\x1b[31mred\x1b[0m",
    "a\nb",
    "a\0b",
    "\u202eright to left",
    "__class__",
    "constant",
    "nodes",
    "../x",
    "'",
    '"',
    "x" * 1_000_000,
    "{0}",
    "%s",
]


@pytest.mark.parametrize("name", NAMES, ids=lambda n: ascii(n[:12]))
def test_t26_names_are_only_names(name):
    g = read(model([relu("x", name), relu(name, "y", name=name)]))
    assert g.nodes[0].outputs[0].name == g.nodes[1].name == name
    for m in (
        model([relu("x", "y", name=name), relu("x", name), relu("x", name)]),
        model([relu(name, "y")]),
        model([relu("x", "z")], outputs=[info(name, 1)]),
        model([relu("x", "y")], opset=name),
        model([relu("x", "y", **{name: 1})]),
        with_attribute({"name": "alpha", "f": name, "type": "FLOAT"}),
        with_attribute({"name": "alpha", "f": 1, "type": name}),
    ):
        message = refused(m, "graph|opset|unknown key")
        assert not any(ord(c) < 32 or c == "\u202e" for c in message), "what a terminal would obey is escaped"


def test_t28_no_code_in_a_file():
    """Nothing in the package unpickles or evaluates what it reads."""
    folder = Path(fastconv.__file__).parent
    runs_programs = folder / "compat" / "__main__.py"  # the user's own, named on the command line
    sources = {path: path.read_text() for path in folder.rglob("*.py") if path != runs_programs}
    assert len(sources) > 10
    doors = re.compile(
        r"^\s*(import|from) (pickle|marshal|shelve|dill|joblib|runpy)|allow_pickle=True|(?<![\w.])(eval|exec)\(", re.M
    )
    assert {str(path): m[0] for path, source in sources.items() if (m := doors.search(source))} == {}


def test_t29_wire_format(tmp_path):
    (tmp_path / "m.json").write_bytes(text(tiny()))
    wire = onnx.load(tmp_path / "m.json").SerializeToString()
    path = tmp_path / "m.onnx"
    bad = [
        b"\xff" * 11,  # a varint of more than 10 bytes
        b"\x08" + b"\x80" * 10 + b"\x01",
        b"\x3a\xff\xff\xff\xff\x07abc",  # a length beyond the end
        b"\x3b\x3c",  # a group
        b"\x00\x00",  # tag 0
        b"\x0f",  # wire type 7
        b"\x3a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
    ]
    deep = b""
    for _ in range(5000):  # graph -> node -> attribute -> g -> node ...
        for tag in (b"\x32", b"\x2a", b"\x0a"):
            deep = tag + _varint(len(deep)) + deep
    bad.append(b"\x3a" + _varint(len(deep)) + deep)
    for data in (*bad, *(wire[:n] for n in range(0, len(wire), 7))):
        path.write_bytes(data)
        with pytest.raises(ModelError):
            read(path)
    for data in bad:
        path.write_bytes(wire + data)
        graph_or_error(path)
    path.write_bytes(wire + wire)  # a message said twice is merged: every name is defined twice
    refused(path, "given twice|imported twice")


def _varint(n):
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


# Anything at all ---------------------------------------------------------------------------------------------------------


def slots(m, path=()):
    """The JSON paths of all parts of a model."""
    if path:
        yield path
    items = m.items() if isinstance(m, dict) else enumerate(m) if isinstance(m, list) else ()
    for key, value in items:
        yield from slots(value, (*path, key))


SLOTS = list(slots(tiny()))
KEYS = sorted(
    {key for path in SLOTS for key in path if isinstance(key, str)} | {"opType", "t", "g", "i", "doc_string", "data_location"}
)
NUMBERS = [0, -1, 1, 2**31, 2**32 + 3, 2**62, 2**63 - 1, 2**63, -(2**63), 10**30, 0.5, 1e300, True, False]
json_values = st.recursive(
    st.none()
    | st.sampled_from([*NUMBERS, *map(str, NUMBERS), *KEYS, "", "x", "y", "w", "NaN", "AAA=", "\ud800"])
    | st.text(max_size=5)
    | st.integers()
    | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=6,
)
common = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def graph_or_error(source):
    try:
        g = read(source)
    except ModelError as e:
        str(e).encode("utf-8")
    else:
        assert isinstance(g, Graph)
        assert {v.name for v in g.outputs}


@pytest.mark.slow
@common
@given(st.sampled_from(SLOTS), json_values, st.sampled_from(["set", "delete", "twice", "swap"]), st.sampled_from(SLOTS))
def test_one_field_changed(path, value, how, other):
    m = tiny()

    def parent(path):
        at = m
        for key in path[:-1]:
            at = at[key]
        return at

    at, key = parent(path), path[-1]
    if how == "set":
        at[key] = value
    elif how == "delete":
        del at[key]
    elif how == "twice" and isinstance(at, list):
        at.append(at[key])
    elif how == "swap" and path[: len(other)] != other[: len(path)]:
        far = parent(other)
        at[key], far[other[-1]] = far[other[-1]], at[key]
    graph_or_error(m)


@pytest.mark.slow
@common
@given(json_values)
def test_any_json(value):
    graph_or_error({"graph": value, "opset_import": [{"version": "22"}]})
    graph_or_error(model([value]))
    graph_or_error(model([relu("x", "y")], [value]))
    graph_or_error(with_attribute(value))


@pytest.mark.slow
@common
@given(st.data())
def test_bytes_changed(data):
    source = bytearray(text(tiny()))
    for _ in range(data.draw(st.integers(1, 3))):
        i = data.draw(st.integers(0, len(source) - 1))
        source[i : i + data.draw(st.integers(0, 2))] = data.draw(
            st.binary(max_size=2) | st.sampled_from([b'"', b"{", b"}", b",", b"-", b"9"])
        )
    graph_or_error(bytes(source))


@pytest.mark.slow
@common
@given(st.data())
def test_wire_bytes_changed(tmp_path, data):
    (tmp_path / "m.json").write_bytes(text(tiny()))
    wire = bytearray(onnx.load(tmp_path / "m.json").SerializeToString())
    for _ in range(data.draw(st.integers(1, 3))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "m.onnx").write_bytes(wire)
    graph_or_error(tmp_path / "m.onnx")
