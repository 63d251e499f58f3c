"""The reader and writer of the model format. Malformed files are in tests/malformed."""

import dataclasses
import json
import os
import re
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import onnx
import onnx.reference
import pytest
from onnx import TensorProto, helper, numpy_helper

from fastconv import external_data
from fastconv.convert import convert
from fastconv.dtypes import DATA_TYPES
from fastconv.errors import InputError, ModelError, UnsupportedError
from fastconv.evaluate import evaluate
from fastconv.graph import Graph, Node, Value
from fastconv.onnx_json import read, write
from fastconv.onnx_json.format import IR_VERSIONS, NEWER, OPSET
from fastconv.ops import REGISTRY
from fastconv.ops.normalization import LayerNormalization
from fastconv.passes import run_passes

from ..support.onnx_dicts import b64, info, ints, model, node, tensor, text, tiny, with_attribute, with_weight

MODELS = Path(os.environ.get("FASTCONV_MODELS", "/nonexistent"))


def weight(**fields):
    """The array of the one initializer of `with_weight`."""
    [add] = read(with_weight(**fields)).nodes
    return add.inputs[1].constant


def run(graph, **arrays):
    """The outputs of a graph by the operators' references."""
    values = {v: arrays[v.name] for v in graph.inputs}
    for n in graph.nodes:
        evaluate(n, values)
    return {v.name: v.constant if v.constant is not None else values[v] for v in graph.outputs}


def camel(m):
    """The same model with the keys that protobuf writes by default."""
    if isinstance(m, dict):
        return {re.sub("_(.)", lambda c: c[1].upper(), key): camel(value) for key, value in m.items()}
    return [camel(item) for item in m] if isinstance(m, list) else m


# The traps of the format -------------------------------------------------------------------------------------------------


def test_trap_01_both_spellings():
    g = str(read(tiny()))
    assert str(read(camel(tiny()))) == g
    mixed = tiny()
    mixed["graph"] = camel(mixed["graph"])
    assert str(read(mixed)) == g


@pytest.mark.parametrize("pads", [["1", "1", "2", "2"], [1, 1, 2, 2], [1.0, 1, "2", 2.0]])
def test_trap_02_int64_are_strings_or_numbers(pads):
    m = tiny()
    m["graph"]["node"][0]["attribute"][0]["ints"] = pads
    assert read(m).nodes[0].op.pads == (1, 1, 2, 2)


@pytest.mark.parametrize(
    "bad", [1.5, True, "1.5", "", "1e3", "0x1", " 1", "1_0", "٣", 1 << 63, str(1 << 63), -(1 << 63) - 1, {}, "9" * 30]
)
def test_trap_02_other_integers_are_refused(bad):
    m = tiny()
    m["graph"]["node"][0]["attribute"][0]["ints"][1] = bad
    with pytest.raises(ModelError, match=r"graph\.node\[0\]\.attribute\[0\]\.ints\[1\]: expected an integer"):
        read(m)


def test_trap_03_int32_are_numbers():
    assert weight(data_type=1).dtype == np.float32
    assert weight(data_type="1").dtype == np.float32
    assert weight(data_type=6, raw_data=None, int32_data=[-7, 8]).tolist() == [-7, 8]
    with pytest.raises(ModelError, match=r"graph\.initializer\[0\]\.data_type: expected an integer"):
        weight(data_type="FLOAT")


@pytest.mark.parametrize("kind", ["FLOAT", 1])
def test_trap_04_enums_are_strings_or_numbers(kind):
    assert read(with_attribute({"name": "alpha", "f": 0.5, "type": kind})).nodes[0].op.alpha == 0.5
    for bad in ("FLOATY", 0, 99, True, None):
        with pytest.raises(ModelError, match=r"graph\.node\[0\]\.attribute\[0\]"):
            read(with_attribute({"name": "alpha", "f": 0.5, "type": bad}))


@pytest.mark.parametrize("encoded", ["U0FNRV9VUFBFUg==", "U0FNRV9VUFBFUg", "U0FNRV9VUFBFUg="])
def test_trap_05_bytes_are_base64(encoded):
    m = tiny()
    m["graph"]["node"][0]["attribute"] = [{"name": "auto_pad", "s": encoded, "type": "STRING"}]
    assert read(m).nodes[0].op.auto_pad == "SAME_UPPER"


def test_trap_05_both_alphabets():
    floats = np.frombuffer(b"\xff\xef\xfe\x3f\xfb\xff\xbf\x3e", np.float32)
    plain = b64(floats)
    assert "/" in plain
    assert "+" in plain
    assert weight(raw_data=plain.replace("+", "-").replace("/", "_")).tobytes() == floats.tobytes()
    assert repr(weight(raw_data=plain).dtype) == "dtype('float32')"  # not '<f4', which users would see


def test_trap_06_special_floats():
    w = weight(raw_data=None, dims=["5"], float_data=["NaN", "Infinity", "-Infinity", "-0.0", "1e-3"])
    assert np.isnan(w[0])
    assert w[1:].tolist() == [np.inf, -np.inf, 0, np.float32(1e-3)]
    assert np.signbit(w[3])
    for bare in (b"NaN", b"Infinity", b"-Infinity"):
        with pytest.raises(ModelError, match=f"not JSON: {bare.decode()} "):
            read(text(with_weight(raw_data=None, float_data=[77, 2])).replace(b"77", bare))
    for bad in ("nan", "inf", "+1", "0x1p3", "1e999", "", True, None, 10**400, "1_0"):
        with pytest.raises(ModelError, match=r"graph\.initializer\[0\]\.float_data\[1\]"):
            weight(raw_data=None, float_data=[1, bad])


def test_trap_07_typed_or_raw_not_both():
    assert weight(raw_data=None, float_data=[3, 4]).tolist() == [3, 4]
    assert weight(float_data=[]).tolist() == [1, 2]
    with pytest.raises(ModelError, match=r"graph\.initializer\[0\]: both 'raw_data' and 'float_data' are set"):
        weight(float_data=[1, 2])


@pytest.mark.parametrize("name", [d.name for d in DATA_TYPES.values() if d.numpy not in ("", "object")])
@pytest.mark.parametrize("as_raw", [True, False])
def test_trap_08_every_data_type_as_onnx_writes_it(name, as_raw):
    if name not in dict(TensorProto.DataType.items()):
        pytest.skip(f"this version of onnx has no {name}")
    code = TensorProto.DataType.Value(name)
    if not hasattr(np, DATA_TYPES[code].numpy):
        pytest.importorskip("ml_dtypes")
    values = np.array([[0, 1, 1], [1, 0, 1]]).astype(helper.tensor_dtype_to_np_dtype(code))
    if as_raw:
        proto = numpy_helper.from_array(values, "w")
    else:
        proto = helper.make_tensor("w", code, values.shape, values.flatten().tolist())
        assert not proto.HasField("raw_data")
    m = onnx.helper.make_model(
        helper.make_graph(
            [helper.make_node("Identity", ["w"], ["y"])], "g", [], [helper.make_tensor_value_info("y", code, None)], [proto]
        )
    )
    array = read(json.loads(onnx.serialization.registry.get("json").serialize_proto(m))).nodes[0].inputs[0].constant
    assert array.dtype == values.dtype
    assert array.tobytes() == values.tobytes()
    assert array.shape == (2, 3)


def test_trap_08_bit_patterns():
    half = np.array([1.5, -2], np.float16)
    assert weight(data_type=10, raw_data=None, int32_data=half.view(np.uint16).tolist()).tolist() == [1.5, -2]
    assert weight(data_type=3, raw_data=None, int32_data=[-128, 127]).tolist() == [-128, 127]
    for code, bad in ((10, 65536), (10, -1), (3, 128), (2, -1), (9, 2), (6, 1 << 31)):
        with pytest.raises(ModelError, match=r"graph\.initializer\[0\]\.int32_data\[1\]: expected an integer from"):
            weight(data_type=code, raw_data=None, int32_data=[0, bad])


def test_trap_09_float_text_is_exact():
    rng = np.random.default_rng(1)
    bits = rng.integers(0, 1 << 32, 5000, dtype=np.uint32).view(np.float32)
    values = np.concatenate([bits[np.isfinite(bits)], np.float32([-0.0, 1e-45, 3.4028235e38, 0.1])])
    written = json.loads(text([float(str(v)) for v in values]))
    assert weight(raw_data=None, dims=[str(len(values))], float_data=written).tobytes() == values.tobytes()
    for bad in (3.5e38, -1e39):
        with pytest.raises(ModelError, match=r"graph\.initializer\[0\]\.float_data\[1\]: .*float32's range"):
            weight(raw_data=None, float_data=[1, bad])
        with pytest.raises(ModelError, match=r"attribute\[0\]\.f: .*float32's range"):
            read(with_attribute({"name": "alpha", "f": bad, "type": "FLOAT"}))


def test_trap_10_scalars_and_empty_tensors():
    scalar = weight(dims=None, raw_data=b64(np.float32(7)))
    assert scalar.shape == ()
    assert scalar == 7
    assert weight(dims=["0"], raw_data="").shape == (0,)
    assert weight(dims=["3", "0", "2"], raw_data=None).shape == (3, 0, 2)
    with pytest.raises(ModelError, match=r"graph\.initializer\[0\]\.raw_data: 0 bytes, but dims \[2\] of FLOAT take 8"):
        weight(raw_data=None)


def test_trap_11_shapes():
    m = model([node("Identity", ["x"], ["y"])], inputs=[info("x", "N", 3, None, "größe_2")])
    assert read(m).inputs[0].shape == ("N", 3, None, "größe_2")
    kind = m["graph"]["input"][0]["type"]["tensor_type"]
    kind["shape"] = {}
    assert read(m).inputs[0].shape == ()
    del kind["shape"]
    assert read(m).inputs[0].shape is None
    kind["shape"] = {"dim": [{"dim_value": "3", "dim_param": "N"}]}
    with pytest.raises(ModelError, match=r"graph\.input\[0\]\.type\.tensor_type\.shape\.dim\[0\]: both"):
        read(m)


UNKNOWN = [-1, -5, -(2**63), 0, "", "?", "-1", "None", "unk__12", "a b", "image.h", "floor(N/2)", "2*N", "1st"]


@pytest.mark.parametrize("dim", UNKNOWN)
@pytest.mark.parametrize("ending", ["json", "onnx"])
def test_sizes_that_are_not_known(tmp_path, dim, ending):
    """Exporters mark unknown sizes in many ways; the writer leaves them unnamed."""
    g = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", dim, 3, dim])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", dim, 3, dim])],
    )
    onnx.save(helper.make_model(g, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / f"m.{ending}")
    graph = read(tmp_path / f"m.{ending}")
    assert [v.shape for v in (*graph.inputs, *graph.outputs)] == [("N", None, 3, None)] * 2
    write(graph, tmp_path / "again.json")
    dims = json.loads((tmp_path / "again.json").read_text())["graph"]["input"][0]["type"]["tensor_type"]["shape"]["dim"]
    assert dims == [{"dim_param": "N"}, {}, {"dim_value": "3"}, {}]
    convert(tmp_path / f"m.{ending}", tmp_path / "copy.json")
    dims = onnx.load(tmp_path / "copy.json").graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in dims] == ["N", dim or 0, 3, dim or 0], "a copy says what the file says"


def test_trap_12_optional_inputs():
    m = model([node("Clip", ["x", "", "w"], ["y"])], [tensor("w", np.float32(6))])
    assert [v and v.name for v in read(m).nodes[0].inputs] == ["x", None, "w"]
    m = model([node("Clip", ["x", "", ""], ["y", ""])])
    assert [v and v.name for v in read(m).nodes[0].inputs] == ["x"]


def test_trap_13_opsets():
    m = model([node("Relu", ["x"], ["y"], domain="ai.onnx")])
    assert len(read(m).nodes) == 1
    m["opset_import"] = [{"domain": "ai.onnx", "version": 13}]
    del m["graph"]["node"][0]["domain"]
    assert len(read(m).nodes) == 1
    m["opset_import"] = [{"version": "999"}]  # newer than any: fine where the forms of the operators are known
    assert len(read(m).nodes) == 1
    m["opset_import"] = [{"domain": "com.example", "version": "1"}]
    with pytest.raises(ModelError, match=r"graph\.node\[0\]: node 'y' .* opset_import has no domain ''"):
        read(m)
    m["opset_import"] = [{"version": "13"}, {"domain": "ai.onnx", "version": "14"}]
    with pytest.raises(ModelError, match=r"opset_import\[1\]: domain '' is imported twice"):
        read(m)
    m["opset_import"] = [{"version": "0"}]
    with pytest.raises(ModelError, match=r"opset_import\[0\]\.version"):
        read(m)


def test_trap_14_functions_and_subgraphs_name_their_nodes():
    graph = {"node": [node("Neither", ["x"], ["n"], name="inside")], "name": "then", "output": [{"name": "n"}]}
    branches = [{"name": f"{b}_branch", "g": graph, "type": "GRAPH"} for b in ("then", "else")]
    m = model(
        [node("Mine", ["x"], ["a"], domain="my"), node("If", ["a"], ["y"], *branches, name="fork"), node("Nope", ["a"], ["b"])]
    )
    m["functions"] = [{"name": "Mine", "domain": "my", "input": ["i"], "output": ["o"], "node": []}]
    m["opset_import"].append({"domain": "my", "version": "1"})
    with pytest.raises(UnsupportedError) as e:
        read(m)
    _, *lines = str(e.value).split("\n")
    assert len(lines) == 4, "every place is reported at once"
    assert "node 'a' ('Mine')" in next(line for line in lines if "graph.node[0]" in line or "'a'" in line)
    for i in range(2):
        assert any(f"'inside' (Neither) at graph.node[1].attribute[{i}].g.node[0]" in line for line in lines)
    assert any("'b' (Nope) at graph.node[2]" in line for line in lines)


def test_trap_15_initializers_among_the_inputs():
    m = with_weight()
    m["graph"]["input"].append(info("w", 2))
    g = read(m)
    assert [v.name for v in g.inputs] == ["x"]
    assert g.nodes[0].inputs[1].constant is not None


def test_trap_16_harmless_fields():
    m = tiny()
    props = [{"key": "pkg.torch.onnx", "value": "x" * 1000}]
    m.update(producer_name="p", producer_version="1", model_version="3", doc_string="d", domain="d", metadata_props=props)
    m["graph"].update(doc_string="d", metadata_props=props, value_info=[info("conv", 77)], quantization_annotation=[{}])
    m["graph"]["node"][0].update(doc_string="d", metadata_props=props)
    m["graph"]["initializer"][0].update(doc_string="d", metadata_props=props)
    assert str(read(m)) == str(read(tiny()))
    sparse = {"values": tensor("s", np.float32([1])), "indices": tensor("", np.int64([1])), "dims": ["2"]}
    m["graph"]["sparse_initializer"] = [sparse]
    with pytest.raises(UnsupportedError, match=r"graph\.sparse_initializer\[0\]: sparse tensors are not supported"):
        read(m)


def test_trap_16_unknown_keys_are_no_harmless_fields():
    m = tiny()
    m["graph"]["node"][0]["op_tpye"] = "Relu"
    with pytest.raises(ModelError, match=r"graph\.node\[0\]: unknown key 'op_tpye'"):
        read(m)


def test_trap_17_external_data(tmp_path):
    (tmp_path / "w.bin").write_bytes(b"\0" * 7 + np.float32([3, 4]).tobytes())
    entries = [{"key": "location", "value": "w.bin"}, {"key": "offset", "value": "7"}, {"key": "surprise", "value": "?"}]
    m = with_weight(raw_data=None, data_location="EXTERNAL", external_data=entries)
    (tmp_path / "m.json").write_bytes(text(m))
    assert read(tmp_path / "m.json").nodes[0].inputs[1].constant.tolist() == [3, 4]
    assert read(m, external_dir=tmp_path).nodes[0].inputs[1].constant.tolist() == [3, 4]
    m["graph"]["initializer"][0]["data_location"] = 1
    assert read(text(m), external_dir=tmp_path).nodes[0].inputs[1].constant.tolist() == [3, 4]


def test_trap_18_little_endian_always():
    assert weight(raw_data=b64(b"\0\0\x80\x3f\0\0\0\x40")).tolist() == [1, 2]
    assert weight(raw_data=b64(b"\0\0\x80\x3f\0\0\0\x40")).dtype.isnative


@pytest.mark.parametrize(
    "attribute, expected",
    [
        ({"name": "value", "t": tensor("", np.float32([[1, 2]])), "type": "TENSOR"}, np.float32([[1, 2]])),
        ({"name": "value_float", "f": 0.1, "type": "FLOAT"}, np.float32(0.1)),
        ({"name": "value_floats", "floats": [0.1, "Infinity"], "type": "FLOATS"}, np.float32([0.1, np.inf])),
        ({"name": "value_int", "i": "-5", "type": "INT"}, np.int64(-5)),
        ({"name": "value_int", "type": "INT"}, np.int64(0)),
        (ints("value_ints", 1 << 40, 2), np.int64([1 << 40, 2])),
    ],
)
def test_trap_20_constant_nodes(attribute, expected):
    m = model([node("Identity", ["c"], ["y"]), node("Constant", [], ["c"], attribute)])
    [n] = read(m).nodes
    array = n.inputs[0].constant
    assert array.dtype == expected.dtype
    assert array.shape == expected.shape
    assert array.tobytes() == expected.tobytes()
    assert not array.flags.writeable
    assert n.inputs[0].shape == expected.shape


def test_trap_20_constants_anywhere():
    sizes = tensor("sizes", np.int64([2, 3]))
    g = read(model([node("ConstantOfShape", ["sizes"], ["y"])], [sizes]))
    assert [type(n.op).__name__ for n in g.nodes] == ["ConstantOfShape"], "a bomb in it is the passes' to defuse"
    g = read(model([node("Conv", ["x", "w"], ["y"])], inputs=[info("x", 1, 3, 8, 8), info("w", 4, 3, 3, 3)]))
    assert [v.name for v in g.inputs] == ["x", "w"]
    for name in ("sparse_value", "value_string", "value_strings"):
        kind = {"sparse_value": ("sparse_tensor", {}, "SPARSE_TENSOR")}.get(name, ("s", "", "STRING"))
        m = model(
            [node("Identity", ["c"], ["y"]), node("Constant", [], ["c"], {"name": name, kind[0]: kind[1], "type": kind[2]})]
        )
        with pytest.raises(UnsupportedError, match="'c'"):
            read(m)


# Reading -----------------------------------------------------------------------------------------------------------------


def test_reads_a_path_bytes_or_a_dict(tmp_path):
    expected = str(read(tiny()))
    path = tmp_path / "m.json"
    path.write_bytes(text(tiny()))
    assert str(read(path)) == str(read(str(path))) == str(read(path.read_bytes())) == expected
    onnx.save(onnx.load(path), tmp_path / "m.onnx")
    assert str(read(tmp_path / "m.onnx")) == expected
    onnx.save(onnx.load(path), tmp_path / "again.json")
    assert str(read(tmp_path / "again.json")) == expected
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "absent.json")


def test_the_graph_that_is_read():
    g = read(tiny())
    assert str(g).splitlines() == [
        "graph 'g'",
        "  input  'x':float32[N×3×8×8]",
        "  'conv':?[?] = Conv('x':float32[N×3×8×8], const 'w':float32[4×3×3×3], const 'b':float32[4])",
        "  'act':?[?] = LeakyRelu('conv':?[?])",
        "  'clipped':?[?] = Clip('act':?[?], -, const 'six':float32[scalar])",
        "  'y':float32[N×64] = Reshape('clipped':?[?], const 'shape':int64[2])",
        "  output 'y':float32[N×64]",
    ]
    conv = g.nodes[0]
    assert (conv.name, conv.where, conv.op.pads, conv.op.strides) == ("first", "graph.node[0]", (1, 1, 1, 1), (2, 2))
    for v in g.values():
        if v.constant is not None:
            assert v.constant.flags.c_contiguous
            assert not v.constant.flags.writeable
            assert v.constant.dtype.isnative


def test_nodes_may_stand_in_any_order():
    m = tiny()
    m["graph"]["node"].reverse()
    assert [type(n.op).__name__ for n in read(m).nodes] == ["Conv", "LeakyRelu", "Clip", "Reshape"]


def test_what_an_output_may_be():
    m = with_weight()
    m["graph"]["output"] += [info("x", 2), info("w", 2), {"name": "y2"}]
    m["graph"]["node"].append(node("Relu", ["y"], ["y2"]))
    g = read(m)
    x = np.float32([5, -6])
    assert {k: v.tolist() for k, v in run(g, x=x).items()} == {"y": [6, -4], "x": [5, -6], "w": [1, 2], "y2": [6, 0]}
    assert g.outputs[3].dtype is None
    empty = model([], inputs=[info("x", 1)], outputs=[info("x", 1)])
    assert read(empty).nodes == []


def test_max_bytes(tmp_path):
    path = tmp_path / "m.json"
    path.write_bytes(text(with_weight()))
    size = path.stat().st_size
    assert read(path, max_bytes=size)
    with pytest.raises(ModelError, match=f"larger than max_bytes={size - 1}"):
        read(path, max_bytes=size - 1)
    with pytest.raises(ModelError, match=r"graph\.initializer\[0\]: .*max_bytes=7"):
        read(with_weight(), max_bytes=7)
    assert read(with_weight(), max_bytes=8)


def test_json_needs_no_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    assert read(text(tiny()))


@pytest.mark.slow
def test_a_missing_ml_dtypes_is_named():
    # NumPy knows bfloat16 by name as soon as a process has imported ml_dtypes, so this takes a new one.
    m = with_weight(data_type=16, raw_data=None, int32_data=[1, 2])
    code = f"import sys; sys.modules['ml_dtypes'] = None; from fastconv.onnx_json import read; read({m!r})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False
    )
    assert "UnsupportedError" in done.stderr
    assert "pip install -U ml_dtypes" in done.stderr


# Writing -----------------------------------------------------------------------------------------------------------------


def value(name, *shape, dtype=np.float32):
    return Value(name, shape, np.dtype(dtype))


def chain_graph(*ops, shape=("N", 3, 8, 8)):
    """x goes through operators of one input to y."""
    values = [value("x", *shape), *(Value(f"v{i}", None, np.dtype(np.float32)) for i in range(len(ops)))]
    values[-1].name = "y"
    values[-1].shape = shape
    nodes = [Node(op, [a], [b]) for op, a, b in zip(ops, values[:-1], values[1:], strict=True)]
    return Graph(values[:1], values[-1:], nodes)


def load_checked(path):
    """The model at `path`, read and checked by the onnx package."""
    m = onnx.load(path)
    onnx.checker.check_model(m, full_check=True)
    return m


def onnx_outputs(path, **arrays):
    """The outputs of onnx's own evaluator for the model at `path`."""
    evaluator = onnx.reference.ReferenceEvaluator(load_checked(path))
    return dict(zip(evaluator.output_names, evaluator.run(None, arrays), strict=True))


def test_write_read_round_trip(tmp_path):
    g = read(tiny())
    write(g, tmp_path / "m.json")
    assert os.listdir(tmp_path) == ["m.json"], "small weights stay inside"
    assert str(read(tmp_path / "m.json")) == str(g)
    m = load_checked(tmp_path / "m.json")
    assert [(o.domain, o.version) for o in m.opset_import] == [("", OPSET)]
    write(read(tmp_path / "m.json"), tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "m.json").read_bytes()
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 8), np.float32)
    np.testing.assert_allclose(onnx_outputs(tmp_path / "m.json", x=x)["y"], run(g, x=x)["y"], rtol=1e-5, atol=1e-5)


def test_write_as_onnx_writes(tmp_path):
    """The same spelling and types in JSON as onnx.save's, field by field."""
    write(read(tiny()), tmp_path / "m.json")
    onnx.save(onnx.load(tmp_path / "m.json"), tmp_path / "onnx.json")
    ours, theirs = (json.loads((tmp_path / name).read_text()) for name in ("m.json", "onnx.json"))

    def without_empty(m):
        if isinstance(m, dict):
            return {k: without_empty(v) for k, v in m.items() if v != []}
        return [without_empty(item) for item in m] if isinstance(m, list) else m

    assert without_empty(ours) == without_empty(theirs)


def test_write_large_weights_beside(tmp_path):
    rng = np.random.default_rng(0)
    big, odd = rng.standard_normal((600, 500)).astype(np.float32), rng.standard_normal((1, 301)).astype(np.float32)
    nodes = [node("Gemm", ["x", "big"], ["h"]), node("Mul", ["h", "small"], ["y"])]
    weights = [tensor("odd", odd), tensor("small", np.float32([2])), tensor("big", big)]
    g = read(model(nodes, weights, [info("x", 1, 600)], [info("y", 1, 500), info("odd", 1, 301)]))
    write(g, tmp_path / "m.json")
    assert sorted(os.listdir(tmp_path)) == ["m.json", "m.json.data"]
    m = json.loads((tmp_path / "m.json").read_text())
    entries = {t["name"]: {e["key"]: e["value"] for e in t.get("external_data", [])} for t in m["graph"]["initializer"]}
    assert entries["small"] == {}
    assert all(int(e["offset"]) % 64 == 0 and e["location"] == "m.json.data" for e in entries.values() if e)
    again = {v.name: np.asarray(v.constant) for v in read(tmp_path / "m.json").values() if v.constant is not None}
    assert {k: v.tobytes() for k, v in again.items()} == {
        v.name: np.asarray(v.constant).tobytes() for v in g.values() if v.constant is not None
    }
    theirs = {t.name: numpy_helper.to_array(t) for t in load_checked(tmp_path / "m.json").graph.initializer}
    assert all((theirs[k] == again[k]).all() for k in again)


@pytest.mark.parametrize(
    "array",
    [
        np.float32([[1, np.nan], [-0.0, np.inf]]),
        np.float32(3),
        np.zeros((0, 3), np.float32),
        np.int64([[-1]]),
        np.array([True, False]),
        np.float16([1.5]),
        np.arange(12, dtype=np.int8).reshape(3, 4).T,
        np.arange(6, dtype=">f4")[::2],
        np.uint64([2**64 - 1]),
        np.float64([0.1]),
    ],
    ids=lambda a: f"{a.dtype}{list(a.shape)}",
)
def test_write_any_array(tmp_path, array):
    write(Graph([], [Value("y", constant=array)], []), tmp_path / "m.json")
    again = read(tmp_path / "m.json").outputs[0].constant
    assert again.dtype == array.dtype.newbyteorder("=")
    assert again.shape == array.shape
    assert again.tobytes() == array.astype(array.dtype.newbyteorder("=")).tobytes()
    [proto] = onnx.load(tmp_path / "m.json").graph.initializer
    assert numpy_helper.to_array(proto).tobytes() == again.tobytes()


def test_write_refuses_what_the_format_cannot_hold(tmp_path):
    for v in (Value("y", constant=np.array([object()])), Value("y", (1,), None)):
        with pytest.raises(ModelError, match="value 'y': the format has no number for dtype"):
            write(Graph([v], [v], []), tmp_path / "m.json")
    with pytest.raises(InputError, match=r"m\.onnx: .*convert"):
        write(chain_graph(), tmp_path / "m.onnx")
    assert os.listdir(tmp_path) == []


def test_write_attributes_of_each_type(tmp_path):
    nodes = [
        node(
            "Conv", ["x", "w"], ["a"], ints("dilations", 2, 2), {"name": "auto_pad", "s": b64(b"SAME_LOWER"), "type": "STRING"}
        ),
        node("LeakyRelu", ["a"], ["b"], {"name": "alpha", "f": 0.1, "type": "FLOAT"}),
        node("Concat", ["b", "b"], ["c"], {"name": "axis", "i": "-1", "type": "INT"}),
        node("ConstantOfShape", ["s"], ["d"], {"name": "value", "t": tensor("", np.float32([4])), "type": "TENSOR"}),
        node("Add", ["c", "d"], ["y"]),
    ]
    weights = [tensor("w", np.ones((4, 3, 3, 3), np.float32)), tensor("s", np.int64([1]))]
    g = read(model(nodes, weights))
    write(g, tmp_path / "m.json")
    again = read(tmp_path / "m.json")
    assert [n.op.params for n in again.nodes] == [n.op.params for n in g.nodes]
    assert again.nodes[3].op.value.tolist() == [4]
    assert again.nodes[1].op.alpha == np.float32(0.1)
    assert '"f": 0.1' in (tmp_path / "m.json").read_text()
    load_checked(tmp_path / "m.json")


def test_write_takes_fused_nodes_apart(tmp_path):
    g = read(tiny())
    conv, act, *rest = g.nodes
    fused = g.copy()
    conv, act, *rest = fused.nodes
    conv.epilogue = [act]
    fused.nodes = [conv, *rest]
    write(fused, tmp_path / "m.json")
    assert str(read(tmp_path / "m.json")) == str(g)


def test_write_gives_every_value_a_name_of_its_own(tmp_path):
    x, a, b, y = value("x", 2), Value("x"), Value(""), Value("")
    twice = [Value("c", constant=np.float32([1])), Value("c", constant=np.float32([2]))]
    add, relu = REGISTRY["Add"], REGISTRY["Relu"]
    g = Graph([x], [y], [Node(add(), [x, twice[0]], [a]), Node(relu(), [a], [b]), Node(add(), [b, twice[1]], [y])])
    y.shape, y.dtype = (2,), np.dtype(np.float32)
    write(g, tmp_path / "m.json")
    load_checked(tmp_path / "m.json")
    again = read(tmp_path / "m.json")
    assert again.inputs[0].name == "x"
    assert next(iter(run(again, x=np.float32([-5, 5])).values())).tolist() == [2, 8]


#: fields of operators that are no attributes of the standard; `joint` and `alone` are written in other words
OURS = {
    "Col2Im": {"auto_pad", "kernel_shape"},
    "DeformConv": {"auto_pad"},
    "Hardmax": {"joint"},
    "LayerNormalization": {"alone"},
    "LogSoftmax": {"joint"},
    "MatMul": {"alpha", "perm_a", "perm_b", "perm_y"},
    "Softmax": {"joint"},
}


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax", "Hardmax"])
@pytest.mark.parametrize("axis", [0, 1, 2, -2, -1])
def test_write_the_old_softmax(tmp_path, op, axis):
    """Before opset 13 Softmax was over several axes together; no operator of today is."""
    g = read(
        model(
            [node(op, ["x"], ["y"], {"name": "axis", "i": axis, "type": "INT"})],
            inputs=[info("x", "N", 3, 2)],
            outputs=[info("y", "N", 3, 2)],
            opset=11,
        )
    )
    write(g, tmp_path / "m.json")
    x = np.random.default_rng(0).standard_normal((2, 3, 2)).astype(np.float32)
    for y in (onnx_outputs(tmp_path / "m.json", x=x)["y"], run(read(tmp_path / "m.json"), x=x)["y"]):
        np.testing.assert_allclose(y, run(g, x=x)["y"], rtol=1e-5)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_write_a_layer_normalization_of_one_axis(tmp_path, axis):
    """The standard has it for the last axis only."""
    rng, shape = np.random.default_rng(0), (2, 3, 4)
    x = Value("x", shape, np.dtype(np.float32))
    own = (shape[axis], *(1,) * (2 - axis))
    operands = [Value(name, constant=rng.standard_normal(own).astype(np.float32)) for name in ("scale", "bias")]
    y = Value("y", shape, np.dtype(np.float32))
    g = Graph([x], [y], [Node(LayerNormalization(axis=axis, alone=1, epsilon=1e-3), [x, *operands], [y])], "g")
    write(g, tmp_path / "m.json")
    x = rng.standard_normal(shape).astype(np.float32)
    for y in (onnx_outputs(tmp_path / "m.json", x=x)["y"], run(read(tmp_path / "m.json"), x=x)["y"]):
        np.testing.assert_allclose(y, run(g, x=x)["y"], rtol=1e-5, atol=1e-6)


def test_write_a_matrix_product_with_what_passes_fold_into_it(tmp_path):
    rng, shapes = np.random.default_rng(0), ((2, 5, 3, 4), (2, 6, 3, 4))
    operands = [Value(name, shape, np.dtype(np.float32)) for name, shape in zip("ab", shapes, strict=True)]
    bias = Value("bias", constant=rng.standard_normal(6).astype(np.float32))
    op = REGISTRY["MatMul"](alpha=0.3, perm_a=(0, 2, 1, 3), perm_b=(0, 2, 3, 1), perm_y=(0, 2, 1, 3))
    y = Value("y", (2, 5, 3, 6), np.dtype(np.float32))
    g = Graph(operands, [y], [Node(op, [*operands, bias], [y])], "g")
    write(g, tmp_path / "m.json")
    arrays = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in zip("ab", shapes, strict=True)}
    for y in (onnx_outputs(tmp_path / "m.json", **arrays)["y"], run(read(tmp_path / "m.json"), **arrays)["y"]):
        np.testing.assert_allclose(y, run(g, **arrays)["y"], rtol=1e-5, atol=1e-6)


newest = onnx.defs.onnx_opset_version()


@pytest.mark.skipif(newest < 24, reason="this version of onnx has no opset 24")
def test_write_what_needs_a_newer_opset(tmp_path):
    g = chain_graph(REGISTRY["Swish"](alpha=1.5))
    write(g, tmp_path / "m.json")
    assert load_checked(tmp_path / "m.json").opset_import[0].version == 24
    assert read(tmp_path / "m.json").nodes[0].op.alpha == 1.5


@pytest.mark.parametrize("version", sorted({OPSET, max(OPSET, newest)}))
@pytest.mark.parametrize("key", sorted(key for key, op in REGISTRY.items() if not op.domain))
def test_operators_have_the_form_that_is_written(key, version):
    """An attribute at its default is not written, so that the defaults must be the standard's, or the row of NEWER be there."""
    known = onnx.defs.has(key, max_inclusive_version=version, domain="")
    schema = onnx.defs.get_schema(key, max_inclusive_version=version, domain="").attributes if known else {}
    newer = {name: since for name, since in NEWER.items() if name.split(".")[0] == key and since > version}
    assert known is (key not in newer)
    for f in dataclasses.fields(REGISTRY[key]):
        if f"{key}.{f.name}" in newer or key in newer or f.name in OURS.get(key, ()):
            continue
        assert f.name in schema
        if schema[f.name].default_value.type:
            expected = helper.get_attribute_value(schema[f.name].default_value)
            expected = expected.decode() if isinstance(expected, bytes) else expected
            if isinstance(expected, list):
                expected = tuple(e.decode() if isinstance(e, bytes) else e for e in expected)
            assert (np.float32(f.default) if isinstance(expected, float) else f.default) == expected


@pytest.mark.parametrize("name", NEWER)
def test_newer_opsets_are_the_first_that_have_it(name):
    op, _, attribute = name.partition(".")
    since = NEWER[name]
    if newest < since:
        pytest.skip(f"this version of onnx has no opset {since}")
    has = []
    for version in (since - 1, since):
        known = onnx.defs.has(op, max_inclusive_version=version, domain="")
        has.append(known and (not attribute or attribute in onnx.defs.get_schema(op, version, "").attributes))
    assert has == [False, True]
    assert IR_VERSIONS[since] == helper.OP_SET_ID_VERSION_MAP["ai.onnx", since]


# Real models -------------------------------------------------------------------------------------------------------------


def real_models():
    paths = sorted(MODELS.glob("*.onnx"))
    return paths or [pytest.param(None, marks=pytest.mark.skip("FASTCONV_MODELS names no folder of .onnx models"))]


def same_weights(a, b):
    return [np.asarray(v.constant).tobytes() for v in a.values() if v.constant is not None] == [
        np.asarray(v.constant).tobytes() for v in b.values() if v.constant is not None
    ]


@pytest.mark.parametrize("path", real_models(), ids=lambda p: p and p.stem)
def test_real_models_round_trip(path, tmp_path):
    g = read(path)
    onnx.save(onnx.load(path), tmp_path / "theirs.json")
    theirs = read(tmp_path / "theirs.json")
    assert str(theirs) == str(g)
    assert same_weights(theirs, g)
    write(g, tmp_path / "ours.json")
    load_checked(tmp_path / "ours.json")
    ours = read(tmp_path / "ours.json")
    assert same_weights(ours, g)
    assert [v.shape for v in ours.inputs] == [v.shape for v in g.inputs]
    if not any(getattr(n.op, "joint", 0) for n in g.nodes):
        assert [(type(n.op), n.op.params, n.name) for n in ours.nodes] == [(type(n.op), n.op.params, n.name) for n in g.nodes]


@pytest.mark.parametrize("path", real_models(), ids=lambda p: p and p.stem)
def test_real_models_after_the_passes(path, tmp_path):
    """A graph that passes have folded and fused is written as a model that the onnx package accepts."""
    g = run_passes(read(path))
    write(g, tmp_path / "passed.json")
    load_checked(tmp_path / "passed.json")
    assert len(read(tmp_path / "passed.json").nodes) >= len(g.nodes)


def test_large_weights_are_left_in_their_file(tmp_path, monkeypatch):
    """Loading opens the weight file once and reads nothing of it before weights are needed: calls are counted, not timed."""
    arrays = [np.full((1000, 1000), i, np.float32) for i in range(5)]
    write(Graph([], [Value(f"y{i}", constant=a) for i, a in enumerate(arrays)], []), tmp_path / "m.json")
    opened, sizes, preadv = [], [], os.preadv
    monkeypatch.setattr(os, "preadv", lambda *args: sizes.append(preadv(*args)) or sizes[-1])
    door = external_data.open_data_file
    monkeypatch.setattr(external_data, "open_data_file", lambda *args: opened.append(args) or door(*args))
    tracemalloc.start()
    g = read(tmp_path / "m.json")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (len(opened), sizes) == (1, [])
    assert peak < 500_000
    assert all((np.asarray(v.constant) == a).all() for v, a in zip(g.outputs, arrays, strict=True))
    assert (len(opened), sizes) == (1, [4_000_000] * 5)
