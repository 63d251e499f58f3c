"""Comparing a model's results, whole and layer by layer, with the reference and with other engines."""

import math

import numpy as np
import pytest

import fastconv
from fastconv.comparison import LayerError, compare_layers
from fastconv.errors import InputError

from ..support.graphs import Net, in_type, normal
from ..support.rng import generator

RNG = generator(__name__)
X = normal(RNG, 2, 3, 8, 8)


def convs(scale=1.0):
    """x -> conv1 (with a Relu) -> conv2 -> conv3, whose weights are multiplied by `scale`."""
    net = Net()
    y = net.input("x", "N", 3, 8, 8)
    y = net("Relu", net("Conv", y, normal(RNG, 8, 3, 3, 3), name="conv1"), name="relu1")
    y = net("Conv", y, normal(RNG, 4, 8, 1, 1), name="conv2")
    return net.graph(net("Conv", y, np.float32(scale) * normal(RNG, 4, 4, 1, 1), name="conv3"))


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
    model = load(in_type(convs(scale=1e4), np.float16))
    errors = compare_layers(model, X.astype(np.float16))
    assert [e.departs for e in errors] == [False, False, True]
    assert errors[2].max_error == errors[2].relative == math.inf
    assert errors[0].bound == math.sqrt(np.finfo(np.float16).eps)


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
