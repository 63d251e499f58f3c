"""Comparing a model's results, whole and layer by layer, with the reference and with other engines."""

import math
import sys
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

import fastconv
from fastconv import comparison, onnx_json
from fastconv.comparison import LayerError, compare_layers
from fastconv.errors import FastconvError, InputError

from ..support.graphs import Net, in_type, normal
from ..support.rng import generator

RNG = generator(__name__)
X = normal(RNG, 2, 3, 8, 8)


W = [normal(RNG, *shape) for shape in ((8, 3, 3, 3), (4, 8, 1, 1), (4, 4, 1, 1))]


def convs(*factors):
    """x -> conv1 (with a Relu) -> conv2 -> conv3, whose weights are multiplied by `factors`."""
    net = Net()
    w = [w * np.float32(factor) for w, factor in zip(W, factors or (1, 1, 1), strict=True)]
    y = net("Relu", net("Conv", net.input("x", "N", 3, 8, 8), w[0], name="conv1"), name="relu1")
    return net.graph(net("Conv", net("Conv", y, w[1], name="conv2"), w[2], name="conv3"))


# ---- layers against the reference


def test_layers_are_those_of_the_summary():
    model = fastconv.load(fastconv.data.DIGITS)
    errors = compare_layers(model, RNG.random((4, 1, 8, 8), np.float32))
    known = {layer.name: layer for layer in model.summary({"image": (4, 1, 8, 8)}).layers if layer.op != "reorder"}
    assert [(e.name, e.op, e.output) for e in errors] == [(n, layer.op, layer.output) for n, layer in known.items()]
    assert not any(e.departs for e in errors)
    assert 0 < max(e.relative for e in errors) < 1e-5


def test_errors_are_those_of_the_values(load):
    model = load(convs())
    first, *_, last = compare_layers(model, X)
    ours, truth = model(X), model.reference(X)
    assert first.op == "Conv+Relu"
    assert last.max_error == np.abs(ours - truth).max() > 0
    assert last.rms_error == pytest.approx(np.sqrt(np.square(ours - truth).mean()))
    assert last.largest == np.abs(truth).max()
    assert last.relative == last.max_error / last.largest


def test_an_overflow_of_float16_departs_where_it_happens(load):
    """The reference computes float16 in float64, where 4e4 · 8 is no infinity."""
    model = load(in_type(convs(1, 1, 1e4), np.float16))
    errors = compare_layers(model, X.astype(np.float16))
    assert [e.departs for e in errors] == [False, False, True]
    assert errors[2].max_error == errors[2].relative == math.inf
    assert errors[0].bound == math.sqrt(np.finfo(np.float16).eps)


@pytest.mark.parametrize(
    "op, dtype, expected",
    [("Relu", np.float64, np.float32), ("Relu", np.float16, np.float16), ("Abs", np.int64, np.float32)],
)
def test_the_bound_is_that_of_the_arithmetic(load, op, dtype, expected):
    """float64 is computed in float32."""
    net = Net()
    [error] = compare_layers(load(net.graph(net(op, net.input("x", 3, dtype=dtype)))), np.array([1, -2, 3], dtype))
    assert error.bound == math.sqrt(np.finfo(expected).eps)


def test_layers_of_strings_and_sequences_are_left_out(load):
    net = Net()
    x = net.input("x", 2, 3)
    parts = net("SplitToSequence", net("Relu", x, name="relu"), None, axis=0, keepdims=1)
    model = load(net.graph(net("ConcatFromSequence", parts, axis=0, name="joined")))
    assert [e.name for e in compare_layers(model, X[0, 0, :2, :3])] == ["relu", "joined"]


def test_an_input_that_does_not_fit_is_named(load):
    with pytest.raises(InputError, match="input 'x'"):
        compare_layers(load(convs()), X[0])


@pytest.mark.parametrize(
    "max_error, largest, relative, departs",
    [
        (0.0, 0.0, 0.0, False),
        (1e-4, 1.0, 1e-4, False),
        (1e-2, 1.0, 1e-2, True),
        (1e-9, 0.0, math.inf, True),
        (math.inf, 1.0, math.inf, True),
        (math.inf, math.inf, math.nan, True),
    ],
)
def test_when_a_layer_departs(max_error, largest, relative, departs):
    error = LayerError("y", "Add", (1,), max_error, 0.0, largest, bound=1e-3)
    assert error.relative == pytest.approx(relative, nan_ok=True)
    assert error.departs == departs


# ---- other engines


class Session:
    """onnxruntime's, as far as it is used; fastconv answers."""

    def __init__(self, path, options, providers):
        assert options.intra_op_num_threads == 1
        self.model = fastconv.load(path)

    def get_inputs(self):
        return self.model.inputs

    def run(self, outputs, inputs):
        return list(self.model.run(inputs))


@pytest.fixture
def onnxruntime(monkeypatch):
    fake = SimpleNamespace(__version__="9.9-fake", SessionOptions=SimpleNamespace, InferenceSession=Session)
    monkeypatch.setitem(sys.modules, "onnxruntime", fake)
    return fake


@pytest.fixture
def other(tmp_path):
    """Writes a graph as another file: other(graph)."""

    def other(graph):
        onnx_json.write(graph, tmp_path / "other.json")
        return tmp_path / "other.json"

    return other


def compare(model, against, **options):
    return fastconv.compare(model, X, against, seconds=0, **options)


def test_an_engine_that_agrees(load, onnxruntime):
    found = compare(load(convs(), threads=1), "onnxruntime", layers=True)
    assert (found.against, found.first, found.rounds) == ("onnxruntime 9.9", None, 7)
    assert [e.name for e in found.layers] == ["conv1", "conv2", "conv3"]
    assert {e.max_error for e in (*found.outputs, *found.layers)} == {0.0}
    assert found.ratio > 0
    assert "no layer departs" in str(found)


def test_the_first_layer_that_departs_is_where_a_weight_differs(load, onnxruntime, other):
    found = compare(load(convs(), threads=1), "onnxruntime", layers=True, other=other(convs(1, 1.01, 1)))
    assert [e.departs for e in found.layers] == [False, True, True]
    assert found.first.name == "conv2"
    assert found.first.relative == pytest.approx(0.01 / 1.01, rel=1e-3)
    last = str(found).splitlines()[-1]
    assert last == (
        "the first layer that departs is conv2 (Conv), by 9.9e-03 of its largest value, more than 3.5e-04; "
        "the one before is off by 0.0e+00: conv1"
    )


def test_without_layers_the_outputs_depart(load, other):
    found = compare(load(convs()), "reference", other=other(convs(1, 1.01, 1)))
    assert (found.layers, found.first.name, found.first.op, found.rounds) == ((), "conv3", "output", 1)


def test_values_that_the_other_file_lacks_are_left_out(load, other):
    renamed = convs()
    renamed.nodes[2].outputs[0].name = "second"
    found = compare(load(convs()), "reference", layers=True, other=other(renamed))
    assert [e.name for e in found.layers] == ["conv1", "conv3"]


@pytest.mark.parametrize("source", ["bytes", "dict", "onnx"])
def test_an_engine_gets_the_model_whatever_it_was_loaded_from(load, onnxruntime, other, tmp_path, source):
    path = other(convs())
    fastconv.convert.convert(path, tmp_path / "net.onnx") if source == "onnx" else None
    given = {"bytes": path.read_bytes, "dict": lambda: onnx_json.source.parse_json(path.read_bytes())}
    model = fastconv.load(given[source]() if source in given else tmp_path / "net.onnx", threads=1)
    assert compare(model, "onnxruntime").outputs[0].max_error == 0


@pytest.mark.slow
def test_top_1_counts_rows(load, other):
    def net(bias):
        net = Net()
        return net.graph(net("Add", net.input("x", "N", 3), np.float32([0, 0, bias]), name="y"))

    x = np.float32([[3, 1, 2], [1, 3, 2], [1, 2, 3]])
    found = fastconv.compare(load(net(0)), x, other=other(net(9)))
    assert found.top1 == {"y": (1, 3)}
    assert "1 of 3" in str(found)
    assert compare(load(convs()), "reference").top1 == {}  # maps are no classes


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_real_engines(load, name):
    pytest.importorskip(name)
    found = compare(load(convs()), name, layers=True)
    assert found.first is None
    assert [e.name for e in found.layers] == ["conv1", "conv2", "conv3"]


@pytest.mark.slow
def test_a_module_and_a_program_of_torch(load, tmp_path):
    torch = pytest.importorskip("torch")
    layers = [torch.nn.Conv2d(w.shape[1], w.shape[0], w.shape[2], bias=False) for w in W]
    for layer, w in zip(layers, W, strict=True):
        layer.weight.data = torch.from_numpy(w)
    net = torch.nn.Sequential(layers[0], torch.nn.ReLU(), *layers[1:])
    model = load(convs())
    with pytest.raises(InputError, match=r"the Sequential is in training mode: call its eval method first"):
        compare(model, net)
    threads = torch.get_num_threads()
    found = compare(model, net.eval())
    assert (found.against, found.first) == ("torch Sequential", None)
    torch.export.save(torch.export.export(net, (torch.from_numpy(X),)), tmp_path / "net.pt2")
    assert compare(model, "torch", other=tmp_path / "net.pt2").first is None
    assert torch.get_num_threads() == threads
    with pytest.raises(InputError, match="layers: a program of torch does not know the names"):
        compare(model, net, layers=True)


@pytest.mark.slow
def test_what_onnx2pytorch_makes_of_the_file(load, monkeypatch):
    torch = pytest.importorskip("torch")

    class Net(torch.nn.Module):
        def __init__(self, proto):
            super().__init__()
            self.proto = proto

        def forward(self, x):
            found = fastconv.load(self.proto.SerializeToString())(x.numpy())
            return list(map(torch.from_numpy, found)) if len(self.proto.graph.output) > 1 else torch.from_numpy(found)

    monkeypatch.setitem(sys.modules, "onnx2pytorch", SimpleNamespace(ConvertModel=Net))
    found = compare(load(convs()), "torch", layers=True)
    assert found.first is None
    assert len(found.layers) == 3


def test_a_network_without_nodes(load):
    net = Net()
    found = compare(load(net.graph(net.input("x", "N", 3, 8, 8))), "reference", layers=True)
    assert found.layers == ()
    assert found.outputs[0].max_error == 0
    assert compare_layers(load(net.graph(net.inputs[0])), X) == []


def test_outputs_without_numbers_are_left_out(load):
    net = Net()
    x = net.input("x", "N", 3, 8, 8)
    graph = net.graph(net("Relu", x, name="y"), net("SequenceConstruct", x, name="s"))
    assert [e.name for e in compare(load(graph), "reference").outputs] == ["y"]


# ---- what cannot be compared


def test_errors(load, onnxruntime, other, tmp_path, monkeypatch):
    model = load(convs(), threads=1)
    net = Net()
    two = net.graph(net("Add", net.input("a", 2), net.input("b", 2)))
    (tmp_path / "text.json").write_text("nothing")
    (tmp_path / "text.pt2").write_text("nothing")
    for against, options, message in (
        ("onnxrutnime", {}, "against: expected reference, onnxruntime, openvino, torch, got 'onnxrutnime'; did you mean"),
        (7, {}, "expected the name of an engine or a torch.nn.Module, got int"),
        ("reference", {"other": other(two)}, "other.json has 2 inputs, the model 1"),
        ("reference", {"other": fastconv.data.DIGITS}, "digits.json: input 'image': expected N×1×8×8, got 2×3×8×8"),
        ("onnxruntime", {"other": tmp_path / "text.json"}, "text.json: not JSON"),
        ("torch", {"other": tmp_path / "text.pt2"}, "text.pt2: not a program of torch"),
    ):
        if against in (7, "torch"):
            pytest.importorskip("torch")
        with pytest.raises(InputError, match=message):
            compare(model, against, **options)
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *args, **kwargs: onnx.ModelProto().nothing)
    with pytest.raises(FastconvError, match=r"^onnxruntime does not run the model: AttributeError: ") as e:
        compare(model, "onnxruntime")
    assert "\n" not in str(e.value)
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(FastconvError, match=r"openvino needs the package openvino: pip install 'fastconv\[peers\]'"):
        compare(model, "openvino")


def test_layers_of_an_engine_need_onnx(load, onnxruntime, tmp_path, monkeypatch):
    engine = comparison._Engine("onnxruntime", load(convs(), threads=1), tmp_path / "model.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(FastconvError, match=r"layers need the onnx package: pip install 'fastconv\[onnx\]'"):
        engine.values([X], ["conv1"])
