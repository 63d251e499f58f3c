"""Nodes with graphs in them: If, Loop, Scan and SequenceMap."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import fastconv
from fastconv.errors import InputError, ModelError, UnsupportedError
from fastconv.onnx_json.format import MOST_NESTED
from fastconv.onnx_json.protobuf import as_dict

from ..support.rng import generator

F, INT, B = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
RNG = generator(__name__)
X = RNG.standard_normal((1, 8, 6, 6)).astype(np.float32)
W = RNG.standard_normal((8, 8, 3, 3)).astype(np.float32)
node, info = helper.make_node, helper.make_tensor_value_info


def graph(nodes, inputs, outputs, name="inner", **weights):
    """Outputs are given by name, inputs as (name, type, shape)."""
    outputs = [helper.make_empty_tensor_value_info(o) for o in outputs]
    arrays = [numpy_helper.from_array(np.asarray(w), k) for k, w in weights.items()]
    return helper.make_graph(nodes, name, [info(*i) for i in inputs], outputs, arrays)


def load(nodes, inputs, outputs, opset=21, **weights):
    made = helper.make_model(graph(nodes, inputs, outputs, "g", **weights), opset_imports=[helper.make_opsetid("", opset)])
    return fastconv.load(as_dict(made), threads=1)


def branches(output="y"):
    """A convolution with weights of its own and a Relu, or twice the outer x."""
    then = [node("Conv", ["x", "w"], ["t"], pads=[1, 1, 1, 1]), node("Relu", ["t"], ["a"])]
    return {
        "then_branch": graph(then, [], ["a"], w=W),
        "else_branch": graph([node("Add", ["x", "x"], ["b"])], [], ["b"]),
    }


def kinds(plan):
    return [type(n.op).__name__ for n in plan.graph.nodes]


# ---- If


def test_a_branch_that_is_known_takes_the_place_of_the_node(tmp_path):
    x = ("x", F, ["N", 8, 6, 6])
    model = load([node("If", ["c"], ["i"], **branches()), node("Neg", ["i"], ["y"])], [x], ["y"], c=np.array(True))
    assert kinds(model.plan()) == ["Conv", "Neg"]
    assert not model.plan().python_steps
    plain = load(
        [node("Conv", ["x", "w"], ["t"], pads=[1, 1, 1, 1]), node("Relu", ["t"], ["a"]), node("Neg", ["a"], ["y"])],
        [x],
        ["y"],
        w=W,
    )
    np.testing.assert_array_equal(model(X), plain(X))
    np.testing.assert_allclose(model(X), model.reference(X), rtol=0, atol=1e-4)
    model.save(tmp_path / "m.json")
    np.testing.assert_array_equal(fastconv.load(tmp_path / "m.json")(X), plain(X))


def test_a_condition_that_shapes_decide():
    """Squeeze as exporters write it: shapes of the branch that is not taken cannot be inferred."""
    squeeze = {
        "then_branch": graph([node("Squeeze", ["x", "axes"], ["a"])], [], ["a"], axes=np.array([1])),
        "else_branch": graph([node("Identity", ["x"], ["b"])], [], ["b"]),
    }
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "one"], ["d"]),
        node("Equal", ["d", "one"], ["c"]),
        node("If", ["c"], ["y"], **squeeze),
    ]
    model = load(nodes, [("x", F, ["N", "C", 4])], ["y"], one=np.array(1))
    assert model.outputs[0].shape is None
    for c in (1, 3):
        x = np.ones((2, c, 4), np.float32)
        assert model(x).shape == ((2, 4) if c == 1 else x.shape)
        assert kinds(model.plan({"x": x.shape}))[0] in ("Squeeze", "Identity")
    known = load(nodes, [("x", F, [2, 3, 4])], ["y"], one=np.array(1))
    assert known.outputs[0].shape == (2, 3, 4)


def test_a_condition_of_the_run():
    nodes = [node("Relu", ["x0"], ["x"]), node("ReduceSum", ["x0"], ["s"], keepdims=0), node("Greater", ["s", "zero"], ["c"])]
    nodes += [node("If", ["c"], ["i"], **branches()), node("Neg", ["i"], ["y"])]
    model = load(nodes, [("x0", F, [1, 8, 6, 6])], ["y"], zero=np.float32(0))
    for x in (np.abs(X), -np.abs(X), X - X.mean() - 1):
        np.testing.assert_allclose(model(x), model.reference(x), rtol=0, atol=1e-3)
    assert "then graph" in model.dump()


def test_what_a_branch_reads_and_hands_on():
    """Values of the graph around it, of the one around that, constants of both, and outputs that are just these."""
    inner = graph([node("Add", ["a", "k"], ["n"])], [], ["n"])
    other = graph([node("Mul", ["x", "k"], ["m"])], [], ["m"])
    then = graph(
        [node("Add", ["x", "x"], ["a"]), node("If", ["d"], ["o"], then_branch=inner, else_branch=other)], [], ["o", "x", "k"]
    )
    other = graph([node("Sub", ["x", "k"], ["e"])], [], ["e", "e2", "x"], e2=np.float32([9]))
    made = node("If", ["c"], ["p", "q", "r"], then_branch=then, else_branch=other)
    inputs = [("x", F, ["N"]), ("c", B, []), ("d", B, [])]
    model = load([made], inputs, ["p", "q", "r"], k=np.float32([3]))
    x = np.float32([1, 2])
    for c, d, wanted in ((1, 1, (2 * x + 3, x, [3])), (1, 0, (3 * x, x, [3])), (0, 1, (x - 3, [9], x))):
        given = {"x": x, "c": np.array(bool(c)), "d": np.array(bool(d))}
        for out in (model(given), model.reference(given)):
            for y, w in zip(out, wanted, strict=True):
                np.testing.assert_array_equal(y, w)


def test_an_unknown_condition_cannot_be_written(tmp_path):
    model = load([node("If", ["c"], ["y"], **branches())], [("x", F, [1, 8, 6, 6]), ("c", B, [])], ["y"])
    with pytest.raises(ModelError, match="then_branch: nodes with graphs in them cannot be written"):
        model.save(tmp_path / "m.json")
    assert list(tmp_path.iterdir()) == []


# ---- Loop


def counting(**changes):
    """s += x · step, collects s, and stops when s is over the outer limit."""
    nodes = [
        node("Cast", ["i"], ["step"], to=F),
        node("Mul", ["x", "step"], ["xi"]),
        node("Add", ["s", "xi"], ["s2"]),
        node("Less", ["s2", "limit"], ["less"]),
        node("Identity", ["s2"], ["each"]),
    ]
    return graph(nodes, [("i", INT, []), ("go", B, []), ("s", F, [])], ["less", "s2", "each"])


@pytest.mark.parametrize("most, begin", [(5, None), (5, True), (3, True), (0, True), (5, False), (None, True)])
def test_loop(most, begin):
    given = {"x": np.float32(2), "limit": np.float32(11), "s0": np.float32(0)}
    weights = {k: np.array(v) for k, v in (("m", most), ("c", begin)) if v is not None}
    loop = node("Loop", ["" if most is None else "m", "" if begin is None else "c", "s0"], ["s", "all"], body=counting())
    model = load([loop, node("Neg", ["all"], ["y"])], [(k, F, []) for k in given], ["s", "y"], **weights)
    s, collected = np.float32(0), []
    for i in range(0 if begin is False else 99 if most is None else most):
        s += 2 * i
        collected.append(s)
        if s >= 11:
            break
    for out in (model(given), model.reference(given)):
        assert out["s"] == s
        np.testing.assert_array_equal(out["y"], -np.array(collected))
        assert out["y"].shape == (len(collected),)


def test_shapes_that_do_not_fit_inside_are_model_errors():
    body = graph(
        [node("Concat", ["s", "s"], ["s2"], axis=0), node("Add", ["s2", "x"], ["s3"]), node("Identity", ["go"], ["on"])],
        [("i", INT, []), ("go", B, []), ("s", F, None)],
        ["on", "s3"],
    )
    model = load([node("Loop", ["m", "", "x"], ["y"], body=body)], [("x", F, ["N"])], ["y"], m=np.array(3))
    assert model(np.float32([1])).shape == (8,)
    with pytest.raises(ModelError, match="node 's3'"):
        model(np.float32([1, 2, 3]))


# ---- Scan


@pytest.mark.parametrize(
    "forward_in, forward_out, axis_in, axis_out", [(1, 1, 0, 0), (0, 1, 0, 1), (1, 0, 1, -1), (0, 0, -1, 0)]
)
def test_scan(forward_in, forward_out, axis_in, axis_out):
    body = graph(
        [node("Mul", ["e", "k"], ["ek"]), node("Add", ["s", "ek"], ["s2"]), node("Identity", ["s2"], ["each"])],
        [("s", F, ["n"]), ("e", F, ["n"])],
        ["s2", "each"],
    )
    attributes = {
        "scan_input_axes": [axis_in],
        "scan_input_directions": [1 - forward_in],
        "scan_output_axes": [axis_out],
        "scan_output_directions": [1 - forward_out],
    }
    scan = node("Scan", ["s0", "x"], ["s", "all"], body=body, num_scan_inputs=1, **attributes)
    model = load([scan], [("s0", F, [4]), ("x", F, [4, 4]), ("k", F, [])], ["s", "all"])
    x = RNG.integers(-9, 9, (4, 4)).astype(np.float32)
    moved = np.moveaxis(x, axis_in, 0)
    sums = np.cumsum(3 * (moved if forward_in else moved[::-1]), 0)
    for out in (model({"s0": np.zeros(4, np.float32), "x": x, "k": np.float32(3)}),):
        np.testing.assert_array_equal(out["s"], sums[-1])
        np.testing.assert_array_equal(out["all"], np.moveaxis(sums if forward_out else sums[::-1], 0, axis_out))
    assert model.outputs[1].shape == (4, 4)


def test_sequence_map():
    """The body gets one element of the first sequence at a time and the whole tensor, and sees the outer k."""
    body = graph([node("Mul", ["e", "k"], ["ek"]), node("Add", ["ek", "t"], ["r"])], [("e", F, None), ("t", F, [2])], ["r"])
    nodes = [
        node("SequenceConstruct", ["a", "b"], ["s"]),
        node("SequenceMap", ["s", "t"], ["m"], body=body),
        node("ConcatFromSequence", ["m"], ["y"], axis=0),
    ]
    model = load(nodes, [("a", F, [1, 2]), ("b", F, [3, 2]), ("t", F, [2]), ("k", F, [])], ["y"])
    a, b, t = (RNG.integers(-9, 9, shape).astype(np.float32) for shape in ((1, 2), (3, 2), (2,)))
    np.testing.assert_array_equal(model(a=a, b=b, t=t, k=np.float32(3)), np.concatenate([a, b]) * 3 + t)


# ---- what the reader refuses


def test_errors():
    inside = graph([node("Relu", ["nowhere"], ["a"])], [], ["a"])
    one = {"then_branch": inside, "else_branch": branches()["else_branch"]}
    with pytest.raises(ModelError, match=r"nowhere.*nothing defines"):
        load([node("If", ["c"], ["y"], **one)], [("x", F, [1]), ("c", B, [])], ["y"])
    itself = graph([node("Relu", ["y"], ["a"])], [], ["a"])
    with pytest.raises(ModelError, match="reads its own result 'y'"):
        load([node("If", ["c"], ["y"], then_branch=itself, else_branch=itself)], [("c", B, [])], ["y"])
    cycle = graph([node("Relu", ["b"], ["a"]), node("Relu", ["a"], ["b"])], [], ["a"])
    with pytest.raises(ModelError, match="cycle"):
        load([node("If", ["c"], ["y"], then_branch=cycle, else_branch=cycle)], [("c", B, [])], ["y"])
    strange = graph([node("Strange", ["x"], ["a"]), node("Odd", ["a"], ["b"])], [], ["b"])
    nodes = [node("If", ["c"], ["z"], then_branch=strange, else_branch=strange), node("Weird", ["z"], ["y"])]
    with pytest.raises(UnsupportedError, match=r"(?s)Strange.*Odd.*Weird"):
        load(nodes, [("x", F, [1]), ("c", B, [])], ["y"])
    fewer = {**branches(), "else_branch": graph([], [], ["x", "c"])}
    with pytest.raises(ModelError, match="branches: expected equally many outputs"):
        load([node("If", ["c"], ["y"], **fewer)], [("x", F, [1, 8, 6, 6]), ("c", B, [])], ["y"])
    with pytest.raises(ModelError, match="attribute 'else_branch' is missing"):
        load([node("If", ["c"], ["y"], then_branch=fewer["then_branch"])], [("x", F, [1, 8, 6, 6]), ("c", B, [])], ["y"])
    scan = node("Scan", ["x"], ["y"], body=graph([], [("e", F, [])], ["e"]), num_scan_inputs=1)
    with pytest.raises(UnsupportedError, match="the form of opset 8"):
        load([scan], [("x", F, [1, 3])], ["y"], opset=8)
    model = load([node("If", ["c"], ["y"], **branches())], [("x", F, [1, 8, 6, 6]), ("c", B, ["n"])], ["y"])
    with pytest.raises(InputError, match="condition: expected a scalar"):
        model({"x": X, "c": np.array([True, False])})


def test_graphs_nest_so_deep_and_no_deeper():
    def nested(depth):
        inner = graph([node("Relu", ["x"], ["r"])], [], ["r"])
        for i in range(depth - 1):
            then = node("If", ["c"], [f"o{i}"], then_branch=inner, else_branch=graph([node("Neg", ["x"], ["n"])], [], ["n"]))
            inner = graph([then], [], [f"o{i}"])
        return load([node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)], [("x", F, [2]), ("c", B, [])], ["y"])

    model = nested(MOST_NESTED)
    assert model({"x": np.float32([-1, 2]), "c": np.array(True)}).tolist() == [0, 2]
    with pytest.raises(ModelError, match=f"more than {MOST_NESTED} graphs one inside the other"):
        nested(MOST_NESTED + 1)


def test_weights_in_branches_count():
    made = helper.make_model(graph([node("If", ["c"], ["y"], **branches())], [("x", F, [1, 8, 6, 6]), ("c", B, [])], ["y"]))
    fastconv.load(as_dict(made), max_bytes=W.nbytes)
    with pytest.raises(ModelError, match=r"attribute\[1\]\.g\.initializer\[0\].*max_bytes"):
        fastconv.load(as_dict(made), max_bytes=W.nbytes - 1)
