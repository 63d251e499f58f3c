"""conv2d, max_pool2d and linear: every algorithm against the plain loops in float64, and every argument made wrong."""

import inspect
import re
from typing import get_args, get_type_hints

import numpy as np
import pytest

import fastconv
from fastconv import naive
from fastconv.errors import InputError
from fastconv.implementations import IMPLEMENTATIONS
from fastconv.ops import REGISTRY

from ..kernels.cases import rounding, winograd_rounding
from ..support.harness import assert_within

#: the operator behind each function
OPERATORS = {"conv2d": "Conv", "max_pool2d": "MaxPool", "linear": "Gemm"}


def algorithms(function):
    return ["auto", *(i.name for i in IMPLEMENTATIONS[REGISTRY[OPERATORS[function]]] if "float32" in i.dtypes), "naive"]


def normal(*shape):
    return np.random.default_rng(shape).standard_normal(shape, np.float32)


def assert_close(y, function, *arrays, error=rounding, **options):
    """Off by no more than `error` of the sum of magnitudes, for each output its own."""
    assert y.dtype == np.float32
    wide = [a if a is None else a.astype(np.float64) for a in arrays]
    expected = function(*wide, **options)
    scale = function(*(a if a is None else np.abs(a) for a in wide), **options)
    assert_within(y, expected, error(scale))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("algorithm", algorithms("conv2d"))
def test_conv2d(algorithm, bias):
    (IC, KH, groups), options = {
        "first": ((3, 3, 1), {"stride": 2, "padding": (0, 1, 2, 3)}),
        "depthwise": ((6, 3, 6), {"stride": (2, 1), "padding": (1, 0), "dilation": 2}),
        "pointwise": ((6, 1, 2), {"stride": (1, 2)}),
        "winograd": ((6, 3, 1), {"padding": 1}),
    }.get(algorithm, ((6, 3, 3), {"stride": (1, 2), "padding": (2, 1), "dilation": (1, 2)}))
    x, w, b = normal(2, IC, 7, 9), normal(6, IC // groups, KH, KH), normal(6) if bias else None
    y = fastconv.conv2d(x, w, b, groups=groups, algorithm=algorithm, **options)
    error = winograd_rounding(1) if algorithm == "winograd" else rounding
    assert_close(y, naive.conv2d, x, w, b, error=error, groups=groups, **options)


@pytest.mark.parametrize("algorithm", algorithms("max_pool2d"))
def test_max_pool2d(algorithm):
    x = normal(2, 5, 8, 9)
    for options in (
        {"kernel": 2},
        {"kernel": (3, 2), "stride": (2, 1), "padding": (1, 0)},
        {"kernel": 3, "stride": 2, "padding": (0, 1, 1, 2), "ceil_mode": True},
        {"kernel": 2, "stride": 1, "dilation": (2, 3)},
    ):
        y = fastconv.max_pool2d(x, **options, algorithm=algorithm)
        np.testing.assert_array_equal(y, naive.max_pool2d(x, **options))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("algorithm", algorithms("linear"))
def test_linear(algorithm, bias):
    x, w, b = normal(5, 33), normal(17, 33), normal(17) if bias else None
    y = fastconv.linear(x, w, b, algorithm=algorithm)
    assert_close(y, naive.linear, x, w, b)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_do_not_change_the_bits(threads):
    x, w = normal(2, 16, 40, 40), normal(24, 16, 3, 3)
    for algorithm in ("auto", "direct", "im2col", "winograd"):
        alone = fastconv.conv2d(x, w, padding=1, algorithm=algorithm, threads=1)
        assert fastconv.conv2d(x, w, padding=1, algorithm=algorithm, threads=threads).tobytes() == alone.tobytes()


def test_results_are_the_callers_own():
    x, w = normal(1, 3, 5, 5), normal(4, 3, 3, 3)
    a, b = fastconv.conv2d(x, w), fastconv.conv2d(x, w)
    assert a.flags.owndata
    assert a.flags.writeable
    assert not np.shares_memory(a, b)


@pytest.mark.parametrize(
    "arrange", [lambda a: a[:, :, ::-1], lambda a: a.swapaxes(0, 1).copy().swapaxes(0, 1), np.asfortranarray]
)
def test_arrays_need_not_be_contiguous(arrange):
    x, w = arrange(normal(2, 3, 5, 6)), arrange(normal(4, 3, 3, 2))
    np.testing.assert_array_equal(fastconv.conv2d(x, w), fastconv.conv2d(x.copy("C"), w.copy("C")))
    np.testing.assert_array_equal(fastconv.max_pool2d(x, 2), fastconv.max_pool2d(x.copy("C"), 2))
    matrix, weights = x[0], arrange(normal(2, 7, 5, 6))[0]
    np.testing.assert_array_equal(
        fastconv.linear(matrix[0], weights[0]), fastconv.linear(matrix[0].copy("C"), weights[0].copy("C"))
    )


def test_no_images_give_no_results():
    assert fastconv.conv2d(normal(0, 3, 5, 5), normal(4, 3, 3, 3)).shape == (0, 4, 3, 3)
    assert fastconv.max_pool2d(normal(0, 3, 5, 5), 2).shape == (0, 3, 2, 2)
    assert fastconv.linear(normal(0, 3), normal(4, 3)).shape == (0, 4)


@pytest.mark.parametrize("function", OPERATORS)
def test_types_and_docstrings_name_every_algorithm(function):
    typed = get_args(get_type_hints(getattr(fastconv, function))["algorithm"])
    documented = re.search(r"algorithm : (.*)", inspect.getdoc(getattr(fastconv, function)))[1]
    assert sorted(typed) == sorted(re.findall(r'"([\w-]+)"', documented)) == sorted(algorithms(function))


def zeros(*shape, dtype=np.float32):
    return np.zeros(shape, dtype)


X, W, B = zeros(1, 4, 5, 5), zeros(6, 2, 3, 3), zeros(6)
CONV = {"x": X, "w": W, "groups": 2}
POOL = {"x": X, "kernel": 2}
LINEAR = {"x": zeros(2, 3), "w": zeros(4, 3)}
COUNTS = "expected 1 or 2 ints of at least 1, got "
SIDES = "padding: expected 1 or 2 or 4 ints of at least 0, got "
NOT_INTS = ["2", None, 1.5, (1.0, 1), (), (1, 2, 3), {1}]

#: what every algorithm says of a wrong argument: (function, arguments, the wrong one, message)
WRONG = [
    *(("conv2d", CONV, {"stride": v}, f"stride: {COUNTS}{v!r}") for v in (0, -1, (1, 0), *NOT_INTS)),
    *(("conv2d", CONV, {"dilation": v}, f"dilation: {COUNTS}{v!r}") for v in (0, -1, (1, 0), *NOT_INTS)),
    *(("conv2d", CONV, {"padding": v}, f"{SIDES}{v!r}") for v in (-1, (0, -1), (1,) * 5, *NOT_INTS)),
    *(("conv2d", CONV, {"groups": v}, f"groups: expected 1 ints of at least 1, got {v!r}") for v in (0, -1, (1, 1), *NOT_INTS)),
    ("conv2d", CONV, {"x": None}, "x: expected floats [N, IC, IH, IW], got object scalar"),
    ("conv2d", CONV, {"x": "image"}, "x: expected floats [N, IC, IH, IW], got <U5 scalar"),
    ("conv2d", CONV, {"x": X[0]}, "x: expected floats [N, IC, IH, IW], got float32 4×5×5"),
    ("conv2d", CONV, {"x": X.astype(int)}, "x: expected floats [N, IC, IH, IW], got int64 1×4×5×5"),
    ("conv2d", CONV, {"w": W[0]}, "w: expected floats [OC, IC / groups, KH, KW], got float32 2×3×3"),
    ("conv2d", CONV, {"w": None}, "w: expected floats [OC, IC / groups, KH, KW], got object scalar"),
    ("conv2d", CONV, {"b": B[None]}, "b: expected floats [OC], got float32 1×6"),
    ("conv2d", CONV, {"b": B[:5]}, "b: expected 6 values, got 5"),
    ("conv2d", CONV, {"b": B[:1]}, "b: expected 6 values, got 1"),
    *(("max_pool2d", POOL, {"kernel": v}, f"kernel: {COUNTS}{v!r}") for v in (0, -1, (1, 0), *NOT_INTS)),
    *(("max_pool2d", POOL, {"stride": v}, f"stride: {COUNTS}{v!r}") for v in (0, -1, (1, 0), *NOT_INTS) if v is not None),
    *(("max_pool2d", POOL, {"padding": v}, f"{SIDES}{v!r}") for v in (-1, (0, -1), (1,) * 5, *NOT_INTS)),
    *(("max_pool2d", POOL, {"dilation": v}, f"dilation: {COUNTS}{v!r}") for v in (0, -1, (1, 0), *NOT_INTS)),
    ("max_pool2d", POOL, {"x": X[0]}, "x: expected floats [N, C, IH, IW], got float32 4×5×5"),
    ("linear", LINEAR, {"x": zeros(3)}, "x: expected floats [N, K], got float32 3"),
    ("linear", LINEAR, {"w": zeros(4)}, "w: expected floats [OC, K], got float32 4"),
    ("linear", LINEAR, {"w": zeros(4, 5)}, "linear: x has K = 3, w has K = 5"),
    ("linear", LINEAR, {"b": zeros(3)}, "b: expected 4 values, got 3"),
    ("linear", LINEAR, {"b": zeros(2, 4)}, "b: expected floats [OC], got float32 2×4"),
]
#: what the kernels alone are asked for
WRONG_FOR_KERNELS = [
    ("conv2d", CONV, {"x": X.astype(np.float64)}, "x: expected float32, got float64"),
    ("conv2d", CONV, {"x": X.astype(">f4")}, "x: expected float32, got >f4"),
    ("conv2d", CONV, {"w": W.astype(np.float16)}, "w: expected float32, got float16"),
    ("conv2d", CONV, {"b": B.astype(np.float64)}, "b: expected float32, got float64"),
    ("max_pool2d", POOL, {"x": X.astype(np.float64)}, "x: expected float32, got float64"),
    ("linear", LINEAR, {"x": zeros(2, 3, dtype=np.float64)}, "x: expected float32, got float64"),
    ("conv2d", CONV, {"x": X[:, :3]}, "conv2d: input channels (weights 6×2×3×3, group 2): expected 4, got 3"),
    ("conv2d", CONV, {"w": W[:5]}, "conv2d: weights: expected output channels divisible by group 2, got 5"),
    ("conv2d", CONV, {"w": W[:0]}, "conv2d: weights: expected sizes above 0, got 0×2×3×3"),
    ("conv2d", CONV, {"w": W[:, :, :0]}, "conv2d: weights: expected sizes above 0, got 6×2×0×3"),
    ("conv2d", CONV, {"x": X[:, :, :2]}, "conv2d: spatial axis 0: a window of 3 does not fit into 2 with padding 0 and 0"),
    ("conv2d", CONV, {"dilation": (1, 3)}, "conv2d: spatial axis 1: a window of 7 does not fit into 5 with padding 0 and 0"),
    ("max_pool2d", POOL, {"kernel": 6}, "max_pool2d: spatial axis 0: a window of 6 does not fit into 5 with padding 0 and 0"),
    ("max_pool2d", POOL, {"padding": 2}, "max_pool2d: pads: expected less than the window's 2 on spatial axis 0, got 2"),
    ("max_pool2d", POOL, {"x": X[:, :0]}, "max_pool2d: input: expected channels, got 0"),
    *(
        ("conv2d", CONV, {"algorithm": v}, f"algorithm: expected {', '.join(algorithms('conv2d')[:-1])} or naive, got {v!r}")
        for v in ("gemm", "", None, 1)
    ),
    ("max_pool2d", POOL, {"algorithm": "direct"}, "algorithm: expected auto, blocked, row-major or naive, got 'direct'"),
    ("linear", LINEAR, {"algorithm": "direct"}, "algorithm: expected auto, gemm, strided or naive, got 'direct'"),
    ("conv2d", CONV, {"algorithm": "first"}, "algorithm 'first' refuses: group 2"),
    ("conv2d", CONV, {"algorithm": "depthwise"}, "algorithm 'depthwise' refuses: 6 filters over 2 of 4 channels"),
    ("conv2d", CONV, {"algorithm": "pointwise"}, "algorithm 'pointwise' refuses: kernel 3×3"),
    ("conv2d", CONV, {"algorithm": "winograd"}, "algorithm 'winograd' refuses: group 2"),
    ("conv2d", CONV, {"algorithm": "direct", "x": X[:0]}, "algorithm 'direct' refuses: empty tensor"),
    ("max_pool2d", POOL, {"algorithm": "blocked", "x": X[:0]}, "algorithm 'blocked' refuses: empty tensor"),
    ("linear", LINEAR, {"algorithm": "gemm", "x": zeros(0, 3)}, "algorithm 'gemm' refuses: empty tensor"),
    *(
        (function, arguments, {"threads": v}, f"threads: expected an int of 1 or more, got {v!r}")
        for function, arguments in (("conv2d", CONV), ("max_pool2d", POOL), ("linear", LINEAR))
        for v in (0, -1, 1.5, "2", True)
    ),
]


def name(case):
    function, _, wrong, _ = case
    return f"{function}-" + "-".join(
        f"{k}={v.dtype}{v.shape}" if isinstance(v, np.ndarray) else f"{k}={v!r}" for k, v in wrong.items()
    )


@pytest.mark.parametrize("algorithm", ["auto", "naive"])
@pytest.mark.parametrize("case", WRONG, ids=name)
def test_wrong_arguments(case, algorithm):
    function, arguments, wrong, message = case
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        getattr(fastconv, function)(**{**arguments, **wrong}, algorithm=algorithm)


@pytest.mark.parametrize("case", WRONG_FOR_KERNELS, ids=name)
def test_wrong_arguments_for_kernels(case):
    function, arguments, wrong, message = case
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        getattr(fastconv, function)(**{**arguments, **wrong})


@pytest.mark.parametrize("value", [2, np.int64(2), [2, 2], np.array([2, 2]), (np.int8(2), 2)], ids=repr)
def test_any_int_will_do(value):
    x, w = normal(1, 4, 9, 9), normal(6, 2, 3, 3)
    expected = fastconv.conv2d(x, w, stride=(2, 2), padding=(2, 2, 2, 2), dilation=(2, 2), groups=2)
    np.testing.assert_array_equal(
        fastconv.conv2d(x, w, stride=value, padding=value, dilation=value, groups=np.int32(2)), expected
    )
    pooled = fastconv.max_pool2d(x, (2, 2), (2, 2), dilation=(2, 2))
    np.testing.assert_array_equal(fastconv.max_pool2d(x, value, value, dilation=value), pooled)
