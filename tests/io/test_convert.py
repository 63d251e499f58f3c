"""Conversion between .onnx and .json, checked by reading both with the onnx package."""

import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

from fastconv import convert as module
from fastconv.convert import convert
from fastconv.errors import InputError, ModelError
from fastconv.onnx_json import read, write

from ..support.onnx_dicts import text, tiny

MODELS = Path(os.environ.get("FASTCONV_MODELS", "/nonexistent"))


def load(path):
    """The model with all its weights inside, and marked so, as onnx.load leaves it."""
    m = onnx.load(path)
    for t in m.graph.initializer:
        t.ClearField("data_location")
    return m


def small_model():
    """A model with one of each thing that fastconv does not read or run, but that a conversion must keep."""
    branch = helper.make_graph(
        [helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.float32([1]), "inner"))],
        "branch",
        [],
        [helper.make_tensor_value_info("c", TensorProto.FLOAT, [1])],
    )
    nodes = [
        helper.make_node("If", ["cond"], ["a"], then_branch=branch, else_branch=branch, doc_string="why", name="fork"),
        helper.make_node("Mine", ["a"], ["b"], domain="my"),
        helper.make_node("LeakyRelu", ["b"], ["y"], alpha=float("inf")),
    ]
    sparse = helper.make_sparse_tensor(
        numpy_helper.from_array(np.float32([5]), "sparse"), numpy_helper.from_array(np.int64([1]), "indices"), [3]
    )
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("cond", TensorProto.BOOL, [])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N"])],
        [
            helper.make_tensor("text", TensorProto.STRING, [2], [b"\xff", b"b"]),
            helper.make_tensor("f", TensorProto.FLOAT, [1], [0.1]),
        ],
        doc_string="of the graph",
        sparse_initializer=[sparse],
    )
    function = helper.make_function(
        "my", "Mine", ["i"], ["o"], [helper.make_node("Relu", ["i"], ["o"])], [helper.make_opsetid("", 20)]
    )
    m = helper.make_model(
        graph,
        functions=[function],
        opset_imports=[helper.make_opsetid("", 20), helper.make_opsetid("my", 1)],
        doc_string="of the model",
    )
    helper.set_model_props(m, {"key": "välue"})
    return m


def large_model(*, n=3, size=200_000):
    """A model whose weights are too large to stay in JSON."""
    rng = np.random.default_rng(0)
    weights = [numpy_helper.from_array(rng.standard_normal(size).astype(np.float32), f"w{i}") for i in range(n)]
    weights.append(numpy_helper.from_array(np.float32([1, 2, 3]), "small"))
    nodes = [helper.make_node("Add", [f"w{i}", f"w{i}"], [f"y{i}"]) for i in range(n)]
    outputs = [helper.make_tensor_value_info(f"y{i}", TensorProto.FLOAT, [size]) for i in range(n)]
    return helper.make_model(
        helper.make_graph(nodes, "large", [], outputs, weights), opset_imports=[helper.make_opsetid("", 20)]
    )


@pytest.mark.parametrize("make", [small_model, large_model])
def test_there_and_back_again(tmp_path, make):
    m = make()
    onnx.save(m, tmp_path / "a.onnx")
    convert(tmp_path / "a.onnx", tmp_path / "b.json")
    assert load(tmp_path / "b.json") == m
    convert(str(tmp_path / "b.json"), str(tmp_path / "c.onnx"))
    assert onnx.load(tmp_path / "c.onnx") == m
    assert sorted(os.listdir(tmp_path)) == ["a.onnx", "b.json", *(["b.json.data"] if make is large_model else []), "c.onnx"]


def test_from_onnx_with_external_data(tmp_path):
    """As torch's exporter writes by default: model.onnx and model.onnx.data."""
    m = large_model()
    onnx.save(m, tmp_path / "m.onnx", save_as_external_data=True, location="m.onnx.data", size_threshold=0)
    convert(tmp_path / "m.onnx", tmp_path / "m.json")
    (tmp_path / "m.onnx").unlink()
    (tmp_path / "m.onnx.data").unlink()
    assert load(tmp_path / "m.json") == large_model()


def test_to_onnx_with_external_data(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "INSIDE_ONNX", 1 << 20)
    onnx.save(large_model(), tmp_path / "m.json")
    convert(tmp_path / "m.json", tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx").stat().st_size < 2000
    assert (tmp_path / "m.onnx.data").stat().st_size >= 2_400_000
    assert load(tmp_path / "m.onnx") == large_model()
    onnx.checker.check_model(tmp_path / "m.onnx")


def test_large_number_lists_become_bytes(tmp_path):
    values = np.random.default_rng(0).standard_normal(2000)
    kinds = {
        TensorProto.FLOAT: np.float32,
        TensorProto.DOUBLE: np.float64,
        TensorProto.FLOAT16: np.float16,
        TensorProto.INT64: np.int64,
    }
    weights = [helper.make_tensor(f"w{k}", k, [2000], values.astype(dtype)) for k, dtype in kinds.items()]
    assert not any(t.HasField("raw_data") for t in weights)
    graph = helper.make_graph(
        [helper.make_node("Relu", ["w1"], ["y"])], "g", [], [helper.make_tensor_value_info("y", 1, [2000])], weights
    )
    onnx.save(helper.make_model(graph), tmp_path / "m.onnx")
    convert(tmp_path / "m.onnx", tmp_path / "m.json")
    for t, dtype in zip(onnx.load(tmp_path / "m.json").graph.initializer, kinds.values(), strict=True):
        assert t.HasField("raw_data")
        assert numpy_helper.to_array(t).tobytes() == values.astype(dtype).tobytes()


def everywhere(t):
    """Models with the tensor in every place where there can be one."""
    sparse = onnx.SparseTensorProto(values=t, indices=numpy_helper.from_array(np.int64([0]), "i"), dims=[1])
    sparse_indices = onnx.SparseTensorProto(values=numpy_helper.from_array(np.float32([0]), "v"), indices=t, dims=[1])

    def attribute(**value):
        return onnx.NodeProto(op_type="Some", output=["y"], attribute=[onnx.AttributeProto(name="a", **value)])

    nodes = {
        "t": attribute(t=t, type="TENSOR"),
        "tensors": attribute(tensors=[t], type="TENSORS"),
        "sparse_tensor": attribute(sparse_tensor=sparse, type="SPARSE_TENSOR"),
        "sparse_tensors": attribute(sparse_tensors=[sparse_indices], type="SPARSE_TENSORS"),
    }
    graphs = {
        "initializer": onnx.GraphProto(initializer=[t]),
        "sparse_initializer": onnx.GraphProto(sparse_initializer=[sparse]),
    }
    graphs.update({f"attribute {key}": onnx.GraphProto(node=[n]) for key, n in nodes.items()})
    models = {key: onnx.ModelProto(graph=g) for key, g in graphs.items()}
    for key, g in graphs.items():
        models[f"subgraph {key}"] = onnx.ModelProto(graph=onnx.GraphProto(node=[attribute(g=g, type="GRAPH")]))
        models[f"subgraphs {key}"] = onnx.ModelProto(graph=onnx.GraphProto(node=[attribute(graphs=[g], type="GRAPHS")]))
        models[f"training {key}"] = onnx.ModelProto(
            graph=onnx.GraphProto(name="g"), training_info=[onnx.TrainingInfoProto(algorithm=g)]
        )
    for key, n in nodes.items():
        models[f"function {key}"] = onnx.ModelProto(
            graph=onnx.GraphProto(name="g"), functions=[onnx.FunctionProto(name="F", node=[n])]
        )
    return models


def external(location, **entries):
    t = onnx.TensorProto(name="w", data_type=1, dims=[1], data_location="EXTERNAL")
    for key, value in {"location": location, **entries}.items():
        t.external_data.add(key=key, value=value)
    return t


@pytest.mark.parametrize("place", everywhere(onnx.TensorProto()))
@pytest.mark.parametrize("suffix", [".onnx", ".json"])
def test_external_data_wherever_a_tensor_can_be(tmp_path, place, suffix):
    """A conversion copies the tensor from every place, and never a file that is not the model's."""
    (tmp_path / "secret").write_bytes(b"\x01\x02\x03\x04")
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "w.bin").write_bytes(b"\0\0\x80\x3f")
    (folder / "link").symlink_to("../secret")
    source, target = folder / f"m{suffix}", folder / f"out{'.json' if suffix == '.onnx' else '.onnx'}"

    onnx.save(everywhere(external("w.bin"))[place], source)
    convert(source, target)
    inside = onnx.load(target, load_external_data=False)
    assert inside == everywhere(onnx.TensorProto(name="w", data_type=1, dims=[1], raw_data=b"\0\0\x80\x3f"))[place]

    target.unlink()
    for location in ("../secret", str(tmp_path / "secret"), "link", "absent"):
        onnx.save(everywhere(external(location))[place], source)
        with pytest.raises(ModelError, match=r"tensor 'w': external data"):
            convert(source, target)
    assert not target.exists()


def test_links_that_are_meant(tmp_path):
    (tmp_path / "blob").write_bytes(b"\0\0\x80\x3f")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "w.bin").symlink_to("../blob")
    onnx.save(everywhere(external("w.bin"))["initializer"], tmp_path / "m.onnx")
    convert(tmp_path / "m.onnx", tmp_path / "m.json", external_dir=tmp_path / "model", follow_links=True)
    assert onnx.load(tmp_path / "m.json").graph.initializer[0].raw_data == b"\0\0\x80\x3f"


def test_values_inside_and_outside_at_once(tmp_path):
    (tmp_path / "w.bin").write_bytes(b"\0\0\x80\x3f")
    t = external("w.bin")
    t.float_data.append(2)
    onnx.save(everywhere(t)["initializer"], tmp_path / "m.onnx")
    with pytest.raises(ModelError, match="tensor 'w': it has values both inside and outside"):
        convert(tmp_path / "m.onnx", tmp_path / "m.json")


@pytest.mark.parametrize(
    "name, data",
    [
        ("m.onnx", b"\xff\xff"),
        ("m.onnx", b""),
        ("m.onnx", text(tiny())),
        ("m.json", b""),
        ("m.json", b"[]"),
        ("m.json", b'{"graph": {"node": 5}}'),
        ("m.json", b'{"nope": 1}'),
        ("m.json", b'{"graph": {"name": "a", "name": "b"}}'),
        ("m.json", b'{"ir_version": NaN}'),
        ("m.json", b'{"graph": {"node": [' + b'{"attribute": [{"g": {"node": [' * 500),
        ("m.json", b'{"ir_version": "x"}'),
        ("m.json", b'{"graph": ' * 200 + b"{}" + b"}" * 200),
    ],
)
def test_what_is_no_model(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    for target in ("out.json", "out.onnx"):
        with pytest.raises(ModelError):
            convert(tmp_path / name, tmp_path / target)
    assert os.listdir(tmp_path) == [name]


def test_nesting_deeper_than_protobuf_reads(tmp_path):
    nested = b'{"graph":{"node":[{"attribute":[{"g":' + b'{"node":[{"attribute":[{"g":' * 60 + b"{}" + b"}]}]}" * 60 + b"}]}]}}"
    json.loads(nested)
    (tmp_path / "m.json").write_bytes(nested)
    with pytest.raises(ModelError, match="not an ONNX model"):
        convert(tmp_path / "m.json", tmp_path / "m.onnx")


def test_text_that_is_not_utf8(tmp_path):
    m = small_model().SerializeToString().replace(b"LeakyRelu", b"Leaky\xff\xfeRel"[:9])
    (tmp_path / "m.onnx").write_bytes(m)
    with pytest.raises(ModelError):
        convert(tmp_path / "m.onnx", tmp_path / "m.json")
    with pytest.raises(ModelError):
        read(tmp_path / "m.onnx")


def test_wrong_numbers_of_values(tmp_path):
    t = onnx.TensorProto(name="w", data_type=1, dims=[3], float_data=range(2000))
    onnx.save(everywhere(t)["initializer"], tmp_path / "m.onnx")
    with pytest.raises(ModelError, match="tensor 'w'"):
        convert(tmp_path / "m.onnx", tmp_path / "m.json")


def test_endings(tmp_path):
    for source, target in (("m.txt", "m.json"), ("m.onnx", "m"), ("m.onnx", "m.onnx.data")):
        with pytest.raises(InputError, match=r"ends in \.onnx or \.json"):
            convert(tmp_path / source, tmp_path / target)
    with pytest.raises(FileNotFoundError):
        convert(tmp_path / "absent.onnx", tmp_path / "m.json")


def test_the_onnx_package_is_asked_for(tmp_path, monkeypatch):
    (tmp_path / "m.json").write_bytes(text(tiny()))
    (tmp_path / "m.onnx").write_bytes(b"\x08\x0a")
    monkeypatch.setitem(sys.modules, "onnx", None)
    for source in ("m.json", "m.onnx"):
        with pytest.raises(ModelError, match=re.escape("pip install 'fastconv[onnx]'")):
            convert(tmp_path / source, tmp_path / "out.json")


def test_over_itself(tmp_path):
    onnx.save(large_model(), tmp_path / "m.json")
    convert(tmp_path / "m.json", tmp_path / "m.json")
    convert(tmp_path / "m.json", tmp_path / "m.json")
    assert sorted(os.listdir(tmp_path)) == ["m.json", "m.json.1.data"]
    assert load(tmp_path / "m.json") == large_model()


def test_what_write_wrote_converts(tmp_path):
    g = read(tiny())
    write(g, tmp_path / "m.json")
    convert(tmp_path / "m.json", tmp_path / "m.onnx")
    onnx.checker.check_model(tmp_path / "m.onnx", full_check=True)
    assert str(read(tmp_path / "m.onnx")) == str(g)


# ---- weights alone


def test_weights_take_the_place_of_initializers(tmp_path):
    """New weights replace those of a missing data file, of JSON and of a Constant node; the others stay."""
    onnx.save(large_model(), tmp_path / "m.json", save_as_external_data=True, location="m.data", size_threshold=0)
    new = {f"w{i}": np.full(200_000, i, np.float32) for i in range(3)}
    (tmp_path / "m.data").unlink()
    with pytest.raises(ModelError, match="w0"):
        convert(tmp_path / "m.json", tmp_path / "out.onnx", weights={k: new[k] for k in ("w1", "w2")})
    new["small"] = np.zeros(3, np.float32)
    save_file(new, tmp_path / "new.safetensors")
    convert(tmp_path / "m.json", tmp_path / "out.onnx", weights=tmp_path / "new.safetensors")
    found = {t.name: numpy_helper.to_array(t) for t in load(tmp_path / "out.onnx").graph.initializer}
    assert found.keys() == new.keys()
    for name, array in new.items():
        np.testing.assert_array_equal(found[name], array)

    (tmp_path / "tiny.json").write_bytes(text(tiny()))
    convert(tmp_path / "tiny.json", tmp_path / "out.json", weights={"six": np.float32(7), "b": np.float32([1, 2, 3, 4])})
    values = {v.name: v.constant for v in read(tmp_path / "out.json").values() if v.constant is not None}
    before = {v.name: v.constant for v in read(tiny()).values() if v.constant is not None}
    assert values["six"] == 7
    assert values["b"].tolist() == [1, 2, 3, 4]
    np.testing.assert_array_equal(values["w"], before["w"])


def test_weights_that_do_not_fit_are_all_named(tmp_path):
    (tmp_path / "m.json").write_bytes(text(tiny()))
    wrong = {
        "w": np.zeros((4, 3, 3), np.float32),
        "b": np.zeros(4),
        "shape": np.zeros(2, np.int64),
        "head": np.zeros(1, np.float32),
        "act": np.zeros(1, np.float32),
    }
    save_file(wrong, tmp_path / "new.safetensors")
    with pytest.raises(ModelError) as e:
        convert(tmp_path / "m.json", tmp_path / "out.json", weights=tmp_path / "new.safetensors")
    lines = sorted(str(e.value).splitlines())
    assert lines == [
        "  'act': the model has no initializer of this name",
        "  'b': expected float32 4, got float64 4",
        "  'head': the model has no initializer of this name",
        "  'w': expected float32 4×3×3×3, got float32 4×3×3",
        "the weights do not fit the model:",
    ]
    assert sorted(os.listdir(tmp_path)) == ["m.json", "new.safetensors"]


def test_weights_that_are_none(tmp_path, monkeypatch):
    (tmp_path / "m.json").write_bytes(text(tiny()))
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    with pytest.raises(ModelError, match=r"cut\.safetensors is not a \.safetensors file"):
        convert(tmp_path / "m.json", tmp_path / "out.json", weights=tmp_path / "cut.safetensors")
    with pytest.raises(FileNotFoundError):
        convert(tmp_path / "m.json", tmp_path / "out.json", weights=tmp_path / "absent.safetensors")
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ModelError, match=re.escape("pip install 'fastconv[safetensors]'")):
        convert(tmp_path / "m.json", tmp_path / "out.json", weights=tmp_path / "cut.safetensors")


def test_weights_of_every_dtype(tmp_path):
    """bfloat16 too, if ml_dtypes is installed."""
    import ml_dtypes

    kinds = ("float16", "float64", "int8", "uint8", "int16", "int32", "int64", "bool", "bfloat16")
    dtypes = {name: np.dtype(getattr(ml_dtypes, name, name)) for name in kinds}
    old = [numpy_helper.from_array(np.zeros(3, dtype), name) for name, dtype in dtypes.items()]
    nodes = [helper.make_node("Identity", [name], [f"y{i}"]) for i, name in enumerate(kinds)]
    outputs = [helper.make_tensor_value_info(f"y{i}", t.data_type, [3]) for i, t in enumerate(old)]
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", [], outputs, old)), tmp_path / "m.onnx")
    new = {name: np.array([0, 1, 1], dtype) for name, dtype in dtypes.items()}
    save_file(new, tmp_path / "new.safetensors")
    convert(tmp_path / "m.onnx", tmp_path / "out.onnx", weights=tmp_path / "new.safetensors")
    for t in onnx.load(tmp_path / "out.onnx").graph.initializer:
        np.testing.assert_array_equal(numpy_helper.to_array(t), new[t.name])


def real_models():
    paths = sorted(MODELS.glob("*.onnx"))
    return paths or [pytest.param(None, marks=pytest.mark.skip("FASTCONV_MODELS names no folder of .onnx models"))]


@pytest.mark.parametrize("path", real_models(), ids=lambda p: p and p.stem)
def test_real_models_there_and_back(path, tmp_path):
    convert(path, tmp_path / "m.json")
    assert str(read(tmp_path / "m.json")) == str(read(path))
    convert(tmp_path / "m.json", tmp_path / "m.onnx")
    ours, theirs = load(tmp_path / "m.onnx"), onnx.load(path)
    for a, b in zip(ours.graph.initializer, theirs.graph.initializer, strict=True):
        assert numpy_helper.to_array(a).tobytes() == numpy_helper.to_array(b).tobytes()
        a.CopyFrom(b)  # long lists of numbers have become bytes
    assert ours == theirs
