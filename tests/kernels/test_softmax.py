"""Softmax and LogSoftmax on the kernel softmax."""

import math

import numpy as np
import pytest

from fastconv import kernels
from fastconv.ops.softmax import LogSoftmax, Softmax

from ..support.harness import EPS, ISAS, assert_within, choice, integers, reference, refusals, run_threads, same_bits

COVERS = dict.fromkeys(("Softmax", "LogSoftmax"), ("row-major",))
EVERY_ISA = pytest.mark.parametrize("isa", ISAS)
BOTH = pytest.mark.parametrize("op", [Softmax, LogSoftmax])


def check(op, x, isa, **options):
    """The error of e^x, of a sum of K positive numbers in V parts, and of a division or logarithm."""
    (y,), plan = run_threads(op, [x], isa, **options)
    (expected,) = reference(op, [x])
    K = math.prod(x.shape[a] for a in op.axes(x.ndim))
    V = kernels.load(isa).V
    with np.errstate(invalid="ignore"):
        # x - max is rounded before e^x: an error of its own size, which e^x makes relative
        far = np.nan_to_num(x.max(op.axes(x.ndim), keepdims=True) - x, nan=0, posinf=0, neginf=0)
    relative = EPS * (4 + (-(-K // V) + V if x.shape[-1] == K else K) / 2)
    if isinstance(op, Softmax):
        assert_within(y, expected, (relative + far * EPS) * expected + np.finfo(np.float32).tiny)
    else:
        assert_within(y, expected, relative + EPS * (far + np.abs(expected)))
    assert choice(plan) == "row-major"
    return y


@EVERY_ISA
@BOTH
def test_row_lengths(isa, op):
    rng = np.random.default_rng(0)
    V = kernels.load(isa).V
    for K in (*range(1, 2 * V + 2), 1000, 4097):
        check(op(), (5 * rng.standard_normal((V + 3 if K < 1000 else 3, K))).astype(np.float32), isa)


@EVERY_ISA
@BOTH
def test_inner_axes(isa, op):
    rng = np.random.default_rng(1)
    V = kernels.load(isa).V
    for inner in (*range(1, 2 * V + 2), 63, 64, 65, 200):
        check(op(axis=1), (5 * rng.standard_normal((2, 5, inner))).astype(np.float32), isa)
    x = rng.standard_normal((2, 3, 4, 5), np.float32)
    for axis in range(-4, 4):
        check(op(axis=axis), x, isa)
        check(op(axis=axis, joint=1), x, isa)


@EVERY_ISA
@BOTH
def test_rows_without_a_sum(isa, op):
    """NaN, +inf, and -inf alone make the whole row NaN, and no other; -inf beside numbers is the probability 0."""
    for shape, axis in (((7, 19), 1), ((1, 19, 7), 1)):
        x = np.zeros(shape, np.float32)
        rows = x if axis == 1 and len(shape) == 2 else x[0].T
        rows[1, 3], rows[2, 18], rows[3], rows[4, :5], rows[5, 0] = np.nan, np.inf, -np.inf, -np.inf, np.nan
        y = check(op(axis=axis), x, isa)
        bad = np.isnan(y if len(shape) == 2 else y[0].T)
        assert bad.all(axis=1).tolist() == [False, True, True, True, False, True, False]
        assert bad.any(axis=1).tolist() == bad.all(axis=1).tolist()


@EVERY_ISA
@BOTH
def test_nan_at_every_position(isa, op):
    K = 2 * kernels.load(isa).V + 3
    x = np.ones((K, K), np.float32)
    x[np.arange(K), np.arange(K)] = np.nan
    assert np.isnan(check(op(), x, isa)).all()


@EVERY_ISA
@BOTH
def test_large_numbers_do_not_overflow(isa, op):
    x = np.array([[1e30, 1e30, -1e30], [89, 88, 87], [-200, -201, -400], [0, -87.4, -103]], np.float32)
    y = check(op(), x, isa)
    assert np.isfinite(y).all()


@EVERY_ISA
@BOTH
@pytest.mark.parametrize("guard", ["before", "after"])
def test_stays_inside_its_memory(isa, op, guard):
    rng = np.random.default_rng(2)
    for shape in ((1, 1), (3, 5), (2, 17), (2, 3, 5), (1, 2, 16), (1, 3, 67)):
        check(op(axis=1), integers(rng, shape), isa, guard=guard)


@EVERY_ISA
@BOTH
def test_images_do_not_depend_on_the_batch(isa, op):
    x = np.random.default_rng(3).standard_normal((7, 5, 11), np.float32)
    for axis in (1, 2):
        y = check(op(axis=axis), x, isa)
        for n in range(len(x)):
            assert same_bits(check(op(axis=axis), x[n : n + 1], isa), y[n : n + 1])


def test_refusals():
    assert refusals(Softmax(), [np.zeros((2, 3))], ISAS[-1]) == {"row-major": "dtype float64"}
    assert refusals(Softmax(), [np.zeros((2, 0), np.float32)], ISAS[-1]) == {"row-major": "empty tensor"}
