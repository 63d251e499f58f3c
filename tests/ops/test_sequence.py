"""Strings and sequences of tensors, which only references compute."""

import numpy as np
import pytest

import fastconv
from fastconv import onnx_json
from fastconv.dtypes import element_of, is_sequence, sequence, sequence_of
from fastconv.errors import InputError, ModelError, UnsupportedError

from ..support.graphs import Net
from ..support.nodes import compute

STRING = np.dtype(object)
A, B, C = np.ones((2, 3), np.float32), np.zeros(4, np.float32), np.float32([[5]])


@pytest.fixture
def load(tmp_path):
    def load(graph):
        onnx_json.write(graph, tmp_path / "m.json")
        return fastconv.load(tmp_path / "m.json")

    return load


def same(got, wanted):
    assert isinstance(got, list)
    assert len(got) == len(wanted)
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


def test_strings(load):
    net = Net()
    x = net.input("x", "N", 2, dtype=STRING)
    model = load(net.graph(net("Identity", x), net("Not", net("Equal", x, np.array(["a", "b"], object)))))
    assert str(model.inputs[0]) == "x N×2 string"
    for given in ([["a", "a"], ["c", "b"]], np.array([["a", "a"], ["c", "b"]])):
        x, differs = out = model(given)
        assert x.dtype == object
        assert x.tolist() == np.asarray(given).tolist()
        assert differs.tolist() == [[False, True], [True, False]]
        assert repr(out).startswith("Outputs(identity0: 2×2 string, ")
    for wrong, message in (
        ([["a", 1]], "expected strings"),
        (np.ones((1, 2)), "expected strings"),
        (["a"], "expected N×2, got 1"),
    ):
        with pytest.raises(InputError, match=f"input 'x': {message}"):
            model(wrong)


def test_what_is_not_for_strings(load):
    net = Net()
    x = net.input("x", 2)
    graph = net.graph(net("Relu", x))
    x.dtype = graph.outputs[0].dtype = STRING
    with pytest.raises(UnsupportedError, match=r"node 'relu0' .*strings and sequences are not supported by this operator"):
        load(graph)


@pytest.fixture
def joined(load):
    """Inserts x into xs at position 1, and concatenates the result."""
    net = Net()
    xs, x = net.input("xs", dtype=sequence_of(np.dtype(np.float32))), net.input("x", "N", dtype=np.float32)
    xs.shape = None
    more = net("SequenceInsert", xs, net("Relu", x), np.array(1), name="more")
    return load(net.graph(more, net("Neg", net("ConcatFromSequence", more, axis=0)), net("SequenceLength", more)))


def test_sequences(joined):
    assert str(joined.inputs[0]) == "xs ? sequence of float32"
    more, end_to_end, count = out = joined({"xs": [B, B[:1]], "x": np.float32([-1, 2])})
    same(more, [B, np.float32([0, 2]), B[:1]])
    np.testing.assert_array_equal(end_to_end, -np.float32([0, 0, 0, 0, 0, 2, 0]))
    assert count == 3
    assert repr(out).startswith("Outputs(more: 3 arrays, ")
    for wrong in (B, [B, [1.0]], [B.astype(np.float64)]):
        with pytest.raises(InputError, match="input 'xs': expected a list of arrays of float32, got"):
            joined({"xs": wrong, "x": B})
    with pytest.raises(ModelError, match="position: expected 0 to 0, got 1"):
        joined({"xs": [], "x": B})


def test_their_types():
    t = sequence_of(np.dtype(np.int64))
    assert is_sequence(t)
    assert element_of(t) == np.int64
    assert not is_sequence(STRING)
    assert element_of(STRING) is None
    assert sequence([]).shape == (0,)
    assert [a.shape for a in sequence([A, A])] == [A.shape] * 2


def test_every_operator_of_sequences():
    xs = sequence([A, B, C])
    same(list(compute("SequenceConstruct", A, B)), [A, B])
    same(list(compute("SequenceEmpty", dtype=7)), [])
    np.testing.assert_array_equal(compute("SequenceAt", xs, np.array(-2)), B)
    same(list(compute("SequenceInsert", xs, A)), [A, B, C, A])
    same(list(compute("SequenceInsert", xs, A, np.array(-1))), [A, B, A, C])
    same(list(compute("SequenceErase", xs)), [A, B])
    same(list(compute("SequenceErase", xs, np.array(-3))), [B, C])
    assert compute("SequenceLength", xs) == 3
    np.testing.assert_array_equal(compute("ConcatFromSequence", sequence([A, A]), axis=-1), np.hstack([A, A]))
    np.testing.assert_array_equal(compute("ConcatFromSequence", sequence([A, A]), axis=1, new_axis=1), np.stack([A, A], 1))
    x = np.arange(10).reshape(2, 5)
    same(list(compute("SplitToSequence", x, np.array(2), axis=1)), [x[:, :2], x[:, 2:4], x[:, 4:]])
    same(list(compute("SplitToSequence", x, np.array([1, 4]), axis=-1)), [x[:, :1], x[:, 1:]])
    same(list(compute("SplitToSequence", x)), [x[:1], x[1:]])
    same(list(compute("SplitToSequence", x, keepdims=0)), [x[0], x[1]])
    assert compute("OptionalHasElement", xs)
    assert not compute("OptionalHasElement")
    assert compute("OptionalGetElement", xs) is xs
    for op, inputs, attributes, message in (
        ("SequenceAt", [xs, np.array(3)], {}, "position: expected -3 to 2, got 3"),
        ("SequenceErase", [sequence([])], {}, "the sequence is empty"),
        ("ConcatFromSequence", [xs], {"axis": 0}, "the tensors cannot be joined along axis 0"),
        ("SplitToSequence", [x, np.array([1, 1])], {"axis": 1}, "sizes that add up to 5"),
        ("SplitToSequence", [x, np.array(0)], {}, "expected 1 or more, got 0"),
    ):
        with pytest.raises(ModelError, match=message):
            compute(op, *inputs, **attributes)
