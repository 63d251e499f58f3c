"""Functions of one and two tensors on the kernel elementwise, blocked and row-major."""

import itertools

import numpy as np
import pytest

from fastconv import kernels
from fastconv.implementations import IMPLEMENTATIONS
from fastconv.ops import binary, elementwise
from fastconv.plan.layout import contiguous
from fastconv.plan.strided import collapse

from ..support.harness import (
    EPS,
    ISAS,
    assert_within,
    choice,
    constants_of,
    reference,
    refusals,
    run_node,
    run_threads,
    same_bits,
)

EVERY_ISA = pytest.mark.parametrize("isa", ISAS)
#: of the functions that one IEEE operation computes, and so exactly
BINARY = [binary.Add(), binary.Sub(), binary.Mul(), binary.Div(), binary.Sum(), binary.Min(), binary.Max(), binary.PRelu()]
UNARY = [elementwise.Abs(), elementwise.Neg(), elementwise.Sqrt(), elementwise.Reciprocal(), elementwise.Relu()]
ACTIVATIONS = [
    elementwise.LeakyRelu(alpha=0.1),
    elementwise.Sigmoid(),
    elementwise.Swish(),
    elementwise.Tanh(),
    elementwise.HardSigmoid(alpha=0.3, beta=0.4),
    elementwise.HardSwish(),
    elementwise.Elu(alpha=0.7),
    elementwise.Softplus(),
    elementwise.Exp(),
    elementwise.Erf(),
    elementwise.Gelu(),
    elementwise.Gelu(approximate="tanh"),
    elementwise.Mish(),
]
COVERS = {type(op).__name__: ("blocked", "row-major") for op in (*BINARY, *UNARY, *ACTIVATIONS, elementwise.Clip())}
BY_NAME = {"ids": lambda op: type(op).__name__}
SPECIAL = np.array([0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 1e-30, -1e30, 88.7, -87.4, -103, 3e-39, 0.5], np.float32)


def check_exact(op, inputs, isa, name, run=run_threads, **options):
    """Against float64 rounded to float32: exact, as each function is one operation and denormals are kept."""
    (y,), plan = run(op, inputs, isa, accuracy="exact", **options)
    (expected,) = reference(op, inputs)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(y, expected.astype(np.float32))
    assert choice(plan) == name
    return y


@EVERY_ISA
@pytest.mark.parametrize("op", BINARY, **BY_NAME)
def test_blocked_channels_and_widths(isa, op):
    rng = np.random.default_rng(0)
    V = kernels.load(isa).V
    sizes = [(C, 3) for C in range(1, 2 * V + 2)] + [(V + 3, W) for W in range(1, 18)]
    for C, W in sizes:
        x, y = rng.standard_normal((2, 2, C, 3, W), np.float32)
        check_exact(op, [x, y], isa, "blocked", blocked=(0, 1))


def run_two(op, inputs, isa, **options):
    """On two threads only, as there are many cases."""
    return run_node(op, inputs, isa, 2, **options)


def shapes_beside(N, C, H, W):
    """Every shape of rank 4 that broadcasts to the one given."""
    return itertools.product(*({d, 1} for d in (N, C, H, W)))


@pytest.mark.slow
@EVERY_ISA
@pytest.mark.parametrize("order", [1, -1])
def test_blocked_broadcasting(isa, order):
    """A tensor beside one that has fewer images, channels, rows or pixels, from another layer or constant."""
    rng = np.random.default_rng(1)
    V = kernels.load(isa).V
    full = (3, V + 3, 5, 7)
    x = rng.standard_normal(full, np.float32)
    for shape in shapes_beside(*full):
        other = rng.standard_normal(shape, np.float32)
        for cut in range(4):
            y = other.reshape(shape[cut:]) if set(shape[:cut]) <= {1} else other
            for blocked, constants in (((0, 1), ()), ((0,), ()), ((0,), (1,))):
                if y.ndim < 4 and (blocked == (0, 1) or (not constants and y.ndim == 3 and len(y) > 1)):
                    continue
                there = {0: 0, 1: 1} if order == 1 else {0: 1, 1: 0}
                check_exact(
                    binary.Sub(),
                    [x, y][::order],
                    isa,
                    "blocked",
                    run=run_two,
                    blocked=tuple(there[i] for i in blocked),
                    constants=tuple(there[i] for i in constants),
                )


@EVERY_ISA
def test_blocked_single_channel(isa):
    rng = np.random.default_rng(2)
    x = rng.standard_normal((2, 1, 4, 5), np.float32)
    for shape in ((2, 1, 4, 5), (1, 1, 1, 1), (2, 1, 1, 1), (), (5,)):
        y = rng.standard_normal(shape).astype(np.float32)
        check_exact(binary.Mul(), [x, y], isa, "blocked", blocked=(0,))
        check_exact(binary.Mul(), [x, y], isa, "blocked", blocked=(0,), constants=(1,))


@EVERY_ISA
@pytest.mark.parametrize("op", BINARY, **BY_NAME)
def test_plain_lengths(isa, op):
    rng = np.random.default_rng(3)
    V = kernels.load(isa).V
    for n in (*range(1, 2 * V + 2), 4095, 4096, 4097, 12289):
        x, y = rng.standard_normal((2, n), np.float32)
        check_exact(op, [x, y], isa, "row-major")
        check_exact(op, [x, y[:1]], isa, "row-major", constants=(1,))
        if not isinstance(op, binary.PRelu):
            check_exact(op, [x[:1], y], isa, "row-major")


@EVERY_ISA
@pytest.mark.parametrize("shape", [(), (5,), (3, 5), (2, 3, 4), (2, 3, 2, 3, 2, 3)])
def test_plain_broadcasting(isa, shape):
    """Both operands with any axes of size 1, and with the first axes left out."""
    rng = np.random.default_rng(4)
    sides = list(itertools.product(*({d, 1} for d in shape)))
    pairs = list(itertools.product(sides, sides))
    for a, b in pairs[:: len(pairs) // 64 or 1]:
        x, y = rng.standard_normal(a).astype(np.float32), rng.standard_normal(b).astype(np.float32)
        check_exact(binary.Sub(), [x, y], isa, "row-major", run=run_two)
        lead = next((i for i, d in enumerate(b) if d > 1), len(b))
        check_exact(binary.Sub(), [x, y.reshape(b[lead:])], isa, "row-major", run=run_two, constants=(1,))


@EVERY_ISA
@pytest.mark.parametrize("op", BINARY, **BY_NAME)
@pytest.mark.parametrize("blocked", [(), (0, 1)])
def test_special_values(isa, op, blocked):
    x, y = (v.reshape(1, -1, 1, 1).copy() for v in np.meshgrid(SPECIAL, SPECIAL))
    check_exact(op, [x, y], isa, "blocked" if blocked else "row-major", blocked=blocked)


@EVERY_ISA
@pytest.mark.parametrize("op", UNARY, **BY_NAME)
def test_unary(isa, op):
    rng = np.random.default_rng(5)
    V = kernels.load(isa).V
    for C in range(1, 2 * V + 2):
        x = rng.standard_normal((2, C, 3, 3), np.float32)
        check_exact(op, [x], isa, "blocked", blocked=(0,))
        check_exact(op, [x[0, :, 0, 0]], isa, "row-major")
    check_exact(op, [SPECIAL], isa, "row-major")


def check_activation(op, x, isa, name, **options):
    """The error is at most 6 roundings of the result, or of 1, as exp(x) - 1 and its like cancel."""
    (y,), plan = run_threads(op, [x], isa, **options)
    (expected,) = reference(op, [x])
    with np.errstate(over="ignore"):
        rounded = expected.astype(np.float32)  # beyond float32's range: infinite
    scale = np.maximum(1, np.abs(expected)) if not isinstance(op, elementwise.Exp) else np.abs(expected)
    assert_within(y, np.where(np.isinf(rounded), rounded, expected), 6 * EPS * scale + np.finfo(np.float32).tiny)
    assert choice(plan) == name


@EVERY_ISA
@pytest.mark.parametrize("op", ACTIVATIONS, **BY_NAME)
def test_activations(isa, op):
    rng = np.random.default_rng(6)
    V = kernels.load(isa).V
    check_activation(op, SPECIAL, isa, "row-major")
    check_activation(op, np.linspace(-20, 20, 9973, dtype=np.float32), isa, "row-major")
    check_activation(op, np.linspace(-1, 1, 4999, dtype=np.float32), isa, "row-major")
    for C in range(1, 2 * V + 2):
        check_activation(op, rng.standard_normal((2, C, 3, 5), np.float32), isa, "blocked", blocked=(0,))


@EVERY_ISA
def test_clip_bounds(isa):
    x = np.linspace(-5, 5, 101, dtype=np.float32)
    for bounds in ([], [-1.0], [-1.0, 2.0], [None, 2.0], [3.0, 1.0]):
        inputs = [x, *(None if b is None else np.array(b, np.float32) for b in bounds)]
        check_exact(elementwise.Clip(), inputs, isa, "row-major", constants=(1, 2))
        inputs[0] = x[:90].reshape(2, 5, 3, 3)
        check_exact(elementwise.Clip(), inputs, isa, "blocked", constants=(1, 2), blocked=(0,))


@EVERY_ISA
@pytest.mark.parametrize("act", [elementwise.Relu(), elementwise.Sigmoid(), elementwise.HardSwish()], **BY_NAME)
@pytest.mark.parametrize("op", [binary.Add(), binary.Mul(), binary.PRelu()], **BY_NAME)
def test_epilogue(isa, op, act):
    rng = np.random.default_rng(7)
    for shape, blocked in (((2, 19, 5, 7), (0, 1)), ((2, 19, 35), ())):
        x, y = rng.standard_normal((2, *shape), np.float32)
        (z,), _ = run_threads(op, [x, y], isa, blocked=blocked, epilogue=[act])
        (expected,) = reference(op, [x, y], epilogue=[act])
        assert_within(z, expected, 6 * EPS * np.maximum(1, np.abs(expected)))


@EVERY_ISA
@pytest.mark.parametrize("guard", ["before", "after"])
@pytest.mark.slow
def test_stays_inside_its_memory(isa, guard):
    rng = np.random.default_rng(8)
    for C in (1, 3, 8, 17):
        x = rng.standard_normal((2, C, 3, 5), np.float32)
        for y in (x[:, :, :1, :1].copy(), x[:, :1].copy(), x[:1, :, :1, :1].copy(), x[0, 0, 0]):
            for blocked in ((), (0,)):
                check_exact(binary.Mul(), [x, y], isa, "blocked" if blocked else "row-major", blocked=blocked, guard=guard)
                check_activation(
                    elementwise.Sigmoid(), x, isa, "blocked" if blocked else "row-major", blocked=blocked, guard=guard
                )


@EVERY_ISA
def test_images_do_not_depend_on_the_batch(isa):
    x = np.random.default_rng(9).standard_normal((7, 5, 9, 11), np.float32)
    (y,), _ = run_threads(elementwise.Swish(), [x], isa, blocked=(0,))
    for n in range(7):
        (alone,), _ = run_threads(elementwise.Swish(), [x[n : n + 1]], isa, blocked=(0,))
        assert same_bits(alone, y[n : n + 1])


def test_refusals():
    x = np.zeros((1, 4, 5, 5), np.float32)
    isa = ISAS[-1]
    wide = np.zeros((2, 1) * 4, np.float32), np.zeros((1, 2) * 4, np.float32)
    assert refusals(binary.Add(), [*wide], isa)["row-major"] == "broadcasting over 8 axes"
    assert refusals(binary.Add(), [x.astype(np.float64)] * 2, isa)["row-major"] == "dtype float64"
    assert refusals(binary.Add(), [x, x], isa) == {"blocked": "no operand of the result's shape is blocked"}
    assert refusals(binary.Sum(), [x, x, x], isa)["row-major"] == "3 operands"
    assert refusals(elementwise.Swish(alpha=2.0), [x], isa)["row-major"] == "not an activation of the kernels"
    assert refusals(binary.Add(), [x, x[:, :, :1, :1][0]], isa, blocked=(0,)) == {"blocked": "channels in an operand of rank 3"}


def test_functions_are_all_tested():
    tested = {i.function_of(op) for op in (*BINARY, *UNARY, *ACTIVATIONS) for i in IMPLEMENTATIONS[type(op)] if not i.quantized}
    assert tested == {name.lower() for name in constants_of(kernels.load().elementwise)}


def test_collapse():
    dims = (2, 3, 4, 5)
    assert collapse(dims, contiguous(dims)) == ((120,), [(1,)])
    assert collapse(dims, contiguous(dims), (0, 20, 5, 1)) == ((2, 60), [(60, 1), (0, 1)])
    assert collapse((1, 1), (7, 7)) == ((1,), [(1,)])
