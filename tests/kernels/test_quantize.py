"""QuantizeLinear and DequantizeLinear on the kernel quantize, and both together as an activation: the references' bits."""

import itertools

import numpy as np
import pytest

from fastconv import kernels
from fastconv.ops.binary import Add
from fastconv.ops.elementwise import Relu
from fastconv.ops.quantize import SCALES, DequantizeLinear, QuantizeLinear

from ..support.harness import ISAS, choice, refusals, run_node, run_threads, same_bits

COVERS = {
    "QuantizeLinear": ("blocked", "row-major", "integers", "integers-blocked", "integers-first"),
    "DequantizeLinear": ("integers", "integers-blocked"),
}
EVERY_ISA = pytest.mark.parametrize("isa", ISAS)
EVERY_BYTE = pytest.mark.parametrize("dtype", ["uint8", "int8"])
SCALE = np.float32(0.0371)
#: halves of steps and what is next to them, beyond the bounds, and what is no number
EDGES = np.concatenate([np.arange(-300, 300) / 2 * s for s in (SCALE, np.nextafter(SCALE, np.float32(1)))]).astype(np.float32)
SPECIAL = np.float32([0, -0.0, np.inf, -np.inf, np.nan, -np.nan, 1e30, -1e30, 1e-30, -1e-30, 3e-39])


def pair(dtype, scale, zero):
    """The epilogue that quantizes to `dtype` and back."""
    return [(op, np.asarray(scale, np.float32), np.array(zero, dtype)) for op in (QuantizeLinear(), DequantizeLinear())]


def there_and_back(x, dtype, scale, zero):
    """The references' result for float32."""
    operands = np.float32(scale), np.array(zero, dtype)
    return DequantizeLinear().reference(QuantizeLinear().reference(x, *operands), *operands)


def check(op, inputs, isa, constants=(1, 2), name="integers", **options):
    (y,), plan = run_threads(op, inputs, isa, constants=constants, accuracy="exact", **options)
    with np.errstate(all="ignore"):
        expected = op.reference(*inputs)
    assert same_bits(y, expected)
    assert choice(plan) == ("integers-blocked" if options.get("blocked") else name)


@EVERY_ISA
@EVERY_BYTE
@pytest.mark.parametrize("zero", [0, 17, 127])
def test_quantize(isa, dtype, zero):
    for x in (EDGES, SPECIAL, np.linspace(-9, 9, 4999, dtype=np.float32)):
        check(QuantizeLinear(), [x, np.array(SCALE), np.array(zero, dtype)], isa)
    check(QuantizeLinear(), [EDGES.reshape(2, 3, -1), np.array([SCALE]), np.array([zero], dtype)], isa)


@EVERY_ISA
@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32"])
def test_dequantize(isa, dtype):
    limits = np.iinfo(dtype)
    x = np.unique(np.linspace(limits.min, limits.max, 5001).astype(dtype))
    for zero in (0, 17, 127):
        check(DequantizeLinear(), [x, np.array(SCALE), np.array(zero, dtype)], isa)
    check(DequantizeLinear(), [x, np.array(SCALE)], isa)


@pytest.mark.slow
@EVERY_ISA
@EVERY_BYTE
@pytest.mark.parametrize("guard", [None, "before", "after"])
def test_lengths(isa, dtype, guard):
    rng = np.random.default_rng(0)
    V = kernels.load(isa).V
    for n in (*range(1, 4 * V + 2), 4095, 4096, 4097):
        x, q = rng.standard_normal(n, np.float32), rng.integers(0, 127, n).astype(dtype)
        check(QuantizeLinear(), [x, np.array(SCALE), np.array(3, dtype)], isa, guard=guard)
        check(DequantizeLinear(), [q, np.array(SCALE), np.array(3, dtype)], isa, guard=guard)


@EVERY_ISA
@pytest.mark.parametrize("guard", ["before", "after"])
def test_blocked(isa, guard):
    """The blocks of bytes are those of two or four blocks of floats."""
    for C in range(1, 34):
        x = np.resize(np.concatenate([EDGES, SPECIAL]), (2, C, 3, 5))
        q = np.arange(x.size, dtype=np.uint8).reshape(x.shape)
        check(QuantizeLinear(), [x, np.array(SCALE), np.uint8(C)], isa, blocked=(0,), guard=guard)
        check(DequantizeLinear(), [q, np.array(SCALE), np.uint8(C)], isa, blocked=(0,), guard=guard)
    x = np.resize(EDGES, (1, 16, 130, 131))
    check(QuantizeLinear(), [x, np.array(SCALE)], isa, (1,), blocked=(0,))


@EVERY_ISA
@pytest.mark.parametrize("guard", ["before", "after"])
def test_source_of_a_first_layer(isa, guard):
    """Planes become pixels of 4 bytes."""
    for C, W in itertools.product(range(2, 5), (1, 3, 4, 7, 16, 19, 40)):
        x = np.resize(np.concatenate([EDGES, SPECIAL]), (2, C, 3, W))
        for scale in (SCALE, np.float32(2.0**-97)):
            check(QuantizeLinear(), [x, np.array(scale), np.uint8(C)], isa, name="integers-first", guard=guard)


@EVERY_ISA
def test_scales_at_the_ends_of_their_range(isa):
    """Beyond SCALES quotients are divisions."""
    edges = np.arange(-300, 300, dtype=np.float32) / 2
    for scale in np.float32([*SCALES, 2.0**-97, 2.0**-140, 2.0**97, 2.0**120, 0, -1]):
        with np.errstate(all="ignore"):
            check(QuantizeLinear(), [np.concatenate([edges * scale, SPECIAL]), np.array(scale), np.uint8(9)], isa)


@EVERY_ISA
@EVERY_BYTE
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("constants", [(1, 2), ()])
def test_along_an_axis(isa, dtype, axis, constants):
    rng = np.random.default_rng(1)
    x, q = rng.standard_normal((3, 5, 7), np.float32), rng.integers(0, 127, (3, 5, 7)).astype(dtype)
    n = x.shape[axis]
    scale, zero = rng.uniform(0.01, 0.1, n).astype(np.float32), rng.integers(0, 100, n).astype(dtype)
    check(QuantizeLinear(axis=axis), [x, scale, zero], isa, constants)
    check(DequantizeLinear(axis=axis), [q, scale, zero], isa, constants)


@EVERY_ISA
@pytest.mark.parametrize(
    "dtype, zero", [("uint8", 0), ("uint8", 128), ("int8", -128), ("int8", 0), ("uint16", 40000), ("int16", 0)]
)
@pytest.mark.parametrize("blocked", [(), (0,)])
def test_there_and_back(isa, dtype, zero, blocked):
    """The activation on a kernel of its own."""
    x = np.concatenate([EDGES, SPECIAL, np.linspace(-3000, 3000, 1501, dtype=np.float32)])
    x = np.resize(x, (2, 19, 9, 9)).astype(np.float32)
    quantize, dequantize = pair(dtype, SCALE, zero)
    op, *operands = quantize
    (y,), plan = run_threads(
        op, [x, *operands], isa, constants=(1, 2), blocked=blocked, epilogue=[dequantize], accuracy="exact"
    )
    with np.errstate(all="ignore"):
        assert same_bits(y, there_and_back(x, dtype, SCALE, zero))
    assert choice(plan) == ("blocked" if blocked else "row-major")


@EVERY_ISA
def test_the_quotient_is_rounded_as_a_division_rounds_it(isa):
    """Next to the middle of two steps, for scales of every size that is taken."""
    rng = np.random.default_rng(2)
    for i, scale in enumerate((2.0 ** rng.uniform(*np.log2(SCALES), 40)).astype(np.float32)):
        near = (rng.integers(-300, 300, 4000) / 2 * scale).astype(np.float32).view(np.int32) + rng.integers(-3, 4, 4000)
        x, (dtype, zero) = near.astype(np.int32).view(np.float32), [("uint8", 0), ("int8", -3), ("uint16", 30000)][i % 3]
        quantize, dequantize = pair(dtype, scale, zero)
        (y,), _ = run_node(quantize[0], [x, *quantize[1:]], isa, 1, constants=(1, 2), epilogue=[dequantize])
        assert same_bits(y, there_and_back(x, dtype, scale, zero)), scale


@EVERY_ISA
@pytest.mark.parametrize("act", [None, Relu()])
@pytest.mark.parametrize("dtype, zero", [("uint8", 0), ("int8", 0)])
def test_behind_an_activation(isa, act, dtype, zero):
    x = np.resize(np.concatenate([EDGES, SPECIAL]), (2, 19, 5, 7))
    y = np.zeros_like(x)
    (z,), _ = run_threads(Add(), [x, y], isa, epilogue=[*([act] if act else []), pair(dtype, SCALE, zero)], accuracy="exact")
    with np.errstate(all="ignore"):
        assert same_bits(z, there_and_back(act.reference(x) if act else x, dtype, SCALE, zero))


def test_refusals():
    x, isa = np.zeros((2, 3), np.float32), ISAS[-1]

    def why(op, *inputs):
        return refusals(op, list(inputs), isa, constants=(1, 2))["integers"]

    scale, zero = np.array(SCALE), np.uint8(0)
    assert why(QuantizeLinear(), x, scale, np.int16(0)) == "dtype int16"
    assert why(QuantizeLinear(), x.astype(np.float64), scale.astype(np.float64), zero) == "dtype float64"
    assert why(QuantizeLinear(precision=11), x, scale, zero) == "another precision than float32"
    assert why(QuantizeLinear(block_size=2), x, x[:, :2], zero.reshape(1)) == "scales for blocks"
    assert why(QuantizeLinear(), x[:0], scale, zero) == "empty tensor"
    assert why(DequantizeLinear(), x.astype(np.uint16), scale, np.uint16(0)) == "dtype uint16"
    assert why(DequantizeLinear(), x.astype(np.uint8), np.ones(3, np.float32), zero).startswith("a zero point of another shape")
    x = np.zeros((1, 3, 2, 2), np.float32)
    for inputs, reason in [([x, scale, np.int8(0)], "dtype int8"), ([x, np.float32([1, 1, 1])], "more than one scale")]:
        assert refusals(QuantizeLinear(), inputs, isa, constants=(1, 2), blocked=(0,))["integers-blocked"] == reason


def test_integers_that_are_read_are_no_activation():
    assert refusals(QuantizeLinear(), [np.zeros(3, np.float32), np.array(SCALE)], ISAS[-1], constants=(1,)) == {
        "blocked": "not an activation of the kernels",
        "row-major": "not an activation of the kernels",
        "integers-first": "rank 1",
        "integers-blocked": "rank 1",
    }
