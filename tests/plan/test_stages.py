"""Stages: inputs that control the computation, and sizes that are known only as the network runs."""

import threading

import numpy as np
import pytest

import fastconv
from fastconv import onnx_json
from fastconv.errors import InputError
from fastconv.graph import Value
from fastconv.passes import run_passes
from fastconv.plan.stages import StageGraph, split
from fastconv.plan_cache import MOST_PLANS
from fastconv.threads import RUNNING

from ..support.graphs import Net, normal, ops
from ..support.harness import same_bits
from ..support.rng import generator

pytestmark = pytest.mark.filterwarnings("ignore::fastconv.SlowPathWarning")
RNG = generator(__name__)
X = normal(RNG, 2, 8, 12, 12)
W, B = normal(RNG, 16, 8, 3, 3), normal(RNG, 16)


@pytest.fixture
def load(tmp_path):
    def load(graph, **options):
        onnx_json.write(graph, tmp_path / "m.json")
        return fastconv.load(tmp_path / "m.json", threads=2, **options)

    return load


def conv(net, x, weights, bias):
    return net("Relu", net("Conv", x, weights, bias, pads=(1, 1, 1, 1), name="conv"), name="y")


@pytest.fixture
def late(load):
    """A convolution whose weights and bias come as inputs."""
    net = Net()
    return load(net.graph(conv(net, net.input("x", "N", 8, "H", "W"), net.input("w", 16, 8, 3, 3), net.input("b", 16))))


@pytest.fixture
def detector(load):
    """A convolution, the places where it exceeds 1, its values there plus 1, and their number."""
    net = Net()
    y = conv(net, net.input("x", "N", 8, "H", "W"), W, B)
    places = net("NonZero", net("Greater", y, 1.0), name="places")
    found = net("Add", net("GatherND", y, net("Transpose", places, perm=(1, 0))), 1.0, name="found")
    count = net("Gather", net("Shape", places), np.array(1), name="count")
    return load(net.graph(found, y, count, places))


# ---- control inputs


def test_weights_that_come_as_inputs_give_the_bits_of_constant_ones(late, load):
    net = Net()
    constant = load(net.graph(conv(net, net.input("x", "N", 8, "H", "W"), W, B)))
    assert same_bits(late({"x": X, "w": W, "b": B}), constant(X))
    assert [r.implementation for r in late.profile({"x": X, "w": W, "b": B}).rows] == [
        r.implementation for r in constant.profile(X).rows
    ]


def test_they_are_packed_again_only_when_they_change(late):
    def call(w):
        y = late({"x": X, "w": w, "b": B})
        return y, {id(p) for p in late._plans.packed.values()}

    first, packed = call(W)
    assert packed
    for _ in range(3):
        assert call(W.copy())[1] == packed
    w = W.copy()
    w[0, 0, 0, 0] += 1
    changed, again = call(w)
    assert not same_bits(changed, first)
    assert again > packed
    w[...] = W  # what the plans keep is theirs
    y, now = call(w)
    assert same_bits(y, first)
    assert now == again


def test_plans_for_elements_are_bounded(late):
    for i in range(2 * MOST_PLANS):
        late({"x": X, "w": W, "b": B + i})
        assert len(late._plans) <= MOST_PLANS
    assert len(late._plans.packed) <= 2 * MOST_PLANS


def test_what_is_not_a_number_is_found_again(late):
    bias = B.copy()
    bias[3] = np.nan
    for _ in range(3):
        y = late({"x": X, "w": W, "b": bias})
    assert np.isnan(y[:, 3]).all()
    assert len(late._plans) == 1


def test_shapes_and_pads_and_axes_as_inputs(load):
    net = Net()
    x = net.input("x", "N", 6)
    shape, pads, axes = (net.input(name, None, dtype=np.int64) for name in ("shape", "pads", "axes"))
    model = load(net.graph(net("ReduceSum", net("Pad", net("Reshape", x, shape), pads), axes, keepdims=0)))
    x = np.arange(12, dtype=np.float32).reshape(2, 6)
    for shape, pads, axes in (((3, 4), (0, 1, 2, 0), (0,)), ((2, 2, -1), (0,) * 6, (1, 2)), ((12,), (1, 1), (0,))):
        n = len(pads) // 2
        padded = np.pad(x.reshape(shape), list(zip(pads[:n], pads[n:], strict=True)))
        given = {"x": x, **{k: np.array(v) for k, v in {"shape": shape, "pads": pads, "axes": axes}.items()}}
        np.testing.assert_array_equal(model(given), padded.sum(axis=axes))


def test_elements_that_cannot_be_are_an_input_error(load):
    net = Net()
    model = load(net.graph(net("Reshape", net.input("x", 2, 6), net.input("shape", 2, dtype=np.int64), name="view")))
    with pytest.raises(InputError, match=r"the model does not take x 2×6, shape 2: node 'view' .*12 elements"):
        model({"x": np.ones((2, 6), np.float32), "shape": np.array([5, 3])})


def test_what_says_how_may_be_computed(load):
    """A shape computed from an input's elements, and a convolution with computed weights."""
    net = Net()
    x, n = net.input("x", 1, 4, 6, 6), net.input("n", 2, dtype=np.int64)
    z = net("Reshape", x, net("Concat", np.array([1]), net("Mul", n, np.array([2, 3])), np.array([-1]), axis=0))
    model = load(net.graph(z))
    x = normal(RNG, 1, 4, 6, 6)
    assert model({"x": x, "n": [2, 3]}).shape == (1, 4, 9, 4)
    assert model({"x": x, "n": [1, 1]}).shape == (1, 2, 3, 24)

    net = Net()
    x = net.input("x", 1, 4, 6, 6)
    w = net("Slice", net("Sigmoid", x), np.array([0, 0]), np.array([3, 3]), np.array([2, 3]))
    model = load(net.graph(net("Conv", net("Relu", x), w)))
    for _ in range(2):
        x = normal(RNG, 1, 4, 6, 6)
        np.testing.assert_allclose(model(x), model.reference(x), rtol=0, atol=1e-5)


def test_the_plan_needs_the_elements(late):
    for ask in (late.plan, late.summary, late.dump):
        with pytest.raises(InputError, match=r"depends on the elements of 'w', 'b': model\.profile"):
            ask(shapes={"x": (1, 8, 4, 4)})


# ---- sizes that only the run shows


def expected(x):
    y = np.maximum(x, 0)
    places = np.argwhere(y > 1).T
    return y[tuple(places)] + 1, y, places.shape[1], places


def test_sizes_that_only_the_run_shows(detector):
    for x in (X, X[:1, :, :5], np.zeros_like(X), 9 * X):
        found, y, count, places = out = detector(x)
        assert list(out.keys()) == ["found", "y", "count", "places"]
        again, same, n, where = expected(y)
        assert same_bits(y, same)
        assert same_bits(found, again)
        assert (count.shape, int(count)) == ((), n)
        np.testing.assert_array_equal(places, where)
        wanted = detector.reference(x)
        np.testing.assert_allclose(y, wanted["y"], rtol=0, atol=1e-4 * np.abs(wanted["y"]).max())


def test_what_comes_before_has_one_plan(detector):
    detector(X)
    first = detector.plan({"x": X.shape})
    for scale in (1, 2, 3, 4):
        detector(X * np.float32(scale))
    assert detector.plan({"x": X.shape}) is first
    rows = [r.name for r in detector.profile(X).rows]
    assert rows.index("conv") < rows.index("places") < rows.index("found")
    assert "places" in str(detector.profile(X))


def test_the_dump_says_what_waits(detector):
    text = detector.dump(shapes={"x": X.shape})
    assert "then 'places'" in text
    assert "input  'places'" in text.partition("then graph")[2]


def test_results_into_arrays_of_the_caller(detector):
    found, y, _, places = detector(X)
    into = {"found": np.empty_like(found), "y": np.empty_like(y), "places": np.empty_like(places)}
    out = detector(X, out=into)
    for name, array in into.items():
        assert out[name] is array
        assert same_bits(array, {"found": found, "y": y, "places": places}[name])
    with pytest.raises(InputError, match="out 'found': expected a writable array "):
        detector(X, out={"found": np.empty(1, np.float32)})
    with pytest.raises(InputError, match="no output 'z'"):
        detector(X, out={"z": found})


def test_any_value_before_and_after(detector):
    out = detector.run(X, outputs=["found", "conv"])
    assert list(out.keys()) == ["found", "conv"]
    assert same_bits(out["found"], detector(X)["found"])


def test_calls_from_many_threads(detector):
    inputs = [normal(RNG, 1, 8, 6, 6) for _ in range(6)]
    serial = [detector(x) for x in inputs]
    failures = []

    def work(k):
        order = (*range(k, 6), *range(k))
        failures.extend((k, i) for i in order if not all(map(same_bits, detector(inputs[i]), serial[i])))

    workers = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert failures == []
    assert not RUNNING


def test_an_error_behind_names_the_node(load):
    net = Net()
    places = net("NonZero", net.input("x", "n"), name="places")
    model = load(net.graph(net("Reshape", places, np.array([1, 3]), name="three")))
    assert model(np.array([0, 1, 2, 3], np.float32)).tolist() == [[1, 2, 3]]
    with pytest.raises(InputError, match="the model does not take places 1×2: node 'three'"):
        model(np.array([0, 1, 2, 0], np.float32))


# ---- the cut


def test_a_graph_of_known_shapes_is_one_stage():
    net = Net()
    graph = net.graph(conv(net, net.input("x", 1, 8, 4, 4), W, B))
    stage = split(graph)
    assert stage.graph is graph
    assert (stage.data_dependent, stage.rest, stage.outputs) == ([], None, graph.outputs)


def test_the_cut():
    net = Net()
    x, k = net.input("x", 1, 4), net.input("k", 1, dtype=np.int64)
    a = net("Relu", x, name="a")
    b = net("NonZero", a, name="b")
    c = net("Cast", b, to=1, name="c")
    d = net("TopK", a, k, results=2, name="d")[0]
    e = net("Mul", net("Exp", x, name="exp"), d, name="e")
    graph = run_passes(net.graph(a, b, c, e))
    assert StageGraph(graph).controls == [False, True]
    stage = split(graph)
    assert ops(stage.graph) == ["Relu", "Exp"]
    assert [v.name for v in stage.graph.outputs] == ["a", "exp"]
    assert [n.name for n in stage.data_dependent] == ["b"]
    assert [v.name for v in stage.outputs] == ["a", "b"]
    assert stage.rest is not None
    assert ops(stage.rest.graph) == ["Cast", "TopK", "Mul"]
    assert {v.name for v in stage.rest.graph.inputs} == {"b", "a", "k", "exp"}
    assert [v.name for v in stage.rest.graph.outputs] == ["c", "e"]
    assert [isinstance(v, Value) and v.name == "k" for v in stage.rest.graph.inputs] == stage.rest.controls
