"""Functions of integers, comparisons and masks on the kernel elementwise_typed: exactly what the reference gives."""

import numpy as np
import pytest

from fastconv import kernels
from fastconv.errors import ModelError
from fastconv.graph import Graph, Node, Value
from fastconv.implementations import IMPLEMENTATIONS
from fastconv.ops.binary import (
    Add,
    And,
    Div,
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Max,
    Min,
    Mod,
    Mul,
    Or,
    Sub,
    Sum,
    Where,
    Xor,
)
from fastconv.ops.elementwise import Abs, Clip, IsNaN, Neg, Not, Relu
from fastconv.plan import Target, build

from ..support.harness import ISAS, choice, refusals, run_node, run_threads, same_bits

ARITHMETIC = [Add(), Sub(), Mul(), Min(), Max(), Sum()]
DIVISIONS = [Div(), Mod(), Mod(fmod=1)]
COMPARISONS = [Equal(), Less(), LessOrEqual(), Greater(), GreaterOrEqual()]
LOGIC = [And(), Or(), Xor()]
COVERS = dict.fromkeys(
    [type(op).__name__ for op in (*ARITHMETIC, *DIVISIONS, *COMPARISONS, *LOGIC)]
    + ["Abs", "Clip", "IsNaN", "Neg", "Not", "Where"],
    ("typed",),
)
EVERY_ISA = pytest.mark.parametrize("isa", ISAS)
INTEGERS = pytest.mark.parametrize("dtype", [np.int32, np.int64])
GUARDS = pytest.mark.parametrize("guard", [None, "before", "after"])
#: shapes that broadcast together: lines of every tail, values for a line, for a column, for all; six axes; more than one item
PAIRS = [
    ((), (5,)),
    ((1,), (1,)),
    *(((3, n), (3, n)) for n in range(1, 70, 3)),
    ((7, 1), (7, 70)),
    ((2, 3, 70), (70,)),
    ((4, 1, 6), (1, 5, 1)),
    ((2, 1, 3, 1, 2, 1), (1, 2, 1, 3, 1, 9)),
    ((1200,), (1200,)),
    ((3, 1100), (3, 1)),
    ((2, 1, 1), (1, 300, 7)),
]
SHAPES = [shapes for a, b in PAIRS for shapes in ((a, b), (b, a))]


def numbers(rng, shape, dtype):
    """Any bits, from few values: many numbers are equal, and results overflow the type."""
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype.kind == "f":
        return rng.choice(np.array([-np.inf, -1.5, -0.0, 0, 2, np.inf, np.nan], dtype), shape)
    info = np.iinfo(dtype)
    few = np.array([info.min, info.min + 1, -3, -1, 0, 1, 2, 7, info.max // 3, info.max]).astype(dtype)
    return np.where(rng.integers(2, size=shape), rng.choice(few, shape), rng.integers(info.min, info.max, shape, dtype))


def check(op, inputs, isa, **options):
    (y,), plan = run_threads(op, inputs, isa, **options)
    with np.errstate(all="ignore"):
        expected = np.asarray(op.reference(*inputs))
    assert same_bits(y, expected.astype(y.dtype, casting="no")), f"{op}: {[a.shape for a in inputs]}"
    assert choice(plan) == "typed"


@EVERY_ISA
@INTEGERS
@pytest.mark.parametrize("op", ARITHMETIC, ids=str)
def test_arithmetic(isa, dtype, op):
    rng = np.random.default_rng(0)
    for shapes in SHAPES:
        check(op, [numbers(rng, s, dtype) for s in shapes], isa)


@EVERY_ISA
@INTEGERS
@pytest.mark.parametrize("op", DIVISIONS, ids=str)
def test_division(isa, dtype, op):
    rng = np.random.default_rng(1)
    for shapes in SHAPES:
        x, y = (numbers(rng, s, dtype) for s in shapes)
        check(op, [x, np.where(y == 0, dtype(3), y)], isa)


@EVERY_ISA
@INTEGERS
@pytest.mark.parametrize("op", [Abs(), Neg()], ids=str)
def test_of_one_tensor(isa, dtype, op):
    rng = np.random.default_rng(2)
    for shape in ((), (1,), (3, 70), (2, 1100)):
        check(op, [numbers(rng, shape, dtype)], isa)


@EVERY_ISA
@INTEGERS
def test_clip(isa, dtype):
    """Bounds that are constant, computed, crossed, or left out."""
    rng = np.random.default_rng(9)
    x = numbers(rng, (3, 70), dtype)
    for low, high in ((-2, 5), (5, -2), (None, 7), (-7, None), (None, None)):
        inputs = [x, *(None if bound is None else np.array(bound, dtype) for bound in (low, high))]
        for constants in ((), (1, 2)):
            check(Clip(), inputs, isa, constants=constants, guard="after")


@EVERY_ISA
@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.int64, np.uint8, bool])
@pytest.mark.parametrize("op", COMPARISONS, ids=str)
def test_comparisons(isa, dtype, op):
    rng = np.random.default_rng(3)
    for shapes in SHAPES:
        check(op, [numbers(rng, s, dtype) for s in shapes], isa)


@EVERY_ISA
@pytest.mark.parametrize("op", LOGIC, ids=str)
def test_logic(isa, op):
    rng = np.random.default_rng(4)
    for shapes in SHAPES:
        check(op, [numbers(rng, s, bool) for s in shapes], isa)


@EVERY_ISA
def test_not_and_is_nan(isa):
    rng = np.random.default_rng(5)
    for shape in ((), (1,), (3, 70), (2, 1100)):
        check(Not(), [numbers(rng, shape, bool)], isa)
        check(IsNaN(), [numbers(rng, shape, np.float32)], isa)


@EVERY_ISA
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int8, np.uint8, np.int32, np.int64, bool])
def test_where(isa, dtype):
    rng = np.random.default_rng(6)
    for a, b in PAIRS:
        for condition, x, y in ((a, b, b), (b, a, b), (b, b, a), (b, a, a)):
            check(Where(), [numbers(rng, condition, bool), numbers(rng, x, dtype), numbers(rng, y, dtype)], isa)


@EVERY_ISA
@GUARDS
def test_stays_inside_its_memory(isa, guard):
    rng = np.random.default_rng(7)
    for n in (1, 3, 15, 33, 513):
        x, y, mask = numbers(rng, (2, n), np.int64), numbers(rng, (n,), np.int64), numbers(rng, (2, 1), bool)
        check(Add(), [x, y], isa, guard=guard)
        check(Less(), [x, y], isa, guard=guard)
        check(Where(), [mask, x, y], isa, guard=guard)


@EVERY_ISA
def test_constants(isa):
    x = np.arange(-6, 6).reshape(3, 4)
    check(Mul(), [x, np.array(-5)], isa, constants=(1,))
    check(Equal(), [np.array([[2], [3], [-1]]), x], isa, constants=(0,))
    check(Where(), [x > 0, x, np.array(-1)], isa, constants=(2,))
    check(Where(), [x[0] > -5, x, x + 7], isa, constants=(0, 1))


@EVERY_ISA
@INTEGERS
@pytest.mark.parametrize("op", DIVISIONS, ids=str)
def test_division_by_zero_is_an_error(isa, dtype, op):
    x, y = np.arange(2000, dtype=dtype), np.ones(2000, dtype)
    for place in (0, 700, 1999):
        y[:], y[place] = 1, 0
        for threads in (1, 2, 3):
            with pytest.raises(ModelError, match=r"node 'y' \(\w+\): integer division by zero"):
                run_node(op, [x, y], isa, threads)


@EVERY_ISA
def test_division_by_zero_in_one_of_many_images(isa):
    """The error is found in whichever thread computes the image."""
    x, y, z = (Value(name, (1, 5), np.dtype(np.int64)) for name in "xyz")
    node = Node(Div(), [x, y], [z], "z")
    plan = build(Graph([x, y], [z], [node]), Target(IMPLEMENTATIONS, kernels.load(isa), 2), {}, images=7)
    for wrong in (None, 0, 3, 6):
        a, b = np.full((7, 5), 6), np.full((7, 5), 2)
        if wrong is None:
            plan.run([a, b], [found := np.empty_like(a)], 2)
            assert (found == 3).all()
            continue
        b[wrong, 4] = 0
        with pytest.raises(ModelError, match=r"node 'z' \(Div\): integer division by zero"):
            plan.run([a, b], [np.empty_like(a)], 2)


def test_the_reason_is_that_of_an_implementation_for_the_dtype():
    for dtype, reason in ((np.float32, "3 operands"), (np.int64, "3 operands"), (np.float64, "dtype float64")):
        _, plan = run_node(Sum(), [np.ones(4, dtype)] * 3, ISAS[-1], 1, python=True)
        assert [e.reference_reason for e in plan.entries] == [reason]


def test_refusals():
    def refusal(op, *inputs, **options):
        return refusals(op, inputs, ISAS[-1], **options)["typed"]

    x = np.arange(4)
    assert refusal(Add(), x.astype(np.float64), x.astype(np.float64)) == "dtype float64"
    assert refusal(Less(), x.astype(np.uint16), x.astype(np.uint16)) == "dtype uint16"
    assert refusal(Max(), x, x, x) == "3 operands"
    assert refusal(Sum(), x) == "1 operands"
    assert refusal(Add(), x, x, epilogue=[Relu()]) == "an activation"
    assert refusal(Add(), x, x, constants=(0, 1)) == "constant input"
    assert refusal(Add(), x[:0], x[:1]) == "empty tensor"
    assert refusal(Add(), np.zeros((1, 2) * 4, np.int64), np.zeros((2, 1) * 4, np.int64)) == "broadcasting over 8 axes"
