"""Results that are finite are right, however large or small the numbers on the way to them; infinities give what they must."""

import numpy as np
import pytest

from fastconv.errors import UnsupportedError

from ..support.harness import ISAS, run_node
from ..support.nodes import compute, node

INF = np.inf
AXIS = np.array([1])


@pytest.mark.parametrize(
    "row, expected",
    [
        ([100] * 4, 100 + np.log(4)),
        ([-200] * 4, -200 + np.log(4)),
        ([3e38, 0, -3e38, 1], 3e38),
        ([-INF, 1, 1, -INF], 1 + np.log(2)),
        ([-INF] * 4, -INF),
        ([INF, 1, -INF, 2], INF),
        ([np.nan, INF, 1, 2], np.nan),
        ([], -INF),
    ],
)
@pytest.mark.parametrize("keepdims", [0, 1])
def test_reduce_log_sum_exp(row, expected, keepdims):
    y = compute("ReduceLogSumExp", np.float32([row]), AXIS, keepdims=keepdims)
    assert y.shape == ((1, 1) if keepdims else (1,))
    np.testing.assert_allclose(y.item(), np.float32(expected), rtol=1e-6)


@pytest.mark.parametrize("size", [1e-30, 1, 1e20, 1e38])
@pytest.mark.parametrize(
    "op, attributes",
    [
        ("LpPool", {"kernel_shape": [2, 2]}),
        ("LpPool", {"kernel_shape": [2, 2], "p": 3}),
        ("GlobalLpPool", {}),
        ("LpNormalization", {}),
    ],
)
def test_norms(op, attributes, size):
    x = np.float32([[[[size, -size], [0, size]]]])
    y = compute(op, x, **attributes)
    np.testing.assert_allclose(y, compute(op, x.astype(np.float64), **attributes), rtol=1e-5)


@pytest.mark.parametrize("op", ["LpPool", "GlobalLpPool", "LpNormalization"])
@pytest.mark.parametrize("odd", [INF, np.nan])
def test_norms_with_infinity_and_nan(op, odd):
    y = compute(op, np.float32([[[[1, odd], [2, 1]]]]), **({"kernel_shape": [1, 2]} if op == "LpPool" else {}))
    assert y.ravel()[0] == odd or np.isnan(y.ravel()[:2]).any()
    assert np.isfinite(y.ravel()[1:]).any() | (op == "GlobalLpPool")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "op, shape, parameters, attributes",
    [
        ("GroupNormalization", (2, 4, 0), [4, 4], {"num_groups": 2}),
        ("GroupNormalization", (0, 4, 3), [4, 4], {"num_groups": 2}),
        ("InstanceNormalization", (2, 4, 0), [4, 4], {}),
        ("LayerNormalization", (2, 0), [0], {}),
        ("RMSNormalization", (2, 0), [0], {}),
        ("MeanVarianceNormalization", (0, 3, 4, 4), [], {}),
        ("BatchNormalization", (0, 4, 3), [4] * 4, {"training_mode": 1}),
        ("ReduceMean", (0, 3), [], {}),
    ],
)
def test_statistics_of_no_elements(op, shape, parameters, attributes):
    results = compute(op, np.zeros(shape, np.float32), *(np.ones(n, np.float32) for n in parameters), **attributes)
    y, *statistics = results if isinstance(results, tuple) else (results,)
    assert y.shape == ((1, 1) if op == "ReduceMean" else shape)
    assert all(np.isnan(v).all() for v in (y, *statistics))


#: functions with exponentials in them, which would overflow far from 0
FUNCTIONS = ["Sigmoid", "Tanh", "Softplus", "Elu", "Gelu", "Mish", "Swish", "Erf", "Exp", "Softmax", "LogSoftmax"]
X = [
    0,
    1e-45,
    1e-30,
    1e-4,
    0.5,
    1,
    3,
    5,
    8,
    10,
    20,
    50,
    80,
    87,
    88,
    88.5,
    89,
    100,
    103,
    1e3,
    1e10,
    1e19,
    1e20,
    1e30,
    3.4e38,
    INF,
]


@pytest.mark.parametrize("isa", ["reference", *ISAS])
@pytest.mark.parametrize("op", FUNCTIONS)
def test_tails(op, isa):
    x = np.float32([[sign * v] for v in X for sign in (1, -1)] if op != "LogSoftmax" else [[v, 0.0] for v in X[:-1]])
    x = np.ascontiguousarray(x.T) if op == "Softmax" else x
    made = node(op, x).op
    with np.errstate(all="ignore"):
        expected = made.reference(x.astype(np.float64)).astype(np.float32)
        y = made.reference(x) if isa == "reference" else run_node(made, [x], isa, 1)[0][0]
    np.testing.assert_allclose(y, expected, rtol=2e-6, atol=2e-6 if op in ("Elu", "Gelu", "LogSoftmax") else 1e-36)


@pytest.mark.parametrize("op", ["Tanh", "MeanVarianceNormalization"])
def test_functions_of_floats_do_not_cut_off_for_integers(op):
    """ONNX has them for floats only; NumPy computes floats of integers."""
    x = np.ones((1, 2, 2, 2), np.uint8)
    with pytest.raises(UnsupportedError, match="not defined for elements of type uint8: it computes floats"):
        run_node(node(op, x).op, [x], ISAS[0], 1, python=True)
