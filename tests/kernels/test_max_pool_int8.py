"""MaxPool of bytes with channels last, on the kernel max_pool_int8."""

import numpy as np
import pytest

from fastconv.ops.max_pool import MaxPool

from ..support.harness import ISAS, choice, reference, refusals, run_threads, same_bits
from .test_max_pool import WINDOWS

COVERS = {"MaxPool": ("int8",)}
EVERY_ISA = pytest.mark.parametrize("isa", ISAS)


def check(op, x, isa, **options):
    (y,), plan = run_threads(op, [x], isa, **options)
    assert same_bits(y, reference(op, [x])[0].astype(np.uint8))
    assert choice(plan) == "int8"


def data(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@EVERY_ISA
@pytest.mark.parametrize("guard", ["before", "after"])
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_windows(isa, guard, window):
    for H, W in ((11, 16), (12, 9), (16, 17)):
        check(MaxPool(**window), data(2, 17, H, W), isa, guard=guard)


@EVERY_ISA
def test_every_channel_tail(isa):
    for C in (*range(1, 34), 64, 80, 129):
        check(MaxPool(kernel_shape=(3, 3), strides=(2, 2), pads=(1, 1, 1, 1)), data(2, C, 6, 9), isa, blocked=(0,))


@EVERY_ISA
def test_windows_of_padding_alone(isa):
    check(MaxPool(kernel_shape=(2, 2), dilations=(3, 3), pads=(2, 2, 2, 2)), data(1, 3, 1, 1), isa)


def test_refusals():
    def why(op, x, results=1):
        return refusals(op, [x], ISAS[-1], results=results)["int8"]

    op = MaxPool(kernel_shape=(2, 2))
    assert why(op, data(1, 2, 5, 5), results=2) == "indices output"
    assert why(MaxPool(kernel_shape=(2, 2, 2)), data(1, 2, 5, 5, 5)) == "rank 5"
