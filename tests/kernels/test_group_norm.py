"""InstanceNormalization and GroupNormalization on the kernel group_norm: the channels of a blocked or a row-major tensor."""

import numpy as np
import pytest

from fastconv import kernels
from fastconv.ops.binary import Add
from fastconv.ops.elementwise import Relu, Sigmoid
from fastconv.ops.normalization import GroupNormalization, InstanceNormalization

from ..support.harness import EPS, ISAS, assert_within, choice, reference, refusals, run_threads, same_bits

COVERS = dict.fromkeys(("InstanceNormalization", "GroupNormalization"), ("row-major", "blocked"))
EVERY_ISA = pytest.mark.parametrize("isa", ISAS)
SIDES = ((1, 1), (3, 3), (2, 9), (40, 33))


def check(op, inputs, isa, name, epilogue=(), **options):
    """The error is a few roundings of the result, whatever the mean: only differences within an item are summed as floats."""
    (y,), plan = run_threads(op, inputs, isa, constants=(1, 2), epilogue=epilogue, **options)
    (expected,) = reference(op, inputs, epilogue=epilogue)
    x, _, bias = (a.astype(np.float64) for a in inputs)
    per_channel = (-1, *(1,) * (x.ndim - 2))
    (plain,) = reference(op, inputs)
    size = np.abs(plain - bias.reshape(per_channel)) + np.abs(plain) + np.abs(bias.reshape(per_channel))
    # an item's sums of squares have at most 4096 terms, in lanes and four of each
    wrong = EPS * (4096 / 4 / kernels.load(isa).V / 16 + 8) * size
    with np.errstate(invalid="ignore"):
        deviation = np.sqrt(x.reshape(len(x), op.groups(x.shape[1]), -1).var(2) + op.epsilon)
    # the mean's double is rounded once, when the bias takes what is left of it
    tiny = np.abs(x).max() * EPS * EPS / deviation.min()
    for item in epilogue:
        wrong = wrong + EPS * (np.abs(item[1]) + np.abs(expected) if isinstance(item, tuple) else np.abs(expected))
    assert_within(y, expected, wrong + tiny)
    assert choice(plan) == name
    return y


def data(rng, *shape):
    """x, whose mean is not 0, with scale and bias for the channels."""
    x = rng.standard_normal(shape, np.float32) * 3 + np.float32(0.5)
    return [x, *(rng.standard_normal(shape[1], np.float32) for _ in range(2))]


@pytest.mark.slow
@EVERY_ISA
def test_channels_of_blocks(isa):
    rng = np.random.default_rng(0)
    V = kernels.load(isa).V
    for C in (*range(1, V + 2), 2 * V, 2 * V + 3):
        for H, W in SIDES:
            for blocked in ((), (0,)):
                check(InstanceNormalization(), data(rng, 2, C, H, W), isa, "blocked", blocked=blocked)


@EVERY_ISA
def test_rows(isa):
    rng = np.random.default_rng(1)
    V = kernels.load(isa).V
    for K in (*range(1, 4 * V + 2), 4095, 4096, 4097, 9000):
        check(InstanceNormalization(), data(rng, 2, 3, K), isa, "row-major")
    for shape in ((2, 3, 3, 5, 1, 7), (1, 2, 17, 1, 3, 3)):
        check(InstanceNormalization(epsilon=1e-3), data(rng, *shape), isa, "row-major")


@EVERY_ISA
@pytest.mark.parametrize("groups", [1, 2, 3, 6, 30])
def test_groups(isa, groups):
    """A group may end inside a block, or have channels of several."""
    rng = np.random.default_rng(2)
    op = GroupNormalization(num_groups=groups)
    for H, W in SIDES:
        check(op, data(rng, 2, 30, H, W), isa, "blocked", blocked=(0,))
    for shape in ((2, 30), (2, 30, 7), (1, 30, 2, 3, 1, 5)):
        check(op, data(rng, *shape), isa, "row-major")


@EVERY_ISA
@pytest.mark.parametrize("shape", [(2, 5, 90, 50), (2, 5, 4500)])
@pytest.mark.parametrize("mean", [1e3, -1e6])
def test_far_from_zero(isa, shape, mean):
    """The mean may be a million times the deviation, from one channel of a group to the next as well."""
    inputs = data(np.random.default_rng(3), *shape)
    inputs[0] += np.float32(mean)
    name = "blocked" if len(shape) == 4 else "row-major"
    check(InstanceNormalization(), inputs, isa, name)
    check(GroupNormalization(num_groups=1), inputs, isa, name)
    inputs[0][:, 3] -= np.float32(mean)
    check(GroupNormalization(num_groups=1), inputs, isa, name)


@EVERY_ISA
def test_a_constant_channel_is_the_bias(isa):
    for value in (0, 0.1, -1e6):
        for shape in ((1, 3, 31, 17), (1, 3, 5000)):
            x, scale, bias = np.full(shape, value, np.float32), np.ones(3, np.float32), np.float32([1, -2, 0])
            (y,), _ = run_threads(InstanceNormalization(), [x, scale, bias], isa, constants=(1, 2))
            assert same_bits(y, np.broadcast_to(bias.reshape(-1, *(1,) * (x.ndim - 2)), shape).copy())


@EVERY_ISA
@pytest.mark.parametrize("epilogue", [[Relu()], [Sigmoid()], [(Add(), None)], [(Add(), None), Relu()]])
@pytest.mark.parametrize("shape", [(2, 19, 5, 9), (2, 3, 45)])
def test_epilogue(isa, shape, epilogue):
    rng = np.random.default_rng(4)
    residual = rng.standard_normal(shape, np.float32)
    given = [(item[0], residual) if isinstance(item, tuple) else item for item in epilogue]
    check(InstanceNormalization(), data(rng, *shape), isa, "blocked" if len(shape) == 4 else "row-major", epilogue=given)


@EVERY_ISA
@pytest.mark.parametrize("shape", [(2, 4, 5, 9), (2, 4, 45)])
def test_nan_stays_in_its_channel(isa, shape):
    x, scale, bias = data(np.random.default_rng(5), *shape)
    x[0, 1].flat[3], x[1, 2].flat[44] = np.nan, np.inf
    (y,), _ = run_threads(InstanceNormalization(), [x, scale, bias], isa, constants=(1, 2))
    bad = np.isnan(y.reshape(2, 4, -1)).all(axis=2)
    assert bad.tolist() == [[False, True, False, False], [False, False, True, False]]
    assert np.isnan(y.reshape(2, 4, -1)).any(axis=2).tolist() == bad.tolist()


@EVERY_ISA
@pytest.mark.parametrize("guard", ["before", "after"])
def test_stays_inside_its_memory(isa, guard):
    rng = np.random.default_rng(6)
    for C in (1, 3, 8, 17):
        check(InstanceNormalization(), data(rng, 2, C, 3, 5), isa, "blocked", guard=guard)
        check(InstanceNormalization(), data(rng, 2, C, 15), isa, "row-major", guard=guard)


@EVERY_ISA
def test_images_do_not_depend_on_the_batch(isa):
    inputs = data(np.random.default_rng(7), 5, 21, 9, 3)
    y = check(GroupNormalization(num_groups=7), inputs, isa, "blocked")
    for n in range(5):
        one = [inputs[0][n : n + 1], *inputs[1:]]
        assert same_bits(check(GroupNormalization(num_groups=7), one, isa, "blocked"), y[n : n + 1])


def test_refusals():
    x, ones = np.zeros((2, 3, 4), np.float32), np.ones(3, np.float32)
    isa, op = ISAS[-1], InstanceNormalization()
    reasons = refusals(op, [x, ones, ones], isa)
    assert reasons == {"blocked": "rank 3", "row-major": "scale or bias is not constant"}
    assert refusals(op, [x, ones, ones], isa, constants=(1, 2)) == {"blocked": "rank 3"}
    wide = [a.astype(float) for a in (x, ones, ones)]
    assert refusals(op, wide, isa, constants=(1, 2))["row-major"] == "dtype float64"
