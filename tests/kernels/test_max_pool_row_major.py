"""MaxPool of any element type on the kernel max_pool_row_major: bit for bit as the reference."""

import numpy as np
import pytest

from fastconv.dtypes import limits
from fastconv.ops.max_pool import MaxPool

from ..support.harness import ISAS, choice, refusals, run_threads, same_bits
from .test_max_pool import WINDOWS

COVERS = {"MaxPool": ("row-major",)}
EVERY_ISA = pytest.mark.parametrize("isa", ISAS)
EVERY_TYPE = pytest.mark.parametrize("dtype", [np.float16, np.uint8, np.int8, np.int32, np.int64, bool])
#: windows over one and over three spatial axes
OTHERS = [
    {"kernel_shape": (3,), "strides": (2,), "pads": (1, 2)},
    {"kernel_shape": (2,), "dilations": (4,), "strides": (3,)},
    {"kernel_shape": (2, 3, 3), "strides": (2, 1, 2), "pads": (1, 1, 0, 0, 1, 2), "ceil_mode": 1},
    {"kernel_shape": (3, 1, 2), "dilations": (1, 2, 3)},
]


def numbers(rng, shape, dtype):
    """Any bits of the type, with both zeros, infinities and NaN of either sign."""
    dtype = np.dtype(dtype)
    bits = rng.integers(0, 256, (*shape, dtype.itemsize), np.uint8)
    if dtype.kind == "b":
        return bits[..., 0] % 4 == 0
    x = bits.view(dtype)[..., 0]
    if dtype == np.float16:
        few = np.array([0, -0.0, np.inf, -np.inf, np.nan, -np.nan, 1], dtype)
        x = np.where(rng.integers(3, size=shape), rng.choice(few, shape), x)
    return x


def check(op, x, isa, **options):
    (y,), plan = run_threads(op, [x], isa, "row-major", **options)
    assert same_bits(y, op.reference(x)[0])
    assert choice(plan) == "row-major"
    return y


@EVERY_ISA
@EVERY_TYPE
@pytest.mark.parametrize("window", WINDOWS + OTHERS, ids=str)
def test_windows(isa, dtype, window):
    rng = np.random.default_rng(0)
    axes = len(window["kernel_shape"])
    for W in (13, 14, 40, 97):
        check(MaxPool(**window), numbers(rng, (2, 3, *(13, 5)[: axes - 1], W) if axes < 3 else (2, 3, 5, 6, W), dtype), isa)


@EVERY_ISA
@EVERY_TYPE
@pytest.mark.parametrize("guard", ["before", "after"])
def test_stays_inside_its_memory(isa, dtype, guard):
    rng = np.random.default_rng(1)
    for window in WINDOWS:
        check(MaxPool(**window), numbers(rng, (1, 2, 16, 17), dtype), isa, guard=guard)


@EVERY_ISA
@EVERY_TYPE
def test_a_window_of_padding_alone_gives_the_least_number(isa, dtype):
    y = check(MaxPool(kernel_shape=(2, 2), dilations=(3, 3), pads=(2, 2, 2, 2)), np.ones((1, 3, 1, 1), dtype), isa)
    assert y[0, 0, 1, 1] == (-np.inf if dtype == np.float16 else limits(dtype)[0])


@EVERY_ISA
def test_float32_of_one_spatial_axis(isa):
    x = np.random.default_rng(2).choice(np.float32([0, -0.0, np.inf, -np.inf, np.nan, 1]), (2, 3, 50))
    for window in OTHERS[:2]:
        check(MaxPool(**window), x, isa)


def test_refusals():
    x = np.zeros((1, 1, 4, 4), np.uint16)
    op = MaxPool(kernel_shape=(2, 2))
    assert refusals(op, [x], ISAS[-1])["row-major"] == "dtype uint16"
    assert refusals(op, [x.astype(np.uint8)], ISAS[-1], results=2)["row-major"] == "indices output"
    assert refusals(op, [x.astype(np.uint8)], ISAS[-1], constants=(0,))["row-major"] == "constant input"
