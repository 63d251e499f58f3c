"""An operator that says it is an Activation computes what the Activation's kind and parameters stand for."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fastconv.graph import Value
from fastconv.ops import REGISTRY

from .nodes import compute, node

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
    assert defined == {op for op, *_ in ACTIVATIONS}
