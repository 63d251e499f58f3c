"""Resize of quantized tensors on the kernel resize_int8."""

import numpy as np
import pytest

from fastconv import kernels
from fastconv.ops.elementwise import Relu
from fastconv.ops.resize import COORDINATES, Resize

from ..support.harness import choice, same_bits
from ..support.quantized import Quantized, expected, quantized_graph, refusal, run_quantized

COVERS = {"Resize": ("taps-int8",)}
ISAS = kernels.available("resize_int8")
EVERY_ISA = pytest.mark.parametrize("isa", ISAS)
SCALE, ZERO, RESULT = np.float32(0.037), 121, (np.float32(0.031), 7)


def data(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def others(op, x, scales=None, sizes=None):
    """The operands behind x: roi, scales and sizes."""
    roi = np.repeat(np.float32([0, 1]), x.ndim) if op.coordinate_transformation_mode == "tf_crop_and_resize" else None
    scales = None if scales is None else np.float32([1, 1, *scales])
    return [roi, scales, *([] if sizes is None else [np.array([*x.shape[:2], *sizes])])]


def promised(op, x, roi, scales, sizes=None, least=0):
    """The rule: sums over the taps in float32, each operation rounded once, and one product."""
    (_, _, OH, OW), factors = op.output(x.shape, roi, scales, None if sizes is None else tuple(sizes.tolist()))
    rows, columns = (op.taps(axis, x.shape[axis], out, factors[axis], roi, 4) for axis, out in ((2, OH), (3, OW)))
    steps = x.astype(np.float32) - ZERO
    y = np.zeros((*x.shape[:2], OH, OW), np.float32)
    for h in range(rows.places.shape[1]):
        row = np.zeros_like(y)
        for w in range(columns.places.shape[1]):
            taken = steps[:, :, rows.places[:, h]][..., columns.places[:, w]]
            row += taken * columns.weights[:, w].astype(np.float32)
        y += row * rows.weights[:, h].astype(np.float32)[:, None]
    y = np.rint(y * np.float32(SCALE / RESULT[0]))
    return np.clip(y + RESULT[1], max(least, 0), 255).astype(np.uint8)


def check(op, x, isa, scales=None, sizes=None, least=0, **options):
    given = others(op, x, scales, sizes)
    graph, arrays = quantized_graph(op, [Quantized(x, SCALE, ZERO), *given], RESULT, **options)
    y, plan = run_quantized(graph, arrays, isa, algorithm="taps-int8")
    assert np.abs(y.astype(int) - expected(graph, arrays)).max() <= 1
    assert same_bits(y, promised(op, x, *given, least=least))
    assert choice(plan) == "taps-int8"
    return y


@EVERY_ISA
@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_modes(isa, mode, coordinates):
    x, op = data(2, 17, 5, 7), Resize(mode=mode, coordinate_transformation_mode=coordinates)
    for scales in ((2, 2), (1, 3), (0.6, 1.7), (1, 1), (3.3, 0.5)):
        check(op, x, isa, scales)
    for sizes in ((10, 14), (1, 1), (3, 20)):
        check(op, x, isa, sizes=sizes)


@EVERY_ISA
def test_every_channel_tail(isa):
    for C in (*range(1, 34), 64, 80, 129):
        check(Resize(mode="linear"), data(1, C, 3, 4), isa, (2, 2))


@EVERY_ISA
def test_antialias_and_bounds(isa):
    check(Resize(mode="linear", antialias=1), data(1, 3, 12, 16), isa, (0.3, 0.5))
    x = data(1, 20, 4, 4)
    y = check(Resize(mode="linear"), x, isa, (2, 2), least=RESULT[1], activations=[Relu()])
    assert y.min() == RESULT[1]


@EVERY_ISA
def test_images_do_not_depend_on_the_batch(isa):
    x = data(3, 20, 5, 6)
    y = check(Resize(mode="linear"), x, isa, (2, 3))
    for n in range(3):
        assert same_bits(check(Resize(mode="linear"), x[n : n + 1], isa, (2, 3)), y[n : n + 1])


@EVERY_ISA
@pytest.mark.parametrize("guard", ["before", "after"])
def test_stays_inside_its_memory(isa, guard):
    for C in (1, 16, 17):
        given = others(Resize(), x := data(2, C, 5, 5), (2, 1.5))
        graph, arrays = quantized_graph(Resize(mode="linear"), [Quantized(x, SCALE, 3), *given], RESULT)
        run_quantized(graph, arrays, isa, algorithm="taps-int8", guard=guard)


def test_refusals():
    x = data(1, 4, 3, 3)

    def why(operand, scales=(2, 2), op=None, **options):
        op = op or Resize(mode="linear")
        graph, _ = quantized_graph(op, [operand, *others(op, x, scales)], RESULT, **options)
        return refusal(graph, "taps-int8", ISAS[-1])

    plain = Quantized(x, SCALE, 3)
    assert why(plain) is None
    assert why(Quantized(x, np.float32([1, 2, 3, 4]), 0, 1)) == "an operand is not bytes with one scale"
    assert why(plain, residual=Quantized(data(1, 4, 6, 6), SCALE, 0)) == "another store than kernels of bytes have"
    graph, _ = quantized_graph(Resize(mode="linear"), [plain, None, np.float32([1, 2, 1, 1])], RESULT)
    assert refusal(graph, "taps-int8", ISAS[-1]) == "axis 1 is resized"
