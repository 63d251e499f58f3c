"""MaxPool, GlobalMaxPool and ReduceMax on the kernel max_pool."""

import numpy as np
import pytest

from fastconv import kernels
from fastconv.ops.global_pool import GlobalMaxPool
from fastconv.ops.max_pool import MaxPool
from fastconv.ops.reduce import ReduceMax

from ..support.harness import ISAS, choice, integers, reference, refusals, run_threads, same_bits

COVERS = dict.fromkeys(("MaxPool", "GlobalMaxPool", "ReduceMax"), ("blocked",))
EVERY_ISA = pytest.mark.parametrize("isa", ISAS)
#: between them they meet every loop: shared columns, single columns, borders, padding on one side, ceil mode's last window
WINDOWS = [
    {"kernel_shape": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1)},
    {"kernel_shape": (3, 3), "strides": (2, 2), "ceil_mode": 1},
    {"kernel_shape": (2, 2), "strides": (2, 2)},
    {"kernel_shape": (2, 2), "strides": (2, 2), "ceil_mode": 1, "pads": (0, 1, 0, 0)},
    {"kernel_shape": (3, 3), "pads": (1, 1, 1, 1)},
    {"kernel_shape": (5, 5), "pads": (2, 2, 2, 2)},
    {"kernel_shape": (1, 3), "strides": (1, 2), "pads": (0, 2, 0, 1)},
    {"kernel_shape": (3, 1), "strides": (3, 3), "pads": (2, 0, 0, 0)},
    {"kernel_shape": (4, 7), "strides": (1, 3), "pads": (3, 6, 2, 4)},
    {"kernel_shape": (2, 3), "dilations": (3, 2), "pads": (3, 4, 1, 2)},
    {"kernel_shape": (3, 2), "dilations": (1, 3), "strides": (2, 1), "pads": (1, 3, 2, 3)},
    {"kernel_shape": (13, 13), "pads": (6, 6, 6, 6)},
    {"kernel_shape": (3, 3), "strides": (2, 2), "auto_pad": "SAME_UPPER"},
]


def check(op, x, isa, constants=(), results=1, **options):
    inputs = x if isinstance(x, list) else [x]
    (y,), plan = run_threads(op, inputs, isa, constants=constants, **options)
    expected = reference(op, inputs, results=results)[0].astype(np.float32)
    np.testing.assert_array_equal(y, expected)
    assert choice(plan) == "blocked"
    return y


@EVERY_ISA
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_windows(isa, window):
    rng = np.random.default_rng(0)
    V = kernels.load(isa).V
    for W in range(1, 18):
        op = MaxPool(**window)
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
        check(MaxPool(kernel_shape=(3, 3), strides=(2, 2), pads=(1, 1, 1, 1)), x, isa)
        check(GlobalMaxPool(), x, isa)


@EVERY_ISA
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_nan_wins_at_every_position(isa, window):
    op = MaxPool(**window)
    H, W = 13, 15
    # one channel for each place of the NaN
    x = np.random.default_rng(2).standard_normal((1, H * W, H, W), np.float32)
    x.reshape(H * W, H * W)[np.arange(H * W), np.arange(H * W)] = np.nan
    y = check(op, x, isa)
    assert np.isnan(y).any()


@EVERY_ISA
def test_infinities_and_windows_of_padding_alone(isa):
    x = np.full((1, 5, 4, 6), -np.inf, np.float32)
    y = check(MaxPool(kernel_shape=(3, 3), pads=(1, 1, 1, 1)), x, isa)
    assert (y == -np.inf).all()
    x[:, :, 1, 2] = np.inf
    check(MaxPool(kernel_shape=(3, 3), pads=(1, 1, 1, 1)), x, isa)
    # taps 3 apart step over an input that is one element wide
    y = check(MaxPool(kernel_shape=(2, 2), dilations=(3, 3), pads=(2, 2, 2, 2)), np.ones((1, 3, 1, 1), np.float32), isa)
    assert (y == -np.inf).any()


@EVERY_ISA
@pytest.mark.parametrize("guard", ["before", "after"])
@pytest.mark.slow
def test_stays_inside_its_memory(isa, guard):
    rng = np.random.default_rng(3)
    V = kernels.load(isa).V
    for C in (1, V, V + 1):
        for window in WINDOWS:
            check(MaxPool(**window), integers(rng, (1, C, 16, 17)), isa, guard=guard)


@EVERY_ISA
def test_images_do_not_depend_on_the_batch(isa):
    rng = np.random.default_rng(4)
    for N in (2, 3, 7):
        x = rng.standard_normal((N, 5, 9, 11), np.float32)
        op = MaxPool(kernel_shape=(3, 3), strides=(2, 2), pads=(0, 0, 1, 1))
        y = check(op, x, isa)
        for n in range(N):
            assert same_bits(check(op, x[n : n + 1], isa), y[n : n + 1])


@EVERY_ISA
@pytest.mark.parametrize("axes", [(2, 3), (-1, -2)])
@pytest.mark.parametrize("keepdims", [0, 1])
def test_reduce_max(isa, axes, keepdims):
    rng = np.random.default_rng(5)
    V = kernels.load(isa).V
    for C in range(1, 2 * V + 2):
        x = rng.standard_normal((3, C, 5, 7), np.float32)
        x[0, 0, 3, 2] = np.nan
        check(ReduceMax(keepdims=keepdims), [x, np.array(axes)], isa, constants=(1,))


def test_refusals():
    x = np.zeros((1, 2, 5, 5), np.float32)
    op = MaxPool(kernel_shape=(2, 2))
    assert refusals(op, [x], ISAS[-1], results=2)["blocked"] == "indices output"
    assert refusals(op, [x.astype(np.float64)], ISAS[-1])["blocked"] == "dtype float64"
    assert refusals(MaxPool(kernel_shape=(2,)), [x[0]], ISAS[-1])["blocked"] == "rank 3"
    assert refusals(op, [x[:0]], ISAS[-1])["blocked"] == "empty tensor"
