"""Depthwise convolution of quantized tensors on the kernel conv_depthwise_int8."""

import numpy as np
import pytest

from fastconv import kernels
from fastconv.graph import Graph
from fastconv.implementations import IMPLEMENTATIONS
from fastconv.ops.conv import Conv
from fastconv.ops.elementwise import Clip, Relu
from fastconv.plan import Target, build
from fastconv.reference import run_references

from ..support.harness import choice, run_plan, same_bits
from ..support.quantized import Quantized, expected, quantized_graph, refusal, run_quantized

COVERS = {"Conv": ("depthwise-int8",)}
ISAS = kernels.available("conv_depthwise_int8")
EVERY_ISA = pytest.mark.parametrize("isa", ISAS)
RESULT = (np.float32(0.11), 100)
KERNELS = [
    {"kernel": (3, 3), "pads": (1, 1, 1, 1)},
    {"kernel": (3, 3), "pads": (1, 1, 1, 1), "strides": (2, 2)},
    {"kernel": (5, 5), "pads": (2, 2, 2, 2)},
    {"kernel": (5, 5), "pads": (1, 2, 2, 1), "strides": (2, 2)},
    {"kernel": (3, 3), "pads": (2, 3, 2, 3), "dilations": (2, 3)},
    {"kernel": (3, 3), "pads": (0, 1, 2, 0), "dilations": (2, 1), "strides": (1, 3)},
    {"kernel": (7, 7), "pads": (3, 3, 3, 3)},
    {"kernel": (1, 5), "pads": (0, 2, 0, 2)},
    {"kernel": (4, 1), "strides": (2, 2)},
    {"kernel": (1, 1)},
]


def rule(op, x, w, bias, result, low=0, high=255, residual=None, between=None):
    """The bytes: sums are exact in float64, then each operation is rounded once to float32."""
    scale = np.float32(x.scale) * np.asarray(w.scale, np.float32)
    weights = w.array.astype(np.float64) - np.reshape(w.zero, (-1, 1, 1, 1))
    sums = op.reference(x.array.astype(np.float64) - x.zero, weights, bias.astype(np.float64)).astype(np.float32)
    last, zero = np.float32(result[0]), np.float32(result[1])
    first = np.float32(between[0]) if between else last
    y = sums * np.reshape(np.broadcast_to(scale / first, len(bias)), (-1, 1, 1)).astype(np.float32)
    if residual is not None:
        if between:
            y = (np.clip(np.rint(y), -between[1], 255 - between[1]) * (first / last)).astype(np.float32)
        y = y + (residual.array.astype(np.float32) - residual.zero) * (np.float32(residual.scale) / last)
    return np.clip(np.rint(y) + zero, low, high).astype(np.uint8)


def operands(rng, shape, kernel, zero=128, dtype=np.int8, w_zero=0):
    """The source, weights for each channel, and a bias."""
    C = shape[1]
    info = np.iinfo(dtype)
    x = Quantized(rng.integers(0, 256, shape, np.uint8), np.float32(0.02), zero)
    weights = rng.integers(info.min, info.max + 1, (C, 1, *kernel), dtype)
    w = Quantized(weights, rng.uniform(0.01, 0.03, C).astype(np.float32), w_zero, 0, constant=True)
    return x, w, rng.integers(-5000, 5000, C).astype(np.int32)


def check(window, x, w, bias, isa, result=RESULT, low=0, high=255, guard=None, **options):
    attributes = {k: v for k, v in window.items() if k != "kernel"}
    op = Conv(group=len(bias), **attributes)
    b = Quantized(bias, np.float32(x.scale) * w.scale, 0, 0, constant=True)
    graph, arrays = quantized_graph(op, [x, w, b], result, **options)
    y, plan = run_quantized(graph, arrays, isa, guard=guard)
    wanted = rule(op, x, w, bias, result, low, high, *(options.get(name) for name in ("residual", "between")))
    assert same_bits(y, wanted)
    assert np.abs(y.astype(int) - expected(graph, arrays)).max() <= 1
    assert choice(plan) == "depthwise-int8"


@EVERY_ISA
@pytest.mark.parametrize("window", KERNELS, ids=str)
def test_windows(isa, window):
    """Zero points in the halo, and rows of every tail of the pixels."""
    rng = np.random.default_rng(0)
    for i, (H, W) in enumerate(((9, 8), (10, 9), (8, 10), (12, 15))):
        zero, guard = (0, 1, 128, 255)[i], (None, "before", "after")[i % 3]
        check(window, *operands(rng, (1 + i % 2, 19, H, W), window["kernel"], zero), isa, guard=guard)


@EVERY_ISA
def test_every_channel_tail(isa):
    rng = np.random.default_rng(1)
    for C in (*range(1, 34, 2), 16, 32, 64, 65, 96, 130):
        check(KERNELS[C % 2], *operands(rng, (1, C, 5, 6), (3, 3), C), isa)


@EVERY_ISA
@pytest.mark.parametrize("dtype, zero", [*((np.int8, z) for z in (0, -128, 5)), *((np.uint8, z) for z in (0, 128, 255))])
def test_weights_with_zero_points(isa, dtype, zero):
    """Weights less their zero points that int8 does not hold; and those of ±127 under 255s, which vpmaddubsw gets wrong."""
    rng = np.random.default_rng(2)
    for window in KERNELS[:3]:
        x, w, bias = operands(rng, (1, 17, 7, 9), window["kernel"], 3, dtype, zero)
        w.array[:8] = np.iinfo(dtype).max
        w.array[8:12] = np.iinfo(dtype).min
        x.array[...] |= 0xF0
        check(window, x, w, bias, isa, (np.float32(1.7), 100))


@EVERY_ISA
def test_halves_and_bounds(isa):
    rng = np.random.default_rng(3)
    x, w, bias = operands(rng, (1, 20, 9, 7), (3, 3), 9)
    x, w = x._replace(scale=np.float32(0.5)), w._replace(scale=np.full(20, 1, np.float32))
    check(KERNELS[0], x, w, bias, isa, (np.float32(1024), 128))
    check(KERNELS[0], x, w, bias, isa, (np.float32(256), 60), 60, 255, activations=[Relu()])
    bounds = (Clip(), np.float32(0), np.float32(2560))
    check(KERNELS[0], x, w, bias, isa, (np.float32(256), 60), 60, 70, activations=[bounds])


@EVERY_ISA
@pytest.mark.parametrize("between", [None, (np.float32(0.13), 90)])
def test_residual(isa, between):
    rng = np.random.default_rng(4)
    for C in (5, 16, 33, 66):
        x, w, bias = operands(rng, (2, C, 7, 6), (3, 3), 255)
        residual = Quantized(rng.integers(0, 256, x.array.shape, np.uint8), np.float32(0.09), 77)
        check(KERNELS[0], x, w, bias, isa, residual=residual, between=between)


@EVERY_ISA
def test_readers_that_want_other_bytes_in_the_halo(isa):
    """Two nodes read the same integers with zero points of their own: one of them gets a copy."""
    rng = np.random.default_rng(5)
    x, w, _ = operands(rng, (1, 20, 6, 6), (3, 3))
    one, two = (quantized_graph(Conv(group=20, pads=(1, 1, 1, 1)), [x._replace(zero=zero), w], RESULT)[0] for zero in (0, 200))
    for n in two.nodes[0].prologue:
        n.inputs = [one.inputs[0] if v is two.inputs[0] else v for v in n.inputs]
    graph = Graph(one.inputs, one.outputs + two.outputs, one.nodes + two.nodes)
    plan = build(graph, Target(IMPLEMENTATIONS, kernels.load(isa), 1), {})
    assert [e.algorithm for e in plan.entries].count("depthwise-int8") == 2
    for y, wanted in zip(run_plan(plan, [x.array], 1), run_references(graph, [x.array]), strict=True):
        assert np.abs(y.astype(int) - wanted).max() <= 1


def test_refusals():
    rng = np.random.default_rng(6)
    x, w, _ = operands(rng, (1, 4, 5, 5), (3, 3))
    two = Quantized(np.ones((8, 1, 3, 3), np.int8), np.float32(1), 0, constant=True)

    def why(w, **options):
        graph, _ = quantized_graph(Conv(group=4, **options), [x, w], RESULT)
        return refusal(graph, "depthwise-int8", ISAS[-1])

    assert why(two) == "8 filters over 1 of 4 channels"
    assert why(w._replace(constant=False)) == "weights are not constant"
