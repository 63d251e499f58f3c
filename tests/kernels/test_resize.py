"""Resize on the kernel resize."""

import numpy as np
import pytest

from fastconv import kernels
from fastconv.ops.resize import COORDINATES, ROUNDING, Resize

from ..support.harness import EPS, ISAS, assert_within, choice, integers, reference, refusals, run_threads, same_bits

COVERS = {"Resize": ("blocked",)}
EVERY_ISA = pytest.mark.parametrize("isa", ISAS)


def operands(op, x, scales=None, sizes=None):
    """A Resize's inputs, with a roi where the mode has one."""
    roi = np.repeat(np.float32([0, 1]), x.ndim) if op.coordinate_transformation_mode == "tf_crop_and_resize" else None
    scales = None if scales is None else np.array([1, 1, *scales], np.float32)
    sizes = None if sizes is None else np.array([*x.shape[:2], *sizes])
    return [x, roi, scales, sizes]


def check(op, x, isa, scales=None, sizes=None, **options):
    inputs = operands(op, x, scales, sizes)
    (y,), plan = run_threads(op, inputs, isa, constants=(1, 2, 3), **options)
    (expected,) = reference(op, inputs)
    assert choice(plan) == "blocked"
    if op.mode == "nearest":
        np.testing.assert_array_equal(y, expected.astype(np.float32))
    else:
        # on each axis a weight, its product and the sum of the taps round; weights of cubic add up to 1.6 at most in magnitude
        factors = [e / d for e, d in zip(y.shape[2:], x.shape[2:], strict=True)]
        reach, magnitude = (2, 1) if op.mode == "linear" else (4, 1.6)
        taps = sum(reach / min(f, 1) if op.antialias else reach for f in factors)
        assert_within(y, expected, (taps + 4) * EPS / 2 * magnitude ** len(factors) * np.abs(x).max())
    return y


@EVERY_ISA
@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_modes(isa, mode, coordinates):
    rng = np.random.default_rng(0)
    V = kernels.load(isa).V
    x = rng.standard_normal((2, V + 1, 5, 7), np.float32)
    op = Resize(mode=mode, coordinate_transformation_mode=coordinates)
    for scales in ((2, 2), (1, 3), (0.6, 1.7), (1, 1), (3.3, 0.5)):
        check(op, x, isa, scales)
    for sizes in ((10, 14), (1, 1), (3, 20)):
        check(op, x, isa, sizes=sizes)


@EVERY_ISA
@pytest.mark.parametrize("rounding", ROUNDING)
def test_nearest_modes(isa, rounding):
    x = np.random.default_rng(1).standard_normal((1, 3, 6, 8), np.float32)
    for coordinates in COORDINATES[:5]:
        for scales in ((2, 2), (0.5, 0.75), (1.4, 1.25)):
            check(Resize(nearest_mode=rounding, coordinate_transformation_mode=coordinates), x, isa, scales)


@EVERY_ISA
@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_antialias_and_exclude_outside(isa, mode):
    x = np.random.default_rng(2).standard_normal((1, 3, 12, 16), np.float32)
    check(Resize(mode=mode, antialias=1), x, isa, (0.3, 0.5))
    check(Resize(mode=mode, exclude_outside=1), x, isa, (1.5, 0.5))


@EVERY_ISA
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_channels_and_widths(isa, mode):
    rng = np.random.default_rng(3)
    V = kernels.load(isa).V
    for C, W in [(C, 3) for C in range(1, 2 * V + 2)] + [(V + 3, W) for W in range(1, 18)]:
        check(Resize(mode=mode), rng.standard_normal((2, C, 3, W), np.float32), isa, (2, 2))


@EVERY_ISA
@pytest.mark.parametrize("guard", ["before", "after"])
def test_stays_inside_its_memory(isa, guard):
    x = integers(np.random.default_rng(4), (1, 17, 5, 7))
    for mode in ("nearest", "linear", "cubic"):
        check(Resize(mode=mode), x, isa, (2, 1.5), guard=guard)


@EVERY_ISA
def test_images_do_not_depend_on_the_batch(isa):
    x = np.random.default_rng(5).standard_normal((3, 5, 4, 5), np.float32)
    y = check(Resize(mode="linear"), x, isa, (2, 2))
    for n in range(3):
        assert same_bits(check(Resize(mode="linear"), x[n : n + 1], isa, (2, 2)), y[n : n + 1])


def test_refusals():
    isa, x = ISAS[-1], np.zeros((1, 2, 4, 4), np.float32)

    def refusal(op, *inputs):
        return refusals(op, [x, *inputs], isa, constants=(1, 2, 3))["blocked"]

    assert refusal(Resize(), None, np.array([1, 2, 1, 1], np.float32)) == "axis 1 is resized"
    crop = Resize(coordinate_transformation_mode="tf_crop_and_resize", mode="linear")
    scales = np.ones(4, np.float32)
    assert refusal(crop, np.array([0, 0, -1, 0, 1, 1, 1, 1], np.float32), scales) == "values from outside the input"
    assert refusals(Resize(), [x[0], None, np.ones(3, np.float32)], isa, constants=(2,))["blocked"] == "rank 3"
