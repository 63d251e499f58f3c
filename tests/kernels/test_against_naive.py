"""The kernels of convolutions, max pools and matrix products against the plain loops of fastconv.naive.

Inputs are small integers, whose sums are exact in any order: results are equal. Winograd's transforms round.
"""

from functools import cache

import numpy as np
import pytest

from fastconv import kernels, naive
from fastconv.implementations import IMPLEMENTATIONS
from fastconv.ops.conv import Conv
from fastconv.ops.gemm import Gemm
from fastconv.ops.max_pool import MaxPool

from ..support.harness import ISAS, assert_within, choice, integers, run_threads
from ..support.rng import generator
from .cases import channels, noting, pairs, winograd_rounding
from .test_max_pool import WINDOWS

RNG = generator(__name__)
EVERY_ISA = pytest.mark.parametrize("isa", ISAS)


def ways(op):
    return pytest.mark.parametrize("implementation", [i.name for i in IMPLEMENTATIONS[op] if not i.quantized])


@cache
def convolutions(implementation, V):
    """Pairs of channels, kernel, stride, dilation, padding and size, without what is fused."""
    factors = {"kernel": [(1, 1), (3, 3), (2, 5)], "strides": [(1, 1), (2, 2), (1, 3)], "dilations": [(1, 1), (2, 2), (1, 3)]}
    of_channels = {
        "first": [(1, IC, OC) for IC in (1, 3, 4) for OC in (1, V + 1, 5 * V)],
        "depthwise": [(C, 1, 1) for C in (1, V, 2 * V + 1)],
        "winograd": [(1, V - 1, 2 * V + 1), (1, 3, V), (1, 2 * V, 5 * V)],
    }
    factors["channels"] = of_channels.get(implementation, channels(V))
    if implementation == "pointwise":
        factors["kernel"] = [(1, 1)]
    if implementation == "winograd":
        factors |= {"kernel": [(3, 3), (5, 5)], "strides": [(1, 1)], "dilations": [(1, 1), (2, 2)]}
    plain = {"residual": [False], "form": ["none"], "exact": [True], "guard": [None]}
    return list(pairs(0, **factors, **plain))


@EVERY_ISA
@ways(Conv)
@pytest.mark.slow
def test_conv2d(implementation, isa):
    for case in convolutions(implementation, kernels.load(isa).V):
        (x, w, b), _ = case.data()
        options = {"stride": case.strides, "padding": case.pads, "dilation": case.dilations, "groups": case.G, "compiled": True}
        with noting(case):
            (y,), _ = run_threads(case.op, [x, w, b], isa, implementation, constants=(1, 2))
            error = 0.0
            if implementation == "winograd":
                bias = None if b is None else np.abs(b)
                error = winograd_rounding(case.dilations[0])(naive.conv2d(np.abs(x), np.abs(w), bias, **options))
            assert_within(y, naive.conv2d(x, w, b, **options), error)


@EVERY_ISA
@pytest.mark.parametrize("window", [w for w in WINDOWS if "auto_pad" not in w], ids=str)
def test_max_pool2d(isa, window):
    x = integers(RNG, (2, kernels.load(isa).V + 1, 14, 15))
    x[RNG.random(x.shape) < 0.01] = np.nan
    (y,), plan = run_threads(MaxPool(**window), [x], isa)
    assert choice(plan) == "blocked"
    options = {"stride": window.get("strides", 1), "padding": window.get("pads", 0), "dilation": window.get("dilations", 1)}
    expected = naive.max_pool2d(x, window["kernel_shape"], **options, ceil_mode="ceil_mode" in window, compiled=True)
    np.testing.assert_array_equal(y, expected)


@EVERY_ISA
@ways(Gemm)
def test_linear(implementation, isa):
    V = kernels.load(isa).V
    for N, K, OC in [(1, 1, 1), (1, 257, 9 * V - 1), (2, 3, V), (7, 64, 2 * V + 1), (15, 33, 5 * V), (49, 100, 3 * V + 2)]:
        x, w, b = integers(RNG, (N, K)), integers(RNG, (OC, K)), integers(RNG, (OC,))
        (y,), _ = run_threads(Gemm(transB=1), [x, w, b], isa, implementation, constants=(1, 2))
        np.testing.assert_array_equal(y, naive.linear(x, w, b, compiled=True))
