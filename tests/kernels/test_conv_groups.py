"""Grouped convolutions with their groups apart, against the reference in float64."""

import numpy as np
import pytest

from fastconv.ops.binary import Add
from fastconv.ops.conv import Conv
from fastconv.ops.elementwise import Relu

from ..support.harness import EPS, ISAS, assert_within, choice, reference, refusals, run_threads

COVERS = {"Conv": ("groups",)}

#: groups, and the channels of each: blocks in part, several blocks, groups that lie alike and that do not
SIZES = [(2, 3, 5), (4, 6, 6), (32, 2, 2), (8, 1, 2), (3, 17, 33), (2, 18, 10), (5, 2, 7)]


def operands(G, ic, oc, size, kernel):
    rng = np.random.default_rng(0)
    return [
        rng.standard_normal(shape).astype(np.float32)
        for shape in ((2, G * ic, *size), (G * oc, ic, *kernel), (G * oc,))
    ]  # fmt: skip


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("G, ic, oc", SIZES)
@pytest.mark.parametrize(
    "size, kernel, strides, pads",
    [
        ((7, 6), (3, 3), (1, 1), (1, 1, 1, 1)),
        ((5, 8), (1, 1), (1, 1), (0, 0, 0, 0)),
        ((9, 5), (2, 3), (2, 1), (0, 2, 1, 0)),
        ((3, 4, 5), (2, 1, 3), (1, 2, 1), (1, 0, 0, 0, 0, 2)),
    ],
)
def test_channels_and_kernels(isa, G, ic, oc, size, kernel, strides, pads):
    op, inputs = Conv(group=G, strides=strides, pads=pads), operands(G, ic, oc, size, kernel)
    [plain] = reference(op, inputs)
    residual = np.random.default_rng(1).standard_normal(plain.shape).astype(np.float32)
    [y], plan = run_threads(
        op, inputs, isa, None, (1, 2), epilogue=[(Add(), residual), Relu()], accuracy="exact", guard="after"
    )
    assert choice(plan) == "groups"
    magnitude = reference(op, [abs(a) for a in inputs])[0] + abs(residual)
    assert_within(y, np.maximum(plain + residual, 0), EPS * (ic * np.prod(kernel) + 3) * magnitude)


def test_what_it_refuses():
    inputs = operands(3, 17, 33, (5, 5), (3, 3))
    given = refusals(Conv(group=3), inputs, ISAS[0], constants=(1, 2), accuracy="exact")
    assert given["direct"] == "groups that do not fill blocks, and accuracy='exact'"
