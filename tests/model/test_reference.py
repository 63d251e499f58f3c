"""Model.reference: the graph of the file, before any pass, computed in float64 by the operators' references."""

import numpy as np
import pytest

import fastconv
from fastconv.errors import InputError, ModelError
from fastconv.ops import REGISTRY, Op
from fastconv.reference import run_references

from ..support.graphs import Net, normal
from ..support.rng import generator

RNG = generator(__name__)
X = normal(RNG, 2, 3, 8, 8)
W = normal(RNG, 5, 3, 3, 3)
TINY = np.float32(2.0**-20)  # 1 + TINY² is 1 in float32, and not in float64
FLOAT, FLOAT16, DOUBLE, INT32 = 1, 10, 11, 6


@pytest.fixture
def norm(load):
    """x N×3×H×W -> y, by a convolution and a BatchNormalization that the passes fold into it; and its parameters."""
    net = Net()
    params = [np.abs(normal(RNG, 5)) + np.float32(0.1) for _ in range(4)]
    y = net("BatchNormalization", net("Conv", net.input("x", "N", 3, "H", "W"), W), *params, epsilon=0.0, name="y")
    return load(net.graph(y)), params


def by_windows(x, w):
    """A convolution that shares nothing with the references."""
    cut = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], axis=(2, 3))
    return np.einsum("nihwkl,oikl->nohw", cut, w)


def test_it_is_the_graph_of_the_file_in_float64(norm):
    model, params = norm
    gamma, beta, mean, var = (p.astype(np.float64)[:, None, None] for p in params)
    expected = (by_windows(X.astype(np.float64), W.astype(np.float64)) - mean) / np.sqrt(var) * gamma + beta
    y = model.reference(X)
    assert y.dtype == np.float64
    # nothing near float32's 6e-8, which folding in float32 would cost already
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-14 * np.abs(expected).max())


def test_it_judges_a_call(norm):
    model, _ = norm
    y, expected = model(X), model.reference(X)
    error = np.abs(y - expected).max() / np.abs(expected).max()
    assert 0 < error < 1e-6


def test_it_leaves_the_model_as_it_was(norm):
    model, _ = norm
    before = model(X)
    model.reference(X)
    np.testing.assert_array_equal(model(X), before)
    assert {v.constant.dtype for v in model._original.values() if v.constant is not None} == {np.dtype(np.float32)}


def test_the_dtype_may_be_another(norm):
    model, _ = norm
    y = model.reference(X, dtype="float32")
    assert y.dtype == np.float32
    assert 0 < np.abs(y - model.reference(X)).max() < 1e-4
    assert model.reference(X, np.longdouble).dtype == np.longdouble


@pytest.mark.parametrize("dtype", [np.int64, "complex128", object, "no dtype", 3])
def test_a_dtype_that_is_no_float(norm, dtype):
    model, _ = norm
    with pytest.raises(InputError, match="dtype: expected a floating-point type, got "):
        model.reference(X, dtype)


def test_several_outputs_by_name_and_integers_as_they_are(load):
    net = Net()
    a, n = net.input("a", "N", 3), net.input("n", "N", dtype=np.int64)
    model = load(net.graph(net("Add", a, TINY * TINY, name="sum"), net("Add", n, n, name="twice"), a, net("ArgMax", a, axis=1)))
    out = model.reference({"n": np.arange(2), "a": np.ones((2, 3), np.float32)})
    assert isinstance(out, fastconv.Outputs)
    assert list(out.keys()) == [o.name for o in model.outputs]
    assert (out["sum"] == 1 + float(TINY) ** 2).all()
    assert out["twice"].dtype == np.int64
    assert out["twice"].tolist() == [0, 2]
    assert out["a"].dtype == np.float64
    assert out["argmax2"].tolist() == [[0], [0]]


@pytest.mark.parametrize(
    "x, message",
    [
        (X[0], "input 'x': expected N×3×H×W, got 3×8×8: add the batch axis"),
        (X.astype(np.float64), "input 'x': expected float32, got float64"),
        (X[:, :2], "input 'x': expected N×3×H×W, got 2×2×8×8"),
        (X[:, :, :2], "the model does not take x 2×3×2×8: node"),
    ],
)
def test_what_does_not_fit_is_the_error_of_a_call(norm, x, message):
    model, _ = norm
    for call in (model, model.reference):
        with pytest.raises(InputError) as caught:
            call(x)
        assert str(caught.value).startswith(message)


def value(op, x, *operands, dtype=np.float64, **attributes):
    """The reference of a graph of one node."""
    net = Net()
    y = net(op, net.input("x", *x.shape, dtype=x.dtype), *operands, **attributes)
    return run_references(net.graph(y), [x], dtype)[0]


def test_casts_to_narrower_floats_do_not_round():
    third = np.float64([1 / 3])
    assert value("Cast", third, to=FLOAT) == third
    assert value("Cast", third, to=FLOAT16) == third
    assert value("CastLike", third, np.zeros(1, np.float32)) == third
    large = np.int64([2**24 + 1])
    assert value("Cast", large, to=FLOAT) == large
    assert value("Cast", large, to=FLOAT).dtype == np.float64
    # those that mean something stay
    assert value("Cast", third + 1, to=INT32).tolist() == [1]
    assert value("Cast", third, to=DOUBLE, dtype=np.float32).dtype == np.float64
    assert value("Cast", third, to=FLOAT, dtype=np.float32).dtype == np.float32


def test_what_nodes_make_is_wide_too():
    """Constant nodes, and float16."""
    y = value("ConstantOfShape", np.int64([2]), value=np.float32([1 / 3]))
    assert y.dtype == np.float64
    net = Net()
    half = net.input("half", 2, dtype=np.float16)
    y = net("Add", half, np.float16([2.0**-10, 2.0**-13]))
    (y,) = run_references(net.graph(y), [np.ones(2, np.float16)])
    assert (y.dtype, y.tolist()) == (np.float64, [1 + 2.0**-10, 1 + 2.0**-13])


def test_a_value_lives_until_its_last_reader():
    net = Net()
    x, c = net.input("x", 2), np.float32([1, 2])
    a = net("Add", x, c)
    b = net("Add", a, a)
    d = net("Add", net("Add", b, a), x)
    graph = net.graph(b, d, x, graph_constant := net.nodes[0].inputs[1])
    results = run_references(graph, [np.float32([10, 20])])
    assert [r.tolist() for r in results] == [[22, 44], [43, 86], [10, 20], [1, 2]]
    assert {r.dtype for r in results} == {np.dtype(np.float64)}
    assert graph_constant.constant.dtype == np.float32


def test_a_node_that_fails_is_named_as_in_a_call(load):
    net = Net()
    model = load(net.graph(net("Gather", net.input("x", 3), net.input("i", 1, dtype=np.int64), name="late")))
    for call in (model, model.reference):
        with pytest.raises(ModelError, match="node 'late' "):
            call({"x": np.ones(3, np.float32), "i": [5]})


def test_it_is_there_for_every_operator():
    """Other exporters' names, which the reader takes for the standard's."""
    others = {"Scatter", "Upsample", "com.microsoft::QuantizeLinear", "com.microsoft::DequantizeLinear"}
    assert {key for key, op in REGISTRY.items() if op.reference is Op.reference} == others
