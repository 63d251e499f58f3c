"""What an operator answers about a node, compared with what its reference computes."""

import numpy as np
import pytest

from fastconv.graph import Value
from fastconv.infer_node import infer_node

from ..support.nodes import compute, node


def data(*shape):
    return np.random.default_rng(5).standard_normal(shape).astype(np.float32)


def inferred(op_type, *inputs, **kw):
    """A node whose outputs have their shapes."""
    made = node(op_type, *inputs, **kw)
    infer_node(made)
    return made


X = data(2, 4, 6)
IDENTITIES = [
    ("Identity", (), {}),
    ("Dropout", (), {}),
    ("Reshape", ([2, 0, -1],), {}),
    ("Squeeze", (np.array([], np.int64),), {}),
    ("Unsqueeze", (np.array([], np.int64),), {}),
    ("Expand", ([4, 1],), {}),
    ("Transpose", (), {"perm": [0, 1, 2]}),
    ("Concat", (), {"axis": 1}),
    ("Sum", (), {}),
    ("Mean", (), {}),
    ("Max", (), {}),
    ("Min", (), {}),
    ("Cast", (), {"to": 1}),
    ("CastLike", (np.zeros(1, np.float32),), {}),
    ("Pad", ([0] * 6,), {}),
]


@pytest.mark.parametrize("op_type, more, attributes", IDENTITIES, ids=[i[0] for i in IDENTITIES])
def test_identities(op_type, more, attributes):
    made = inferred(op_type, X.shape, *map(np.asarray, more), **attributes)
    assert made.op.is_identity(made)
    y = compute(op_type, X, *map(np.asarray, more), **attributes)
    np.testing.assert_array_equal(y[0] if isinstance(y, tuple) else y, X, strict=True)


@pytest.mark.parametrize(
    "op_type, more, attributes",
    [
        ("Relu", (), {}),
        ("Dropout", (0.5, True), {}),
        ("Dropout", (None, Value("training", (), np.dtype(bool))), {}),
        ("Reshape", ([2, 2, 12],), {}),
        ("Reshape", (Value("shape", (3,), np.dtype(np.int64)),), {}),
        ("Expand", ([3, 1, 1, 1],), {}),
        ("Transpose", (), {}),
        ("Concat", (X.shape,), {"axis": 1}),
        ("Sum", (X.shape,), {}),
        ("Cast", (), {"to": 10}),
        ("Pad", ([0, 0, 1, 0, 0, 0],), {}),
        ("Pad", (Value("pads", (6,), np.dtype(np.int64)),), {}),
    ],
)
def test_what_is_no_identity(op_type, more, attributes):
    more = [x if isinstance(x, tuple | Value | None) else np.asarray(x) for x in more]
    made = inferred(op_type, X.shape, *more, **attributes)
    assert not made.op.is_identity(made)


MAP = data(2, 4, 6, 6)
TF_CROP = {"coordinate_transformation_mode": "tf_crop_and_resize"}


@pytest.mark.parametrize(
    "op_type, more, attributes",
    [
        ("MaxPool", (), {"kernel_shape": [2, 2], "pads": [1, 1, 0, 0]}),
        ("Reshape", ([2, 4, 36],), {}),
        ("Flatten", (), {}),
        ("Squeeze", (np.array([], np.int64),), {}),
        ("Unsqueeze", ([0],), {}),
        ("Transpose", (), {"perm": [3, 1, 0, 2]}),
        ("Slice", ([4], [0], [2], [-2]), {}),
        ("DepthToSpace", (), {"blocksize": 2}),
        ("SpaceToDepth", (), {"blocksize": 2}),
        ("Resize", (None, np.array([1, 1, 1.5, 0.5], np.float32)), {}),
    ],
)
def test_what_selects_elements(op_type, more, attributes):
    """A monotonic function commutes with an operator that selects elements."""
    more = [None if x is None else np.asarray(x) for x in more]
    made = inferred(op_type, MAP.shape, *more, **attributes)
    assert made.op.selects_elements(made)

    def first(x):
        y = compute(op_type, x, *more, **attributes)
        return y[0] if isinstance(y, tuple) else y

    np.testing.assert_array_equal(first(np.exp(MAP)), np.exp(first(MAP)), strict=True)


@pytest.mark.parametrize(
    "op_type, more, attributes",
    [
        ("AveragePool", (), {"kernel_shape": [2, 2]}),
        ("Relu", (), {}),
        ("Resize", (None, np.ones(4, np.float32)), {"mode": "linear"}),
        ("Resize", (np.repeat(np.float32([0, 1]), 4), np.ones(4, np.float32)), TF_CROP),
    ],
)
def test_what_makes_new_elements(op_type, more, attributes):
    made = inferred(op_type, MAP.shape, *more, **attributes)
    assert not made.op.selects_elements(made)


@pytest.mark.parametrize("op_type", ["Add", "Sub", "Mul", "Div"])
@pytest.mark.parametrize("constant, axis", [((1,), 1), ((4, 1, 1), 1), ((6,), -1), ((), -1)])
@pytest.mark.parametrize("first", [False, True])
def test_arithmetic_with_a_constant_as_scale_and_shift(op_type, constant, axis, first):
    c = np.abs(data(*constant)) + 1
    operands = (c, MAP.shape) if first else (MAP.shape, c)
    made = inferred(op_type, *operands)
    found = made.op.as_scale_shift(made, axis)
    if first and op_type in ("Sub", "Div"):
        assert found is None
        return
    assert found.x is made.inputs[int(first)]
    check_scale_shift(found, axis, compute(op_type, *((c, MAP) if first else (MAP, c))))


def check_scale_shift(found, axis, expected):
    shape = [1] * MAP.ndim
    shape[axis] = -1
    y = MAP.astype(np.float64) * (1 if found.scale is None else found.scale.reshape(shape)) + found.shift.reshape(shape)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


def test_batch_normalization_as_scale_and_shift():
    params = [np.abs(data(4)) + i for i in range(4)]
    made = inferred("BatchNormalization", MAP.shape, *params)
    check_scale_shift(made.op.as_scale_shift(made, 1), 1, compute("BatchNormalization", MAP, *params)[0])
    assert made.op.as_scale_shift(made, -1) is None


@pytest.mark.parametrize(
    "op_type, constant, axis",
    [
        ("Add", data(4, 1, 1), -1),  # along another axis
        ("Add", data(2, 4, 6, 6), 1),
        ("Add", data(3, 1, 1, 1, 1), 1),  # of which the result has another shape
        ("Add", MAP.shape, 1),
        ("Mul", np.float32(np.inf), 1),
        ("Div", np.float32(0), 1),
        ("Pow", np.float32(1), 1),
    ],
)
def test_what_is_no_scale_and_shift(op_type, constant, axis):
    made = inferred(op_type, MAP.shape, constant)
    assert made.op.as_scale_shift(made, axis) is None


@pytest.mark.parametrize(
    "op_type, x, w, attributes",
    [
        ("Conv", MAP, data(6, 2, 3, 3), {"group": 2}),
        ("ConvTranspose", MAP, data(4, 5, 3, 3), {}),
        ("InstanceNormalization", MAP, data(4), {}),
        ("GroupNormalization", MAP, data(4), {"num_groups": 2}),
        ("Gemm", data(3, 5), data(5, 7), {}),
        ("Gemm", data(3, 5), data(7, 5), {"transB": 1}),
        ("MatMul", X, data(6, 7), {}),
    ],
)
def test_scaled_weights_scale_the_channels(op_type, x, w, attributes):
    zeros = [np.zeros_like(w)] if "Normalization" in op_type else []
    made = inferred(op_type, x.shape, w, *zeros, **attributes)
    axis, channels = made.op.weight_axis(made), made.op.channel_axis
    scale = np.arange(1, w.shape[axis] + 1, dtype=np.float32)
    along_w, along_y = [1] * w.ndim, [1] * x.ndim
    along_w[axis] = along_y[channels] = -1
    scaled = compute(op_type, x, w * scale.reshape(along_w), *zeros, **attributes)
    expected = compute(op_type, x, w, *zeros, **attributes) * scale.reshape(along_y)
    np.testing.assert_allclose(scaled, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "op_type, x, w, attributes",
    [
        ("ConvTranspose", MAP, data(4, 5, 3, 3), {"group": 2}),
        ("Gemm", data(5, 3), data(5, 7), {"transA": 1}),
        ("Gemm", data(3, 5), data(5, 7), {"alpha": 2.0}),
        ("Gemm", data(3, 5), data(5, 7), {"beta": 2.0}),
        ("MatMul", X, data(6), {}),
        ("MatMul", X, data(2, 6, 5), {}),
        ("Add", MAP, data(4, 1, 1), {}),
    ],
)
def test_weights_that_are_not_scaled(op_type, x, w, attributes):
    made = inferred(op_type, x.shape, w, **attributes)
    assert made.op.weight_axis(made) is None


@pytest.mark.parametrize("op_type", ["Shape", "Size", "CastLike"])
def test_placeholders(op_type):
    """Only the shape or dtype of a placeholder is read, no element."""
    x = X if op_type == "CastLike" else X.shape
    like = [Value("like", None, np.dtype(np.int32))] if op_type == "CastLike" else []
    made = inferred(op_type, x, *like)
    stand_ins = made.op.placeholders(made)
    assert set(stand_ins) == {v for v in made.inputs if v.constant is None}
    y = made.op.reference(*(stand_ins.get(v, v.constant) for v in made.inputs))
    expected = {"Shape": X.shape, "Size": X.size, "CastLike": X.astype(np.int32)}[op_type]
    np.testing.assert_array_equal(y, expected)
    unknown = inferred(op_type, *(Value("?") for _ in made.inputs))
    assert not unknown.op.placeholders(unknown)


@pytest.mark.parametrize("attributes", [{}, {"pads": [1, 0, 0, 1]}, {"auto_pad": "VALID"}])
def test_zeros_that_are_padded_are_pads_of_a_convolution(attributes):
    w, pads = data(3, 4, 3, 3), np.array([0, 0, 1, 2, 0, 0, 3, 0])
    pad = inferred("Pad", MAP.shape, pads)
    borders = pad.op.zeros_added(pad)
    assert borders == [(0, 0), (0, 0), (1, 3), (2, 0)]
    conv = node("Conv", MAP.shape, w, **attributes).op
    expected = conv.reference(compute("Pad", MAP, pads), w)
    np.testing.assert_array_equal(conv.padded(borders[2:]).reference(MAP, w), expected, strict=True)


def test_pads_that_cannot_move():
    conv = node("Conv", MAP.shape, data(3, 4, 3, 3), auto_pad="SAME_UPPER").op
    assert conv.padded([(1, 1), (1, 1)]) is None
    for more, attributes in (
        ((np.full(8, -1),), {}),
        ((np.ones(8, int), np.float32(1)), {}),
        ((np.ones(8, int), ()), {}),
        ((Value("pads", (8,), np.dtype(np.int64)),), {}),
        ((np.ones(2, int), None, Value("axes", (1,), np.dtype(np.int64))), {}),
        ((np.ones(8, int),), {"mode": "edge"}),
    ):
        pad = inferred("Pad", MAP.shape, *more, **attributes)
        assert pad.op.zeros_added(pad) is None
