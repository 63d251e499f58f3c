"""NaN propagates from every element that a result depends on; infinities and negative zero are kept."""

from __future__ import annotations

import numpy as np
import pytest

from ..support.nodes import compute

NAN, INF = np.nan, np.inf
ONE_NAN = np.array([1, NAN, -2], np.float32)

ELEMENTWISE = [
    ("Relu", [], {}),
    ("Clip", [np.float32(0), np.float32(6)], {}),
    ("LeakyRelu", [], {}),
    ("ThresholdedRelu", [], {}),
    ("PRelu", [np.float32(0.5)], {}),
    ("Elu", [], {}),
    ("Celu", [], {}),
    ("Selu", [], {}),
    ("Sigmoid", [], {}),
    ("HardSigmoid", [], {}),
    ("HardSwish", [], {}),
    ("Swish", [], {}),
    ("Tanh", [], {}),
    ("Softplus", [], {}),
    ("Softsign", [], {}),
    ("Mish", [], {}),
    ("Gelu", [], {}),
    ("Gelu", [], {"approximate": "tanh"}),
    ("Erf", [], {}),
    ("Shrink", [], {}),
    ("Abs", [], {}),
    ("Sign", [], {}),
    ("Round", [], {}),
    ("Add", [np.float32(1)], {}),
    ("Min", [np.float32(0)], {}),
    ("Max", [np.float32(0)], {}),
]


@pytest.mark.parametrize("op, others, attributes", ELEMENTWISE)
def test_elementwise(op, others, attributes):
    assert np.isnan(compute(op, ONE_NAN, *others, **attributes)).tolist() == [False, True, False]


@pytest.mark.parametrize("op", ["Min", "Max"])
def test_nan_on_either_side(op):
    assert np.isnan(compute(op, np.float32([NAN, 1]), np.float32([1, NAN]))).all()


@pytest.mark.parametrize("i", range(9))
def test_max_pool_wherever_it_stands(i):
    x = np.arange(9, dtype=np.float32)
    x[i] = NAN
    y, index = compute("MaxPool", x.reshape(1, 1, 3, 3), kernel_shape=[3, 3], outputs=2)
    assert np.isnan(y).all()
    assert index.item() == i


def test_max_pool_names_the_first_nan():
    x = np.array([[[[1, NAN, 2, NAN]]]], np.float32)
    assert compute("MaxPool", x, kernel_shape=[1, 4], outputs=2)[1].item() == 1


def test_max_pool_of_minus_infinity():
    x = np.full((1, 1, 2, 2), -INF, np.float32)
    y, index = compute("MaxPool", x, kernel_shape=[2, 2], pads=[1, 1, 1, 1], outputs=2)
    assert (y == -INF).all()
    assert index.reshape(3, 3).tolist() == [[0, 0, 1], [0, 0, 1], [2, 2, 3]]


def test_max_pool_counts_by_rows_or_by_columns_through_images_and_channels():
    x = np.arange(2 * 2 * 2 * 3, dtype=np.float32).reshape(2, 2, 2, 3)
    rows = compute("MaxPool", x, kernel_shape=[2, 3], outputs=2)[1].ravel()
    columns = compute("MaxPool", x, kernel_shape=[1, 2], strides=[1, 2], storage_order=1, outputs=2)[1]
    assert rows.tolist() == [5, 11, 17, 23]
    assert columns[0, 0].ravel().tolist() == [2, 3]
    assert columns[1, 1].ravel().tolist() == [20, 21]


@pytest.mark.parametrize("op", ["ReduceMax", "ReduceMin", "ReduceMean", "ReduceSum", "ReduceL2", "ReduceLogSumExp"])
def test_reductions(op):
    x = np.stack([ONE_NAN, np.float32([1, 2, 3])])
    assert np.isnan(compute(op, x, np.array([1]), keepdims=0)).tolist() == [True, False]


@pytest.mark.parametrize("op", ["GlobalMaxPool", "GlobalAveragePool"])
def test_global_pools(op):
    x = np.stack([ONE_NAN, np.float32([1, 2, 3])])[None]
    assert np.isnan(compute(op, x)).ravel().tolist() == [True, False]


@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
def test_the_first_nan_is_the_extreme(op):
    x = np.array([[5, NAN, 9, NAN], [1, 1, 1, 1]], np.float32)
    assert compute(op, x, axis=1).ravel().tolist() == [1, 0]
    assert compute(op, x, axis=1, select_last_index=1).ravel().tolist() == [3, 3]


def test_top_k_counts_nan_as_largest():
    x = np.array([1, NAN, 3, 3], np.float32)
    assert compute("TopK", x, np.array([3]), outputs=2)[1].tolist() == [1, 2, 3]
    assert compute("TopK", x, np.array([3]), largest=0, outputs=2)[1].tolist() == [0, 2, 3]


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
def test_softmax_of_a_row_with_nan_is_nan(op):
    x = np.stack([ONE_NAN, np.float32([1, 2, 3])])
    assert np.isnan(compute(op, x)).all(axis=1).tolist() == [True, False]


def test_conv_carries_nan_into_the_windows_that_touch_it():
    x = np.zeros((1, 1, 5, 5), np.float32)
    x[0, 0, 0, 0] = NAN
    y = compute("Conv", x, np.ones((1, 1, 3, 3), np.float32), pads=[1, 1, 1, 1])
    assert np.isnan(y[0, 0, :2, :2]).all()
    assert np.isnan(y).sum() == 4


def test_average_pool_leaves_nan_outside_its_windows_alone():
    x = np.ones((1, 1, 1, 6), np.float32)
    x[..., 0] = NAN
    y = compute("AveragePool", x, kernel_shape=[1, 2], strides=[1, 2])
    assert np.isnan(y).ravel().tolist() == [True, False, False]


def test_resize_nearest_copies():
    x = np.array([[[INF, -INF, NAN, -0.0]]], np.float32)
    y = compute("Resize", x, None, np.array([1, 1, 2], np.float32), mode="nearest")
    np.testing.assert_array_equal(y.ravel(), x.ravel().repeat(2))
    assert np.signbit(y.ravel()[-1])


def test_variance_below_zero_gives_nan():
    one = np.ones(1, np.float32)
    y, *_ = compute("BatchNormalization", np.ones((1, 1, 2), np.float32), one, one, one, -one)
    assert np.isnan(y).all()
