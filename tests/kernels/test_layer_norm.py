"""LayerNormalization on the kernel layer_norm: the last axes of a row-major tensor, or the channels of a blocked one."""

import numpy as np
import pytest

from fastconv import kernels
from fastconv.ops.normalization import LayerNormalization

from ..support.harness import EPS, ISAS, assert_within, choice, reference, refusals, run_threads, same_bits

COVERS = {"LayerNormalization": ("row-major", "blocked")}
EVERY_ISA = pytest.mark.parametrize("isa", ISAS)
CHANNELS = LayerNormalization(axis=1, alone=1, epsilon=1e-6)


def check(op, inputs, isa, name, **options):
    """Within the roundings of the sums of K elements in V parts, of the difference from the mean, and of the scaling."""
    constants = tuple(range(1, len(inputs)))
    (y,), plan = run_threads(op, inputs, isa, constants=constants, **options)
    (expected,) = reference(op, inputs)
    x, scale, bias = (*(a.astype(np.float64) for a in inputs), None)[:3]
    axes = op.axes(x.ndim)
    K, V = np.prod([x.shape[a] for a in axes]), kernels.load(isa).V
    with np.errstate(invalid="ignore"):
        deviation = np.sqrt(x.var(axes, keepdims=True) + op.epsilon)
    # the mean is off by the sum's roundings, of the size of the elements; all is divided by the deviation
    shift = EPS * (K / V + V) * np.abs(x).mean(axes, keepdims=True) / deviation
    size = np.abs(expected if bias is None else expected - bias) + shift * np.abs(scale)
    wrong = (
        EPS * (K / V + V + 8) * size + shift * np.abs(scale) + EPS * (0 if bias is None else np.abs(bias) + np.abs(expected))
    )
    assert_within(y, expected, wrong)
    assert choice(plan) == name
    return y


def data(rng, shape, axes, bias=True):
    """x, whose mean is not 0, with scale and bias for the axes."""
    own = tuple(d if i in axes else 1 for i, d in enumerate(shape))[axes[0] :]
    operands = [rng.standard_normal(own, np.float32) for _ in range(1 + bias)]
    return [rng.standard_normal(shape, np.float32) + np.float32(0.5), *operands]


@EVERY_ISA
def test_rows(isa):
    rng = np.random.default_rng(0)
    V = kernels.load(isa).V
    for K in (*range(1, 2 * V + 2), 100, 768):
        for rows in (1, 7, 8, 19):
            check(LayerNormalization(), data(rng, (rows, K), (1,)), isa, "row-major")


@EVERY_ISA
def test_last_axes(isa):
    rng = np.random.default_rng(1)
    shape = (2, 3, 4, 5)
    for axis in range(-4, 4):
        axes = tuple(range(axis % 4, 4))
        check(LayerNormalization(axis=axis), data(rng, shape, axes), isa, "row-major")
    check(LayerNormalization(axis=1), data(rng, shape, (1, 2, 3), bias=False), isa, "row-major")
    check(LayerNormalization(axis=2, alone=1), data(rng, (2, 3, 4, 1), (2,)), isa, "row-major")
    check(LayerNormalization(), [data(rng, shape, (3,))[0], np.float32([2])], isa, "row-major")


@EVERY_ISA
@pytest.mark.slow
def test_channels(isa):
    rng = np.random.default_rng(2)
    V = kernels.load(isa).V
    for C in (*range(2, 2 * V + 2), 96):
        for H, W in ((1, 1), (3, 3), (2, 9), (4, 8)):
            for blocked in ((), (0,)):
                check(CHANNELS, data(rng, (2, C, H, W), (1,)), isa, "blocked", blocked=blocked)


@EVERY_ISA
def test_far_from_zero(isa):
    """The mean is subtracted before squares are summed."""
    x = 1000 + np.random.default_rng(3).standard_normal((5, 64), np.float32)
    check(LayerNormalization(), [x, np.ones(64, np.float32)], isa, "row-major")


@EVERY_ISA
def test_nan_stays_in_its_row(isa):
    x = np.ones((9, 19), np.float32)
    x[2, 3], x[4, 18] = np.nan, np.inf
    y = check(LayerNormalization(), [x, np.ones(19, np.float32)], isa, "row-major")
    assert np.isnan(y).all(axis=1).tolist() == [i in (2, 4) for i in range(9)]


@EVERY_ISA
@pytest.mark.parametrize("guard", ["before", "after"])
def test_stays_inside_its_memory(isa, guard):
    rng = np.random.default_rng(4)
    for shape in ((1, 1), (3, 5), (9, 17)):
        check(LayerNormalization(), data(rng, shape, (1,)), isa, "row-major", guard=guard)
    for C in (3, 8, 17):
        check(CHANNELS, data(rng, (2, C, 3, 5), (1,)), isa, "blocked", guard=guard)


@EVERY_ISA
def test_images_do_not_depend_on_the_batch(isa):
    inputs = data(np.random.default_rng(5), (7, 21, 5, 3), (1,))
    y = check(CHANNELS, inputs, isa, "blocked")
    for n in range(7):
        assert same_bits(check(CHANNELS, [inputs[0][n : n + 1], *inputs[1:]], isa, "blocked"), y[n : n + 1])


def test_refusals():
    x, ones = np.zeros((2, 3), np.float32), np.ones(3, np.float32)
    isa, given = ISAS[-1], {"constants": (1,)}
    reasons = {"blocked": "rank 2", "row-major": "scale or bias is not constant"}
    assert refusals(LayerNormalization(), [x, ones], isa) == reasons
    assert refusals(LayerNormalization(), [x, ones[:1]], isa, **given) == {"blocked": "rank 2"}
    assert refusals(LayerNormalization(axis=0), [x, ones], isa, **given)["row-major"] == "scale or bias of shape (3,)"
    assert refusals(LayerNormalization(axis=0, alone=1), [x, ones[:1]], isa, **given)["row-major"] == "axes (0,)"
    assert refusals(LayerNormalization(), [x, ones], isa, results=3, **given)["row-major"] == "the statistics are asked for"
    assert refusals(LayerNormalization(), [x.astype(float), ones.astype(float)], isa, **given)["row-major"] == "dtype float64"
