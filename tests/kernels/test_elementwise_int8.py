"""Add and Mul of quantized tensors on the kernel elementwise_int8."""

import numpy as np
import pytest

from fastconv import kernels
from fastconv.ops.binary import Add, Mul
from fastconv.ops.elementwise import Clip, Relu

from ..support.harness import choice, same_bits
from ..support.quantized import Quantized, expected, quantized_graph, refusal, run_quantized

COVERS = {"Add": ("int8", "int8-row-major"), "Mul": ("int8", "int8-row-major")}
ISAS = kernels.available("elementwise_int8")
EVERY_ISA = pytest.mark.parametrize("isa", ISAS)
EVERY_OP = pytest.mark.parametrize("op", [Add(), Mul()], ids=str)
RESULT = (np.float32(0.05), 100)


def rule(op, a, b, result, low=0, high=255):
    """The bytes in float32, each operation rounded once."""
    scale, zero = np.float32(result[0]), result[1]
    x, y = ((q.array.astype(np.int32) - q.zero).astype(np.float32) for q in (a, b))
    if isinstance(op, Add):
        sums = x * (np.float32(a.scale) / scale) + y * (np.float32(b.scale) / scale)
    else:
        sums = x * y * (np.float32(a.scale) * np.float32(b.scale) / scale)
    return np.clip(np.rint(sums) + np.float32(zero), low, high).astype(np.uint8)


def check(op, a, b, isa, result=RESULT, low=0, high=255, **options):
    graph, arrays = quantized_graph(op, [a, b], result, **options)
    guard = ("before", "after")[a.array.size % 2]
    y, plan = run_quantized(graph, arrays, isa, guard=guard)
    assert same_bits(y, rule(op, a, b, result, low, high))
    assert np.abs(y.astype(int) - expected(graph, arrays)).max() <= 1
    assert choice(plan) == ("int8" if a.blocked or b.blocked else "int8-row-major")


def operand(seed, shape, zero=128, scale=0.03, **options):
    return Quantized(np.random.default_rng(seed).integers(0, 256, shape, np.uint8), np.float32(scale), zero, **options)


@EVERY_ISA
@EVERY_OP
def test_every_pair_of_bytes(isa, op):
    a, b = (q.reshape(-1).astype(np.uint8) for q in np.indices((256, 256)))
    for zeros, scales, result in (
        ((0, 255), (0.02, 0.07), RESULT),
        ((1, 128), (1, 0.5), (1, 3)),
        ((128, 128), (1, 0.25), (2, 0)),
    ):
        check(op, *(Quantized(q, np.float32(s), z) for q, s, z in zip((a, b), scales, zeros, strict=True)), isa, result)


@EVERY_ISA
@EVERY_OP
def test_every_length(isa, op):
    for n in (*range(1, 6), 7, 8, 9, 15, 16, 17, 31, 33, 65):
        check(op, operand(0, (n,)), operand(1, (n,), 3), isa)


@EVERY_ISA
@EVERY_OP
def test_channels_last(isa, op):
    for i, C in enumerate((1, 3, 8, 15, 16, 17, 31, 32, 33, 64, 100)):
        a, b = operand(0, (2, C, 3, 5), blocked=True), operand(1, (2, C, 3, 5), 7, blocked=i % 2 == 0)
        check(op, a, b, isa)


@EVERY_ISA
@EVERY_OP
@pytest.mark.parametrize("blocked", [False, True])
def test_broadcasting(isa, op, blocked):
    """A value for each channel of an image, for each pixel, each channel or image, and for all; on both sides."""
    x = operand(0, (2, 19, 5, 3), blocked=blocked)
    for shape in ((2, 19, 1, 1), (2, 1, 5, 3), (1, 19, 1, 1), (2, 1, 1, 1), (1, 1, 1, 1), (1, 19, 5, 1)):
        for constant in (False, True):
            other = operand(1, shape, 9, constant=constant)
            check(op, x, other, isa)
            check(op, other, x, isa)
    for shape in ((19, 1, 1), (3,), ()):
        check(op, x, operand(1, shape, 9, constant=True), isa)


@EVERY_ISA
def test_bounds(isa):
    a, b = operand(0, (1, 5, 6, 7)), operand(1, (1, 5, 6, 7), 0)
    for op in (Add(), Mul()):
        check(op, a, b, isa, (0.02, 60), 60, 255, activations=[Relu()])
        check(op, a, b, isa, (0.02, 60), 60, 110, activations=[(Clip(), np.float32(0), np.float32(1))])


def test_refusals():
    x, isa = operand(0, (1, 4, 3, 3)), ISAS[-1]

    def why(other, name="int8-row-major", **options):
        graph, _ = quantized_graph(Add(), [x, other], RESULT, **options)
        return refusal(graph, name, isa)

    scales = Quantized(x.array, np.ones(4, np.float32), 0, 1)
    assert why(scales) == "an operand is not bytes with one scale"
    assert why(x, residual=x) == "another store than kernels of bytes have"
    assert why(x, "int8") == "no operand has channels last"
