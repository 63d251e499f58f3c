"""Tensors of other types than float32 run on kernels too: operators that move elements, networks with masks and shapes."""

import numpy as np
import pytest

import fastconv
from fastconv import onnx_json
from fastconv.errors import ModelError
from fastconv.ops.concat import Concat
from fastconv.ops.depth_to_space import DepthToSpace, SpaceToDepth
from fastconv.ops.expand import Expand
from fastconv.ops.pad import Pad
from fastconv.ops.reshape import Flatten, Reshape, Squeeze, Unsqueeze
from fastconv.ops.slice import Slice
from fastconv.ops.split import Split
from fastconv.ops.transpose import Transpose
from fastconv.reference import run_references

from ..support.graphs import Net
from ..support.harness import ISAS, run_threads, same_bits
from .test_gather import EVERY_TYPE, numbers

EVERY_ISA = pytest.mark.parametrize("isa", ISAS)
#: an operator that only moves elements, the shape of its input and the constants behind it
MOVES = [
    (Transpose(perm=(2, 0, 3, 1)), (2, 3, 4, 5), ()),
    (Transpose(), (70, 33), ()),
    (Slice(), (2, 37, 6, 7), ([1, -1, 5], [99, 0, 0], [1, 2, 3], [3, -2, -1])),
    (Split(axis=1), (2, 7, 3), ([2, 4, 1],)),
    (Expand(), (3, 1, 5), ([2, 3, 4, 5],)),
    (Reshape(), (3, 4), ([2, -1],)),
    (Flatten(), (3, 4, 5), ()),
    (Squeeze(), (3, 1, 5), ([1],)),
    (Unsqueeze(), (3, 5), ([1],)),
    (DepthToSpace(blocksize=2), (2, 12, 3, 4), ()),
    (DepthToSpace(blocksize=2, mode="CRD"), (2, 12, 3, 4), ()),
    (SpaceToDepth(blocksize=2), (2, 3, 6, 4), ()),
    *((Pad(mode=mode), (3, 5, 4), ([0, 2, 1, 1, 0, 3],)) for mode in ("constant", "reflect", "edge", "wrap")),
]


def check(op, inputs, isa, **options):
    expected = op.reference(*inputs)
    expected = expected if isinstance(expected, tuple) else (expected,)
    found, _ = run_threads(op, inputs, isa, results=len(expected), **options)
    for y, wanted in zip(found, expected, strict=True):
        assert same_bits(y, wanted)


@EVERY_ISA
@EVERY_TYPE
@pytest.mark.parametrize("guard", ["before", "after"])
@pytest.mark.parametrize("op, shape, constants", MOVES, ids=str)
def test_moves(isa, dtype, guard, op, shape, constants):
    inputs = [numbers(shape, dtype), *map(np.array, constants)]
    check(op, inputs, isa, constants=range(1, len(inputs)), guard=guard)


@EVERY_ISA
@EVERY_TYPE
def test_pad_with_a_number(isa, dtype):
    check(Pad(), [numbers((3, 5), dtype), np.array([1, 2, 0, 3]), np.array(1, dtype)], isa, constants=(1, 2))


@EVERY_ISA
@EVERY_TYPE
@pytest.mark.parametrize("constants", [(), (1,)])
def test_concat(isa, dtype, constants):
    for axis, shapes in ((0, [(2,), (1,), (5,)]), (1, [(2, 5, 3), (2, 1, 3), (2, 7, 3)]), (-1, [(2, 3, 4, 5), (2, 3, 4, 1)])):
        check(Concat(axis=axis), [numbers(s, dtype) for s in shapes], isa, constants=constants, guard="after")


# ---- networks


@pytest.fixture
def check_network(tmp_path, monkeypatch):
    """Checks that a network gives exactly what the references give, without a Python step; returns the model."""

    def check(graph, isa, inputs):
        monkeypatch.setenv("FASTCONV_ISA", isa)
        onnx_json.write(graph, tmp_path / "m.json")
        model = fastconv.load(tmp_path / "m.json", threads=2)
        assert model.plan({name: x.shape for name, x in inputs.items()}).python_steps == []
        names = [v.name for v in graph.outputs]
        found = model.run(inputs, names)
        for name, expected in zip(names, run_references(graph, [inputs[v.name] for v in graph.inputs]), strict=True):
            np.testing.assert_array_equal(found[name], expected)
        return model

    return check


def whole(rng, *shape):
    """Small integers as float32: sums of their products are exact."""
    return rng.integers(-2, 3, shape).astype(np.float32)


@EVERY_ISA
def test_attention_with_a_mask_of_tokens(isa, check_network):
    """A network like BERT: embeddings by token and position, a mask in the attention, and a factor for each length."""
    rng = np.random.default_rng(0)
    net = Net()
    tokens, mask = (net.input(name, 2, 9, dtype=np.int64) for name in ("tokens", "mask"))
    places = net("Unsqueeze", mask, np.array([1]))
    places = net("Expand", places, np.array([2, 9, 9]))
    padding = net("Not", net("Cast", net("Equal", places, np.array(1)), to=9))
    x = net("Add", net("Gather", whole(rng, 50, 16), tokens), whole(rng, 9, 16))
    scores = net("MatMul", x, net("Transpose", x, perm=(0, 2, 1)))
    scores = net("Where", padding, -1.0, scores)
    y = net("MatMul", scores, x)
    length = net("Clip", net("ReduceSum", mask, np.array([1])), np.array(1), np.array(8))
    y = net("Mul", y, net("Cast", net("Unsqueeze", length, np.array([2])), to=1))
    graph = net.graph(net("Add", y, net("Unsqueeze", net("Cast", mask, to=1), np.array([2]))))
    given = {"tokens": rng.integers(-50, 50, (2, 9)), "mask": (np.arange(9) < [[9], [5]]).astype(np.int64)}
    model = check_network(graph, isa, given)
    with pytest.raises(ModelError, match=r"\(Gather\).*: indices: expected -50 to 49, got 50"):
        model.run(given | {"tokens": np.full((2, 9), 50)})


@EVERY_ISA
def test_a_shape_computed_from_inputs(isa, check_network):
    """Arithmetic of int64, whose results are the shape of a float32 tensor."""
    rng = np.random.default_rng(1)
    net = Net()
    x, size = net.input("x", 2, 8, 6), net.input("size", 3, dtype=np.int64)
    rows = net("Gather", size, np.array([2, 0, 1, 0]))
    half = net("Div", net("Slice", rows, np.array([1]), np.array([2])), np.array([2]))
    shape = net("Concat", net("Mul", half, np.array([2])), np.array([-1]), net("Gather", size, np.array([1])), axis=0)
    graph = net.graph(net("Relu", net("Reshape", x, shape)), net("Relu", x))
    check_network(graph, isa, {"x": whole(rng, 2, 8, 6), "size": np.array([4, 3, 1])})


@EVERY_ISA
def test_positions_counted_by_the_run(isa, check_network):
    """Position ids are integers that are compared, chosen and looked up."""
    rng = np.random.default_rng(2)
    net = Net()
    tokens = net.input("tokens", 3, 7, dtype=np.int64)
    positions = net("Mul", np.arange(7)[None], net("Cast", net("Greater", tokens, np.array(1)), to=7))
    positions = net("Min", net("Add", positions, np.array(2)), np.array(5))
    y = net("Gather", whole(rng, 6, 4), net("Where", net("Less", tokens, np.array(0)), np.array(0), positions))
    check_network(net.graph(net("Relu", y)), isa, {"tokens": rng.integers(-3, 9, (3, 7))})
