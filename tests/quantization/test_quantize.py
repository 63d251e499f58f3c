"""fastconv.quantize: accuracy, the form of the network, fallback, the report, arguments."""

import pickle
from collections import Counter

import numpy as np
import pytest

import fastconv
from fastconv import InputError
from fastconv.graph import Graph
from fastconv.model import Model

from ..support.graphs import Net, normal
from ..support.rng import generator

RNG = generator(__name__)


@pytest.fixture(scope="module")
def digits():
    """Images of digits and their labels, every fifth one."""
    with np.load(fastconv.data.DIGITS_IMAGES) as file:
        return file["images"][::5, None] / np.float32(16), file["labels"][::5]


@pytest.fixture(scope="module")
def model():
    return fastconv.load(fastconv.data.DIGITS, threads=1)


@pytest.fixture(scope="module")
def quantized(model, digits):
    images, labels = digits
    return fastconv.quantize(model, images[:24], labels=labels[:24])


def network(activation="Relu"):
    """A residual block with a depthwise convolution, a Concat, a pool and a classifier; some channels are far larger."""
    net = Net()
    x = net.input("x", "N", 3, 8, 8)

    def conv(x, OC, kernel, group=1, activate=True):
        w = normal(RNG, OC, x.shape[1] // group, kernel, kernel) * np.exp(RNG.uniform(-2, 2, (OC, 1, 1, 1))).astype(np.float32)
        y = net("Conv", x, w, normal(RNG, OC), group=group, pads=(kernel // 2,) * 4)
        return net(activation, y) if activate else y

    a = conv(x, 8, 3)
    b = conv(conv(a, 8, 3, group=8), 8, 1, activate=False)
    joined = net("Concat", net("Relu", net("Add", a, b)), net("MaxPool", a, kernel_shape=(3, 3), pads=(1,) * 4), axis=1)
    pooled = net("Flatten", net("GlobalAveragePool", conv(joined, 8, 1)))
    return net.graph(net("Gemm", pooled, normal(RNG, 8, 5), normal(RNG, 5)))


def test_digits_stay_right(model, quantized, digits):
    images, labels = digits
    assert (quantized(images).argmax(axis=1) == labels).mean() >= (model(images).argmax(axis=1) == labels).mean() - 0.01
    assert np.abs(quantized(images) - model(images)).max() < 0.1 * np.abs(model(images)).max()


def test_weights_have_a_scale_for_each_channel_and_biases_their_product(quantized):
    nodes = quantized._original.nodes
    conv = next(n for n in nodes if type(n.op).__name__ == "Conv")
    made = {v: n for n in nodes for v in n.outputs}
    x, w, b = (made[v] for v in conv.inputs)
    integers, scales, zeros = (np.asarray(v.constant) for v in w.inputs)
    assert (integers.dtype, w.op.axis, scales.shape) == (np.int8, 0, (16,))
    assert (np.abs(integers.astype(int)).reshape(16, -1).max(axis=1) == 127).all()
    assert not zeros.any()
    assert x.inputs[2].dtype == np.uint8
    assert b.inputs[0].dtype == np.int32
    np.testing.assert_array_equal(b.inputs[1].constant, x.inputs[1].constant * scales)


def test_it_is_saved_and_loaded_with_its_integers(quantized, digits, tmp_path):
    quantized.save(tmp_path / "net.json")
    loaded = fastconv.load(tmp_path / "net.json", threads=1)
    assert Counter(v.dtype for v in loaded._original.values() if v.constant is not None)[np.dtype(np.int8)] == 8  # and zeros
    for twin in (loaded, pickle.loads(pickle.dumps(quantized))):
        np.testing.assert_array_equal(twin(digits[0]), quantized(digits[0]))


def test_onnxruntime_computes_the_same_on_integers(tmp_path):
    """Within one step of the last rounding; no operator is left in float, and values that are joined share a scale."""
    onnx, ort = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    from fastconv.convert import convert

    x = normal(RNG, 8, 3, 8, 8)
    made = fastconv.quantize(Model(network(), threads=1), x)
    made.save(tmp_path / "net.json")
    convert(tmp_path / "net.json", tmp_path / "net.onnx")
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(tmp_path / "fused.onnx")
    session = ort.InferenceSession(tmp_path / "net.onnx", options, providers=["CPUExecutionProvider"])
    y = session.run(None, {"x": x})[0]
    assert np.abs(y - made(x)).max() < 0.03 * np.abs(y).max()
    fused = Counter(n.op_type for n in onnx.load(tmp_path / "fused.onnx").graph.node)
    assert fused["QLinearConv"] == 4
    assert fused["QLinearAdd"] == fused["QLinearGlobalAveragePool"] == fused["QGemm"] == fused["QuantizeLinear"] == 1
    assert not fused.keys() & {"Conv", "Add", "Relu", "DequantizeLinear"}


def test_an_image_gets_the_same_answer_whatever_the_data_s_form(model, digits):
    images, _ = digits
    as_array, as_list, by_name = (
        fastconv.quantize(model, d) for d in (images[:4], [x[None] for x in images[:4]], {"image": images[:4]})
    )
    np.testing.assert_array_equal(as_array(images), as_list(images))
    np.testing.assert_array_equal(as_array(images), by_name(images))


def test_box_decoding_after_the_last_layer_stays_float():
    """Only what feeds another layer is rounded: coordinates need more than 8 bits."""
    net = Net()
    y = net("Conv", net.input("x", "N", 3, 6, 6), normal(RNG, 4, 3, 3, 3))
    made = fastconv.quantize(Model(net.graph(net("Mul", net("Add", y, 100.0), 8.0)), threads=1), normal(RNG, 4, 3, 6, 6))
    assert [x.op for x in made.quantization.layers] == ["Conv"]


def test_silu_is_written_as_two_nodes():
    """Swish is new in opset 24; what most runtimes fuse is x · sigmoid(x)."""
    net = Net()
    y = net("Conv", net.input("x", "N", 3, 6, 6), normal(RNG, 4, 3, 3, 3))
    y = net("Conv", net("Mul", y, net("Sigmoid", y)), normal(RNG, 4, 4, 1, 1))
    made = fastconv.quantize(Model(net.graph(y), threads=1), normal(RNG, 4, 3, 6, 6))
    assert [x.op for x in made.quantization.layers] == ["Conv", "Swish", "Conv"]
    assert {"Sigmoid", "Mul"} <= {type(n.op).__name__ for n in made._original.nodes}


# ---- fallback and the report


def test_fallback_leaves_the_worst_layers_in_float():
    net, x = Model(network(), threads=1), normal(RNG, 8, 3, 8, 8)
    before = fastconv.quantize(net, x).quantization
    made = fastconv.quantize(net, x, fallback=before.output + 3)
    floats = {layer.name for layer in made.quantization.layers if not layer.quantized}
    assert made.quantization.output >= before.output + 3
    assert min(before.layers, key=lambda layer: layer.output).name in floats
    assert len(floats) < len(before.layers)
    assert [x.output for x in made.quantization.layers] == [x.output for x in before.layers]
    assert "float" in str(made.quantization)


def test_fallback_takes_the_layers_that_the_outputs_suffer_from():
    """A layer of sparse numbers has a bad ratio, but adds next to nothing to the output."""
    net = Net()
    x = net.input("x", "N", 4, 16, 16)
    sparse, dense = np.zeros((2, 4, 4, 1, 1), np.float32)
    sparse[:, 0], dense[:, 1:] = 1e-3, normal(RNG, 4, 3, 1, 1)
    joined = net("Add", net("Conv", x, sparse, name="sparse"), net("Conv", x, dense, name="dense"))
    graph = net.graph(net("Conv", joined, normal(RNG, 4, 4, 1, 1), name="last"))
    data = normal(RNG, 4, 4, 16, 16)
    data[:, 0] *= np.where(RNG.random((4, 16, 16)) < 0.005, 4, 0.02)
    before = fastconv.quantize(Model(graph, threads=1), data, equalise=False).quantization
    ratios = {layer.name: layer for layer in before.layers}
    assert ratios["sparse"].alone < ratios["dense"].alone
    assert ratios["sparse"].output > ratios["dense"].output
    made = fastconv.quantize(Model(graph, threads=1), data, equalise=False, fallback=before.output + 1).quantization
    floats = {layer.name for layer in made.layers if not layer.quantized}
    assert "dense" in floats
    assert "sparse" not in floats


def test_fallback_to_an_accuracy(model, digits):
    images, labels = digits
    made = fastconv.quantize(model, images[:12], labels=labels[:12], fallback=90)
    assert made.quantization.top1 == (1, 1)
    with pytest.raises(InputError, match=r"^fallback: the float network has 0\.0% right answers, less than 99 %"):
        fastconv.quantize(model, images[:12], labels=(labels[:12] + 1) % 10, fallback=99)


def test_report(quantized):
    report = quantized.quantization
    assert [x.op for x in report.layers] == ["Conv+Relu", "Conv+Relu", "Gemm+Relu", "Gemm"]
    assert all(35 < x.weights < 60 and 30 < x.alone < 70 and x.accumulated <= x.alone + 1 for x in report.layers)
    assert report.layers[-1].accumulated == report.output
    lines = str(report).splitlines()
    assert lines[1].split() == ["layer", "operator", "weights", "alone", "output", "accumulated"]
    assert lines[-1] == "top-1 100.0% in float, 100.0% quantized"
    assert lines[-2].startswith("outputs ")
    document = report.as_dict()
    assert document["top1"] == {"float": 1, "quantized": 1}
    assert document["constant_bytes"]["quantized"] < 0.3 * document["constant_bytes"]["float"]


# ---- wrong arguments


def test_wrong_arguments(model, quantized, digits):
    images, labels = digits
    cases = [
        (lambda: fastconv.quantize(model, images[:0]), "data: expected at least one input, got none"),
        (lambda: fastconv.quantize(model, []), "data: expected at least one input, got none"),
        (lambda: fastconv.quantize(model, iter([images])), "data: expected arrays, or a list of inputs, got list_iterator"),
        (lambda: fastconv.quantize(model, images, ranges="mes"), r"ranges: expected .*; did you mean 'mse'\?"),
        (lambda: fastconv.quantize(model, images, fallback=float("nan")), "fallback: expected a finite number, got nan"),
        (lambda: fastconv.quantize(model, images, fallback="25"), "fallback: expected a finite number, got '25'"),
        (lambda: fastconv.quantize(quantized, images), r"the model is quantized already"),
        (lambda: fastconv.quantize(model, images[:2], labels=labels[:1]), "labels: expected 2, one for each image, got 1"),
        (lambda: fastconv.quantize(model, images[:2], labels=[0.5, 1]), "labels: expected an int for each image"),
        (lambda: fastconv.quantize(model, images[:2] * np.float32(np.nan)), "value 'image' is NaN or infinite on the"),
        (lambda: fastconv.quantize(model, images.astype(float)), "input 'image': expected float32, got float64"),
    ]
    for call, message in cases:
        with pytest.raises(InputError, match=message):
            call()


def test_a_model_without_weights_has_nothing_to_quantize():
    net = Net()
    graph: Graph = net.graph(net("Relu", net.input("x", "N", 3)))
    with pytest.raises(InputError, match=r"^nothing to quantize: "):
        fastconv.quantize(Model(graph), np.ones((2, 3), np.float32))
