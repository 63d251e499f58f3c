"""Gather on the kernel gather: exact, for elements of every size."""

import numpy as np
import pytest

from fastconv import kernels
from fastconv.errors import ModelError
from fastconv.graph import Graph, Node, Value
from fastconv.implementations.gather import progressions
from fastconv.ops.gather import Gather
from fastconv.ops.gather_elements import GatherElements
from fastconv.plan import Target, build

from ..support.harness import ISAS, THREADS, WITH_BLOCK, choice, refusals, run_node, run_threads, same_bits

COVERS = dict.fromkeys(("Gather", "GatherElements"), ("row-major",))
EVERY_ISA = pytest.mark.parametrize("isa", ISAS)
DTYPES = (np.float32, np.float64, np.float16, np.int8, np.uint8, np.int32, np.int64, bool)
EVERY_TYPE = pytest.mark.parametrize("dtype", DTYPES)
GUARDS = pytest.mark.parametrize("guard", [None, "before", "after"])


def numbers(shape, dtype):
    """Numbers whose neighbours differ."""
    x = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    return x % 3 == 0 if dtype is bool else x.astype(dtype)


def check(op, inputs, isa, **options):
    (y,), plan = run_threads(op, inputs, isa, **options)
    assert same_bits(y, op.reference(*inputs)), f"{op}: {[a.shape for a in inputs]}"
    assert choice(plan) == "row-major"


@EVERY_ISA
@EVERY_TYPE
@GUARDS
def test_gather(isa, dtype, guard):
    """Constant and computed indices; slices of one element, of few, and of more than a chunk."""
    for shape, axis in (((6,), 0), ((6, 3), 0), ((2, 6), 1), ((2, 6, 5), -2), ((2, 3, 6, 40), 2), ((6, 2500), 0)):
        x = numbers(shape, dtype)
        for indices in (2, [0], [-1, 0], [[0, 1], [2, 3], [4, 5]], [5, 3, 1, 1, 1, 0, 4], [4, 4, -6, 2]):
            check(Gather(axis=axis), [x, np.array(indices)], isa, constants=(1,), guard=guard)
            for index_type in (np.int32, np.int64):
                check(Gather(axis=axis), [x, np.array(indices, index_type)], isa, guard=guard)


@EVERY_ISA
@EVERY_TYPE
@GUARDS
def test_gather_elements(isa, dtype, guard):
    """Fewer indices than elements along the axis, as many, and more."""
    rng = np.random.default_rng(2)
    for shape, axis, count in (((6,), 0, 4), ((6, 3), 0, 6), ((2, 6), 1, 9), ((2, 6, 5), -2, 1), ((2, 3, 6, 40), 2, 7)):
        x, sizes = numbers(shape, dtype), list(shape)
        sizes[axis] = count
        for index_type, constants in ((np.int32, ()), (np.int64, ()), (np.int64, (1,))):
            indices = rng.integers(-shape[axis], shape[axis], sizes, index_type)
            check(GatherElements(axis=axis), [x, indices], isa, constants=constants, guard=guard)


@EVERY_ISA
def test_gather_of_a_constant(isa):
    """A table of embeddings."""
    table = np.random.default_rng(0).standard_normal((50, 24), np.float32)
    tokens = np.random.default_rng(1).integers(-50, 50, (3, 7))
    check(Gather(), [table, tokens], isa, constants=(0,))


@EVERY_ISA
@pytest.mark.parametrize("index_type", [np.int32, np.int64])
@pytest.mark.parametrize("wrong", [6, -7, 2**31 - 1, -(2**31)])
def test_an_index_out_of_range_is_an_error(isa, index_type, wrong):
    x, indices = numbers((2, 6, 3), np.float32), np.zeros(500, index_type)
    for place in (0, 250, 499):
        indices[:], indices[place] = 1, wrong
        for threads in THREADS:
            with pytest.raises(ModelError, match=rf"^node 'y' \(Gather\): indices: expected -6 to 5, got {wrong}$"):
                run_node(Gather(axis=1), [x, indices], isa, threads, guard="after")
            with pytest.raises(ModelError, match=rf"^node 'y' \(GatherElements\): indices: expected -6 to 5, got {wrong}$"):
                run_node(GatherElements(axis=1), [x, indices.reshape(2, -1, 1).repeat(3, 2)], isa, threads, guard="after")


def test_a_plan_runs_on_after_an_error():
    """A call after one that failed is right."""
    x, indices = Value("x", (6,), np.dtype(np.float32)), Value("i", (3,), np.dtype(np.int64))
    node = Node(Gather(), [x, indices], [Value("y", (3,), x.dtype)], "y")
    plan = build(Graph([x, indices], node.results, [node]), Target(WITH_BLOCK, kernels.load(), 1), {})
    a, y = numbers((6,), np.float32), np.empty(3, np.float32)
    for _ in range(2):
        with pytest.raises(ModelError, match="got 6"):
            plan.run([a, np.array([0, 6, 1])], [y], 1)
        plan.run([a, np.array([0, -1, 1])], [y], 1)
        assert y.tolist() == [0, 5, 1]


def test_progressions_of_indices():
    assert progressions([]) == []
    assert progressions([7]) == [(7, 1, 1)]
    assert progressions(range(768)) == [(0, 1, 768)]
    assert progressions([3, 2, 1, 0, 4, 8, 8, 8]) == [(3, -1, 4), (4, 4, 2), (8, 0, 2)]
    scattered = np.random.default_rng(0).permutation(500)
    found = progressions(scattered.tolist())
    assert [p.first + i * p.step for p in found for i in range(p.size)] == scattered.tolist()


def test_refusals():
    x = numbers((4, 3), np.float32)
    assert refusals(Gather(), [x, np.array([1], np.uint8)], ISAS[-1])["row-major"] == "indices of dtype uint8"
    assert refusals(Gather(), [x, np.empty((0,), np.int64)], ISAS[-1])["row-major"] == "empty tensor"
    assert refusals(Gather(), [x, np.array([1])], ISAS[-1], constants=(0, 1))["row-major"] == "constant input"
    assert refusals(GatherElements(), [x, np.zeros((4, 2), int)], ISAS[-1])["row-major"] == "indices of shape 4×2"
