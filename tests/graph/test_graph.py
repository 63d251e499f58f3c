"""Graph, Node, Value and Subgraph: their text, copies, and the order of nodes."""

import numpy as np
import pytest

from fastconv.errors import ModelError, UnsupportedError
from fastconv.graph import Graph, Node, Value, shape_text
from fastconv.ops import REGISTRY
from fastconv.passes import run_passes

from ..support.graphs import Net, normal, ops
from ..support.rng import generator

RNG = generator(__name__)


def fused():
    """Conv+Add+Relu behind an Abs, and a second reader of the Abs."""
    net = Net()
    x = net("Abs", net.input("x", "N", 4, 5, 5), name="abs")
    y = net("Conv", x, normal(RNG, 4, 4, 1, 1), name="conv")
    return run_passes(net.graph(net("Relu", net("Add", y, x), name="relu"), net("Neg", x)))


def chain(*edges):
    """A graph of Relus "n0", "n1"…, given as (input, output) names."""
    values: dict[str, Value] = {}

    def value(name):
        return values.setdefault(name, Value(name, (1,), np.dtype(np.float32)))

    nodes = [
        Node(REGISTRY["Sum"](), [value(n) for n in reads.split()], [value(y)], f"n{i}") for i, (reads, y) in enumerate(edges)
    ]
    return Graph([value("x")], [value(edges[-1][1])], nodes)


def test_a_constant_has_its_array_s_shape_and_dtype():
    v = Value("w", ("N", 3), np.dtype(np.float64), np.zeros((2, 3), np.float32))
    assert (v.shape, v.dtype, v.known, v.dims) == ((2, 3), np.float32, True, (2, 3))


@pytest.mark.parametrize("shape", [None, ("N", 3), (None, 3)])
def test_dims_of_a_shape_that_is_not_known(shape):
    v = Value("features", shape)
    assert not v.known
    with pytest.raises(ModelError, match="'features'"):
        v.dims  # noqa: B018


def test_a_scalar_is_known():
    assert Value("s", ()).dims == ()


@pytest.mark.parametrize(
    "shape, text", [((1, 3, 224, 224), "1×3×224×224"), (("N", None), "N×?"), ([7], "7"), ((), "scalar"), (None, "?")]
)
def test_how_shapes_print(shape, text):
    assert shape_text(shape) == text


def test_how_values_print():
    assert repr(Value("x", ("N", None, 3), np.dtype(np.float32))) == "'x':float32[N×?×3]"
    assert repr(Value("s", ())) == "'s':?[scalar]"
    assert repr(Value("u")) == "'u':?[?]"
    assert repr(Value("w", constant=np.zeros(2, np.int64))) == "const 'w':int64[2]"
    assert repr(Value("a\x1b[2J")) == "'a\\x1b[2J':?[?]"


def test_a_fused_node_is_one_with_operands_of_all_its_chain():
    node = fused().nodes[1]
    assert [type(n.op).__name__ for n in node.chain] == ["Conv", "Add", "Relu"]
    assert [v.name for v in node.operands] == ["abs", "conv.1", "abs"]
    assert [v.name for v in node.results] == ["relu"]
    assert repr(node).startswith("'relu':float32[N×4×5×5] = Conv + Add + Relu('abs'")


def test_labels_and_errors():
    y = Value("y")
    node = Node(REGISTRY["Relu"](), [Value("x")], [None, y], where="graph.node[3]")
    assert node.label == "y"
    assert Node(REGISTRY["Relu"](), [], []).label == "?"
    error = node.error("too much", UnsupportedError)
    assert (type(error), str(error)) == (UnsupportedError, "node 'y' (Relu) at graph.node[3]: too much")
    assert str(Node(REGISTRY["Relu"](), [], [], name="r").error("no")) == "node 'r' (Relu): no"


def test_inputs_by_their_position():
    x, bound = Value("x"), Value("bound")
    node = Node(REGISTRY["Clip"](), [x, None, bound], [Value("y")], "clip")
    assert node.input(0) is x
    assert [node.optional(i) for i in range(4)] == [x, None, bound, None]
    for i in (1, 3):
        with pytest.raises(ModelError, match=rf"node 'clip' \(Clip\): input {i} is missing"):
            node.input(i)


def test_values_producers_and_consumers():
    graph = fused()
    names = [v.name for v in graph.values()]
    assert len(set(names)) == len(names)
    assert {v.name: n.label for v, n in graph.producers().items()} == {"abs": "abs", "relu": "conv", "neg4": "neg4"}
    consumers = {v.name: [n.label for n in users] for v, users in graph.consumers().items()}
    assert consumers["abs"] == ["conv", "conv", "neg4"], "once as source, once as residual"
    assert consumers["relu"] == []


def test_a_copy_shares_operators_and_arrays_alone():
    graph = fused()
    twin = graph.copy()
    assert str(twin) == str(graph)
    assert not {id(v) for v in twin.values()} & {id(v) for v in graph.values()}
    for a, b in zip(graph.nodes, twin.nodes, strict=True):
        assert a is not b
        assert a.op is b.op
    assert twin.nodes[1].inputs[1].constant is graph.nodes[1].inputs[1].constant
    twin.nodes[1].epilogue.clear()
    twin.nodes[0].inputs[0].shape = (1, 4, 5, 5)
    twin.nodes.pop()
    assert ops(graph) == ["Abs", "Conv+Add+Relu", "Neg"]
    assert graph.inputs[0].shape == ("N", 4, 5, 5)


def test_a_copy_keeps_optional_operands_left_out():
    net = Net()
    graph = net.graph(net("Clip", net.input("x", 3), None, 6.0)).copy()
    assert [v and v.name for v in graph.nodes[0].inputs] == ["x", None, "clip0.2"]


def test_sorting_moves_only_what_it_must():
    graph = chain(("b", "c"), ("x", "a"), ("x", "d"), ("a", "b"), ("c d", "e"))
    graph.sort()
    assert [n.name for n in graph.nodes] == ["n1", "n2", "n3", "n0", "n4"]
    before = [n.name for n in graph.nodes]
    graph.sort()
    assert [n.name for n in graph.nodes] == before


def test_sorting_a_node_that_reads_a_value_twice():
    graph = chain(("a a", "b"), ("x", "a"))
    graph.sort()
    assert [n.name for n in graph.nodes] == ["n1", "n0"]


@pytest.mark.parametrize("edges", [[("x b", "a"), ("a", "b")], [("a", "a")], [("x", "ok"), ("ok c", "b"), ("b", "c")]])
def test_a_cycle_is_an_error_that_names_a_node_of_it(edges):
    graph = chain(*edges)
    with pytest.raises(ModelError, match=rf"node 'n{'1' if len(edges) == 3 else '0'}' .*cycle"):
        graph.sort()


@pytest.mark.slow
def test_sorting_takes_no_recursion():
    n = 20_000
    graph = chain(*reversed([(f"v{i - 1}" if i else "x", f"v{i}") for i in range(n)]))
    graph.sort()
    assert [m.name for m in graph.nodes[:2]] == [f"n{n - 1}", f"n{n - 2}"]


def test_many_outputs_are_not_searched(monkeypatch):
    net, compared = Net(), 0
    ys = [net.input("x", 1, 8)]
    for i in range(300):
        ys.append(net(("Relu", "Sigmoid", "Identity")[i % 3], ys[-1]))

    def equal(a, b):
        nonlocal compared
        compared += 1
        return a is b

    monkeypatch.setattr(Value, "__eq__", equal)
    run_passes(net.graph(*ys[1:]))
    assert compared < 300


def test_a_graph_prints_every_node_in_a_line():
    lines = str(fused()).splitlines()
    assert lines[0] == "graph 'net'"
    assert lines[1] == "  input  'x':float32[N×4×5×5]"
    assert len(lines) == 1 + 1 + 3 + 2
    assert lines[-1] == "  output 'neg4':float32[N×4×5×5]"
