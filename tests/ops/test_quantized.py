"""ONNX Runtime's operators on quantized tensors: what they compute, and models that use them."""

from __future__ import annotations

import numpy as np
import pytest

import fastconv
from fastconv import onnx_json
from fastconv.errors import ModelError, UnsupportedError
from fastconv.ops import REGISTRY
from fastconv.reference import run_references

from ..passes.test_passes import quantized_network
from ..support.nodes import compute, infer, value
from ..support.onnx_dicts import info, model, node, tensor
from ..support.rng import generator

RNG = generator(__name__)
DOMAIN = "com.microsoft"
OF_Y = [np.float32(0.031), np.uint8(99)]


def integers(*shape, low=0, high=255, dtype=np.uint8):
    return RNG.integers(low, high + 1, shape).astype(dtype)


def operand(*shape):
    """[integers, scale, zero point], and the floats they stand for."""
    q, scale, zero = integers(*shape), np.float32(RNG.uniform(0.01, 0.05)), np.uint8(RNG.integers(60, 200))
    return [q, scale, zero], (q.astype(np.float64) - zero) * scale


def quantized(y, scale=OF_Y[0], zero=OF_Y[1]):
    return np.clip(np.rint(y / scale) + zero, 0, 255)


def check(op, inputs, expected, **attributes):
    """Equal, except where a result is so near the middle of two levels that float32 may round it to either."""
    made = REGISTRY[f"{DOMAIN}::{op}"](**attributes)
    y = made.reference(*inputs)
    assert (y.shape, y.dtype) == made.infer(*(value("", x) for x in inputs))[0]
    places = np.abs(expected / OF_Y[0] % 1 - 0.5) > 1e-3
    np.testing.assert_array_equal(y[places], quantized(expected)[places])
    assert np.abs(y - quantized(expected)).max() <= 1


def softmax(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


@pytest.mark.parametrize("op, function", [("QLinearAdd", np.add), ("QLinearMul", np.multiply)])
def test_functions_of_two_tensors(op, function):
    (a, x), (b, y) = operand(2, 3, 4), operand(3, 1)
    check(op, [*a, *b, *OF_Y], function(x, y))


@pytest.mark.parametrize(
    "op, function, attributes",
    [
        ("QLinearSigmoid", lambda x: 1 / (1 + np.exp(-x)), {}),
        ("QLinearLeakyRelu", lambda x: np.where(x < 0, 0.25 * x, x), {"alpha": 0.25}),
        ("QLinearSoftmax", lambda x: softmax(x, -1), {"opset": 13}),
        ("QLinearSoftmax", lambda x: softmax(x, 1), {"opset": 13, "axis": 1}),
        ("QLinearSoftmax", lambda x: softmax(x, (1, 2, 3)), {"opset": 12, "axis": 1}),
        ("QLinearGlobalAveragePool", lambda x: x.mean((2, 3), keepdims=True), {"channels_last": 0}),
        ("QLinearAveragePool", lambda x: (x[..., ::2] + x[..., 1::2]) / 2, {"kernel_shape": (1, 2), "strides": (1, 2)}),
    ],
)
def test_functions_of_one_tensor(op, function, attributes):
    a, x = operand(2, 3, 4, 6)
    check(op, [*a, *OF_Y], function(x), **attributes)


def test_concat():
    (a, x), (b, y) = operand(2, 3, 4), operand(2, 1, 4)
    check("QLinearConcat", [*OF_Y, *a, *b], np.concatenate([x, y], 1), axis=1)


@pytest.mark.parametrize("transposed", [0, 1])
def test_gemm(transposed):
    a, x = operand(3, 20)
    w, of_w = integers(20, 4, low=-127, high=127, dtype=np.int8), RNG.uniform(0.001, 0.01, 4).astype(np.float32)
    c, zeros = integers(4, low=-900, high=900, dtype=np.int32), np.arange(4, dtype=np.int8)
    expected = 0.5 * (x @ ((w - zeros.astype(int)) * of_w.astype(np.float64)) + c * (a[1] * of_w.astype(np.float64)))
    inputs = [*a, w.T.copy() if transposed else w, of_w, zeros, c]
    check("QGemm", [*inputs, *OF_Y], expected, transB=transposed, alpha=0.5)
    floats = compute(f"{DOMAIN}::QGemm", *inputs, transB=transposed, alpha=0.5)
    assert floats.dtype == np.float32
    np.testing.assert_allclose(floats, expected, rtol=1e-5)
    without = compute(f"{DOMAIN}::QGemm", *inputs, OF_Y[0], transB=transposed, alpha=0.5)
    assert without.dtype == np.uint8
    assert np.abs(without - quantized(floats, OF_Y[0], 0)).max() <= 1


def test_a_zero_point_left_out_is_0():
    a, x = operand(2, 3)
    y = compute(f"{DOMAIN}::QLinearSigmoid", *a, OF_Y[0])
    np.testing.assert_array_equal(y, quantized(1 / (1 + np.exp(-x)), OF_Y[0], 0))


def test_what_is_refused():
    a, _ = operand(2, 3, 4, 4)
    with pytest.raises(UnsupportedError, match="channels_last"):
        infer(f"{DOMAIN}::QLinearGlobalAveragePool", *a, *OF_Y, channels_last=1)
    with pytest.raises(ModelError, match="got 4 inputs"):
        infer(f"{DOMAIN}::QLinearConcat", *OF_Y, *a, a[0], axis=1)
    with pytest.raises(ModelError, match="expected integer"):
        infer(f"{DOMAIN}::QLinearSigmoid", a[0].astype(np.float32), *a[1:], *OF_Y)


@pytest.mark.parametrize("value, expected", [(np.nan, 30), (np.inf, 255), (-np.inf, 0)])
def test_what_is_no_number_is_quantized(value, expected):
    assert compute("QuantizeLinear", np.float32([value]), np.float32(0.1), np.uint8(30)) == [expected]


def test_a_network_on_integers_is_written_and_read(tmp_path):
    graph, x = quantized_network()
    onnx_json.write(graph, tmp_path / "net.json")
    (expected,) = run_references(graph, [x], np.float32)
    exact, fast = (fastconv.load(tmp_path / "net.json", accuracy=accuracy) for accuracy in ("exact", "default"))
    np.testing.assert_array_equal(exact(x), expected)
    assert not fast.plan().python_steps
    assert np.abs(fast(x).astype(int) - expected).max() <= 1
    fast.save(tmp_path / "floats.json")
    np.testing.assert_array_equal(fastconv.load(tmp_path / "floats.json")(x), fast(x))


def quantized_model(*, domain="", results="floats"):
    """A convolution as onnxruntime.quantization writes it: QuantizeLinear and DequantizeLinear around it."""
    rng = np.random.default_rng(6)
    weights = [
        tensor("s", np.float32(0.04)),
        {"dims": [], "data_type": 2, "name": "z", "int32_data": ["7"]},
        tensor("ws", rng.uniform(0.001, 0.01, 8).astype(np.float32)),
        {"dims": ["8"], "data_type": 3, "name": "wz", "int32_data": ["0"] * 8},
        {
            "dims": ["8", "3", "3", "3"],
            "data_type": 3,
            "name": "w",
            "int32_data": [str(v) for v in rng.integers(-127, 128, 216)],
        },
        tensor("bs", rng.uniform(1e-4, 1e-3, 8).astype(np.float32)),
        tensor("b", rng.integers(-900, 900, 8).astype(np.int32)),
    ]
    zero = {"name": "axis", "i": "0", "type": "INT"}
    more = {"domain": domain} if domain else {}
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["xq"], **more),
        node("DequantizeLinear", ["xq", "s", "z"], ["xf"], **more),
        node("DequantizeLinear", ["w", "ws", "wz"], ["wf"], zero, **more),
        node("DequantizeLinear", ["b", "bs"], ["bf"], zero),
        node("Conv", ["xf", "wf", "bf"], ["conv"]),
        node("Relu", ["conv"], ["relu"]),
        node("QuantizeLinear", ["relu", "s", "z"], ["yq"], **more),
        node("DequantizeLinear", ["yq", "s", "z"], ["yf"], **more),
        node("MaxPool", ["yf"], ["pooled"], {"name": "kernel_shape", "ints": ["2", "2"], "type": "INTS"}),
        node("QuantizeLinear", ["pooled", "s", "z"], ["pq"], **more),
        node("DequantizeLinear", ["pq", "s", "z"], ["y"], **more),
    ]
    given = [info("y", None, None, None, None)] if results == "floats" else [info("pq", None, None, None, None, elem_type=2)]
    made = model(nodes[: None if results == "floats" else -1], weights, outputs=given)
    made["opset_import"].append({"domain": DOMAIN, "version": "1"})
    return made


@pytest.mark.parametrize("domain", ["", DOMAIN])
@pytest.mark.parametrize("results", ["floats", "integers"])
def test_a_quantized_network_runs_without_python(domain, results):
    x = RNG.standard_normal((5, 3, 8, 8), np.float32)
    net = fastconv.load(quantized_model(domain=domain, results=results))
    y = net(x)
    assert not net.plan({"x": x.shape}).python_steps
    assert y.dtype == (np.float32 if results == "floats" else np.uint8)
    differ = np.rint((y.astype(np.float64) - net.reference(x)) / (0.04 if results == "floats" else 1))  # in steps
    assert np.abs(differ).max() <= 1
    assert np.count_nonzero(differ) < differ.size / 100
    for i in range(5):
        np.testing.assert_array_equal(net(x[i : i + 1]), y[i : i + 1])
