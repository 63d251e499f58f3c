"""AveragePool, GlobalAveragePool and ReduceMean of quantized tensors on the kernel average_pool_int8."""

import math

import numpy as np
import pytest

from fastconv import kernels
from fastconv.ops.average_pool import AveragePool
from fastconv.ops.elementwise import Relu
from fastconv.ops.global_pool import GlobalAveragePool
from fastconv.ops.reduce import ReduceMean

from ..support.harness import choice, same_bits
from ..support.quantized import Quantized, expected, quantized_graph, refusal, run_quantized
from .test_max_pool import WINDOWS

COVERS = dict.fromkeys(("AveragePool", "GlobalAveragePool", "ReduceMean"), ("int8",))
ISAS = kernels.available("average_pool_int8")
EVERY_ISA = pytest.mark.parametrize("isa", ISAS)
SCALE, RESULT = np.float32(0.037), (np.float32(0.021), 7)


def data(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def rounded(sums, counts, scale, result):
    """The rule: a product in float32, rounded halves to even."""
    factor = np.float32(scale) / (np.float32(result[0]) * np.float32(counts))
    return np.clip(np.rint(np.float32(sums) * factor) + np.float32(result[1]), 0, 255).astype(np.uint8)


def check(op, x, isa, zero=3, scale=SCALE, result=RESULT, others=(), wanted=None, **options):
    graph, arrays = quantized_graph(op, [Quantized(x, scale, zero), *others], result, **options)
    y, plan = run_quantized(graph, arrays, isa)
    assert np.abs(y.astype(int) - expected(graph, arrays)).max() <= 1
    assert wanted is None or same_bits(y, wanted)
    assert choice(plan) == "int8"
    return y


@EVERY_ISA
@pytest.mark.parametrize("count_include_pad", [0, 1])
@pytest.mark.parametrize("window", [w for w in WINDOWS if math.prod(w["kernel_shape"]) < 99], ids=str)
def test_windows(isa, window, count_include_pad):
    op = AveragePool(**window, count_include_pad=count_include_pad)
    for (H, W), zero in (((11, 16), 0), ((12, 9), 128), ((16, 17), 255)):
        x = data(2, 17, H, W)
        means = op.reference(x.astype(np.float64) - zero)
        counts = np.outer(*op.axis_counts(op.geometry(x.shape)))
        with np.errstate(all="ignore"):  # windows of padding alone
            wanted = rounded(np.rint(means * counts), counts, SCALE, RESULT)
        check(op, x, isa, zero, wanted=wanted)


@EVERY_ISA
def test_planes_of_every_channel_tail(isa):
    for i, C in enumerate((*range(1, 34), 64, 80, 129)):
        x, zero = data(2, C, 7, 5), (0, 1, 128, 255)[i % 4]
        wanted = rounded(x.sum(axis=(2, 3), dtype=np.int64) - zero * 35, 35, SCALE, RESULT)
        check(GlobalAveragePool(), x, isa, zero, wanted=wanted[:, :, None, None])
        for keepdims in (0, 1) if i % 3 == 0 else ():
            axes = np.array([2, 3])
            check(ReduceMean(keepdims=keepdims), x, isa, zero, others=[axes], wanted=wanted.reshape(2, C, *[1, 1] * keepdims))


@EVERY_ISA
def test_halves_and_bounds(isa):
    """Means between two integers, to even; results beyond the bounds; and a Relu, which is one."""
    x = np.array([[[[i, j]]] for i in range(0, 256, 3) for j in (0, 1, 5)], np.uint8)
    sums = x.sum(axis=(2, 3), keepdims=True, dtype=np.int64)
    op = GlobalAveragePool()
    for result in ((1, 0), (0.25, 9), (4, 200)):
        check(op, x, isa, 0, 1.0, result, wanted=rounded(sums, 2, 1.0, result))
    y = check(op, x, isa, 100, 1.0, (0.5, 20), activations=[Relu()])
    assert same_bits(y, np.maximum(rounded(sums - 200, 2, 1.0, (0.5, 20)), 20).astype(np.uint8))


@EVERY_ISA
@pytest.mark.parametrize("guard", ["before", "after"])
def test_stays_inside_its_memory(isa, guard):
    for C in (1, 16, 17, 65):
        graph, arrays = quantized_graph(
            ReduceMean(keepdims=0), [Quantized(data(2, C, 5, 5), SCALE, 3), np.array([2, 3])], RESULT
        )
        run_quantized(graph, arrays, isa, guard=guard)


def test_refusals():
    x, isa = data(1, 4, 3, 3), ISAS[-1]

    def why(op, operand, others=(), **options):
        graph, _ = quantized_graph(op, [operand, *others], RESULT, **options)
        return refusal(graph, "int8", isa)

    plain = Quantized(x, SCALE, 3)
    assert why(GlobalAveragePool(), Quantized(x, np.float32([1, 2, 3, 4]), 0, 1)) == "an operand is not bytes with one scale"
    added = Quantized(data(1, 4, 1, 1), SCALE, 0)
    assert why(GlobalAveragePool(), plain, residual=added) == "another store than kernels of bytes have"
    assert why(ReduceMean(), plain, [np.array([1, 2])]) == "axes (1, 2)"
