"""Reductions of integers on the kernel reduce_typed: exactly what the reference gives."""

import numpy as np
import pytest

from fastconv.ops.reduce import ReduceMax, ReduceMin, ReduceProd, ReduceSum

from ..support.harness import ISAS, choice, refusals, run_threads, same_bits

COVERS = dict.fromkeys(("ReduceMax", "ReduceMin", "ReduceProd", "ReduceSum"), ("typed",))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("reduction", [ReduceMax, ReduceMin, ReduceProd, ReduceSum])
@pytest.mark.parametrize("guard", ["before", "after"])
def test_every_axis(isa, dtype, reduction, guard):
    """Rows, columns of every tail, and more columns than an item has; sums and products beyond the type keep their low bits."""
    rng = np.random.default_rng(0)
    ends = np.iinfo(dtype)
    cases = [((n,), [0]) for n in (1, 2, 7, 8, 9, 100)] + [((5, n), [0]) for n in (1, 2, 7, 8, 9, 33, 1030, 2500)]
    cases += [((2, 3, 4), axes) for axes in ([0], [1], [2], [0, 1], [1, 2], [-1], [0, 1, 2])] + [((2, 1, 3), [1]), ((), None)]
    for shape, axes in cases:
        x = rng.integers(ends.min, ends.max, shape, dtype)
        for keepdims in (0, 1):
            op, inputs = reduction(keepdims=keepdims), [np.asarray(x), None if axes is None else np.array(axes)]
            (y,), plan = run_threads(op, inputs, isa, constants=(1,), guard=guard)
            assert same_bits(y, op.reference(*inputs)), f"{shape} over {axes}"
            assert choice(plan) == "typed"


def test_refusals():
    x = np.ones((2, 3, 4), np.int16)
    assert refusals(ReduceSum(), [x], ISAS[-1])["typed"] == "dtype int16"
    assert refusals(ReduceSum(), [x.astype(int), np.array([0, 2])], ISAS[-1], constants=(1,))["typed"] == "axes [0, 2]"
