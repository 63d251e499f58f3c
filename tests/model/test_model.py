"""Model: inputs and outputs by name and by shape, calls from several threads, pickle, saving."""

import gc
import html
import json
import os
import pickle
import re
import shutil
import sys
import threading
import warnings
import weakref
from pathlib import Path
from xml.etree import ElementTree

import ml_dtypes
import numpy as np
import pytest

import fastconv
from fastconv import _executor, kernels, onnx_json
from fastconv.convert import convert
from fastconv.errors import FastconvError, InputError, ModelError, ModelWarning, SlowPathWarning, UnsupportedError
from fastconv.passes import PASSES
from fastconv.plan_cache import MOST_PLANS, PlanCache
from fastconv.reference import run_references
from fastconv.shown import escape
from fastconv.threads import RUNNING

from ..support.graphs import Net, in_type, normal
from ..support.harness import same_bits
from ..support.rng import generator

RNG = generator(__name__)
DIGITS = fastconv.data.DIGITS
W = normal(RNG, 8, 3, 3, 3) / 5
X = normal(RNG, 2, 3, 8, 8)


@pytest.fixture
def small(load):
    """x N×3×H×W -> y N×8×H×W, by a convolution, a normalization, an activation and a residual."""
    net = Net()
    x = net.input("x", "N", 3, "H", "W")
    a = net("Conv", x, W, pads=(1, 1, 1, 1), name="conv")
    b = net("BatchNormalization", a, *(np.abs(normal(RNG, 4, 8)) + 0.1), name="norm")
    c = net("Relu", b, name="relu")
    d = net("Conv", c, normal(RNG, 8, 8, 1, 1), name="conv2")
    return load(net.graph(net("Relu", net("Add", d, c, name="sum"), name="y")))


@pytest.fixture
def two(load):
    """Inputs a (N×3, float32) and n (N, int64); outputs sum, twice and size."""
    net = Net()
    a, n = net.input("a", "N", 3), net.input("n", "N", dtype=np.int64)
    outputs = [net("Add", a, a, name="sum"), net("Add", n, n, name="twice"), net("ReduceMean", a, name="mean", keepdims=0)]
    return load(net.graph(*outputs))


def close(y, wanted):
    np.testing.assert_allclose(y, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())


# ---- floats of 16 bits


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_a_network_of_floats_of_16_bits_runs_on_kernels(load, dtype):
    """The network computes in float32; only the result is rounded to 16 bits."""
    graph = onnx_json.read(DIGITS)
    model, wide = load(in_type(graph, dtype)), load(in_type(in_type(graph, dtype), np.float32, dtype))
    assert (model.inputs[0].dtype, model.outputs[0].dtype) == (dtype, dtype)
    x = np.abs(normal(RNG, 5, 1, 8, 8)).astype(dtype)
    assert not model.plan({"image": x.shape}).python_steps
    y = model(x)
    assert same_bits(y, wide(x.astype(np.float32)).astype(dtype))
    expected = model.reference(x)
    rounding = float(ml_dtypes.finfo(dtype).eps) / 2 * np.abs(expected)
    assert (np.abs(y.astype(np.float64) - expected) <= rounding + 1e-4 * np.abs(expected).max()).all()
    out = np.empty_like(y)
    assert model(x, out=out) is out
    assert same_bits(out, y)
    with pytest.raises(InputError, match=f"expected {np.dtype(dtype)}, got float32"):
        model(x.astype(np.float32))


def test_values_inside_keep_the_dtype_that_the_file_says(load):
    net = Net()
    y = net("Relu", net("Conv", net.input("x", "N", 3, 8, 8), W, name="conv"), name="relu")
    model = load(in_type(net.graph(net("Sqrt", y)), np.float16))
    x = X.astype(np.float16)
    found = model.run(x, outputs=["conv", "relu"])
    assert [a.dtype for a in found] == [np.float16] * 2
    assert same_bits(found["relu"], np.maximum(found["conv"], 0))
    saved = load(model._stage_graph(()).graph)
    assert same_bits(saved(x), model(x))


# ---- what comes in


class Lazy:
    """Another library's array, with NumPy's protocols."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.array, dtype)


class Tensor:
    """Another library's tensor, with DLPack. On another device, or with gradients, it cannot be exported."""

    def __init__(self, array, error=None):
        self.array, self.error = array, error

    def __dlpack__(self, **options):
        if self.error:
            raise self.error
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def unaligned(x):
    memory = np.zeros(x.nbytes + 1, np.uint8)
    view = memory[1:].view(np.float32).reshape(x.shape)
    view[...] = x
    assert not view.flags.aligned
    return view


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


class Subclass(np.ndarray):
    pass


@pytest.mark.parametrize(
    "form",
    [
        lambda x: x,
        lambda x: x.astype(">f4"),
        lambda x: np.asfortranarray(x),
        lambda x: np.ascontiguousarray(x.transpose(0, 1, 3, 2)).transpose(0, 1, 3, 2),
        lambda x: np.ascontiguousarray(x[:, :, ::-1, ::-1])[:, :, ::-1, ::-1],
        lambda x: np.repeat(x, 2, axis=3)[..., ::2],
        read_only,
        unaligned,
        lambda x: x.view(Subclass),
        lambda x: x.tolist(),
        lambda x: tuple(map(tuple, x.tolist())),
        lambda x: list(x),
        lambda x: memoryview(x),
        lambda x: Lazy(x),
        lambda x: Tensor(x),
        lambda x: {"x": x},
    ],
    ids=[
        "row-major", "big-endian", "Fortran order", "transposed", "negative strides", "strides", "read-only", "unaligned",
        "subclass", "list", "tuple", "list of arrays", "memoryview", "__array__", "__dlpack__", "mapping",
    ],
)  # fmt: skip
def test_what_is_taken(small, form):
    given = form(X)
    before = X.copy()
    assert same_bits(small(given), small(X))
    assert same_bits(X, before)


def test_a_broadcast_array_is_copied(small):
    x = np.broadcast_to(np.float32(0.5), (2, 3, 8, 8))
    assert x.strides == (0, 0, 0, 0)
    assert same_bits(small(x), small(x.copy()))


def test_a_matrix_is_taken(load):
    net = Net()
    model = load(net.graph(net("Neg", net.input("x", 2, 3))))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        y = model(np.matrix(np.ones((2, 3), np.float32)))
    assert type(y) is np.ndarray
    np.testing.assert_array_equal(y, -np.ones((2, 3)))


def test_numbers_in_lists(load):
    net = Net()
    a, n, b = net.input("a", 2), net.input("n", 2, dtype=np.int64), net.input("b", 2, dtype=bool)
    model = load(net.graph(net("Neg", a), net("Neg", n), net("Not", b)))
    results = model({"a": [1, True], "n": [1, 2], "b": [True, False]})
    assert [y.tolist() for y in results] == [[-1, -1], [-1, -2], [False, True]]
    for name, wrong in [("n", [1.5, 2]), ("b", [1, 0]), ("n", ["1", "2"])]:
        with pytest.raises(InputError, match=f"input '{name}': expected numbers of"):
            model({"a": [1, 2], "n": [1, 2], "b": [True, False], name: wrong})


@pytest.mark.parametrize(
    "wrong, got",
    [
        (X.astype(np.float64), "got float64: x.astype(np.float32)"),
        (X.astype(np.float16), "got float16: x.astype(np.float32)"),
        (X.astype(np.int32), "got int32: x.astype(np.float32)"),
        (X > 0, "got bool: x.astype(np.float32)"),
        (X.astype(np.complex64), "got complex64"),
        (X.astype(object), "got object"),
        (np.zeros(X.shape, [("r", np.float32)]), "got [('r', '<f4')]"),
        (np.full(X.shape, "1"), "got <U1"),
        (np.full(X.shape, "2020", "M8[Y]"), "got datetime64[Y]"),
        (None, "expected an array of float32 N×3×H×W, got None"),
        (b"text", "expected an array of float32 N×3×H×W, got bytes"),
        ("cat.jpg", "got a path, 'cat.jpg': read it first, fastconv.vision.to_nchw(fastconv.vision.read('cat.jpg'))"),
        (Path("x.npy"), "got a path, 'x.npy': read it first, np.load('x.npy')"),
        (object(), "got object"),
        (3.5, "got float64"),
        ([], "got 0"),
        ([None], "got a list that is not an array of them"),
        (["1"], "got a list that is not an array of them"),
        ([1j], "got a list that is not an array of them"),
        ([[1, 2], [3]], "got a list that is not an array of them"),
        ((object(),), "got a tuple that is not an array of them"),
        (np.ma.masked_less(X, 0), "expected a plain array, got a masked array: fill it first, x.filled"),
        (Tensor(X, BufferError("Can't export tensors on cuda:0")), "got Tensor (Can't export tensors on cuda:0)"),
        (Tensor(X, RuntimeError("requires grad")), "got Tensor (requires grad)"),
        (Tensor(X.astype(np.float64)), "got float64"),
        (X[0], "expected N×3×H×W, got 3×8×8: add the batch axis, x[None]"),
        (X[None], "expected N×3×H×W, got 1×2×3×8×8"),
        (X[:, :2], "expected N×3×H×W, got 2×2×8×8"),
        (X[:, :0], "expected N×3×H×W, got 2×0×8×8"),
        (np.float32(1), "expected N×3×H×W, got scalar"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)  # fmt: skip
def test_what_is_not_taken(small, wrong, got):
    with pytest.raises(InputError) as caught:
        small(wrong)
    assert str(caught.value).startswith("input 'x': expected ")
    assert got in str(caught.value)
    assert same_bits(small(X), small(X)), "nothing is left behind"


class Picture:
    """A picture as Pillow's, with NumPy's array interface."""

    def __init__(self, array):
        self.__array_interface__ = array.__array_interface__
        self.array = array


OPEN = ("N", 3, "H", "W")
PICTURE = RNG.integers(0, 256, (20, 30, 3)).astype(np.uint8)


@pytest.mark.parametrize(
    "dims, given, code",
    [
        (OPEN, PICTURE, "fastconv.vision.to_nchw(x)"),
        (OPEN, Picture(PICTURE), "fastconv.vision.to_nchw(np.asarray(x))"),
        (OPEN, PICTURE[None], "fastconv.vision.to_nchw(x)"),
        (OPEN, PICTURE[..., [0, 1, 2, 0]], "fastconv.vision.to_nchw(x[..., :3])"),
        (OPEN, PICTURE.astype(np.float32), "x.transpose(2, 0, 1)[None]"),
        (OPEN, PICTURE.astype(np.float64), "x.transpose(2, 0, 1)[None].astype(np.float32)"),
        (OPEN, PICTURE[None].astype(np.float32), "x.transpose(0, 3, 1, 2)"),
        ((1, 3, 20, 30), PICTURE, "fastconv.vision.to_nchw(x)"),
        ((1, 3, 16, 24), PICTURE, "fastconv.vision.to_nchw(fastconv.vision.resize(x, (16, 24)))"),
        ((1, 3, 16, 24), PICTURE / 255, "fastconv.vision.resize(x.astype(np.float32), (16, 24)).transpose(2, 0, 1)[None]"),
        (OPEN, PICTURE.transpose(2, 0, 1).astype(np.float32), "x[None]"),
        ((1, 1, 20, 30), PICTURE[..., 0].astype(np.float32), "x[None, None]"),
        (("N", "H", "W", 3), PICTURE.astype(np.float32), "x[None]"),
        (("N", "H", "W", 3), PICTURE[None], "x.astype(np.float32)"),
        ((8, 3, 20, 30), X[0], None),
        (("N", 1, "H", "W"), PICTURE.astype(np.float32), None),
    ],
)  # fmt: skip
def test_the_message_about_a_picture_has_the_code_that_fits(load, dims, given, code):
    net = Net()
    model = load(net.graph(net("Relu", net.input("x", *dims))))
    with pytest.raises(InputError) as caught:
        model(given)
    if code is None:
        assert str(caught.value).endswith("×".join(map(str, given.shape)))
        return
    assert str(caught.value).endswith(f" {code}")
    if "resize" in code:
        pytest.importorskip("PIL")
    assert model(eval(code, {"fastconv": fastconv, "np": np, "x": given})).shape[0] == 1


@pytest.mark.parametrize(
    "wrong, message",
    [
        (lambda m: m({"img": X}), "the model has no input 'img'; it has 'image'; did you mean 'image'?"),
        (lambda m: m.summary({"imag": (1, 1, 8, 8)}), "the model has no input 'imag'; it has 'image'; did you mean 'image'?"),
        (lambda m: m(np.zeros((1, 1, 8, 8), np.float32), out={"logit": X}), "it has 'logits'; did you mean 'logits'?"),
        (lambda m: m.run(X, ["pool3"]), "the model has no value 'pool3'; did you mean 'pool"),
        (lambda m: m.dump("fold_pads"), "or plan, got 'fold_pads'; did you mean 'fold_pad'?"),
    ],
)
def test_a_name_that_is_nearly_right(wrong, message):
    with pytest.raises(InputError) as caught:
        wrong(fastconv.load(DIGITS))
    assert message in str(caught.value)


@pytest.mark.parametrize("shape", [(2, 3, 0, 8), (2, 3, 8, 0)])
def test_a_map_of_no_rows_is_refused_where_an_operator_cannot_take_it(small, load, shape):
    with pytest.raises(InputError, match=r"the model does not take x 2×3×[08]×[08]: node 'conv' \(Conv\)"):
        small(np.empty(shape, np.float32))
    net = Net()
    relu = load(net.graph(net("Relu", net.input("x", "N", 3, "H", "W"))))
    assert relu(np.empty(shape, np.float32)).shape == shape


def test_a_size_that_does_not_fit_an_operator_is_the_input_s_fault(load):
    net = Net()
    x = net.input("x", "N", "C")
    model = load(net.graph(net("Reshape", x, np.int64([-1, 4]), name="rows")))
    assert model(np.zeros((2, 6), np.float32)).shape == (3, 4)
    with pytest.raises(InputError, match=r"the model does not take x 3×5: node 'rows' \(Reshape\)"):
        model(np.zeros((3, 5), np.float32))
    with pytest.raises(InputError, match="does not take x 3×5"):
        model.summary({"x": (3, 5)})


def test_more_than_there_is_memory_for(small):
    for n in (1 << 39, 1 << 50):
        with pytest.raises(MemoryError):
            small(np.broadcast_to(np.float32(0), (n, 3, 8, 8)))
    assert small(X).shape == (2, 8, 8, 8)


def test_a_batch_of_nothing(small):
    y = small(X[:0])
    assert (y.shape, y.dtype) == ((0, 8, 8, 8), np.float32)


def test_an_input_that_changes_while_the_model_runs_is_no_crash(small):
    x = np.zeros((4, 3, 64, 64), np.float32)
    stop = threading.Event()

    def scribble():
        while not stop.is_set():
            x[...] = RNG.standard_normal()

    scribbler = threading.Thread(target=scribble)
    scribbler.start()
    for _ in range(20):
        assert small(x).shape == (4, 8, 64, 64)
    stop.set()
    scribbler.join()


# ---- several inputs


def test_inputs_by_name(two):
    a, n = np.ones((2, 3), np.float32), np.int64([5, 6])
    out = two({"n": n, "a": a})
    assert [i.name for i in two.inputs] == ["a", "n"]
    np.testing.assert_array_equal(out["twice"], [10, 12])
    np.testing.assert_array_equal(out["sum"], 2 * a)
    assert out["mean"] == 1


@pytest.mark.parametrize(
    "given, message",
    [
        (X, "the model has 2 inputs ('a', 'n'): give them as a mapping by name"),
        ([X, X], "the model has 2 inputs ('a', 'n'): give them as a mapping by name"),
        ({"a": np.ones((2, 3), np.float32)}, "input 'n' is missing; the model has 'a', 'n'"),
        ({"a": 1, "n": 2, "m": 3}, "the model has no input 'm'; it has 'a', 'n'"),
        ({"a": 1, 7: 2}, "the model has no input '7'; it has 'a', 'n'"),
        (
            {"a": np.ones((2, 3), np.float32), "n": np.float32([1, 2])},
            "input 'n': expected int64, got float32: x.astype(np.int64)",
        ),
    ],
)
def test_inputs_that_are_wrong(two, given, message):
    with pytest.raises(InputError) as caught:
        two(given)
    assert str(caught.value) == message


def test_a_model_without_inputs(load):
    net = Net()
    model = load(net.graph(net("Add", np.float32([1]), np.float32([2]))))
    assert model.inputs == ()
    assert model({}) == 3


def test_inputs_by_keyword(small, two):
    y = np.empty((2, 8, 8, 8), np.float32)
    assert small(x=X, out=y) is y
    assert same_bits(y, small(X))
    a, n = np.ones((1, 3), np.float32), [2]
    assert [same_bits(k, m) for k, m in zip(two(a=a, n=n), two({"a": a, "n": n}), strict=True)] == [True] * 3
    with pytest.raises(InputError, match=r"^input 'n' is missing; the model has 'a', 'n'$"):
        two(a=a)
    with pytest.raises(InputError, match=r"^the model has no input 'b'; it has 'a', 'n'$"):
        two(a=a, n=n, b=a)
    with pytest.raises(InputError, match=r"^the inputs come by position or by name, not both; the model has 'a', 'n'$"):
        two({"a": a}, n=n)
    with pytest.raises(InputError, match=r"^input 'x' is missing; the model has 'x'$"):
        small()


def test_inputs_of_odd_names(load):
    """An input named `out`, or by no identifier, cannot be a keyword of a call; a mapping takes both."""
    net = Net()
    inputs = [net.input(name, 2) for name in ("self", "inputs", "out", "no name")]
    given = {v.name: np.full(2, i, np.float32) for i, v in enumerate(inputs)}
    all_four = load(net.graph(net("Max", *inputs)))
    assert all_four(given).tolist() == [3, 3]
    with pytest.raises(InputError, match=r"^input 'out' is missing"):
        all_four(out=np.zeros(2, np.float32), **{name: given[name] for name in ("self", "inputs", "no name")})
    net = Net()
    two = load(net.graph(net("Max", net.input("self", 2), net.input("inputs", 2))))
    assert two(self=given["self"], inputs=given["inputs"]).tolist() == [1, 1]


# ---- what comes out


def test_one_output_is_an_array_and_several_a_mapping(small, two):
    y = small(X)
    assert type(y) is np.ndarray
    assert y.flags.owndata
    assert y.flags.writeable
    close(y, small.reference(X))
    out = two({"a": np.ones((1, 3), np.float32), "n": [2]})
    assert isinstance(out, fastconv.Outputs)
    total, twice, mean = out
    assert list(out.keys()) == ["sum", "twice", "mean"]
    assert [a is b for a, b in zip(out.values(), (total, twice, mean), strict=True)] == [True] * 3
    assert dict(out.items())["twice"] is twice is out["twice"]
    assert len(out) == 3
    assert "sum" in out
    assert "nothing" not in out
    assert repr(out) == "Outputs(sum: 1×3 float32, twice: 1 int64, mean: scalar float32)"
    assert [out[i] is a for i, a in enumerate(out)] == [True] * 3
    assert out[-1] is mean
    with pytest.raises(KeyError):
        out["nothing"]
    with pytest.raises(IndexError):
        out[3]


def test_results_are_the_caller_s(small):
    first = small(X)
    kept = first.copy()
    second = small(-X)
    assert not np.shares_memory(first, second)
    assert same_bits(first, kept)
    first[...] = np.nan
    assert same_bits(small(X), kept)


def test_run_gives_a_mapping(small):
    out = small.run(X)
    assert isinstance(out, fastconv.Outputs)
    assert same_bits(out["y"], small(X))


@pytest.mark.parametrize("name", ["conv", "norm", "relu", "conv2", "sum", "y", "x", "conv.1"])
def test_any_value_by_its_name(small, name):
    """Any value can be asked for: also those that passes fuse or fold away, the input, and weights."""
    wanted = {v.name: v for v in small._original.values()}
    graph = small._original.copy()
    graph.outputs = [next(v for v in graph.values() if v.name == name)]
    out = small.run(X, outputs=name)
    assert list(out.keys()) == [name]
    (value,) = run_references(graph, [X]) if wanted[name].constant is None else [wanted[name].constant]
    close(out[name], value)


def test_several_values_in_the_order_asked_for(small):
    out = small.run(X, outputs=["sum", "conv", "y", "sum"])
    assert list(out.keys()) == ["sum", "conv", "y"]
    close(out["y"], np.maximum(out["sum"], 0))
    assert small.run(X, outputs=["conv"])["conv"].shape == (2, 8, 8, 8)


def test_an_input_and_a_constant_come_as_copies(small):
    out = small.run(X, outputs=["x", "conv.1"])
    assert same_bits(out["x"], X)
    assert not np.shares_memory(out["x"], X)
    assert same_bits(out["conv.1"], W)
    out["conv.1"][...] = 0
    close(small(X), small.reference(X))


@pytest.mark.parametrize(
    "names, message",
    [
        (["nothing"], "no value 'nothing'"),
        ("relu0", "no value 'relu0'"),
        ([], r"names of values, got \[\]"),
        ([3], r"names of values, got \[3\]"),
    ],
)
def test_names_that_are_wrong(small, names, message):
    with pytest.raises(InputError, match=message):
        small.run(X, outputs=names)


# ---- into the caller's array


def test_out_is_written_and_returned(small):
    y, out = small(X), np.full((2, 8, 8, 8), np.nan, np.float32)
    assert small(X, out=out) is out
    assert same_bits(out, y)
    assert small(X, out={"y": out}) is out


@pytest.mark.parametrize("form", ["strided", "Fortran order", "unaligned", "row of a stack"])
def test_out_of_any_arrangement(small, form):
    y = small(X)
    stack = np.full((3, *y.shape), np.nan, np.float32)
    out = {
        "strided": np.full((2, 8, 8, 16), np.nan, np.float32)[..., ::2],
        "Fortran order": np.full(y.shape, np.nan, np.float32, order="F"),
        "unaligned": unaligned(np.full(y.shape, np.nan, np.float32)),
        "row of a stack": stack[1],
    }[form]
    assert small(X, out=out) is out
    np.testing.assert_array_equal(out, y)
    assert np.isnan(stack[[0, 2]]).all()


def test_out_over_the_input(load):
    net = Net()
    x = net.input("x", "N", 8, 6, 6)
    model = load(net.graph(net("Add", net("Conv", x, normal(RNG, 8, 8, 3, 3), pads=(1, 1, 1, 1)), x)))
    memory = normal(RNG, 3, 8, 6, 6)
    for given, out in ((memory[:2], memory[:2]), (memory[:2], memory[1:])):
        wanted = model(given.copy())
        assert same_bits(model(given, out=out).copy(), wanted)


def test_out_of_several_outputs(two):
    inputs = {"a": np.ones((2, 3), np.float32), "n": np.int64([5, 6])}
    twice = np.zeros(2, np.int64)
    out = two(inputs, out={"twice": twice})
    assert out["twice"] is twice
    assert twice.tolist() == [10, 12]
    assert out["sum"].shape == (2, 3)
    with pytest.raises(InputError, match=r"the model has 3 outputs \('sum', 'twice', 'mean'\): give out as a mapping by name"):
        two(inputs, out=np.zeros((2, 3), np.float32))


@pytest.mark.parametrize(
    "out, got",
    [
        (np.zeros((2, 8, 8, 8)), "got 2×8×8×8 float64"),
        (np.zeros((2, 8, 8, 8), ">f4"), "got 2×8×8×8 >f4"),
        (np.zeros((1, 8, 8, 8), np.float32), "got 1×8×8×8 float32"),
        (np.zeros(1024, np.float32), "got 1024 float32"),
        (read_only(np.zeros((2, 8, 8, 8), np.float32)), "got 2×8×8×8 float32 (read-only)"),
        ([0.0], "got list"),
        ({"y": None}, "got NoneType"),
    ],
)
def test_out_that_does_not_fit(small, out, got):
    with pytest.raises(InputError) as caught:
        small(X, out=out)
    assert str(caught.value) == f"out 'y': expected a writable array 2×8×8×8 float32, {got}"


def test_out_of_an_unknown_name(small):
    with pytest.raises(InputError, match="out: the model has no output 'z'; it has 'y'"):
        small(X, out={"z": np.zeros((2, 8, 8, 8), np.float32)})


# ---- shapes and plans


def test_symbols_take_any_size(small):
    for shape in [(1, 3, 8, 8), (3, 3, 8, 8), (1, 3, 5, 9), (2, 3, 1, 1), (1, 3, 8, 8)]:
        x = normal(RNG, *shape)
        y = small(x)
        assert y.shape == (shape[0], 8, *shape[2:])
        close(y, small.reference(x))


#: of the input of `square`: shapes that its nodes take
SHAPES = [(5, 3, 48, 1), (2, 3, 1, 7), (1, 3, 6, 6), (3, 3, 1, 1), (5, 3, 48, 1)]


def square(net, *dims):
    """x N×3×H×W -> y N×8×H×W: a convolution, and the same of the picture on its side added to it."""
    x = net.input("x", *dims)
    y = net("Conv", x, W, pads=(1, 1, 1, 1), name="conv")
    side = net("Transpose", net("Conv", x, W, pads=(1, 1, 1, 1), name="other"), perm=(0, 1, 3, 2))
    return net.graph(net("Relu", net("Add", y, side, name="sum"), name="y"))


def takes_its_shapes(model):
    for shape in SHAPES:
        x = normal(RNG, *shape)
        y = model(x)
        assert y.shape == (shape[0], 8, *(max(shape[2:]),) * 2)
        close(y, model.reference(x))
        assert model.plan({"x": shape}) is model.plan({"x": shape})
    assert len(model._plans) == len(set(SHAPES))


@pytest.mark.parametrize("ending", [".json", ".onnx"])
@pytest.mark.parametrize(
    "dims", [("?", 3, "?", "?"), (-1, 3, "?", "?"), (0, 3, 0, 0), ("unk__1", 3, "a b", "a b"), (None, 3, None, None)]
)
def test_sizes_that_are_not_known_take_any_size(tmp_path, dims, ending):
    graph = square(Net(), None, 3, None, None)
    graph.inputs[0].shape, graph.outputs[0].shape = dims, (dims[0], 8, *dims[2:])
    onnx_json.write(graph, tmp_path / "net.json")
    convert(tmp_path / "net.json", tmp_path / f"same{ending}")
    model = fastconv.load(tmp_path / f"same{ending}")
    assert model.inputs[0].shape == (None, 3, None, None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        takes_its_shapes(model)
    assert str(model.inputs[0]) == "x ?×3×?×? float32"
    for wrong in (np.zeros((5, 4, 48, 192), np.float32), np.zeros((3, 48, 192), np.float32)):
        with pytest.raises(InputError, match=r"input 'x': expected \?×3×\?×\?, got (5×4|3)×48×192"):
            model(wrong)
    with pytest.raises(InputError, match=r"input 'x': give sizes for \?×3×\?×\?: shapes="):
        model.plan()


def test_sizes_of_one_symbol_that_differ(load):
    """There is one warning, which names the caller's line."""
    model = load(square(Net(), "N", 3, "N", "N"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert model(np.zeros((6, 3, 6, 6), np.float32)).shape == (6, 8, 6, 6), "equal ones say nothing"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.plan({"x": SHAPES[0]})
        plans, model._plans = model._plans, PlanCache(model._kernels, model.threads, "default")
        takes_its_shapes(model)
    (warning,) = caught
    assert warning.category is ModelWarning
    assert warning.filename == __file__
    assert str(warning.message) == (
        "input 'x': expected N×3×N×N, got 5×3×48×1: N is 5 and 48; it runs if the model's nodes allow it"
    )
    assert len(plans) == 2
    assert [i.shape for i in model.inputs] == [("N", 3, "N", "N")]
    with pytest.raises(InputError, match=r"input 'x': expected N×3×N×N, got 5×4×48×1$"):
        model(np.zeros((5, 4, 48, 1), np.float32))
    with pytest.raises(InputError, match=r"the model does not take x 5×3×4×2: .*'sum'"):
        model(np.zeros((5, 3, 4, 2), np.float32))


def test_sizes_of_one_symbol_that_differ_between_inputs(two):
    a, n = np.ones((2, 3), np.float32), np.int64([1, 2, 3])
    with pytest.warns(ModelWarning) as caught:
        total, twice, mean = two({"a": a, "n": n})
    assert [str(w.message) for w in caught] == [
        "input 'n': expected N, got 3: N is 3, but 2 in input 'a'; it runs if the model's nodes allow it"
    ]
    np.testing.assert_array_equal(total, 2 * a)
    np.testing.assert_array_equal(twice, 2 * n)
    assert mean == 1
    with pytest.warns(ModelWarning):
        assert len(pickle.loads(pickle.dumps(two)).run({"a": a, "n": n}, ["twice"])["twice"]) == 3, "another model warns again"


def test_symbols_that_differ_where_elements_say_how(load):
    net = Net()
    a, n = net.input("a", "N", 3), net.input("n", "N", dtype=np.int64)
    model = load(net.graph(net("Reshape", a, n), net("Add", net("Reshape", a, n, name="again"), a, name="sum")))
    a = np.arange(6, dtype=np.float32).reshape(2, 3)
    with pytest.warns(ModelWarning, match="N is 3, but 2 in input 'a'"):
        results = [model({"a": a, "n": n}) for n in ([1, 2, 3], [2, 1, 3], [1, 2, 3])]
    for (shaped, total), n in zip(results, ([1, 2, 3], [2, 1, 3], [1, 2, 3]), strict=True):
        np.testing.assert_array_equal(shaped, a.reshape(n))
        np.testing.assert_array_equal(total, a.reshape(n) + a)


@pytest.mark.slow
@pytest.mark.parametrize("said", [("N", 8, "H", "W"), (2, 8, 300, 300)])
def test_a_residual_that_is_not_of_the_shape_that_the_file_says(load, said):
    """The residual is fused only if it has the result's shape: a kernel reads one of its elements for each sum."""
    net = Net()
    x, z = net.input("x", *(("N", 3, "H", "W") if "N" in said else (2, 3, 300, 300))), net.input("z", None, 8, None, None)
    r = net("Relu", z, name="r")
    graph = net.graph(net("Relu", net("Add", net("Conv", x, W[:, :, :1, :1], name="conv"), r), name="y"), r)
    r.shape = said
    model = load(graph)
    for shape in ((1, 8, 1, 1), (2, 8, 300, 300), (1, 8, 1, 300)):
        given = {"x": normal(RNG, 2, 3, 300, 300), "z": normal(RNG, *shape)}
        close(model(given)["y"], model.reference(given)["y"])
        fused = any(
            n.epilogue and type(n.epilogue[0].op).__name__ == "Add"
            for n in model.plan({k: a.shape for k, a in given.items()}).graph.nodes
        )
        assert fused is (shape == (2, 8, 300, 300))


def test_plans_are_made_once_for_a_shape_and_bounded(small):
    first = small.plan({"x": (1, 3, 4, 4)})
    assert small.plan({"x": (1, 3, 4, 4)}) is first
    for n in range(MOST_PLANS + 5):
        small(np.zeros((n, 3, 4, 4), np.float32))
        small.plan({"x": (1, 3, 4, 4)})
        assert len(small._plans) <= MOST_PLANS
    assert small.plan({"x": (1, 3, 4, 4)}) is first, "what is used often is kept"
    for i in range(MOST_PLANS + 5):
        small.run(X, outputs=["conv", f"conv{2 if i % 2 else '.1'}", *["relu", "sum", "norm", "y"][: i % 5]])
        assert len(small._stage_graphs) <= MOST_PLANS + 1


def test_weights_are_packed_once(small):
    small(np.zeros((1, 3, 40, 40), np.float32))
    packed = {key: value.array.ctypes.data for key, value in small._plans.packed.items()}
    for h in range(40, 45):
        small(np.zeros((1, 3, h, 40), np.float32))
    assert {key: value.array.ctypes.data for key, value in small._plans.packed.items()} == packed


def test_plans_share_the_memory_they_run_in(small):
    """The arena is as large as the largest plan needs, until that plan is dropped."""

    def run(h):
        small(np.zeros((1, 3, h, 40), np.float32))
        (arena,) = small._plans.arenas.free
        return arena.nbytes, small.plan({"x": (1, 3, h, 40)}).arena_size

    most, needed = run(100)
    assert most == needed
    for h in range(8, 8 + MOST_PLANS - 1):
        assert run(h)[0] == most
    held, needed = run(50)
    assert held == needed < most


def test_packed_weights_do_not_pile_up(small):
    """Folding makes new weights for every set of outputs; those of dropped plans are freed."""
    counts = []
    names = ["conv", "norm", "relu", "conv2", "sum", "y"]
    gc.freeze()  # what other tests have left need not be looked at 48 times
    for i in range(1, 3 * MOST_PLANS):
        small.run(X, outputs=[n for j, n in enumerate(names) if i >> j & 1])
        gc.collect()
        counts.append(len(small._plans.packed))
    gc.unfreeze()
    assert max(counts[len(counts) // 2 :]) <= max(counts[: len(counts) // 2])


def test_the_plan_of_given_shapes(small):
    assert small.plan({"x": (2, 3, 8, 8)}).graph.outputs[0].shape == (2, 8, 8, 8)
    with pytest.raises(InputError, match=r"give sizes for N×3×H×W: shapes=\{'x': "):
        small.plan()
    with pytest.raises(InputError, match="expected N×3×H×W, got 2×4×8×8"):
        small.plan({"x": (2, 4, 8, 8)})
    with pytest.raises(InputError, match="no input 'z'"):
        small.plan({"z": (2, 4, 8, 8)})


# ---- threads


def test_calls_from_many_threads_give_the_bits_of_serial_ones(small):
    inputs = [normal(RNG, 1 + i % 3, 3, 24, 24) for i in range(12)]
    serial = [small.run(x, outputs=["y", "relu"]) for x in inputs]
    model = pickle.loads(pickle.dumps(small))  # with no plans yet: they are made at once, too
    barrier = threading.Barrier(6)
    failures = []

    def work(k):
        barrier.wait()
        for i in [*range(k, 12), *range(k)] * 3:
            if i % 2:
                fine = same_bits(model(inputs[i]), serial[i]["y"])
            else:
                out = model.run(inputs[i], outputs=["y", "relu"])
                fine = same_bits(out["y"], serial[i]["y"]) and same_bits(out["relu"], serial[i]["relu"])
            if not fine:
                failures.append((k, i))

    workers = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert failures == []
    assert not RUNNING


@pytest.mark.parametrize("threads", [1, 2, 7, None])
def test_any_number_of_threads_gives_the_same_bits(threads):
    x = np.random.default_rng(1).standard_normal((64, 1, 8, 8), np.float32)
    model = fastconv.load(DIGITS, threads=threads)
    assert same_bits(model(x), fastconv.load(DIGITS, threads=1)(x))
    assert model.threads >= 1


def test_threads_as_asked_for(monkeypatch):
    monkeypatch.setattr("fastconv.threads.cpu_limit", lambda: fastconv.threads.Threads(8, "affinity mask"))
    if not _executor.openmp:
        pytest.skip("built without OpenMP")
    assert fastconv.load(DIGITS, threads=3).threads == 3
    assert "3 threads" in repr(fastconv.load(DIGITS, threads=3))
    monkeypatch.setenv("FASTCONV_NUM_THREADS", "5")
    assert fastconv.load(DIGITS).threads == 5
    with pytest.raises(InputError, match="threads: expected an int of 1 or more, got 0"):
        fastconv.load(DIGITS, threads=0)


def used_threads(model, monkeypatch, calls=0):
    """How many threads a call uses while `calls` others run, of this model or another one."""
    used = []
    plan_type = type(model.plan())
    original = plan_type.run

    def spy(self, inputs, outputs, threads, stamps=None):
        used.append(threads)
        return original(self, inputs, outputs, threads, stamps)

    monkeypatch.setattr(plan_type, "run", spy)
    RUNNING.update(range(calls))
    model(np.zeros((1, 1, 8, 8), np.float32))
    RUNNING.difference_update(range(calls))
    monkeypatch.setattr(plan_type, "run", original)
    return used[0]


def test_calls_at_once_share_the_threads_unless_told_otherwise(monkeypatch):
    monkeypatch.setattr("fastconv.threads.cpu_limit", lambda: fastconv.threads.Threads(8, "affinity mask"))
    monkeypatch.setattr(_executor, "openmp", 201511)
    monkeypatch.delenv("FASTCONV_NUM_THREADS", raising=False)
    monkeypatch.setattr(_executor, "openmp_max_threads", lambda: 8)
    model = fastconv.load(DIGITS)
    assert [used_threads(model, monkeypatch, n) for n in (0, 1, 3, 9)] == [8, 4, 2, 1]
    fixed = fastconv.load(DIGITS, threads=6)
    assert [used_threads(fixed, monkeypatch, n) for n in (0, 3)] == [6, 6]


def test_openmp_s_setting_counts_at_the_time_of_the_call(monkeypatch):
    """threadpoolctl's limit holds for a model that was loaded before it."""
    monkeypatch.setattr("fastconv.threads.cpu_limit", lambda: fastconv.threads.Threads(8, "affinity mask"))
    monkeypatch.setattr(_executor, "openmp", 201511)
    monkeypatch.delenv("FASTCONV_NUM_THREADS", raising=False)
    monkeypatch.setattr(_executor, "openmp_max_threads", lambda: 8)
    model, fixed = fastconv.load(DIGITS), fastconv.load(DIGITS, threads=4)
    monkeypatch.setenv("FASTCONV_NUM_THREADS", "5")
    by_variable = fastconv.load(DIGITS)
    monkeypatch.setattr(_executor, "openmp_max_threads", lambda: 2)
    assert [used_threads(m, monkeypatch) for m in (model, fixed, by_variable)] == [2, 4, 5]


def test_an_error_in_the_run_leaves_the_model_usable(load):
    net = Net()
    x, i = net.input("x", "N"), net.input("i", 1, dtype=np.int64)
    model = load(net.graph(net("Gather", x, i, name="pick")))
    good = {"x": np.float32([7, 8]), "i": np.int64([1])}
    for _ in range(3):
        with pytest.raises(ModelError, match="node 'pick'"):
            model(good | {"i": np.int64([2])})
        assert not RUNNING
        assert model(good) == 8


# ---- accuracy


def test_exact_uses_no_winograd(tmp_path):
    net = Net()
    x = net.input("x", "N", 64, 28, 28)
    onnx_json.write(net.graph(net("Conv", x, normal(RNG, 64, 64, 3, 3) / 24, pads=(1, 1, 1, 1))), tmp_path / "net.json")
    default, exact = (fastconv.load(tmp_path / "net.json", accuracy=a) for a in ("default", "exact"))
    assert "winograd" in str(default.plan())
    assert " Conv direct" in str(exact.plan())
    assert "not winograd: accuracy='exact'" in str(exact.plan())
    x = normal(RNG, 1, 64, 28, 28)
    close(default(x), exact(x))
    with pytest.raises(InputError, match="accuracy: expected 'default' or 'exact', got 'fast'"):
        fastconv.load(tmp_path / "net.json", accuracy="fast")


# ---- weights of 16 bits


@pytest.mark.parametrize("weights, dtype", [("bf16", ml_dtypes.bfloat16), ("float16", np.float16)])
def test_weights_of_16_bits(load, tmp_path, weights, dtype):
    """They are rounded once, and nothing else is; the file and what is saved keep them as they are."""
    graph, x, shapes = large(Net()), normal(RNG, 3, 600), {"x": (3, 600)}
    full, model = load(graph), load(graph, weights=weights)
    y = model(x)
    assert 2 * model.plan(shapes).packed_bytes == full.plan(shapes).packed_bytes
    assert repr(model) == repr(full).replace(" threads>", f" threads, {weights} weights>")
    assert same_bits(pickle.loads(pickle.dumps(model))(x), y)
    assert same_bits(model.reference(x), full.reference(x))
    model.save(tmp_path / "saved.json")
    assert same_bits(fastconv.load(tmp_path / "saved.json")(x), full(x))
    assert same_bits(np.concatenate([model(row[None]) for row in x]), y)
    rounded = in_type(in_type(graph, dtype), np.float32, was=dtype)
    assert same_bits(load(rounded)(x), y)


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16])
@pytest.mark.parametrize("accuracy", ["default", "exact"])
def test_weights_that_a_file_has_in_16_bits_take_no_more(load, monkeypatch, dtype, accuracy):
    monkeypatch.setenv("FASTCONV_ISA", kernels.available()[-1])  # the baseline widens float16 slowly, and keeps float32
    graph, x, shapes = in_type(large(Net()), dtype), normal(RNG, 2, 600).astype(dtype), {"x": (2, 600)}
    model, full = load(graph, accuracy=accuracy), load(in_type(graph, np.float32, was=dtype), accuracy=accuracy)
    assert same_bits(model(x), full(x.astype(np.float32)).astype(dtype))
    assert 2 * model.plan(shapes).packed_bytes == full.plan(shapes).packed_bytes


def test_wrong_weights(load):
    for options, message in (
        ({"weights": "int8"}, "weights: expected 'float32' or 'bf16' or 'float16', got 'int8'"),
        ({"weights": "bf16", "accuracy": "exact"}, "weights='bf16' rounds weights, accuracy='exact' does not"),
    ):
        with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
            fastconv.load(DIGITS, **options)


# ---- batches


@pytest.mark.parametrize("accuracy", ["default", "exact"])
def test_an_image_of_a_batch_gives_the_same_bits_as_alone(load, accuracy):
    net = Net()
    y = net.input("x", "N", 3, 7, 7)
    for OC in (16, 64, 64):
        w = normal(RNG, OC, y.shape[1], 3, 3) / np.float32(3 * y.shape[1] ** 0.5)
        y = net("Relu", net("Conv", y, w, normal(RNG, OC), pads=(1, 1, 1, 1)))
    y = net("Flatten", net("GlobalAveragePool", net("MaxPool", y, kernel_shape=(2, 2), strides=(2, 2))))
    model = load(net.graph(net("Softmax", net("Gemm", y, normal(RNG, 64, 10), normal(RNG, 10)))), accuracy=accuracy)
    x = normal(RNG, 5, 3, 7, 7)
    batch = model(x)
    for i in range(5):
        assert same_bits(model(x[i : i + 1])[0], batch[i])


# ---- loading


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        fastconv.load(tmp_path / "nowhere.json")
    assert caught.value.filename == str(tmp_path / "nowhere.json") or "nowhere.json" in str(caught.value)


@pytest.mark.parametrize("part", [1, 100, -1])
def test_a_file_cut_short(tmp_path, part):
    with open(DIGITS, "rb") as file:
        text = file.read().rstrip()
    (tmp_path / "cut.json").write_bytes(text[:part])
    with pytest.raises(ModelError, match="JSON"):
        fastconv.load(tmp_path / "cut.json")


def large(net):
    """A graph whose weights go to a file beside the model."""
    return net.graph(net("Gemm", net.input("x", "N", 600), normal(RNG, 600, 500)))


def test_weights_beside_the_model(load, tmp_path):
    model = load(large(Net()))
    assert sorted(os.listdir(tmp_path)) == ["net.json", "net.json.data"]
    x = normal(RNG, 2, 600)
    y = model(x)
    (tmp_path / "net.json.data").unlink()
    assert same_bits(model(x), y), "they were read, not mapped"
    with pytest.raises(ModelError, match=r"external data 'net\.json\.data'.*No such file"):
        fastconv.load(tmp_path / "net.json")
    (tmp_path / "net.json.data").write_bytes(b"short")
    with pytest.raises(ModelError, match=r"net\.json\.data"):
        fastconv.load(tmp_path / "net.json")


def test_weights_in_another_folder(load, tmp_path):
    x = normal(RNG, 2, 600)
    y = load(large(Net()))(x)
    (tmp_path / "weights").mkdir()
    shutil.move(tmp_path / "net.json.data", tmp_path / "weights" / "net.json.data")
    assert same_bits(fastconv.load(tmp_path / "net.json", external_dir=tmp_path / "weights")(x), y)
    text = (tmp_path / "net.json").read_bytes()
    for source in (text, json.loads(text)):
        assert same_bits(fastconv.load(source, external_dir=tmp_path / "weights")(x), y)
        with pytest.raises(ModelError, match="external_dir="):
            fastconv.load(source)
    with pytest.raises(ModelError, match="max_bytes=1000000"):
        fastconv.load(text, external_dir=tmp_path / "weights", max_bytes=1_000_000)


def test_from_text_and_from_a_dict():
    with open(DIGITS, "rb") as file:
        text = file.read()
    x = np.zeros((1, 1, 8, 8), np.float32)
    y = fastconv.load(DIGITS)(x)
    assert same_bits(fastconv.load(text)(x), y)
    assert same_bits(fastconv.load(json.loads(text))(x), y)


def test_operators_that_are_not_supported_are_all_named(tmp_path):
    with open(DIGITS, "rb") as file:
        model = json.load(file)
    for node in model["graph"]["node"][:2]:
        node["op_type"] = f"Strange{node['op_type']}"
    with pytest.raises(UnsupportedError) as caught:
        fastconv.load(model)
    assert "StrangeConv" in str(caught.value)
    assert "StrangeRelu" in str(caught.value)
    for base in (ModelError, FastconvError, ValueError, NotImplementedError):
        assert isinstance(caught.value, base)


# ---- what it says of itself


def test_inputs_and_outputs(small, two):
    (x,), (y,) = small.inputs, small.outputs
    assert (x.name, x.shape, x.dtype) == ("x", ("N", 3, "H", "W"), np.float32)
    assert (y.name, y.shape[:2], y.dtype) == ("y", ("N", 8), np.float32)
    assert str(x) == "x N×3×H×W float32"
    assert [(o.name, o.shape, o.dtype) for o in two.outputs] == [
        ("sum", ("N", 3), np.float32),
        ("twice", ("N",), np.int64),
        ("mean", (), np.float32),
    ]
    isa = small.plan({"x": X.shape}).target.kernels.isa
    assert repr(small) == f"<fastconv.Model 'net': x N×3×H×W float32 -> {y}; {isa}, {small.threads} threads>"


def test_dump_of_every_stage(small):
    stages = ["read", *(p.__name__ for p in PASSES)]
    dumps = {stage: small.dump(stage) for stage in stages}
    first, last = stages.index("fold_affine"), stages.index("fuse_epilogues")
    for i, stage in enumerate(stages):
        assert ("BatchNormalization" in dumps[stage]) == (i < first)
        assert ("Conv + Add + Relu" in dumps[stage]) == (i >= last)
    assert "float32[2×8×8×8]" in small.dump("fuse_epilogues", {"x": X.shape})
    assert small.dump(shapes={"x": X.shape}) == str(small.plan({"x": X.shape}))
    with pytest.raises(InputError, match=r"stage: expected read, infer_shapes, .*, fuse_epilogues or plan, got 'lunch'"):
        small.dump("lunch")


def test_text_is_escaped_as_by_the_standard_library():
    text = "".join(map(chr, range(300)))
    assert escape(text) == html.escape(text)


def test_reports_and_plans_show_themselves(load):
    net = Net()
    x = net.input("<b>&", "N", 3, 8, 8)
    model = load(net.graph(net("Conv", x, W, name="<script>")))
    profile = model.profile(X, runs=2)
    for shown in (model.summary(), profile, model.plan()):
        assert repr(shown) == str(shown)
        page = shown._repr_html_()
        assert "&lt;script&gt;" in page
        assert not re.search("<script>|<b>|&(?!amp;|gt;|lt;|#x27;)", page)
    head, _rule, *rows = str(profile).splitlines()
    rows, (total, *notes) = rows[: len(profile.rows)], rows[len(profile.rows) :]
    tree = ElementTree.fromstring(f"<div>{profile._repr_html_()}</div>")
    cells = [[cell.text or "" for cell in row] for row in tree.iter("tr")]
    assert [" ".join(row).split() for row in cells] == [row.split() for row in (head, *rows)]
    assert [p.text for p in tree.iter("p")] == [total, *notes]


def test_summary():
    summary = fastconv.load(DIGITS).summary({"image": (2, 1, 8, 8)})
    by_name = {x.name: x for x in summary.layers}
    conv = by_name["conv1"]
    assert (conv.op, conv.input, conv.output) == ("Conv+Relu", (2, 1, 8, 8), (2, 16, 8, 8))
    assert conv.flops == 2 * 2 * 16 * 8 * 8 * 25
    assert conv.params == 16 * 25 + 16
    assert summary.params == sum(x.params for x in summary.layers) == 13962
    assert summary.flops == sum(x.flops for x in summary.layers)
    assert conv.multiply_adds == conv.flops // 2
    lines = str(summary).splitlines()
    assert lines[0] == "image N×1×8×8 as 2×1×8×8"
    assert lines[1].split() == [
        "layer", "operator", "by", "output", "kernel", "stride", "pad", "params", "kMAC", "output", "kB",
    ]  # fmt: skip
    assert set(lines[2]) == {"-"}
    assert len(lines) == len(summary.layers) + 4
    assert next(line for line in lines if line.startswith("conv1 ")).split() == [
        "conv1", "Conv+Relu", conv.implementation, "2×16×8×8", "5×5", "1", "2", "416", "51.20", "8.19",
    ]  # fmt: skip
    assert lines[-1].startswith(
        f"{len(summary.layers)} layers, 13,962 parameters (55.85 kB), {summary.multiply_adds / 1e3:.2f} kMAC, "
        f"{summary.flops / 1e3:.2f} kFLOP, activations {summary.activation_bytes / 1e3:.2f} kB (arena "
    )


def test_names_of_a_file_are_printed_without_control_characters(load):
    net = Net()
    model = load(net.graph(net("Relu", net.input("x", 2), name="a\x1b[2J" + "b" * 60)))
    for text in (str(model.summary()), str(model.profile(np.zeros(2, np.float32))), model.dump("read"), model.dump()):
        assert text.replace("\n", "").isprintable()


# ---- layers by reference


def doubles():
    """A network of float64: a convolution with its epilogue, four more layers, and one that is an identity."""
    net = Net()
    y = net("Conv", net.input("x", "N", 3, 40, 40), W, name="conv")
    for i in range(5):
        y = net("Relu", y, name=f"relu{i}")
    return in_type(net.graph(net("Flatten", y, name="flat")), np.float64)


DOUBLES = np.zeros((1, 3, 40, 40))


def test_what_is_slow_is_said_once(load):
    model = load(doubles())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.summary()
        model(DOUBLES)
        model(np.zeros((2, 3, 40, 40)))
        model.profile(DOUBLES, runs=1)
        model.run(DOUBLES, ["relu1"])
    (warning,) = caught
    assert warning.category is SlowPathWarning
    assert warning.filename == __file__
    assert str(warning.message) == (
        "5 layers run by reference, in NumPy, which is slow: "
        "'conv' (Conv), 'relu1' (Relu), 'relu2' (Relu), 'relu3' (Relu) and 1 more: dtype float64"
    )
    with pytest.warns(SlowPathWarning):
        pickle.loads(pickle.dumps(model))(DOUBLES)


def test_tables_mark_what_runs_by_reference(load):
    model = load(doubles())
    with pytest.warns(SlowPathWarning):
        tables = [model.summary(), model.profile(DOUBLES, runs=1)]
    for table, rows in zip(tables, (tables[0].layers, tables[1].rows), strict=True):
        lines = str(table).splitlines()
        end = lines.index("* 5 of 6 layers by reference (dtype float64)") - 1
        assert [line.split()[2:4] == ["reference", "*"] for line in lines[end - 6 : end]] == [True] * 5 + [False]
        assert [r.reason for r in rows] == ["dtype float64"] * 5 + [""]
        assert [x["reason"] for x in table.as_dict()["layers"]] == ["dtype float64"] * 5 + [None]


def test_every_stage_is_in_the_warning(load):
    net = Net()
    y = net("Softsign", net.input("x", "N", 99), name="soft")
    found = net("NonZero", y, name="found")
    model = load(net.graph(net("BitwiseAnd", found, np.int64([7]), name="rest")))
    x = np.ones((99, 99), np.float32)
    with pytest.warns(SlowPathWarning) as caught:
        model(x)
    assert [str(w.message) for w in caught] == [
        "3 layers run by reference, in NumPy, which is slow: 'rest' (BitwiseAnd), 'soft' (Softsign): no kernel; "
        "'found' (NonZero): a size that depends on elements"
    ]
    profile = model.profile(x, runs=1)
    assert str(profile).endswith("\n* 3 of 3 layers by reference (no kernel, a size that depends on elements)")
    assert [r.reason for r in profile.rows] == ["no kernel", "a size that depends on elements", "no kernel"]


def test_what_is_quick_in_numpy_too_is_no_warning(load):
    """Networks without a warning: the digits, arithmetic of shapes, and a classifier's postprocessing."""
    net = Net()
    x = net.input("x", "N", 3, "H", "W")
    y = net("Relu", net("Conv", x, W, pads=(1, 1, 1, 1)))
    rows = net("Cast", net("Floor", net("Mul", net("Cast", net("Shape", y), to=1), 0.5)), to=7)
    worst = net("ArgMin", net("Flatten", net("GlobalAveragePool", y)), axis=1)
    model = load(net.graph(y, net("Mod", rows, np.int64([3])), worst))
    assert len(model.plan({"x": (1, 3, 64, 64)}).python_steps) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model(normal(RNG, 1, 3, 64, 64))
        digits = fastconv.load(DIGITS)
        digits(np.zeros((9, 1, 8, 8), np.float32))
        assert "reference" not in str(digits.summary())
        load(in_type(onnx_json.read(DIGITS), np.float16))(np.zeros((9, 1, 8, 8), np.float16))


# ---- pickling


def test_a_model_pickles_by_its_source_and_options(load, tmp_path):
    x = normal(RNG, 2, 600)
    model = load(large(Net()), threads=1, accuracy="exact")
    data = pickle.dumps(model)
    assert len(data) < 2000, "the path, not the weights"
    again = pickle.loads(data)
    assert same_bits(again(x), model(x))
    assert again.threads == 1
    assert again.plan({"x": x.shape}).target.accuracy == "exact"
    (tmp_path / "net.json").unlink()
    with pytest.raises(FileNotFoundError):
        pickle.loads(data)


def test_a_model_made_from_text_pickles_with_it():
    with open(DIGITS, "rb") as file:
        model = fastconv.load(file.read())
    x = np.ones((1, 1, 8, 8), np.float32)
    assert same_bits(pickle.loads(pickle.dumps(model))(x), model(x))


# ---- saving


def test_a_saved_model_gives_the_same(small, tmp_path):
    small.save(tmp_path / "saved.json")
    saved = fastconv.load(tmp_path / "saved.json")
    assert saved.inputs == small.inputs
    assert [(o.name, o.dtype) for o in saved.outputs] == [(o.name, o.dtype) for o in small.outputs]
    assert "BatchNormalization" not in saved.dump("read")
    for shape in ((2, 3, 8, 8), (1, 3, 9, 5)):
        x = normal(RNG, *shape)
        assert same_bits(saved(x), small(x))
    saved.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == (tmp_path / "saved.json").read_text()


def test_a_saved_model_is_onnx(small, two, tmp_path):
    onnx = pytest.importorskip("onnx")
    from google.protobuf import json_format

    for model in (small, two, fastconv.load(DIGITS)):
        model.save(tmp_path / "saved.json")
        proto = json_format.Parse((tmp_path / "saved.json").read_text(), onnx.ModelProto())
        onnx.checker.check_model(proto, full_check=True)


def test_saving_over_the_model_itself(load, tmp_path):
    x = normal(RNG, 2, 600)
    model = load(large(Net()))
    y = model(x)
    model.save(tmp_path / "net.json")
    assert same_bits(fastconv.load(tmp_path / "net.json")(x), y)
    with pytest.raises(OSError, match="nowhere"):
        model.save(tmp_path / "nowhere" / "net.json")


# ---- memory


@pytest.mark.slow
def test_calls_leave_nothing_behind(small):
    """Calls keep no reference to the caller's arrays and leave no new objects."""
    x, out = X.copy(), np.empty((2, 8, 8, 8), np.float32)
    small(x, out=out)
    before = sys.getrefcount(x), sys.getrefcount(out)
    gc.collect()
    objects = len(gc.get_objects())
    for _ in range(50):
        small(x, out=out)
        small(x)
    gc.collect()
    assert (sys.getrefcount(x), sys.getrefcount(out)) == before
    assert len(gc.get_objects()) - objects < 50


@pytest.mark.slow
def test_a_model_goes_with_its_last_reference(load):
    model = load(large(Net()))
    model(normal(RNG, 1, 600))
    gone, packed = weakref.ref(model), model._plans.packed
    assert len(packed)
    del model
    gc.collect()
    assert gone() is None
    assert not len(packed)
