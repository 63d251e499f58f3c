"""Shape rules: symbols and unknown dimensions pass through, and impossible shapes are a ModelError that says why."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fastconv.errors import ModelError, UnsupportedError
from fastconv.graph import Value
from fastconv.ops import REGISTRY, NodeSpec, make_node

from ..support.nodes import infer
from .onnx_cases import as_array, attribute, cases_of

HUGE = 1 << 62
ints = np.int64


def integers(shape):
    """An int64 input that is not known at load."""
    return Value("i", shape, np.dtype(np.int64))


SYMBOLS = [
    # operator, inputs, attributes, shape of the result
    ("Conv", [("N", 3, "H", "W"), (8, 3, 3, 3)], {"pads": [1, 1, 1, 1]}, ("N", 8, "H", "W")),
    ("Conv", [("N", 3, "H", 9), (8, 3, 3, 3)], {"strides": [2, 2]}, ("N", 8, None, 4)),
    ("Conv", [("N", 3, "H", 9), (8, 3, 3, 3)], {"auto_pad": "SAME_UPPER"}, ("N", 8, "H", 9)),
    ("Conv", [("N", 3, "H", 9), (8, 3, 3, 3)], {"auto_pad": "SAME_LOWER", "strides": [2, 2]}, ("N", 8, None, 5)),
    ("Conv", [("N", None, 5, 5), (8, 3, 3, 3)], {}, ("N", 8, 3, 3)),
    ("Conv", [("N", 3, 5, 5), (8, 3, None, None)], {"kernel_shape": [3, 3]}, ("N", 8, 3, 3)),
    ("Conv", [("N", 3, 5, 5), (8, 3, None, None)], {}, ("N", 8, None, None)),
    ("Conv", [(0, 3, 5, 5), (8, 3, 3, 3)], {}, (0, 8, 3, 3)),
    ("Conv", [Value("x"), (8, 3, 3, 3)], {}, (None, 8, None, None)),
    ("Conv", [(1, 3, 7), (4, 3, 3)], {"dilations": [2]}, (1, 4, 3)),
    ("Conv", [(1, 3, 7, 7, 7), (4, 3, 3, 3, 1)], {}, (1, 4, 5, 5, 7)),
    ("ConvTranspose", [("N", 3, "H", 5), (3, 4, 2, 2)], {"strides": [2, 2], "group": 1}, ("N", 4, None, 10)),
    ("ConvTranspose", [("N", 4, 3, 3), (4, 4, 2, 2)], {"strides": [2, 2], "group": 2}, ("N", 8, 6, 6)),
    ("MaxPool", [("N", 3, "H", 7)], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}, ("N", 3, "H", 7)),
    ("MaxPool", [("N", 3, 6, 7)], {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}, ("N", 3, 3, 4)),
    ("MaxPool", [(1, 1, 8)], {"kernel_shape": [3], "strides": [2], "ceil_mode": 1, "auto_pad": "VALID"}, (1, 1, 4)),
    ("MaxPool", [(1, 1, 8)], {"kernel_shape": [3], "strides": [2], "ceil_mode": 1, "auto_pad": "SAME_UPPER"}, (1, 1, 4)),
    ("MaxPool", [(1, 1, 5)], {"kernel_shape": [2], "strides": [3], "pads": [1, 1], "ceil_mode": 1}, (1, 1, 2)),
    ("GlobalAveragePool", [("N", 3, "H", "W")], {}, ("N", 3, 1, 1)),
    ("Gemm", [("N", 4), (10, 4)], {"transB": 1}, ("N", 10)),
    ("Gemm", [Value("a"), (4, 10)], {}, (None, 10)),
    ("MatMul", [("N", 5, 4), (4, 3)], {}, ("N", 5, 3)),
    ("MatMul", [(4,), (4,)], {}, ()),
    ("Add", [("N", 3, 1), (4,)], {}, ("N", 3, 4)),
    ("Add", [("N", 3), ("N", 1)], {}, ("N", 3)),
    ("Add", [("N", 3), ("M", 3)], {}, (None, 3)),
    ("Add", [("N", 3), (5, 3)], {}, (5, 3)),
    ("Concat", [("N", 3, 4), ("N", 5, 4)], {"axis": 1}, ("N", 8, 4)),
    ("Concat", [("N", 3, None), (2, 5, 4)], {"axis": -2}, (2, 8, 4)),
    ("Concat", [("N", 3), ("M", 3)], {"axis": 0}, (None, 3)),
    ("Reshape", [("N", 512, 1, 1), np.array([-1, 512])], {}, ("N", 512)),
    ("Reshape", [("N", 512, 1, 1), np.array([0, -1])], {}, ("N", 512)),
    ("Reshape", [("N", 6, "H"), np.array([0, 2, 3, -1])], {}, ("N", 2, 3, "H")),
    ("Reshape", [("N", 6), np.array([-1, 2])], {}, (None, 2)),
    ("Reshape", [("N", 6), integers((3,))], {}, (None, None, None)),
    ("Reshape", [("N", 6), integers(None)], {}, None),
    ("Reshape", [Value("x"), np.array([2, -1])], {}, (2, None)),
    ("Flatten", [("N", 512, 1, 1)], {}, ("N", 512)),
    ("Flatten", [("N", 512, 2, 2)], {"axis": 2}, (None, 4)),
    ("Flatten", [(2, 3)], {"axis": 0}, (1, 6)),
    ("Squeeze", [("N", 512, 1, 1), np.array([2, 3])], {}, ("N", 512)),
    ("Squeeze", [("N", 512, 1, 1)], {}, None),
    ("Unsqueeze", [("N", 512), np.array([0, -1])], {}, (1, "N", 512, 1)),
    ("Transpose", [("N", "H", "W", 3)], {"perm": [0, 3, 1, 2]}, ("N", 3, "H", "W")),
    ("Shape", [("N", 3, 4)], {"start": 1}, (2,)),
    ("Pad", [("N", 3, "H", 5), np.array([0, 0, 1, 1, 0, 0, 1, 1])], {}, ("N", 3, None, 7)),
    ("Slice", [("N", 8), np.array([0, 2]), np.array([np.iinfo(ints).max, 6])], {}, ("N", 4)),
    ("Slice", [("N", 8), np.array([1]), np.array([np.iinfo(ints).max])], {}, (None, 8)),
    ("Slice", [("N", 8), np.array([7]), np.array([-99]), np.array([1]), np.array([-2])], {}, ("N", 4)),
    ("Slice", [("N", 8), integers((1,)), integers((1,))], {}, (None, None)),
    ("Gather", [("N", 8), integers(("K", 2))], {"axis": 1}, ("N", "K", 2)),
    ("ReduceMean", [("N", 3, "H", "W"), np.array([2, 3])], {}, ("N", 3, 1, 1)),
    ("ReduceMean", [("N", 3, "H", "W"), np.array([-1, 2])], {"keepdims": 0}, ("N", 3)),
    ("ReduceMean", [("N", 3, "H", "W"), integers((2,))], {"keepdims": 0}, (None, None)),
    ("Resize", [("N", 3, "H", 5), None, np.array([1, 1, 2, 2], np.float32)], {}, ("N", 3, None, 10)),
    ("Resize", [("N", 3, "H", 10), None, np.array([1, 1, 1, 0.7], np.float32)], {}, ("N", 3, "H", 7)),
    ("Resize", [("N", 3, "H", 5), None, None, np.array([1, 3, 8, 8])], {}, (1, 3, 8, 8)),
    ("Resize", [("N", 3, 4, 5), None, None, np.array([8, 8])], {"axes": [2, 3]}, ("N", 3, 8, 8)),
    ("Resize", [("N", 3, 4, 5), None, None, integers((2,))], {"axes": [2, 3]}, ("N", 3, None, None)),
    ("DepthToSpace", [("N", 12, "H", 2)], {"blocksize": 2}, ("N", 3, None, 4)),
    ("SpaceToDepth", [("N", 3, "H", 4)], {"blocksize": 2}, ("N", 12, None, 2)),
    ("TopK", [("N", 8), np.array([3])], {}, ("N", 3)),
    ("TopK", [("N", 8), integers((1,))], {}, ("N", None)),
    ("Expand", [("N", 1), np.array([1, 5])], {}, ("N", 5)),
    ("Tile", [("N", 4), np.array([1, 3])], {}, ("N", 12)),
    ("ConstantOfShape", [np.array([2, 0])], {}, (2, 0)),
    ("Range", [np.array(3), np.array(10), np.array(3)], {}, (3,)),
    ("Einsum", [("N", 3, 4), ("N", 4, 5)], {"equation": "bij, bjk -> bik"}, ("N", 3, 5)),
    ("BatchNormalization", [("N", 3, "H", "W"), (3,), (3,), (3,), (3,)], {}, ("N", 3, "H", "W")),
    ("Where", [Value("c", ("N", 1), np.dtype(bool)), ("N", 3), (3,)], {}, ("N", 3)),
]


@pytest.mark.parametrize("op, inputs, attributes, expected", SYMBOLS)
def test_shapes(op, inputs, attributes, expected):
    assert infer(op, *inputs, **attributes) == expected


def test_split_gives_a_shape_for_each_output():
    for inputs, expected in (
        ([(7, "N")], [(3, "N"), (3, "N"), (1, "N")]),
        ([("N", 7)], [(None, 7)] * 3),
        ([("N", 7), np.array([1, 2, 3])], [(1, 7), (2, 7), (3, 7)]),
        ([("N", 7), integers((3,))], [(None, 7)] * 3),
    ):
        made = make_node(
            NodeSpec("Split", {}, [v if isinstance(v, Value) else _value(v) for v in inputs], [Value(n) for n in "abc"], 18)
        )
        assert [shape for shape, _ in made.op.infer(*made.inputs)] == expected


def _value(given):
    return Value("x", given, np.dtype(np.float32)) if isinstance(given, tuple) else Value("k", constant=given)


X, W = (1, 4, 8, 8), (8, 4, 3, 3)

WRONG = [
    # strides, dilations, group, block sizes that are 0 or negative
    ("Conv", [X, W], {"strides": [0, 1]}, "strides: expected values above 0"),
    ("Conv", [X, W], {"strides": [1, -1]}, "strides: expected values above 0"),
    ("Conv", [X, W], {"dilations": [0, 0]}, "dilations: expected values above 0"),
    ("Conv", [X, W], {"group": 0}, "group: expected 1 or more, got 0"),
    ("Conv", [X, W], {"group": -2}, "group: expected 1 or more"),
    ("ConvTranspose", [X, (4, 8, 3, 3)], {"group": 0}, "group: expected 1 or more"),
    ("MaxPool", [X], {"kernel_shape": [0, 2]}, "kernel_shape: expected values above 0"),
    ("MaxPool", [X], {}, "'kernel_shape' is missing"),
    ("DepthToSpace", [X], {"blocksize": 0}, "blocksize: expected 1 or more"),
    ("SpaceToDepth", [X], {"blocksize": -2}, "blocksize: expected 1 or more"),
    ("LRN", [X], {"size": 0}, "size: expected 1 or more"),
    ("GroupNormalization", [X, (4,), (4,)], {"num_groups": 0}, "num_groups: expected 1 or more"),
    ("Slice", [X, [0], [9], [1], [0]], {}, "steps: expected values other than 0"),
    ("Range", [np.array(0), np.array(9), np.array(0)], {}, "delta"),
    # attribute lists of another length than the spatial rank
    *[("Conv", [X, W], {"pads": [1] * n}, "pads: expected 4 values") for n in (0, 1, 2, 3, 5, 9)],
    ("Conv", [X, W], {"strides": [1]}, "strides: expected 2 values"),
    ("Conv", [X, W], {"dilations": [1, 1, 1]}, "dilations: expected 2 values"),
    ("Conv", [X, W], {"kernel_shape": [3]}, "kernel_shape"),
    ("Conv", [X, W], {"kernel_shape": [3, 5]}, "kernel_shape: expected the weights"),
    ("Conv", [X, W], {"kernel_shape": [3, (1 << 32) + 3]}, "kernel_shape: expected the weights"),
    ("MaxPool", [X], {"kernel_shape": [2]}, "expected rank 3"),
    ("MaxPool", [X], {"kernel_shape": [2, 2], "strides": [2, 2, 2]}, "strides: expected 2"),
    ("Transpose", [X], {"perm": [0, 1]}, "perm: expected 4"),
    ("Transpose", [X], {"perm": [0, 1, 1, 2]}, "perm: expected each axis once"),
    ("Pad", [X, [1, 1]], {}, "pads: expected 8 values"),
    ("Resize", [X, None, np.ones(2, np.float32)], {}, "expected 4 values"),
    # padding and results of no size
    ("Conv", [X, W], {"pads": [-1, 0, 0, 0]}, "pads: expected values of 0 or more"),
    ("Conv", [(1, 4, 2, 8), W], {}, "a window of 3 does not fit into 2"),
    ("Conv", [X, W], {"dilations": [9, 1]}, "a window of 19 does not fit"),
    ("Conv", [(1, 4, 0, 8), W], {"pads": [9, 9, 9, 9]}, "expected a size above 0, got 0"),
    ("MaxPool", [X], {"kernel_shape": [2, 2], "pads": [2, 0, 0, 0]}, "pads: expected less than the window's 2"),
    (
        "AveragePool",
        [X],
        {"kernel_shape": [2, 2], "pads": [0, 0, 0, HUGE]},
        "a window of 2 at stride 1 with padding .* is too large",
    ),
    ("AveragePool", [X], {"kernel_shape": [9, 9]}, "does not fit"),
    ("ConvTranspose", [X, (4, 8, 3, 3)], {"pads": [5, 5, 5, 5]}, "nothing is left"),
    ("ConvTranspose", [X, (4, 8, 3, 3)], {"output_padding": [1, 1]}, "output_padding: 1 is not below"),
    ("ConvTranspose", [X, (4, 8, 3, 3)], {"output_shape": [0, 5]}, "output_shape: expected sizes above 0"),
    ("Pad", [X, [0, 0, -5, 0, 0, 0, -4, 0]], {}, "cannot remove 9 elements of axis 2, which has 8"),
    ("Pad", [(1, 0), [0, 1, 0, 0]], {"mode": "edge"}, "needs elements"),
    ("Resize", [X, None, np.array([1, 1, 0.01, 1], np.float32)], {}, "nothing is left"),
    ("Resize", [X, None, np.array([1, 1, 0, 1], np.float32)], {}, "scales: expected"),
    ("Resize", [X, None, np.array([1, 1, np.nan, 1], np.float32)], {}, "scales: expected"),
    ("Resize", [X, None, None, [1, 4, 0, 8]], {}, "sizes: expected values above 0"),
    ("Resize", [X], {}, "expected scales or sizes, got neither"),
    ("GlobalAveragePool", [(1, 4, 0, 8)], {}, "expected sizes above 0"),
    ("ArgMax", [(1, 0)], {"axis": 1}, "expected elements along axis 1"),
    ("ConstantOfShape", [[2, -1]], {}, "expected sizes of 0 or more"),
    ("Tile", [X, [1, 1, -1, 1]], {}, "expected sizes of 0 or more"),
    ("Split", [(7,), [4, 4]], {"outputs": 2}, "split: expected sizes that add up to 7"),
    ("Split", [(7,), [8, -1]], {"outputs": 2}, "split: expected sizes"),
    ("Split", [(2,)], {"outputs": 4, "num_outputs": 4}, "cannot be split"),
    # indices and axes out of range
    ("Gather", [(5, 2), np.array([5])], {}, r"indices: expected -5 to 4, got 5"),
    ("Gather", [(5, 2), np.array([-6])], {}, r"indices: expected -5 to 4, got -6"),
    ("Gather", [(5, 2), np.array([1 << 40])], {}, "indices: expected -5 to 4"),
    ("Gather", [(5, 2), np.array([0])], {"axis": 2}, "axis: expected -2 to 1 for rank 2, got 2"),
    ("Gather", [(5, 2), np.array([0.0])], {}, "indices: expected integer"),
    ("GatherND", [(5, 2), np.zeros((3, 3), ints)], {}, "indices: expected 1 to 2 along the last axis, got 3"),
    ("GatherElements", [(5, 2), np.array([[9, 0]])], {}, "indices: expected -5 to 4, got 9"),
    ("ScatterElements", [(5, 2), np.array([[1, 0]]), (2, 2)], {}, "updates"),
    ("ScatterND", [(5, 2), np.array([[1]]), (2,)], {}, "updates"),
    ("TopK", [(5,), np.array([6])], {}, "K: expected 0 to 5, got 6"),
    ("TopK", [(5,), np.array([-1])], {}, "K: expected 0 to 5, got -1"),
    ("Softmax", [X], {"axis": 99}, "axis: expected -4 to 3"),
    ("Concat", [X, X], {"axis": -5}, "axis: expected -4 to 3"),
    ("Flatten", [X], {"axis": 5}, "axis: expected -4 to 3"),
    ("Squeeze", [X, [1]], {}, "axes: expected size 1 on axis 1"),
    ("Unsqueeze", [X, [0, 0]], {}, "axes: expected distinct axes"),
    ("ReduceMean", [X, [1, -3]], {}, "axes: expected distinct axes"),
    ("ReduceMean", [X, [4]], {}, "axes: expected -4 to 3"),
    ("Slice", [X, [0], [1], [7]], {}, "axes: expected -4 to 3"),
    ("Slice", [X, [0], [1, 2]], {}, "equally many"),
    # ranks and shapes that do not go together
    ("Conv", [(1, 4), W], {}, "input: expected rank"),
    ("Conv", [(1, 4, 8), W], {}, "input: expected rank 4, got rank 3"),
    ("Conv", [(1,) * 7, (1,) * 7], {}, "expected rank 3 to 5"),
    ("Conv", [(1, 3, 8, 8), W], {}, "input channels .*: expected 4, got 3"),
    ("Conv", [X, W], {"group": 2}, "input channels .*: expected 8, got 4"),
    ("Conv", [(1, 12, 8, 8), W], {"group": 3}, "output channels divisible by group 3, got 8"),
    ("Conv", [X, W], {"group": (1 << 32) + 1}, "divisible by group"),
    ("Conv", [X, W, (4,)], {}, "bias: output channels: expected 8, got 4"),
    ("Conv", [X, W, (1, 8)], {}, "bias: expected rank 1"),
    ("Conv", [(1, 0, 8, 8), (8, 0, 3, 3)], {}, "weights: expected sizes above 0"),
    ("Conv", [X, np.ones(W, ints)], {}, "expected one dtype"),
    ("ConvTranspose", [X, (3, 8, 3, 3)], {}, "input channels .*: expected 3, got 4"),
    ("Gemm", [(2, 3), (4, 5)], {}, "inner dimension of A and B: expected 3, got 4"),
    ("Gemm", [(2, 3, 1), (3, 5)], {}, "A: expected rank 2"),
    ("Gemm", [(2, 3), (3, 5), (4,)], {}, "C: expected a shape that broadcasts"),
    ("MatMul", [(2, 3), (4, 5)], {}, "inner dimension"),
    ("MatMul", [(2, 3), ()], {}, "B: expected rank"),
    ("MatMul", [(2, 4, 3), (5, 3, 5)], {}, "do not broadcast"),
    ("Add", [(2, 3), (4,)], {}, "do not broadcast"),
    ("Add", [(2, 3), np.ones(3, ints)], {}, "expected one dtype"),
    ("PRelu", [(2, 3), (4, 2, 3)], {}, "slope: expected a shape that broadcasts"),
    ("Concat", [(1, 4, 8), (1, 5, 7)], {"axis": 1}, "size of axis 2: expected 8, got 7"),
    ("Concat", [(1, 4), (1, 4, 1)], {"axis": 0}, "expected one rank"),
    ("BatchNormalization", [X, (4,), (4,), (3,), (4,)], {}, "mean: channels: expected 4, got 3"),
    ("InstanceNormalization", [X, (3,), (4,)], {}, "scale: channels"),
    ("GroupNormalization", [X, (4,), (4,)], {"num_groups": 3}, "divisor"),
    ("LayerNormalization", [X, (7,)], {}, "scale: expected a shape"),
    ("DepthToSpace", [X], {"blocksize": 3}, "channels: expected a multiple of 9, got 4"),
    ("SpaceToDepth", [X], {"blocksize": 3}, "height: expected a multiple of 3"),
    ("Reshape", [X, [5, -1]], {}, "does not divide"),
    ("Reshape", [X, [-1, -1]], {}, "at most one -1"),
    ("Reshape", [X, [1, 2, 3]], {}, "expected 256 elements"),
    ("Reshape", [X, [-2, 2]], {}, "expected sizes"),
    ("Reshape", [X, [[4, 64]]], {}, "rank 1"),
    ("Reshape", [X, [4.0, 64.0]], {}, "expected an integer tensor"),
    ("Reshape", [(2,), [0, 0]], {}, "0 at position 1"),
    ("Reshape", [(1,), [1] * 70], {}, "at most 32 dimensions"),
    ("Expand", [(3,), [4]], {}, "do not broadcast"),
    ("Clip", [X, np.zeros(3, np.float32)], {}, "min: expected a scalar"),
    ("Einsum", [(2, 3), (4, 5)], {"equation": "ij,jk->ik"}, "expected 3 for 'j'"),
    ("Einsum", [(2, 3)], {"equation": "ij->kk"}, "each name of the result once"),
    ("Einsum", [(2, 3)], {"equation": "ij>>i"}, "expected terms of letters"),
    # words and numbers that mean nothing
    ("Conv", [X, W], {"auto_pad": "SAME"}, "auto_pad: expected one of"),
    ("Pad", [X, [0] * 8], {"mode": "mirror"}, "mode: expected one of"),
    ("Resize", [X, None, np.ones(4, np.float32)], {"mode": "area"}, "mode: expected one of"),
    ("MaxPool", [X], {"kernel_shape": [2, 2], "storage_order": 2}, "storage_order: expected 0 or 1"),
    ("Cast", [X], {"to": 0}, "unknown data type 0"),
    ("Cast", [X], {"to": 99}, "unknown data type 99"),
    ("Constant", [], {}, "exactly one of its attributes"),
]


@pytest.mark.parametrize("op, inputs, attributes, message", WRONG)
def test_what_cannot_be_right_is_an_error(op, inputs, attributes, message):
    with pytest.raises(ModelError, match=message) as e:
        infer(op, *inputs, **attributes)
    assert not isinstance(e.value, UnsupportedError)


@pytest.mark.parametrize("to", [14, 15])
def test_complex_numbers_are_unsupported(to):
    with pytest.raises(UnsupportedError, match=r"COMPLEX\d+ is not supported"):
        infer("Cast", X, to=to)


def test_huge_results_cost_nothing():
    """Shape rules accept results of any size; the plan checks whether they fit in memory."""
    assert infer("ConstantOfShape", [HUGE, HUGE]) == (HUGE, HUGE)
    assert infer("Expand", (1,), [HUGE]) == (HUGE,)
    assert infer("Tile", (3,), [HUGE]) == (3 * HUGE,)
    assert infer("Range", np.array(0), np.array(HUGE), np.array(1)) == (HUGE,)
    assert infer("Resize", (1,), None, None, [HUGE]) == (HUGE,)
    assert infer("Conv", X, W, pads=[1 << 40] * 4) == (1, 8, (1 << 41) + 6, (1 << 41) + 6)


# Every attribute and input of one case an operator, made wrong in turn

CONFUSED = [1.5, float("nan"), "bogus", [], [1.5], ["bogus"], [None], None, np.zeros((0,), np.float32), 0, -1, 3, HUGE, -HUGE]


def wrong_attributes(cls, given):
    """The attributes of a case with one replaced, left out, or added."""
    fields = [f.name for f in dataclasses.fields(cls)]
    for name in {*given, *fields}:
        old = given.get(name)
        lists = [[*old[:i], w, *old[i + 1 :]] for i in range(len(old)) for w in (0, -1, HUGE)] if isinstance(old, list) else []
        longer = [old + old[-1:], old[:-1]] if isinstance(old, list) else []
        for wrong in [*CONFUSED, *lists, *longer]:
            yield given | {name: wrong}
        yield {k: v for k, v in given.items() if k != name}


def wrong_values(array):
    """Wrong values for an input in place of this array."""
    shape, dtype = array.shape, array.dtype
    yield from (Value("v"), Value("v", shape), Value("v", None, dtype))
    others = [
        (),
        shape[:-1],
        (*shape, 3),
        (2, *shape),
        (0,) * len(shape),
        (None,) * len(shape),
        (HUGE,) * len(shape),
        (1,) * 70,
    ]
    others += [(*shape[:i], d, *shape[i + 1 :]) for i, n in enumerate(shape) for d in (0, 1, n + 1, None, "N", HUGE)]
    yield from (Value("v", other, dtype) for other in others)
    for other in (np.float32, np.int64, np.uint8, bool):
        yield Value("v", shape, np.dtype(other))
        yield Value("v", constant=np.ones(shape, other))
    numbers = (0, -1, 99, -99, HUGE, -HUGE, np.nan, np.inf)
    with np.errstate(all="ignore"):
        for number in np.array(numbers).astype(dtype) if array.size < 100 else ():
            yield Value("v", constant=np.full(shape, number))
            for i in range(min(array.size, 4)):
                changed = array.copy()
                changed.reshape(-1)[i] = number
                yield Value("v", constant=changed)
    for other in ((0,), (1, 1, 1), (40,)):
        yield Value("v", constant=np.zeros(other, dtype))


@pytest.mark.slow
@pytest.mark.parametrize("key", sorted(REGISTRY))
def test_malformed_nodes_are_model_errors(key):
    """Making a node and inferring its results gives shapes or a ModelError, whatever the file contains."""
    if not (cases := cases_of(key)):
        return
    case = max(cases, key=lambda c: len(c.model.graph.node[0].attribute) + len(c.model.graph.input))
    (proto,) = case.model.graph.node
    arrays = dict(zip((i.name for i in case.model.graph.input), map(as_array, case.data_sets[0][0]), strict=True))
    given = {a.name: attribute(a) for a in proto.attribute}
    newest = next(o.version for o in case.model.opset_import if o.domain == proto.domain)

    def attempt(values, attributes, opset):
        inputs = [values[name] if name else None for name in proto.input]
        spec = NodeSpec(key, dict(attributes), inputs, [Value(name) for name in proto.output], opset)
        try:
            made = make_node(spec)
            results = made.op.infer(*made.inputs)
        except ModelError:
            return
        for shape, _ in results:
            assert shape is None or all(d is None or isinstance(d, str) or (type(d) is int and d >= 0) for d in shape)

    known = {name: Value(name, constant=array) for name, array in arrays.items()}
    shapes = {name: Value(name, array.shape, array.dtype) for name, array in arrays.items()}
    for values in (known, shapes):
        for opset in (newest, 1, 6, 9, 12):
            for attributes in wrong_attributes(REGISTRY[key], given):
                attempt(values, attributes, opset)
        for name, array in arrays.items():
            for wrong in wrong_values(array):
                attempt(values | {name: wrong}, given, newest)
