"""Networks that onnxruntime.quantization writes: what has kernels of bytes is fused, and the bits are its own."""

from __future__ import annotations

import numpy as np
import pytest

from fastconv import onnx_json
from fastconv.passes import run_passes
from fastconv.reference import run_references

from ..support.graphs import Net, normal
from ..support.rng import generator
from .test_fuse_quantized import BIASED, short

onnxruntime = pytest.importorskip("onnxruntime", reason="the extra `peers`")
quantization = pytest.importorskip("onnxruntime.quantization", reason="the extra `peers`")
pytest.importorskip("onnx", reason="the extra `onnx`")

RNG = generator(__name__)
SHAPE = (1, 3, 16, 16)
RESIDUAL = "DQ+DQ+DQ+DQ+Conv+Q+DQ+Add+Q"
QDQ = [
    "Q", BIASED, BIASED, RESIDUAL, "MaxPool", "DQ+AveragePool+Q", "Concat", BIASED, "DQ+Sigmoid+Q+DQ+Mul+Q", "Resize", BIASED,
    "DQ+HardSwish+Q", "DQ+GlobalAveragePool+Q", "Flatten", "DQ+DQ+DQ+Gemm+Q", "DQ",
]  # fmt: skip
#: the operators that ONNX Runtime has none of on integers are computed in floats
QOPERATOR = [
    "Q", BIASED, BIASED, RESIDUAL, "MaxPool", "DQ+AveragePool+Q", "DQ+Identity+Q", "Concat", BIASED, "DQ+DQ+Sigmoid+Q+DQ+Mul+Q",
    "Resize", BIASED, "DQ", "HardSwish", "GlobalAveragePool", "Q", "Flatten", "DQ+DQ+DQ+Gemm+Q", "DQ",
]  # fmt: skip


def _conv(net, x, OC, kernel=3, group=1, **more):
    IC = x.shape[1] // group
    w = normal(RNG, OC, IC, kernel, kernel) / np.float32((IC * kernel * kernel) ** 0.5)
    return net("Conv", x, w, normal(RNG, OC) / 10, pads=(kernel // 2,) * 4, group=group, **more)


def network():
    """A network with most of the operators that are quantized."""
    net = Net()
    a = net("Relu", _conv(net, net.input("x", *SHAPE), 16, strides=(2, 2)))
    b = net("Clip", _conv(net, a, 16, group=16), 0.0, 6.0)
    c = net("Relu", net("Add", _conv(net, b, 16, 1), a))
    halves = {"kernel_shape": (2, 2), "strides": (2, 2)}
    d = _conv(net, net("Concat", net("MaxPool", c, **halves), net("AveragePool", c, **halves), axis=1), 24, 1)
    e = net("Resize", net("Mul", d, net("Sigmoid", d)), None, np.float32([1, 1, 2, 2]), mode="nearest")
    f = net("Flatten", net("GlobalAveragePool", net("HardSwish", _conv(net, e, 8))))
    return net.graph(net("Gemm", f, normal(RNG, 10, 8), normal(RNG, 10), transB=1))


class Batches(quantization.CalibrationDataReader):
    """A few random inputs."""

    def __init__(self):
        self._left = [{"x": normal(RNG, *SHAPE)} for _ in range(3)]

    def get_next(self):
        return self._left.pop() if self._left else None


@pytest.fixture(scope="module")
def floats(tmp_path_factory):
    """The network as a file of ONNX."""
    from fastconv.convert import convert

    folder = tmp_path_factory.mktemp("quantizers")
    onnx_json.write(network(), folder / "net.json")
    convert(folder / "net.json", folder / "net.onnx")
    return folder / "net.onnx"


@pytest.mark.parametrize(
    "form, activations, weights, found",
    [
        ("QDQ", "QUInt8", "QInt8", QDQ),
        ("QDQ", "QInt8", "QInt8", QDQ),
        ("QDQ", "QUInt8", "QUInt8", QDQ),
        ("QOperator", "QUInt8", "QInt8", QOPERATOR),
        ("QOperator", "QInt8", "QInt8", QOPERATOR),
        ("QDQ", "QUInt16", "QInt8", None),
    ],
)
def test_a_quantized_network(form, activations, weights, found, floats):
    path, types = floats.with_name(f"{form}-{activations}-{weights}.onnx"), quantization.QuantType
    quantization.quantize_static(
        floats, path, Batches(), quant_format=quantization.QuantFormat[form], per_channel=True,
        activation_type=types[activations], weight_type=types[weights],
    )  # fmt: skip
    graph, x = onnx_json.read(path), normal(RNG, *SHAPE)
    after = run_passes(graph.copy())
    if found is None:
        assert not any(n.prologue for n in after.nodes)
    else:
        assert short(after) == found
    (expected,), (y,) = (run_references(g, [x], np.float32) for g in (graph, after))
    step = np.asarray(graph.nodes[-1].input(1).constant)  # QLinearConv sums integers, the nodes it becomes floats
    np.testing.assert_allclose(y, expected, rtol=0, atol=0 if form == "QDQ" else 1.001 * step)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    (theirs,) = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"]).run(None, {"x": x})
    np.testing.assert_allclose(y, theirs, rtol=0, atol=1.001 * step)
