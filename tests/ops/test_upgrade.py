"""Nodes of older opsets give what the same node written in today's form gives."""

from __future__ import annotations

import numpy as np
import pytest

from fastconv.errors import ModelError, UnsupportedError
from fastconv.graph import Value
from fastconv.ops import NodeSpec, make_node

from ..support.nodes import compute, infer, node
from ..support.rng import generator

rng = generator(__name__)
X = rng.standard_normal((2, 4, 4, 6)).astype(np.float32)
C = rng.standard_normal(4).astype(np.float32)
SCALES = np.array([1, 1, 2, 1.5], np.float32)

SAME = [
    # operator, opset, inputs, attributes; then the newest form's inputs and attributes (and operator, where it has another)
    ("Add", 6, [X, C], {"broadcast": 1, "axis": 1}, [X, C[:, None, None]], {}),
    ("Sub", 6, [X, X[:, :, 0]], {"broadcast": 1, "axis": 0}, None, None),
    ("Mul", 1, [X, X[0, 0]], {"broadcast": 1, "consumed_inputs": [0, 0]}, [X, X[0, 0]], {}),
    ("Div", 6, [X, X[0, 0]], {"broadcast": 1, "axis": -2}, [X, X[0, 0]], {}),
    ("Sum", 1, [X, X], {"consumed_inputs": [0, 0]}, [X, X], {}),
    ("Clip", 6, [X], {"min": -0.5, "max": 0.25}, [X, np.float32(-0.5), np.float32(0.25)], {}),
    ("Clip", 6, [X], {"max": 0.25}, [X, None, np.float32(0.25)], {}),
    ("Clip", 1, [X], {"min": 0.1, "consumed_inputs": [0]}, [X, np.float32(0.1)], {}),
    ("Relu", 1, [X], {"consumed_inputs": [0]}, [X], {}),
    ("PRelu", 6, [X, C], {}, [X, C[:, None, None]], {}),
    ("PRelu", 6, [X, C[:1]], {}, [X, C[:1]], {}),
    ("Dropout", 7, [X], {"ratio": 0.3}, [X], {}),
    ("Dropout", 1, [X], {"ratio": 0.3, "is_test": 1, "consumed_inputs": [0]}, [X], {}),
    ("Concat", 1, [X, X], {}, [X, X], {"axis": 1}),
    ("Gemm", 6, [X[0, 0], X[0, 0].T, C], {"broadcast": 1}, [X[0, 0], X[0, 0].T, C], {}),
    ("Softmax", 11, [X], {"axis": 3}, [X], {"axis": -1}),
    ("LogSoftmax", 11, [X], {"axis": -1}, [X], {"axis": -1}),
    ("Reshape", 1, [X], {"shape": [2, -1]}, [X, np.array([2, -1])], {}),
    ("Squeeze", 11, [X[:1, :1]], {"axes": [0, 1]}, [X[:1, :1], np.array([0, 1])], {}),
    ("Unsqueeze", 11, [X], {"axes": [0, 5]}, [X, np.array([0, 5])], {}),
    ("Slice", 9, [X], {"starts": [0, 1], "ends": [1, -1], "axes": [0, 3]}, [X, [0, 1], [1, -1], [0, 3]], {}),
    ("Slice", 1, [X], {"starts": [1], "ends": [99]}, [X, [1], [99]], {}),
    ("Split", 11, [X], {"axis": 3, "split": [2, 4], "outputs": 2}, [X, [2, 4]], {"axis": 3, "outputs": 2}),
    ("Split", 2, [X], {"axis": 3, "outputs": 3}, [X, [2, 2, 2]], {"axis": 3, "outputs": 3}),
    ("Split", 13, [X], {"axis": 3, "outputs": 3}, [X], {"axis": 3, "num_outputs": 3, "outputs": 3}),
    ("Pad", 1, [X], {"paddings": [0, 0, 1, 2, 0, 0, 3, 4], "value": 0.5}, [X, [0, 0, 1, 2, 0, 0, 3, 4], np.float32(0.5)], {}),
    ("Pad", 2, [X], {"pads": [0, 0, 1, 2, 0, 0, 3, 4], "mode": "edge"}, [X, [0, 0, 1, 2, 0, 0, 3, 4]], {"mode": "edge"}),
    ("ReduceSum", 11, [X], {"axes": [1, -1], "keepdims": 0}, [X, [1, 3]], {"keepdims": 0}),
    ("ReduceMean", 13, [X], {"axes": [2, 3]}, [X, [2, 3]], {}),
    ("ReduceMax", 1, [X], {}, [X], {}),
    ("TopK", 1, [X], {"k": 3, "axis": 2, "outputs": 2}, [X, [3]], {"axis": 2, "outputs": 2}),
    ("Cast", 1, [X], {"to": "INT64"}, [X], {"to": 7}),
    ("LpPool", 1, [X], {"p": 2.0, "kernel_shape": [2, 2]}, [X], {"kernel_shape": [2, 2]}),
    ("Scatter", 9, [C, [0, 2], C[:2]], {}, [C, [0, 2], C[:2]], {}, "ScatterElements"),
    *[
        (op, opset, inputs, {**sizes, "mode": mode}, [X, None, SCALES], attributes, "Resize")
        for op, opset, inputs, sizes, words in (
            ("Upsample", 1, [X], {"height_scale": 2.0, "width_scale": 1.5}, ("nearest", "bilinear")),
            ("Upsample", 7, [X], {"scales": SCALES.tolist()}, ("nearest", "linear")),
            ("Upsample", 9, [X, SCALES], {}, ("nearest", "linear")),
            ("Resize", 10, [X, SCALES], {}, ("nearest", "linear")),
        )
        for mode in words
        for attributes in [
            {
                "mode": "linear" if mode == "bilinear" else mode,
                "coordinate_transformation_mode": "asymmetric",
                "nearest_mode": "floor",
            }
        ]
    ],
]


@pytest.mark.parametrize("op, opset, inputs, attributes, new_inputs, new_attributes, new_op", [(*s, s[0])[:7] for s in SAME])
def test_an_old_form_means_the_new_one(op, opset, inputs, attributes, new_inputs, new_attributes, new_op):
    if new_inputs is None:  # the first operand's axes would not be the second's: an error, and no guess
        with pytest.raises(ModelError):
            infer(op, *inputs, opset=opset, **attributes)
        return
    old, new = compute(op, *inputs, opset=opset, **attributes), compute(new_op, *new_inputs, **new_attributes)
    for y, e in zip(old, new, strict=True) if isinstance(old, tuple) else ((old, new),):
        assert y.dtype == e.dtype
        np.testing.assert_array_equal(y, e)


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("axis", [0, 1, 2, 3])
def test_softmax_was_over_all_axes_from_axis_on(op, axis):
    rows = X.reshape(int(np.prod(X.shape[:axis])), -1)
    np.testing.assert_allclose(compute(op, X, opset=11, axis=axis), compute(op, rows).reshape(X.shape), rtol=1e-6)


def test_hardmax_was_so_too():
    y = compute("Hardmax", X, opset=11, axis=2)
    np.testing.assert_array_equal(y.reshape(8, -1), compute("Hardmax", X.reshape(8, -1)))
    assert compute("Hardmax", np.ones((2, 3), np.float32)).tolist() == [[1, 0, 0]] * 2


def test_softmax_defaulted_to_axis_1():
    np.testing.assert_array_equal(compute("Softmax", X, opset=11), compute("Softmax", X, opset=11, axis=1))


def test_batch_normalization_could_be_for_each_element():
    scale, bias, mean, var = np.abs(rng.standard_normal((4, *X.shape[1:]))).astype(np.float32)
    y = compute("BatchNormalization", X, scale, bias, mean, var, opset=7, spatial=0, epsilon=0.0)[0]
    np.testing.assert_allclose(y, (X - mean) / np.sqrt(var) * scale + bias, rtol=1e-5, atol=1e-5)
    with pytest.raises(ModelError, match="spatial=0: expected parameters of the shape"):
        infer("BatchNormalization", X, C, C, C, C, opset=7, spatial=0)


def test_batch_normalization_drops_what_only_training_gives():
    outputs = [Value(name) for name in ("y", "mean", "var", "saved_mean", "saved_var")]
    inputs = [Value("x", X.shape, X.dtype), *(Value(n, constant=np.abs(C)) for n in ("scale", "b", "mean", "var"))]
    attributes = {"is_test": 1, "spatial": 1, "consumed_inputs": [0, 0, 0, 1, 1], "epsilon": 1e-3}
    made = make_node(NodeSpec("BatchNormalization", attributes, inputs, outputs, 1))
    assert [v.name for v in made.outputs] == ["y"]


REFUSED = [
    ("Add", 6, [Value("x", None, X.dtype), C], {"broadcast": 1, "axis": 1}, "known rank"),
    ("Add", 6, [X, Value("b", (4,), X.dtype)], {"broadcast": 1, "axis": 1}, "constant"),
    ("PRelu", 6, [Value("x", None, X.dtype), C], {}, "known rank"),
    ("Cast", 1, [X], {"to": "STRING"}, "not supported"),
    ("Upsample", 7, [X], {"scales": [1.0, 1.0, 2.0, 2.0], "mode": "cubic"}, "mode"),
    ("Add", 22, [X, X], {"axis": 1}, "not known"),
    ("Relu", 22, [X], {"slope": 0.5}, "not known"),
]


@pytest.mark.parametrize("op, opset, inputs, attributes, message", REFUSED)
def test_forms_that_are_refused(op, opset, inputs, attributes, message):
    with pytest.raises(UnsupportedError, match=message):
        infer(op, *inputs, opset=opset, **attributes)


def test_group_normalization_had_a_scale_for_each_group():
    scale, bias = np.array([2, 3], np.float32), np.array([0.5, 1], np.float32)
    old = compute("GroupNormalization", X, scale, bias, opset=18, num_groups=2)
    new = compute("GroupNormalization", X, scale.repeat(2), bias.repeat(2), num_groups=2)
    np.testing.assert_array_equal(old, new)


def test_attributes_of_wrong_type_are_named():
    for attributes, opset in (({"axes": "x"}, 11), ({"axes": [1.5]}, 11), ({"axes": None}, 11)):
        with pytest.raises(ModelError, match="attribute 'axes' should be"):
            node("Squeeze", X, opset=opset, **attributes)
