"""TopK and ArgMax on the kernel top_k: values and indices are exactly those of the reference."""

import numpy as np
import pytest

from fastconv import kernels
from fastconv.graph import Graph, Node, Value
from fastconv.implementations import IMPLEMENTATIONS
from fastconv.ops.arg_max import ArgMax
from fastconv.ops.top_k import TopK
from fastconv.plan import Target, build

from ..support.harness import ISAS, choice, reference, refusals, run_plan, run_threads, same_bits
from ..support.rng import generator

COVERS = {"TopK": ("row-major",), "ArgMax": ("row-major",)}
EVERY_ISA = pytest.mark.parametrize("isa", ISAS)
BOTH = pytest.mark.parametrize("largest", [0, 1])
RNG = generator(__name__)


def check(x, k, isa, **options):
    """Run one node and check its values and indices."""
    guard = options.pop("guard", None)
    op, inputs = TopK(**options), [x, np.array([k])]
    got, plan = run_threads(op, inputs, isa, constants=(1,), results=2, guard=guard)
    assert choice(plan) == "row-major"
    for y, expected in zip(got, reference(op, inputs, results=2), strict=True):
        np.testing.assert_array_equal(y, expected)
    assert [y.dtype.name for y in got] == ["float32", "int64"]
    return got


def few(*shape):
    """Numbers, many of them equal."""
    return RNG.integers(-4, 5, shape).astype(np.float32)


@EVERY_ISA
@BOTH
def test_rows(isa, largest):
    """k from one to the whole row, so that every size of the heap occurs."""
    for D in (1, 2, 3, 7, 40, 300):
        for k in {1, 2, D // 2, D - 1, D} - {0}:
            if k <= D:
                check(few(5, D), k, isa, largest=largest)
                check(RNG.standard_normal((2, D), np.float32), k, isa, largest=largest)


@EVERY_ISA
@BOTH
@pytest.mark.parametrize("axis", range(-3, 3))
def test_axes(isa, largest, axis):
    check(few(4, 6, 5), 3, isa, largest=largest, axis=axis)


@EVERY_ISA
@BOTH
def test_one_of_each_of_many_neighbours(isa, largest):
    """Rows of four vectors, of one, and every tail, with and without NaN and infinities."""
    V = kernels.load(isa).V
    for inner in (1, V - 1, V, V + 1, 4 * V, 5 * V + 3, 13 * V):
        x = few(2, 9, inner)
        check(x, 1, isa, largest=largest, axis=1)
        for value in (np.inf, -np.inf, np.nan):
            x[0, RNG.integers(0, 9, 3), RNG.integers(0, inner, 3)] = value
            check(x, 1, isa, largest=largest, axis=1)
        x[1, RNG.integers(0, 9), -1] = np.nan
        check(x, 1, isa, largest=largest, axis=1)


@EVERY_ISA
@BOTH
def test_rows_in_order(isa, largest):
    """Rising, falling and equal rows: every element enters the heap, or none."""
    up = np.arange(100, dtype=np.float32)
    for x in (up, up[::-1].copy(), np.zeros(100, np.float32)):
        check(x, 9, isa, largest=largest)


@EVERY_ISA
@BOTH
def test_nan_counts_as_largest(isa, largest):
    for count in (1, 5, 30):
        x = few(3, 30)
        for row in x:
            row[RNG.permutation(30)[:count]] = np.nan
        x[0, 0], x[1, 3], x[2, 5], x[2, 7] = np.inf, -np.inf, 0.0, -0.0
        for k in (1, 4, 28, 30):
            check(x, k, isa, largest=largest)


@EVERY_ISA
@pytest.mark.parametrize("guard", ["before", "after"])
def test_stays_inside_its_memory(isa, guard):
    for shape, k, axis in (((1,), 1, 0), ((3, 5), 2, 1), ((3, 5, 2), 5, 1), ((3, 5, 16), 1, 1), ((2, 3, 85), 1, 1)):
        check(few(*shape), k, isa, axis=axis, guard=guard)


@EVERY_ISA
def test_the_indices_alone(isa):
    a = few(3, 20)
    x, k, i = Value("x", a.shape, a.dtype), Value("k", constant=np.array([4])), Value("i", (3, 4), np.dtype(np.int64))
    plan = build(
        Graph([x], [i], [Node(TopK(), [x, k], [None, i], "y")]), Target(IMPLEMENTATIONS, kernels.load(isa), 2, pieces=2), {}
    )
    assert not plan.python_steps
    (y,) = run_plan(plan, [a], 2)
    assert same_bits(y, check(a, 4, isa)[1])


@EVERY_ISA
@pytest.mark.parametrize("axis", range(-3, 3))
@pytest.mark.parametrize("keepdims", [0, 1])
def test_arg_max(isa, axis, keepdims):
    """Of equal elements the first wins, and of NaNs the first."""
    for x in (few(4, 6, 5), few(3, 1, 2), few(2, 40, 9)):
        for _ in range(2):
            op = ArgMax(axis=axis, keepdims=keepdims)
            (y,), plan = run_threads(op, [x], isa)
            np.testing.assert_array_equal(y, reference(op, [x])[0], strict=True)
            assert choice(plan) == "row-major"
            x.reshape(-1)[RNG.integers(0, x.size, x.size // 4)] = np.nan


def test_refusals():
    isa, k = ISAS[-1], np.array([2])
    assert refusals(TopK(), [np.zeros((2, 3)), k], isa, constants=(1,)) == {"row-major": "dtype float64"}
    assert refusals(TopK(), [np.zeros((0, 3), np.float32), k], isa, constants=(1,)) == {"row-major": "empty tensor"}
    assert refusals(ArgMax(select_last_index=1), [np.zeros((2, 3), np.float32)], isa) == {"row-major": "select_last_index"}
    assert refusals(TopK(), [np.zeros((2, 3), np.float32), k[:1] * 0], isa, constants=(1,)) == {"row-major": "empty tensor"}
