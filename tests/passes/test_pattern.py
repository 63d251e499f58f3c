"""The matcher of patterns: every kind of operand, on small graphs."""

import numpy as np
import pytest

from fastconv.ops.binary import Add, Div, Mul, Sub
from fastconv.ops.elementwise import Abs, Clip, HardSigmoid, Neg, Sigmoid
from fastconv.ops.normalization import LayerNormalization
from fastconv.passes.pattern import Constant, Pattern, find

from ..support.graphs import Net

ONES = np.ones(4, np.float32)


@pytest.fixture
def net():
    return Net()


@pytest.fixture
def x(net):
    return net.input("x", "N", 4)


def found(net, pattern, y):
    """The matches of a pattern that end in the node of y."""
    graph = net.graph(y)
    producers = graph.producers()
    return find(pattern, producers[y], producers)


def test_a_chain_and_the_values_it_captures(net, x):
    clip = net("Clip", net("Add", x, 3.0), 0.0, 6.0)
    y = net("Div", clip, 6.0)
    (m,) = found(net, Pattern(Div, Pattern(Clip, Pattern(Add, "x", 3), 0, 6, name="clip"), 6), y)
    assert m["x"] is x
    assert m["clip"] is clip
    assert m.node("clip").results == [clip]
    assert isinstance(m.op("clip", Clip), Clip)
    assert [type(n.op) for n in m.nodes] == [Div, Clip, Add]


@pytest.mark.parametrize("op, either", [("Add", True), ("Mul", True), ("Sub", False), ("Div", False)])
def test_operands_that_commute(net, x, op, either):
    pattern = Pattern({"Add": Add, "Mul": Mul, "Sub": Sub, "Div": Div}[op], "x", 2)
    assert [m["x"] for m in found(net, pattern, net(op, x, 2.0))] == [x]
    assert [m["x"] for m in found(net, pattern, net(op, 2.0, x))] == [x] * either


def test_a_name_is_one_value(net, x):
    gated = Pattern(Mul, "x", Pattern(Sigmoid, "x"))
    assert found(net, gated, net("Mul", net("Sigmoid", x), x))
    assert not found(net, gated, net("Mul", net("Sigmoid", net("Abs", x)), x))
    named = Pattern(Sub, Pattern(Abs, "x", name="a"), Pattern(Neg, "a"))
    a = net("Abs", x)
    assert found(net, named, net("Sub", a, net("Neg", a)))
    assert not found(net, named, net("Sub", a, net("Neg", x)))


@pytest.mark.parametrize(
    "number, given, same", [(1 / 6, 1 / 6, True), (1 / 6, 0.166667, True), (3, 3.001, False), (3, ONES * 3, False)]
)
def test_numbers(net, x, number, given, same):
    assert bool(found(net, Pattern(Mul, "x", number), net("Mul", x, given))) == same
    assert not found(net, Pattern(Add, "x", number), net("Add", x, x))


def test_constants(net, x):
    y, z, w = net("Mul", ONES, x), net("Mul", x, 2.0), net("Mul", x, x)
    (m,) = found(net, Pattern(Mul, "x", Constant("c")), y)
    np.testing.assert_array_equal(m["c"].constant, ONES)
    assert not found(net, Pattern(Mul, "x", Constant("c", scalar=True)), y)
    (m,) = found(net, Pattern(Mul, "x", Constant("c", scalar=True)), z)
    assert m.number("c") == 2
    assert not found(net, Pattern(Mul, "x", Constant("c")), w)


def test_one_of_several(net, x):
    halved = (Pattern(Div, "x", 2), Pattern(Mul, "x", 0.5))
    for y in (net("Div", x, 2.0), net("Mul", x, 0.5)):
        assert [m["x"] for m in found(net, halved, y)] == [x]
        assert [m["x"] for m in found(net, Pattern(Neg, halved), net("Neg", y))] == [x]
    assert not found(net, halved, net("Add", x, 0.5))


def test_every_way_to_match(net, x):
    """The caller may reject a match and take the next."""
    a, b = net("Abs", x), net("Neg", x)
    assert [(m["p"], m["q"]) for m in found(net, Pattern(Mul, "p", "q"), net("Mul", a, b))] == [(a, b), (b, a)]


def test_inputs_that_are_left_out(net, x):
    plain, biased = net("LayerNormalization", x, ONES), net("LayerNormalization", x, ONES, ONES)
    for pattern, expected in (
        (Pattern(LayerNormalization, "x", Constant("scale"), None), [1, 0]),
        (Pattern(LayerNormalization, "x", Constant("scale"), "bias"), [0, 1]),
        (Pattern(LayerNormalization, "x"), [1, 1]),
    ):
        assert [len(found(net, pattern, y)) for y in (plain, biased)] == expected


def test_attributes(net, x):
    pattern = Pattern(HardSigmoid, "x", alpha=1 / 6, beta=0.5)
    assert found(net, pattern, net("HardSigmoid", x, alpha=0.1666667, beta=0.5))
    assert not found(net, pattern, net("HardSigmoid", x, alpha=0.2, beta=0.5))


def test_what_is_fused_matches_nothing(net, x):
    y, z = net("Abs", x), net("Neg", x)
    last = net("Add", y, z)
    nodes = {v: n for n in net.nodes for v in n.outputs}
    assert found(net, Pattern(Add, "y", Pattern(Neg, "x")), last)
    nodes[z].epilogue = [nodes[y]]
    assert not found(net, Pattern(Add, "y", Pattern(Neg, "x")), last)


def test_only_the_first_output_of_a_node_matches(net, x):
    y, mean = net("LayerNormalization", x, ONES, results=2)
    pattern = Pattern(Neg, Pattern(LayerNormalization, "x"))
    assert found(net, pattern, net("Neg", y))
    assert not found(net, pattern, net("Neg", mean))
