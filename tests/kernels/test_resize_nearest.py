"""Resize to the nearest element on the kernel gather: exact, for elements of every type."""

import numpy as np
import pytest

from fastconv.ops.resize import Resize

from ..support.harness import ISAS, choice, refusals, run_threads, same_bits
from .test_gather import EVERY_TYPE, GUARDS, numbers

COVERS = {"Resize": ("nearest", "int8")}
EVERY_ISA = pytest.mark.parametrize("isa", ISAS)


@EVERY_ISA
@EVERY_TYPE
@GUARDS
def test_resize(isa, dtype, guard):
    """Any axes and any number of them, larger and smaller."""
    for shape, scales in (
        ((5,), (2.0,)),
        ((3, 5), (1.0, 1.0)),
        ((2, 3, 5), (1.0, 0.6, 1.7)),
        ((2, 3, 4, 5), (1.0, 1.0, 2.0, 2.0)),
        ((2, 3, 4, 5), (2.0, 1.0, 0.5, 3.1)),
        ((1, 2, 3, 4, 5), (1.0, 1.0, 2.0, 1.5, 0.4)),
    ):
        for mode in ("asymmetric", "half_pixel", "align_corners"):
            op = Resize(mode="nearest", coordinate_transformation_mode=mode)
            inputs = [numbers(shape, dtype), None, np.array(scales, np.float32)]
            if dtype != np.float32 or len(shape) < 4 or scales[0] != 1:
                (y,), plan = run_threads(op, inputs, isa, constants=(2,), guard=guard)
                assert same_bits(y, op.reference(*inputs)), f"{shape} by {scales}"
                assert choice(plan) == "nearest"


@EVERY_ISA
@GUARDS
def test_blocked_bytes(isa, guard):
    for shape, scales in (((2, 37, 5, 3), (2, 2)), ((1, 16, 3, 4), (1, 3)), ((1, 5, 3, 4), (3, 1)), ((2, 20, 2, 7), (1, 1))):
        op = Resize(mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
        inputs = [numbers(shape, np.uint8), None, np.array((1, 1, *scales), np.float32)]
        (y,), plan = run_threads(op, inputs, isa, constants=(2,), blocked=(0,), guard=guard)
        assert same_bits(y, op.reference(*inputs)), f"{shape} by {scales}"
        assert choice(plan) == "int8"


def test_resize_refuses():
    x = numbers((2, 3, 4), np.uint8)
    linear = refusals(Resize(mode="linear"), [x, None, np.float32([1, 1, 2])], ISAS[-1], constants=(2,))
    assert linear["nearest"] == "mode linear takes float32 and spatial axes only"
    nearest, bytes_ = Resize(mode="nearest"), numbers((1, 3, 4, 5), np.uint8)
    for scales, axis in (([1, 1, 1.5, 2], 2), ([1, 1, 2, 0.4], 3), ([1, 2, 1, 1], 1)):
        why = refusals(nearest, [bytes_, None, np.float32(scales)], ISAS[-1], constants=(2,), blocked=(0,))
        assert why["int8"] == f"axis {axis} is not repeated evenly"
    crop = Resize(mode="nearest", coordinate_transformation_mode="tf_crop_and_resize")
    roi = np.float32([0, 0, 0, 1, 1, 1.5])
    outside = refusals(crop, [x, roi, np.float32([1, 1, 2])], ISAS[-1], constants=(1, 2))
    assert outside["nearest"] == "values from outside the input"
