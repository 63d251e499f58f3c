"""Reductions over neighbouring axes on the kernel reduce."""

import itertools

import numpy as np
import pytest

from fastconv import kernels
from fastconv.ops.reduce import (
    ReduceL1,
    ReduceL2,
    ReduceMax,
    ReduceMean,
    ReduceMin,
    ReduceProd,
    ReduceSum,
    ReduceSumSquare,
)

from ..support.harness import EPS, ISAS, assert_within, choice, integers, reference, refusals, run_threads, same_bits

OPS = (ReduceSum, ReduceMean, ReduceMax, ReduceMin, ReduceProd, ReduceL1, ReduceL2, ReduceSumSquare)
COVERS = {op.__name__: ("row-major",) for op in OPS}
EVERY_ISA = pytest.mark.parametrize("isa", ISAS)
EVERY_OP = pytest.mark.parametrize("op", OPS)


def check(op, x, axes, isa, **options):
    """Sums of small integers and of their squares are exact, and products of powers of two; the others only choose.

    But for a mean, which is one product with 1 / K, itself rounded, and a norm, which is a root.
    """
    if isinstance(op, ReduceProd):
        x = np.where(np.isfinite(x), np.copysign(np.exp2(np.nan_to_num(x) % 3 - 1), x), x)
    inputs = [x] if axes is None else [x, np.array(axes, np.int64)]
    (y,), plan = run_threads(op, inputs, isa, constants=(1,), **options)
    (expected,) = reference(op, inputs)
    assert_within(y, expected, EPS * np.abs(expected) if isinstance(op, ReduceMean | ReduceL2) else 0)
    assert choice(plan) == "row-major"
    return y


@EVERY_ISA
@EVERY_OP
def test_lengths(isa, op):
    rng = np.random.default_rng(0)
    V = kernels.load(isa).V
    for K in (*range(1, 2 * V + 2), 1000):
        check(op(), integers(rng, (5, K)), [1], isa)
        check(op(), integers(rng, (2, K, 3)), [1], isa)


@EVERY_ISA
@EVERY_OP
def test_inner_sizes(isa, op):
    rng = np.random.default_rng(1)
    V = kernels.load(isa).V
    for inner in (*range(1, 2 * V + 2), 8 * V - 1, 8 * V, 8 * V + 1, 20 * V + 3):
        check(op(keepdims=0), integers(rng, (2, 5, inner)), [1], isa)


@EVERY_ISA
@EVERY_OP
def test_axes(isa, op):
    """Every set of axes with none between them, and some with an axis of size 1 there."""
    rng = np.random.default_rng(2)
    x = integers(rng, (2, 3, 4, 5, 2))
    for first, last in itertools.combinations(range(6), 2):
        axes = list(range(first, last))
        if not (op is ReduceMean and axes == [2, 3]):
            check(op(), x, axes, isa)
            check(op(keepdims=0), x, [a - 5 for a in axes], isa)
    check(op(), x, None, isa)
    check(op(noop_with_empty_axes=1), x, None, isa)
    check(op(), integers(rng, (2, 3, 1, 4)), [1, 3], isa)


@EVERY_ISA
@EVERY_OP
@pytest.mark.parametrize("axis", [1, 2])
def test_nan_and_infinities(isa, op, axis):
    x = np.zeros((1, 19, 19), np.float32)
    columns = x[0] if axis == 1 else x[0].T
    columns[3, 0], columns[18, 1], columns[0, 2], columns[5, 3], columns[6, 3] = np.nan, np.nan, np.inf, np.inf, -np.inf
    columns[:, 4] = -np.inf
    columns[:, 5] = np.inf
    check(op(), x, [axis], isa)


@EVERY_ISA
@pytest.mark.parametrize("guard", ["before", "after"])
def test_stays_inside_its_memory(isa, guard):
    rng = np.random.default_rng(3)
    for shape in ((1, 1, 1), (2, 3, 5), (1, 17, 1), (3, 2, 67), (1, 2, 16)):
        for axis in range(3):
            check(ReduceSum(), integers(rng, shape), [axis], isa, guard=guard)


@EVERY_ISA
def test_images_do_not_depend_on_the_batch(isa):
    x = np.random.default_rng(4).standard_normal((7, 5, 11), np.float32)
    for axis in (1, 2):
        (y,), _ = run_threads(ReduceSum(), [x, np.int64([axis])], isa, constants=(1,))
        for n in range(7):
            (alone,), _ = run_threads(ReduceSum(), [x[n : n + 1], np.int64([axis])], isa, constants=(1,))
            assert same_bits(alone, y[n : n + 1])


def test_refusals():
    x, isa = np.zeros((2, 3, 4), np.float32), ISAS[-1]
    given = {"constants": (1,)}
    assert refusals(ReduceSum(), [x, np.int64([0, 2])], isa, **given)["row-major"] == "axes [0, 2]"
    assert refusals(ReduceMin(), [x.astype(np.int32), np.int64([0])], isa, **given)["row-major"] == "dtype int32"
    assert refusals(ReduceSum(), [x[:, :0], np.int64([1])], isa, **given)["row-major"] == "empty tensor"
