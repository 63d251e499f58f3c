"""AveragePool, GlobalAveragePool and ReduceMean on the kernel average_pool."""

import math

import numpy as np
import pytest

from fastconv import kernels
from fastconv.ops.average_pool import AveragePool
from fastconv.ops.global_pool import GlobalAveragePool
from fastconv.ops.reduce import ReduceMean

from ..support.harness import EPS, ISAS, assert_within, choice, integers, reference, refusals, run_threads, same_bits
from .test_max_pool import WINDOWS

COVERS = dict.fromkeys(("AveragePool", "GlobalAveragePool", "ReduceMean"), ("blocked",))
EVERY_ISA = pytest.mark.parametrize("isa", ISAS)


def check(op, x, isa, constants=(), depth=None, **options):
    """Against float64, with the error that `depth` additions and a division can make of the means of magnitudes."""
    inputs = x if isinstance(x, list) else [x]
    (y,), plan = run_threads(op, inputs, isa, constants=constants, **options)
    (expected,) = reference(op, inputs)
    (scale,) = reference(op, [np.abs(inputs[0]), *inputs[1:]])
    # a sum's longest chain: 16 of a run and 3 to join its accumulators, then a sum for every run
    depth = math.prod(op.kernel_shape) + 4 if depth is None else depth
    assert_within(y, expected, (depth + 1) * EPS / 2 * scale)
    assert choice(plan) == "blocked"
    return y


@EVERY_ISA
@pytest.mark.parametrize("inside", [0, 1])
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_windows(isa, window, inside):
    rng = np.random.default_rng(0)
    V = kernels.load(isa).V
    for W in range(1, 18):
        op = AveragePool(**window, count_include_pad=inside)
        H = 20 - W
        pads = window.get("pads", (0,) * 4)
        extent = [(k - 1) * d + 1 for k, d in zip(window["kernel_shape"], window.get("dilations", (1, 1)), strict=True)]
        if H + pads[0] + pads[2] >= extent[0] and W + pads[1] + pads[3] >= extent[1]:
            check(op, rng.standard_normal((2, V + 1, H, W), np.float32), isa)


@EVERY_ISA
def test_every_channel_tail(isa):
    rng = np.random.default_rng(1)
    V = kernels.load(isa).V
    for C in range(1, 2 * V + 2):
        x = rng.standard_normal((2, C, 6, 9), np.float32)
        check(AveragePool(kernel_shape=(3, 3), strides=(2, 2), pads=(1, 1, 1, 1)), x, isa)
        check(GlobalAveragePool(), x, isa, depth=22)


@EVERY_ISA
def test_integers_are_exact(isa):
    """Sums of integers are exact, so only the division rounds."""
    rng = np.random.default_rng(2)
    for size in ((1, 1), (3, 5), (8, 8), (13, 29), (56, 56)):
        x = integers(rng, (1, 5, *size), -99, 99)
        (y,), _ = run_threads(GlobalAveragePool(), [x], isa)
        count = np.float32(math.prod(size))
        np.testing.assert_array_equal(y, x.sum(axis=(2, 3), keepdims=True, dtype=np.float64).astype(np.float32) / count)


@EVERY_ISA
@pytest.mark.parametrize("size", [(1, 1), (7, 7), (63, 1), (64, 2), (65, 3), (112, 112)])
def test_error_grows_slowly_with_the_window(isa, size):
    # equal numbers: in one long sum, all additions between two powers of 2 round the same way
    x = np.full((1, 3, *size), 0.1, np.float32)
    check(GlobalAveragePool(), x, isa, depth=19 + -(-math.prod(size) // 64))


@EVERY_ISA
def test_nan_and_infinity_reach_only_windows_that_hold_them(isa):
    x = np.ones((1, 3, 9, 9), np.float32)
    x[0, 0, 4, 4], x[0, 1, 0, 8] = np.nan, np.inf
    y = check(AveragePool(kernel_shape=(3, 3), pads=(1, 1, 1, 1)), x, isa)
    assert np.isnan(y).sum() == 9
    assert np.isinf(y).sum() == 4


@pytest.mark.slow
@EVERY_ISA
@pytest.mark.parametrize("guard", ["before", "after"])
def test_stays_inside_its_memory(isa, guard):
    rng = np.random.default_rng(4)
    V = kernels.load(isa).V
    for C in (1, V, V + 1):
        for window in WINDOWS:
            check(AveragePool(**window), integers(rng, (1, C, 16, 17)), isa, guard=guard)
        check(ReduceMean(keepdims=0), [integers(rng, (2, C, 5, 7)), np.array([2, 3])], isa, (1,), depth=22, guard=guard)


@EVERY_ISA
def test_images_do_not_depend_on_the_batch(isa):
    rng = np.random.default_rng(5)
    for N in (2, 3, 7):
        x = rng.standard_normal((N, 5, 9, 11), np.float32)
        for op in (AveragePool(kernel_shape=(3, 3), strides=(2, 2), pads=(0, 0, 1, 1)), GlobalAveragePool()):
            y = check(op, x, isa, depth=25)
            for n in range(N):
                assert same_bits(check(op, x[n : n + 1], isa, depth=25), y[n : n + 1])


@EVERY_ISA
@pytest.mark.parametrize("axes", [(2, 3), (-1, -2)])
@pytest.mark.parametrize("keepdims", [0, 1])
def test_reduce_mean(isa, axes, keepdims):
    rng = np.random.default_rng(6)
    V = kernels.load(isa).V
    for C in range(1, 2 * V + 2):
        x = rng.standard_normal((3, C, 5, 7), np.float32)
        check(ReduceMean(keepdims=keepdims), [x, np.array(axes)], isa, constants=(1,), depth=22)


def test_refusals():
    x = np.zeros((1, 2, 5, 5), np.float32)
    assert refusals(ReduceMean(), [x, np.array([1])], ISAS[-1], constants=(1,))["blocked"] == "axes (1,)"
    assert refusals(ReduceMean(), [x], ISAS[-1])["blocked"] == "axes (0, 1, 2, 3)"
    assert refusals(GlobalAveragePool(), [x[0]], ISAS[-1]) == {"blocked": "rank 3"}
    assert refusals(AveragePool(kernel_shape=(2, 2)), [x.astype(np.float64)], ISAS[-1]) == {"blocked": "dtype float64"}
