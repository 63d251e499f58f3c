"""What a reference, a shape rule or a binding raises becomes one error that names the node; what fits gets a right answer."""

import os
import pickle

import numpy as np
import pytest

import fastconv
from fastconv.errors import FastconvError, InputError, ModelError, Naming
from fastconv.ops.base import REGISTRY
from fastconv.ops.conv import Conv
from fastconv.ops.elementwise import Relu

from ..support.onnx_dicts import b64, info, ints, model, node, tensor, text, tiny

X = np.random.default_rng(0).standard_normal((1, 3, 8, 8), np.float32)
HUGE = 1 << 40
AXIS = {"name": "axis", "i": "1", "type": "INT"}
EQUATION = {"name": "equation", "s": b64(b"a,b,c"), "type": "STRING"}


def weights(*shape):
    return [tensor("w", np.ones(shape, np.float32))]


@pytest.mark.parametrize(
    "m, message",
    [
        (model([node("Concat", ["x", "", "x"], ["y"], AXIS)]), "left out"),
        (model([node("Sum", ["x", "", "x"], ["y"])]), "left out"),
        (model([node("Max", ["x", "", "x"], ["y"])]), "left out"),
        (model([node("Einsum", ["x", "", "x"], ["y"], EQUATION)]), "left out"),
        (model([node("SequenceConstruct", ["x", "", "x"], ["y"])]), "left out"),
        (model([node("SequenceLength", ["x"], ["y"])]), "expected a sequence"),
        (model([node("SequenceErase", ["x"], ["y"])]), "expected a sequence"),
        (model([node("ConcatFromSequence", ["x"], ["y"], AXIS)]), "expected a sequence"),
        (model([node("Conv", ["x", "w"], ["y"], ints("pads", *[HUGE] * 4))], weights(4, 3, 3, 3)), "larger than any memory"),
        (model([node("Conv", ["x", "w"], ["y"], ints("strides", 1 << 62, 1))], weights(4, 3, 3, 3)), "too large"),
        (model([node("Conv", ["x", "w"], ["y"], ints("dilations", 1 << 62, 1))], weights(4, 3, 3, 3)), "too large"),
        (model([node("Tile", ["x", "n"], ["y"])], [tensor("n", np.int64([1, 1 << 62, 1 << 62, 1]))]), "larger than any memory"),
        (model([node("Expand", ["x", "n"], ["y"])], [tensor("n", np.int64([1 << 61, 3, 8, 8]))]), "larger than any memory"),
    ],
)  # fmt: skip
def test_a_model_that_cannot_be_computed(m, message):
    with pytest.raises(ModelError, match=rf"node 'y' .*{message}"):
        fastconv.load(m)


@pytest.mark.parametrize(
    "op, attributes",
    [
        ("Conv", [ints("dilations", HUGE, 1 << 62)]),
        ("ConvTranspose", [ints("dilations", HUGE, HUGE)]),
    ],
)
def test_a_dilation_between_no_taps_has_no_effect(op, attributes):
    m = model([node(op, ["x", "w"], ["y"], *attributes)], weights(3, 3, 1, 1))
    np.testing.assert_array_equal(
        fastconv.load(m)(X), fastconv.load(model([node(op, ["x", "w"], ["y"])], weights(3, 3, 1, 1)))(X)
    )


def test_taps_far_outside_a_source():
    """Padding that would fill the memory is not laid out."""
    m = model([node("Conv", ["x", "w"], ["y"], ints("dilations", HUGE, HUGE), ints("pads", *[HUGE] * 4))], weights(4, 3, 3, 3))
    np.testing.assert_allclose(fastconv.load(m)(X), X.sum(1, keepdims=True).repeat(4, 1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_resize_of_no_images(mode):
    m = model(
        [node("Resize", ["x", "", "s"], ["y"], {"name": "mode", "s": b64(mode.encode()), "type": "STRING"})],
        [tensor("s", np.float32([1, 1, 2, 0.5]))],
    )
    assert fastconv.load(m)(X[:0]).shape == (0, 3, 16, 4)


RAISED = [AttributeError, ValueError, OverflowError, IndexError, KeyError, ZeroDivisionError, TypeError, RecursionError]


@pytest.mark.parametrize("raised", RAISED)
@pytest.mark.parametrize("where", ["__post_init__", "infer", "reference"])
def test_whatever_an_operator_raises_names_its_node(monkeypatch, raised, where):
    def fail(*_):
        raise raised("it broke")

    m = model([node("Sign", ["x"], ["y"], name="bad")])
    monkeypatch.setattr(REGISTRY["Sign"], where, fail)
    with pytest.raises(FastconvError, match=rf"node 'bad' \(Sign\).*: {raised.__name__}: .*it broke") as e:
        fastconv.load(m)(X)
    assert isinstance(e.value.__cause__, raised)
    assert pickle.loads(pickle.dumps(e.value)).names_node


@pytest.mark.parametrize("where", ["refuse", "layouts", "bind", "workspace"])
def test_whatever_an_implementation_raises_names_its_node(monkeypatch, where):
    def fail(*_):
        raise OverflowError("it broke")

    from fastconv.implementations import IMPLEMENTATIONS

    [cls] = {type(i) for i in IMPLEMENTATIONS[Conv] if i.name == "first"}
    monkeypatch.setattr(cls, where, fail)
    with pytest.raises(ModelError, match=r"node 'first' \(Conv\).*: OverflowError: it broke"):
        fastconv.load(tiny())(X)


@pytest.mark.parametrize("raised", [MemoryError, KeyboardInterrupt, OSError, UserWarning, InputError])
def test_what_is_no_fault_of_the_model_passes(monkeypatch, raised):
    def fail(*_):
        raise raised("it broke")

    loaded = fastconv.load(model([node("Sign", ["x"], ["y"])]))
    monkeypatch.setattr(REGISTRY["Sign"], "reference", fail)
    with pytest.raises(raised, match=r"it broke$"):
        loaded(X)


def test_numpy_s_error_for_a_failed_allocation():
    with pytest.raises(MemoryError, match=r"node .*\(Relu\).*returned NULL"), Naming(fastconv.graph.Node(Relu(), [], []).error):
        raise SystemError("<ufunc> returned NULL without setting an exception")


def test_a_model_file_that_changes_between_load_and_first_call(tmp_path):
    """Within a tick of the clock of the file system, only the text shows it."""
    m = model(
        [node("Gemm", ["x", "w"], ["y"])],
        [tensor("w", np.ones((200, 200), np.float32))],
        [info("x", 1, 200)],
        [info("y", 1, 200)],
    )
    path = tmp_path / "m.json"
    path.write_bytes(text(m))
    state = path.stat()
    loaded = fastconv.load(path)
    path.write_bytes(b"\xff" * state.st_size)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    with pytest.raises(ModelError, match=r"m\.json' was written to since the model was loaded"):
        loaded(np.ones((1, 200), np.float32))


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_numpy_s_warnings_do_not_reach_the_caller():
    big = np.float32([3e38] * 3)
    nodes = [node("Conv", ["x", "w"], ["c"]), node("BatchNormalization", ["c", "big", "big", "big", "var"], ["y"])]
    m = model(
        nodes,
        [tensor("w", np.full((3, 3, 3, 3), 3e38, np.float32)), tensor("big", big), tensor("var", np.float32([0, -1, 1e-40]))],
    )
    assert not np.isfinite(fastconv.load(m)(X)).any()
    zero = model([node("Div", ["x", "w"], ["y"])], [tensor("w", np.float32([0]))])
    assert not np.isfinite(fastconv.load(zero)(X)).any()
    relu = fastconv.load(model([node("Relu", ["x"], ["y"])], inputs=[info("x", 2)], outputs=[info("y", 2)]))
    assert relu([1e300, -1.0]).tolist() == [np.inf, 0]
