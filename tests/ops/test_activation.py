"""An operator that says it is an Activation computes what the Activation's kind and parameters stand for."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fastconv.activation import NO_ACTIVATION, Activation
from fastconv.evaluate import evaluate
from fastconv.graph import Value
from fastconv.ops import REGISTRY

from ..support.nodes import compute, node

X = np.linspace(-9, 9, 181)

# What each kind means, with its parameters a and b
MEANING = {
    "clip": lambda x, a, b: np.minimum(np.maximum(x, a), b),
    "leaky_relu": lambda x, a, b: np.where(x < 0, a * x, x),
    "sigmoid": lambda x, a, b: 1 / (1 + np.exp(-x)),
    "silu": lambda x, a, b: x / (1 + np.exp(-x)),
    "tanh": lambda x, a, b: np.tanh(x),
    "hard_sigmoid": lambda x, a, b: np.minimum(np.maximum(a * x + b, 0), 1),
    "hard_swish": lambda x, a, b: x * np.minimum(np.maximum(x + 3, 0), 6) / 6,
    "elu": lambda x, a, b: np.where(x < 0, a * (np.exp(x) - 1), x),
    "softplus": lambda x, a, b: np.log(1 + np.exp(x)),
}

ACTIVATIONS = [
    ("Relu", [], {}, ("clip", 0, math.inf)),
    ("Clip", [np.array(0.0), np.array(6.0)], {}, ("clip", 0, 6)),
    ("Clip", [None, np.array([6.0])], {}, ("clip", -math.inf, 6)),
    ("Clip", [np.array(-1.0)], {}, ("clip", -1, math.inf)),
    ("Clip", [np.array(5.0), np.array(2.0)], {}, ("clip", 5, 2)),
    ("Clip", [], {}, ("clip", -math.inf, math.inf)),
    ("LeakyRelu", [], {"alpha": 0.25}, ("leaky_relu", 0.25, 0)),
    ("Sigmoid", [], {}, ("sigmoid", 0, 0)),
    ("Swish", [], {}, ("silu", 0, 0)),
    ("Tanh", [], {}, ("tanh", 0, 0)),
    ("HardSigmoid", [], {"alpha": 0.25, "beta": 0.375}, ("hard_sigmoid", 0.25, 0.375)),
    ("HardSwish", [], {}, ("hard_swish", 0, 0)),
    ("Elu", [], {"alpha": 0.5}, ("elu", 0.5, 0)),
    ("Softplus", [], {}, ("softplus", 0, 0)),
]


@pytest.mark.parametrize("op, bounds, attributes, expected", ACTIVATIONS)
def test_activation_means_the_reference(op, bounds, attributes, expected):
    made = node(op, X, *bounds, **attributes)
    activation = made.op.activation(made)
    assert (activation.kind, activation.a, activation.b) == expected
    meant = MEANING[activation.kind](X, activation.a, activation.b)
    np.testing.assert_allclose(compute(op, X, *bounds, **attributes), meant, rtol=1e-13, atol=1e-15)


def quantizer(dtype, scale, zero):
    """QuantizeLinear of X, and the DequantizeLinear behind it as its epilogue."""
    first = node("QuantizeLinear", X.astype(np.float32), np.float32(scale), np.array(zero, dtype))
    first.outputs[0].shape, first.outputs[0].dtype = X.shape, np.dtype(dtype)
    behind = node("DequantizeLinear", first.outputs[0], *(v.constant for v in first.inputs[1:]))
    behind.outputs[0].shape, behind.outputs[0].dtype = X.shape, np.dtype(np.float32)
    assert first.op.activation(first) is None, "alone it gives integers"
    first.epilogue = [behind]
    return first


@pytest.mark.parametrize("dtype, zero", [("uint8", 0), ("uint8", 130), ("int8", 0), ("int8", -128), ("int16", 7)])
def test_quantizing_and_back_means_the_reference(dtype, zero):
    made = quantizer(dtype, 0.03, zero)
    activation, limits = made.op.activation(made), np.iinfo(dtype)
    assert (activation.kind, activation.b, activation.c) == ("fake_quantize", limits.min - zero, limits.max - zero)
    arrays = {}
    evaluate(made, arrays)
    steps = np.clip(np.rint(X.astype(np.float32) / np.float32(activation.a)), activation.b, activation.c)
    np.testing.assert_array_equal(arrays[made.results[0]], steps * np.float32(activation.a))


@pytest.mark.parametrize("low, high", [(0, math.inf), (0, 6), (-1.37, 2.22), (-math.inf, 0.5)])
def test_a_clip_moves_the_bounds_of_quantizing(low, high):
    made = quantizer("int8", 0.03, -20)
    first = Activation("clip", low, high)
    joined, alone = first.then(made.op.activation(made)), made.op.activation(made)
    x = np.concatenate([X, [math.inf, -math.inf, 0]]).astype(np.float32)

    def steps(x, activation):
        return np.clip(np.rint(x / np.float32(activation.a)), activation.b, activation.c)

    np.testing.assert_array_equal(steps(x, joined), steps(np.clip(x, np.float32(low), np.float32(high)), alone))


def test_what_is_no_activation_together():
    made = quantizer("int8", 0.03, 0)
    quantize = made.op.activation(made)
    assert NO_ACTIVATION.then(quantize) == quantize
    assert Activation("clip", 1, 2).then(quantize) is None, "NaN would become 0"
    assert Activation("sigmoid").then(quantize) is None
    assert quantize.then(quantize) is None
    assert Activation("clip", 0, 6).then(Activation("clip", 0, 3)) is None


def test_every_kind_is_covered():
    assert {kind for *_, (kind, _, _) in ACTIVATIONS} == set(MEANING)


@pytest.mark.parametrize(
    "op, bounds, attributes",
    [
        ("Clip", [Value("low", (), np.dtype(np.float64))], {}),
        ("Clip", [np.array(np.nan)], {}),
        ("Swish", [], {"alpha": 2.0}),
        *((op, [], {}) for op in ("Abs", "Exp", "Gelu", "Identity", "Mish", "Neg", "Selu", "Softsign", "Sqrt")),
        ("PRelu", [np.array(0.5)], {}),
    ],
)
def test_what_is_no_activation(op, bounds, attributes):
    made = node(op, X, *bounds, **attributes)
    assert made.op.activation(made) is None


def test_only_these_operators_are_activations():
    defined = {key for key, cls in REGISTRY.items() if "activation" in vars(cls)}
    assert defined == {op for op, *_ in ACTIVATIONS} | {"QuantizeLinear"}
