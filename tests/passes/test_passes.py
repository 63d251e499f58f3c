"""Each pass on small graphs built by hand, and all of them on random ones: what a graph computes stays the same."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastconv.errors import ModelError, ModelWarning
from fastconv.graph import Node, Subgraph, Value
from fastconv.ops import REGISTRY
from fastconv.passes import PASSES, run_passes
from fastconv.passes.fuse_epilogues import fuse_epilogues
from fastconv.reference import run_references
from fastconv.specialise import specialise
from fastconv.weights import Weights, Widened

from ..support.graphs import Net, eighths, in_type, networks, normal, ops, powers
from ..support.rng import generator

RNG = generator(__name__)
W3 = normal(RNG, 8, 3, 3, 3) / 4
#: weights are rounded to float32 once after scaling: half an eps for each of the 27 or fewer products, and for the bias
ROUNDED = 28 * 2.0**-24


def image(net, *shape):
    return net.input("x", *(shape or ("N", 3, 8, 8)))


def conv(net, x, *bias, w=W3, **more):
    return net("Conv", x, w, *bias, **({"pads": (1, 1, 1, 1)} | more))


def passed(graph, *arrays, tolerance=0.0):
    """The graph after all passes, checked to compute the same as before, for these arrays' shapes too."""
    before = run_references(graph, arrays)
    outputs = [(v.name, v.dtype) for v in graph.outputs]
    for after in (run_passes(graph.copy()), specialise(run_passes(graph.copy()), [a.shape for a in arrays])):
        assert [(v.name, v.dtype) for v in after.outputs] == outputs
        for a, b in zip(run_references(after, arrays), before, strict=True):
            assert a.shape == b.shape
            scale = np.abs(b[np.isfinite(b)]).max(initial=1)
            np.testing.assert_allclose(a, b, rtol=0, atol=scale * (tolerance + 1e-12))
        again = ops(after)
        run_passes(after)
        assert ops(after) == again, "a second time finds nothing new"
    return run_passes(graph)


X = normal(RNG, 2, 3, 8, 8)


# ---- identities


@pytest.mark.parametrize(
    "op, operands, attributes",
    [
        ("Identity", [], {}),
        ("Dropout", [], {}),
        ("Dropout", [0.5, np.array(False)], {}),
        ("Transpose", [], {"perm": (0, 1, 2, 3)}),
        ("Concat", [], {"axis": 1}),
        ("Sum", [], {}),
        ("Mean", [], {}),
        ("Cast", [], {"to": 1}),
        ("CastLike", [0.0], {}),
        ("Pad", [np.int64([0] * 8)], {}),
        ("Expand", [np.int64([1, 1, 1, 1])], {}),
        ("Reshape", [np.int64([0, 3, 8, 8])], {}),
        ("Flatten", [], {}),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_an_identity_is_removed(op, operands, attributes):
    net = Net()
    x = image(net, "N", 3, 8, 8) if op != "Flatten" else net.input("x", "N", 3)
    graph = net.graph(net("Neg", net(op, net("Abs", x), *operands, **attributes)))
    assert ops(passed(graph, X if op != "Flatten" else X[:, :, 0, 0])) == ["Abs", "Neg"]


@pytest.mark.parametrize(
    "op, operands, attributes",
    [
        ("Pad", [np.int64([0, 0, 1, -2, 0, 0, -1, 2])], {}),
        ("Transpose", [], {"perm": (0, 1, 3, 2)}),
        ("Transpose", [], {}),
        ("Slice", [np.int64([-1]), np.int64([-9]), np.int64([3]), np.int64([-1])], {}),
        ("Reshape", [np.int64([0, 3, 4, 16])], {}),
        ("Cast", [], {"to": 11}),
        ("Expand", [np.int64([1, 2, 1, 1, 1])], {}),
        ("Concat", ["x"], {"axis": 0}),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_what_changes_something_stays(op, operands, attributes):
    net = Net()
    x = image(net)
    operands = [x if isinstance(o, str) else o for o in operands]
    graph = net.graph(net("Neg", net(op, x, *operands, **attributes)))
    assert ops(passed(graph, X)) == [op, "Neg"]


def test_an_identity_between_graph_input_and_output_stays():
    net = Net()
    graph = passed(net.graph(net("Identity", image(net))), X)
    assert ops(graph) == ["Identity"]


def test_a_chain_of_identities_is_one_value():
    net = Net()
    x = net("Identity", net("Dropout", net("Identity", image(net))))
    assert ops(passed(net.graph(net("Add", x, net("Relu", x))), X)) == ["Relu", "Add"]


def test_a_dropout_whose_mask_is_read_stays():
    net = Net()
    y, mask = net("Dropout", image(net), results=2)
    assert ops(passed(net.graph(net("Relu", y), mask), X)) == ["Dropout", "Relu"]


@pytest.mark.parametrize("op, attributes", [("Dropout", {}), ("MaxPool", {"kernel_shape": (2, 2)})])
def test_an_output_that_nobody_reads_is_left_out(op, attributes):
    net = Net()
    y, _ = net(op, net("Abs", image(net)), results=2, **attributes)
    graph = passed(net.graph(net("Neg", y)), X)
    assert ops(graph) == (["Abs", "MaxPool", "Neg"] if op == "MaxPool" else ["Abs", "Neg"])
    assert all(len(n.results) == 1 for n in graph.nodes)


# ---- constants


def test_what_depends_on_constants_alone_is_computed_once():
    net = Net()
    a = net("Mul", np.float32([1, 2, 3]), 2.0)
    graph = passed(net.graph(net("Add", net.input("x", "N", 3), net("Neg", a))), X[:, :, 0, 0])
    assert ops(graph) == ["Add"]
    np.testing.assert_array_equal(graph.nodes[0].inputs[1].constant, [-2, -4, -6])


def test_a_shape_that_is_known_is_a_constant():
    net = Net()
    x = image(net, 2, 3, 8, 8)
    shape = net("Shape", x)
    last = net("Gather", shape, np.int64([2]))
    flat = net("Reshape", x, net("Concat", np.int64([-1]), last, axis=0))
    graph = passed(net.graph(flat, net("Size", x)), X)
    assert ops(graph) == ["Reshape"]
    assert graph.outputs[0].shape == (48, 8)
    assert graph.outputs[1].constant == 384


def test_a_shape_that_hangs_on_a_symbol_is_a_constant_once_it_is_known():
    net = Net()
    x = image(net, "N", 3, "H", "W")
    rows = net("Gather", net("Shape", x), np.int64([2, 3]))
    graph = net.graph(net("Resize", x, None, None, net("Concat", np.int64([2, 3]), net("Mul", rows, np.array(2)), axis=0)))
    assert "Shape" in ops(passed(graph, X))
    known = specialise(graph, [X.shape])
    assert ops(known) == ["Resize"]
    assert known.outputs[0].shape == (2, 3, 16, 16)


def test_what_nobody_reads_is_dropped():
    net = Net()
    x = image(net)
    y = net("Relu", x)
    net("Abs", net("Neg", x))
    assert ops(passed(net.graph(y), X)) == ["Relu"]


def test_a_constant_too_large_is_left_to_the_run():
    net = Net()
    graph = net.graph(net("ConstantOfShape", np.int64([1 << 14, 1 << 13])))
    assert ops(run_passes(graph)) == ["ConstantOfShape"]


def test_an_error_in_folding_names_the_node():
    net = Net()
    node = net("Div", np.int64([1]), np.int64([0]), name="half")
    with pytest.raises(ModelError, match=r"'half'.*division by zero"):
        run_passes(net.graph(node))


# ---- shapes


def test_a_declared_shape_fills_in_what_the_rule_leaves_open():
    net = Net()
    x = net.input("x", "N", None)
    y = net("Relu", x)
    y.shape = ("B", 4)
    graph = run_passes(net.graph(y))
    assert graph.outputs[0].shape == ("N", 4)


@pytest.mark.parametrize("declared", [("N", 4), ("N",), (1, "N", 3)])
def test_a_declared_shape_that_cannot_be_is_a_warning(declared):
    """Files of ddddocr declare rank 2 for an output of rank 3; the node's shape rule wins."""
    net = Net()
    y = net("Relu", net.input("x", "N", 3), name="act")
    y.shape = declared
    with pytest.warns(ModelWarning, match=r"node 'act' \(Relu\): output 'act' is declared"):
        graph = run_passes(net.graph(y))
    assert graph.outputs[0].shape == ("N", 3)


def test_specialising_forgets_what_the_file_declared_of_symbols():
    net = Net()
    graph = run_passes(net.graph(net("Relu", net.input("x", "N", "C"))))
    for shape in ((1, 2), (3, 4)):
        assert specialise(graph, [shape]).outputs[0].shape == shape


# ---- pads


@pytest.mark.parametrize("given", [{}, {"pads": (1, 0, 2, 1)}, {"auto_pad": "VALID"}])
@pytest.mark.parametrize("operands", [[], [0.0], [0.0, np.int64([-1, 2])]])
def test_a_pad_of_zeros_goes_into_the_convolution(given, operands):
    net = Net()
    pads = np.int64([2, 1, 3, 0]) if len(operands) == 2 else np.int64([0, 0, 1, 2, 0, 0, 0, 3])
    graph = net.graph(net("Conv", net("Pad", image(net), pads, *operands), W3, **given))
    assert ops(passed(graph, X)) == ["Conv"]
    added = (1, 2, 0, 3)
    assert graph.nodes[0].op.pads == tuple(a + b for a, b in zip(added, given.get("pads", (0,) * 4), strict=True))


@pytest.mark.parametrize(
    "why, pads, operands, attributes",
    [
        ("value", [0, 0, 1, 1, 0, 0, 1, 1], [1.0], {}),
        ("channels", [0, 1, 1, 1, 0, 0, 1, 1], [], {}),
        ("images", [1, 0, 1, 1, 0, 0, 1, 1], [], {}),
        ("negative", [0, 0, -1, 1, 0, 0, 1, 1], [], {}),
        ("mode", [0, 0, 1, 1, 0, 0, 1, 1], [], {"mode": "reflect"}),
        ("same", [0, 0, 1, 1, 0, 0, 1, 1], [], {}),
        ("output", [0, 0, 1, 1, 0, 0, 1, 1], [], {}),
        ("two readers", [0, 0, 1, 1, 0, 0, 1, 1], [], {}),
    ],
)
def test_a_pad_that_is_no_border_of_zeros_stays(why, pads, operands, attributes):
    net = Net()
    padded = net("Pad", image(net), np.int64(pads), *operands, **attributes)
    w = normal(RNG, 2, padded.shape[1], 3, 3) / 4
    outputs = [net("Conv", padded, w, **({"auto_pad": "SAME_UPPER"} if why == "same" else {}))]
    outputs += [padded] if why == "output" else [net("Neg", padded)] if why == "two readers" else []
    assert ops(passed(net.graph(*outputs), X))[:2] == ["Pad", "Conv"]


def test_every_pad_is_folded_wherever_it_stands():
    net = Net()
    x = image(net)
    padded = [net("Pad", x, np.int64([0, 0, i, 1, 0, 0, 1, 0])) for i in range(4)]
    assert ops(passed(net.graph(*(net("Conv", p, W3) for p in padded)), X)) == ["Conv"] * 4


# ---- patterns of nodes that are one operator


def spelled(form, net, x):
    """HardSwish, HardSigmoid, Swish and Gelu in every form that exporters write."""
    root = 2**0.5

    def one_plus_erf(z):
        return net("Add", net("Erf", z), 1.0)

    clip = net("Clip", net("Add", 3.0, x) if form.startswith("3+") else net("Add", x, 3.0), 0.0, 6.0)
    return {
        "clip/6": lambda: net("Div", clip, 6.0),
        "3+clip/6": lambda: net("Div", clip, np.float32([6])),
        "clip*sixth": lambda: net("Mul", clip, 1 / 6),
        "sixth*clip": lambda: net("Mul", 1 / 6, clip),
        "x*(clip/6)": lambda: net("Mul", x, net("Div", clip, 6.0)),
        "(clip*sixth)*x": lambda: net("Mul", net("Mul", clip, 1 / 6), x),
        "(x*clip)/6": lambda: net("Div", net("Mul", x, clip), 6.0),
        "3+(clip*x)*sixth": lambda: net("Mul", net("Mul", clip, x), 1 / 6),
        "x*hard_sigmoid": lambda: net("Mul", x, net("HardSigmoid", x, alpha=1 / 6, beta=0.5)),
        "x*sigmoid": lambda: net("Mul", x, net("Sigmoid", x)),
        "sigmoid*x": lambda: net("Mul", net("Sigmoid", x), x),
        "x*erf*half": lambda: net("Mul", net("Mul", x, one_plus_erf(net("Div", x, root))), 0.5),
        "half*x*erf": lambda: net("Mul", net("Mul", 0.5, x), one_plus_erf(net("Mul", x, 1 / root))),
        "erf*half*x": lambda: net("Mul", net("Mul", one_plus_erf(net("Mul", 1 / root, x)), 0.5), x),
    }[form]()


FORMS = {
    "HardSigmoid": ["clip/6", "3+clip/6", "clip*sixth", "sixth*clip"],
    "HardSwish": ["x*(clip/6)", "(clip*sixth)*x", "(x*clip)/6", "3+(clip*x)*sixth", "x*hard_sigmoid"],
    "Swish": ["x*sigmoid", "sigmoid*x"],
    "Gelu": ["x*erf*half", "half*x*erf", "erf*half*x"],
}


@pytest.mark.parametrize("op, form", [(op, form) for op, forms in FORMS.items() for form in forms])
def test_spelled_out_activations_are_fused(op, form):
    net = Net()
    graph = net.graph(spelled(form, net, net("Neg", image(net))))
    x = 3 * X
    assert ops(passed(graph, x, tolerance=2.0**-24)) == ["Neg", op]  # a sixth rounded to float32
    assert (run_references(graph, [x])[0] == 0).any() or op in ("Swish", "Gelu")


def spelled_norm(net, x, axes=(-1,), of_square=None, square="Pow", epsilon=1e-5, keepdims=1):
    """Nodes that normalize x to mean 0 and variance 1 over the axes, as exporters write it; options make it differ."""
    d = net("Sub", x, net("ReduceMean", x, np.array(axes)))
    squared = net("Pow", d, 2.0) if square == "Pow" else net("Mul", d, d if square == "Mul" else net("Abs", d))
    variance = net("ReduceMean", squared, np.array(of_square or axes), keepdims=keepdims)
    return net("Div", d, net("Sqrt", net("Add", epsilon, variance)))


@pytest.mark.parametrize("square", ["Pow", "Mul"])
@pytest.mark.parametrize("axes", [(-1,), (3,), (2, 3), (-1, -2), (1, 2, 3)])
def test_spelled_out_layer_normalization_is_fused(square, axes):
    shape = X.shape[-len(axes) :]
    for operands in ([], [normal(RNG, *shape)], [normal(RNG, *shape), normal(RNG, *shape)]):
        net = Net()
        y = spelled_norm(net, net("Neg", image(net)), axes, square=square)
        for op, c in zip(("Mul", "Add"), operands, strict=False):
            y = net(op, y, c) if op == "Mul" else net(op, c, y)
        graph = passed(net.graph(y), X)
        assert ops(graph) == ["Neg", "LayerNormalization"]
        norm = graph.nodes[1]
        assert norm.op.axes(4) == tuple(range(4 - len(axes), 4))
        for v, c in zip(norm.inputs[1:], operands, strict=False):
            np.testing.assert_array_equal(v.constant, c)


@pytest.mark.parametrize(
    "nearly", [{"axes": (1,)}, {"axes": (2, 3), "of_square": (3,)}, {"square": "x|x|"}, {"axes": (0, 1, 2, 3), "keepdims": 0}]
)
def test_what_is_nearly_a_layer_normalization_stays(nearly):
    net = Net()
    assert "LayerNormalization" not in ops(passed(net.graph(spelled_norm(net, net("Neg", image(net)), **nearly)), X))


def test_a_layer_normalization_whose_inner_values_are_read_stays():
    net = Net()
    y = spelled_norm(net, net("Neg", image(net)))
    mean = next(n for n in net.nodes if type(n.op).__name__ == "ReduceMean").results[0]
    assert "LayerNormalization" not in ops(passed(net.graph(y, mean), X))


@pytest.mark.parametrize("kind", ["Mul", "Add"])
def test_only_the_scale_and_the_bias_of_a_layer_normalization_go_into_it(kind):
    """A second one, a computed one, or one over other axes is not folded."""
    for build in (
        lambda net, x, y: net(kind, net(kind, y, normal(RNG, 8)), normal(RNG, 8)),
        lambda net, x, y: net(kind, net(kind, y, normal(RNG, 8)), net("Abs", x)),
        lambda net, x, y: net(kind, net("Mul", y, normal(RNG, 8)), normal(RNG, 3, 1, 8)),
    ):
        net = Net()
        x = net("Neg", image(net))
        graph = passed(net.graph(build(net, x, spelled_norm(net, x))), X, tolerance=ROUNDED)
        (norm,) = (n for n in graph.nodes if type(n.op).__name__ == "LayerNormalization")
        assert [v.dims for v in norm.inputs[1:]][-1] == (8,)
        assert kind in "+".join(ops(graph)) or "Conv" in ops(graph)


def as_groups(net, x, groups, scale, bias, back):
    """GroupNormalization as exporters write it before opset 21, with a scale and a bias behind it."""
    y = net("InstanceNormalization", net("Reshape", x, np.int64([0, groups, -1])), scale, bias, epsilon=1e-3)
    y = net("Reshape", y, back if back is not None else net("Shape", x))
    return net("Add", net("Mul", y, normal(RNG, 6, 1, 1)), normal(RNG, 6, 1, 1))


@pytest.mark.parametrize("shape", [("N", 6, 4, 5), ("N", 6, "H", "W")])
@pytest.mark.parametrize("groups", [1, 3, 6])
def test_normalization_of_groups_as_channels_is_fused(shape, groups):
    net, x = Net(), normal(RNG, 2, 6, 4, 5)
    back = None if "H" in shape else np.int64([-1, 6, 4, 5])
    scale, bias = normal(RNG, groups), normal(RNG, groups)
    graph = net.graph(net("Relu", as_groups(net, net("Neg", image(net, *shape)), groups, scale, bias, back)))
    passed(graph.copy(), x, tolerance=ROUNDED)
    after = specialise(run_passes(graph), [x.shape])
    assert ops(after) == ["Neg", "GroupNormalization+Relu"]
    assert after.nodes[1].op.num_groups == groups


def test_other_reshapes_around_a_normalization_stay():
    net = Net()
    x = net("Neg", image(net, 2, 6, 4, 5))
    ones = np.ones(3, np.float32)
    mixed = net(
        "Reshape", net("InstanceNormalization", net("Reshape", x, np.int64([1, 3, -1])), ones, ones), np.int64([2, 6, 4, 5])
    )
    other = net(
        "Reshape", net("InstanceNormalization", net("Reshape", x, np.int64([0, 3, -1])), ones, ones), np.int64([2, 6, 20])
    )
    seen = net("Reshape", x, np.int64([0, 3, -1]))
    y = net("Reshape", net("InstanceNormalization", seen, ones, ones), np.int64([2, 6, 4, 5]))
    graph = passed(net.graph(mixed, other, y, seen), normal(RNG, 2, 6, 4, 5), tolerance=ROUNDED)
    assert ops(graph).count("InstanceNormalization") == 3


def near_misses(net, x):
    """name -> a value that resembles a decomposed activation but is none."""
    clip = net("Clip", net("Add", x, 3.0), 0.0, 6.0)

    def gelu(factor, one, scaled):
        return net("Mul", net("Mul", x, net("Add", net("Erf", scaled), one)), factor)

    root = 2**0.5
    return {
        "gelu not halved": lambda: gelu(1.0, 1.0, net("Div", x, root)),
        "gelu with 2": lambda: gelu(0.5, 2.0, net("Div", x, root)),
        "gelu with another scale": lambda: gelu(0.5, 1.0, net("Div", x, 1.5)),
        "gelu of another": lambda: gelu(0.5, 1.0, net("Div", net("Abs", x), root)),
        "add 2.5": lambda: net("Div", net("Clip", net("Add", x, 2.5), 0.0, 6.0), 6.0),
        "sub 3": lambda: net("Div", net("Clip", net("Sub", x, 3.0), 0.0, 6.0), 6.0),
        "3 - x": lambda: net("Div", net("Clip", net("Sub", 3.0, x), 0.0, 6.0), 6.0),
        "clip at 5": lambda: net("Div", net("Clip", net("Add", x, 3.0), 0.0, 5.0), 6.0),
        "clip from -1": lambda: net("Div", net("Clip", net("Add", x, 3.0), -1.0, 6.0), 6.0),
        "clip below only": lambda: net("Div", net("Clip", net("Add", x, 3.0), 0.0), 6.0),
        "by 5": lambda: net("Div", clip, 5.0),
        "six over": lambda: net("Div", 6.0, net("Clip", net("Add", x, 3.0), 1.0, 6.0)),
        "by zero": lambda: net("Div", clip, 0.0),
        "times 6": lambda: net("Mul", clip, 6.0),
        "by channel": lambda: net("Div", clip, np.float32([[[6]], [[6]], [[5]]])),
        "more axes": lambda: net("Div", clip, np.full((1,) * 5, 6, np.float32)),
        "other gate": lambda: net("Mul", net("Abs", x), net("Sigmoid", x)),
        "other product": lambda: net("Div", net("Mul", net("Abs", x), clip), 6.0),
        "gate squared": lambda: net("Mul", *[net("Sigmoid", x)] * 2),
        "added": lambda: net("Add", x, net("Sigmoid", x)),
        "hard sigmoid's own slope": lambda: net("Mul", x, net("HardSigmoid", x)),
        "hard sigmoid's own shift": lambda: net("Mul", x, net("HardSigmoid", x, alpha=1 / 6, beta=0.4)),
    }


@pytest.mark.parametrize("name", near_misses(net := Net(), image(net)))
def test_what_only_looks_like_an_activation_stays(name):
    net = Net()
    x = net("Neg", image(net))
    graph = net.graph(near_misses(net, x)[name]())
    found = ops(passed(graph, 3 * X, tolerance=ROUNDED))  # a division may become a product
    assert not {"HardSwish", "Swish", "Gelu"} & set(found)
    assert "HardSigmoid" not in found or name.startswith("hard sigmoid's own")


@pytest.mark.parametrize("inner", ["add", "clip", "gate"])
@pytest.mark.parametrize("reader", ["output", "node"])
def test_an_inner_value_that_is_read_elsewhere_keeps_its_nodes(inner, reader):
    net = Net()
    x = net("Neg", image(net))
    add = net("Add", x, 3.0)
    clip = net("Clip", add, 0.0, 6.0)
    gate = net("Div", clip, 6.0)
    value = {"add": add, "clip": clip, "gate": gate}[inner]
    graph = net.graph(net("Mul", x, gate), value if reader == "output" else net("Abs", value))
    found = ops(passed(graph, 3 * X, tolerance=ROUNDED))
    assert "HardSwish" not in found
    assert ("HardSigmoid" in found) == (inner == "gate")


def test_swish_with_a_gate_read_elsewhere_stays():
    net = Net()
    x = image(net)
    gate = net("Sigmoid", x)
    assert ops(passed(net.graph(net("Mul", x, gate), net("Neg", gate)), X)) == ["Sigmoid", "Mul", "Neg"]


# ---- scales and shifts


PARAMS = [normal(RNG, 8), normal(RNG, 8), normal(RNG, 8), np.abs(normal(RNG, 8)) + 0.1]


@pytest.mark.parametrize("bias", [[], [normal(RNG, 8)]])
def test_batch_normalization_goes_into_a_convolution(bias):
    net = Net()
    graph = net.graph(net("BatchNormalization", conv(net, image(net), *bias), *PARAMS, epsilon=1e-3))
    assert ops(passed(graph, X, tolerance=ROUNDED)) == ["Conv"]
    assert graph.nodes[0].inputs[1].constant.dtype == np.float32


@pytest.mark.parametrize("group, found", [(1, ["ConvTranspose"]), (2, ["ConvTranspose", "Conv"])])
def test_batch_normalization_goes_into_a_transposed_convolution(group, found):
    net = Net()
    w = normal(RNG, 4, 8 // group, 3, 3) / 4
    y = net(
        "ConvTranspose", net.input("x", "N", 4, 5, 5), w, strides=(2, 2), pads=(1, 0, 0, 1), output_padding=(1, 0), group=group
    )
    graph = net.graph(net("BatchNormalization", y, *PARAMS))
    assert ops(passed(graph, normal(RNG, 2, 4, 5, 5), tolerance=ROUNDED)) == found


@pytest.mark.parametrize(
    "op, attributes, shape", [("Gemm", {}, (6, 8)), ("Gemm", {"transB": 1}, (8, 6)), ("MatMul", {}, (6, 8))]
)
@pytest.mark.parametrize("bias", [None, 0.5, normal(RNG, 8), normal(RNG, 1, 8)])
def test_batch_normalization_goes_into_a_matrix_product(op, attributes, shape, bias):
    net = Net()
    operands = [bias] if op == "Gemm" and bias is not None else []
    y = net(op, net.input("x", "N", 6), normal(RNG, *shape) / 4, *operands, **attributes)
    y = y if op == "Gemm" or bias is None else net("Add", y, bias)
    graph = net.graph(net("BatchNormalization", y, *PARAMS))
    assert ops(passed(graph, normal(RNG, 3, 6), tolerance=ROUNDED)) == [op]


@pytest.mark.parametrize(
    "attributes, M, c",
    [
        ({"alpha": 2.0}, 3, normal(RNG, 8)),
        ({"beta": 2.0}, 3, normal(RNG, 8)),
        ({"transA": 1}, 3, normal(RNG, 8)),
        ({}, 3, normal(RNG, 3, 8)),
        ({}, 3, normal(RNG, 3, 1)),
        ({}, 8, normal(RNG, 8, 1)),
    ],
)
def test_a_matrix_product_of_another_form_keeps_what_follows(attributes, M, c):
    net = Net()
    rows = (6, M) if "transA" in attributes else (M, 6)
    y = net("Gemm", net.input("x", *rows), normal(RNG, 6, 8) / 4, c, **attributes)
    graph = net.graph(net("BatchNormalization", y, *PARAMS))
    added = [] if c.size in (1, c.shape[-1]) else ["Add"]
    assert ops(passed(graph, normal(RNG, *rows), tolerance=ROUNDED)) == ["Gemm", *added, "Mul", "Add"]


# ---- decompositions


@pytest.mark.parametrize(
    "exponent, found",
    [
        (1.0, ["Identity"]),
        (2.0, ["Mul"]),
        (np.array([3]), ["Mul", "Mul"]),
        (4.0, ["Mul", "Mul"]),
        (0.5, ["Sqrt"]),
        (-1.0, ["Reciprocal"]),
        (-2.0, ["Reciprocal", "Mul"]),
        (-3.0, ["Reciprocal", "Mul", "Mul"]),
        (-0.5, ["Sqrt", "Reciprocal"]),
    ],
)
def test_powers_become_products_and_roots(exponent, found):
    net = Net()
    y = net("Pow", net.input("x", "N", 3, 5), exponent)
    assert ops(passed(net.graph(y), np.abs(normal(RNG, 2, 3, 5)) + 0.5)) == found


def test_powers_of_negatives_and_of_nothing():
    net = Net()
    x = net.input("x", 6)
    graph = net.graph(*(net("Pow", x, p) for p in (2.0, 3.0, 0.5, -1.0)))
    passed(graph, np.float32([-2, -0.5, 0, 1, np.inf, np.nan]))


@pytest.mark.parametrize("exponent", [0.0, 2.5, np.float32([2, 2, 2, 2, 3]), 7.0, np.float32([[[[2]]]])])
def test_other_powers_stay(exponent):
    net = Net()
    assert ops(passed(net.graph(net("Pow", net.input("x", 2, 3, 5), exponent)), normal(RNG, 2, 3, 5))) == ["Pow"]


def test_a_power_of_integers_stays():
    net = Net()
    graph = net.graph(net("Pow", net.input("x", 3, dtype=np.int64), 2.0))
    assert ops(passed(graph, np.int64([1, 2, 3]))) == ["Pow"]


@pytest.mark.parametrize("shape", [(3, 5), (1, 5), (5,), (3, 1), (1,)])
@pytest.mark.parametrize("beta", [1.0, 0.5])
def test_what_a_gemm_adds_that_is_computed(shape, beta):
    net = Net()
    c = net.input("c", *shape)
    y = net("Gemm", net.input("a", 4, 3), net.input("b", 5, 4), c, transA=1, transB=1, alpha=0.5, beta=beta)
    graph = passed(net.graph(y), normal(RNG, *shape), normal(RNG, 4, 3), normal(RNG, 5, 4), tolerance=1e-7)
    scaled = ["Mul"] if beta != 1 else []
    assert ops(graph) == ([*scaled, "Gemm+Add"] if shape == (3, 5) else ["Gemm", *scaled, "Add"])


# ---- around a product of two computed tensors


def attention(net, q, k, v, scale=lambda net, x: net("Div", x, 4.0)):
    """The decomposed form: q, k and v have shape N S H D."""
    q, k, v = (net("Transpose", x, perm=perm) for x, perm in ((q, (0, 2, 1, 3)), (k, (0, 2, 3, 1)), (v, (0, 2, 1, 3))))
    y = net("MatMul", net("Softmax", scale(net, net("MatMul", q, k))), v)
    return net("Transpose", y, perm=(0, 2, 1, 3))


def test_transposes_and_factors_go_into_matrix_products():
    net = Net()
    y = attention(net, *(net.input(name, "N", "S", 3, 4) for name in "qkv"))
    graph = passed(net.graph(y), *(normal(RNG, 2, 5, 3, 4) for _ in "qkv"), tolerance=1e-6)
    assert ops(graph) == ["MatMul", "Softmax", "MatMul"]
    first, _, second = (n.op for n in graph.nodes)
    assert (first.perm_a, first.perm_b, first.perm_y, first.alpha) == ((0, 2, 1, 3), (0, 2, 3, 1), None, 0.25)
    assert (second.perm_a, second.perm_b, second.perm_y, second.alpha) == (None, (0, 2, 1, 3), (0, 2, 1, 3), 1)


def test_factors_before_a_matrix_product_go_into_it():
    net = Net()
    q, k = (net("Mul", net.input(name, 2, 5, 4), 0.5) for name in "qk")
    k = net("Transpose", net("Transpose", k, perm=(1, 0, 2)), perm=(1, 2, 0))
    graph = passed(net.graph(net("Add", net("MatMul", q, k), eighths(RNG, 5))), normal(RNG, 2, 5, 4), normal(RNG, 2, 5, 4))
    (node,) = graph.nodes
    assert (node.op.alpha, node.op.perm_b, len(node.inputs)) == (0.25, (0, 2, 1), 3)


@pytest.mark.parametrize(
    "scale",
    [
        lambda net, x: net("Mul", x, np.inf),
        lambda net, x: net("Div", x, 0.0),
        lambda net, x: net("Mul", x, powers(RNG, 1, 5, 1)),
        lambda net, x: net("Mul", x, powers(RNG, 1, 1, 1, 1)),
    ],
)
def test_what_does_not_go_into_a_matrix_product(scale):
    net = Net()
    a = scale(net, net.input("a", 2, 5, 4))
    graph = passed(net.graph(net("MatMul", a, net.input("b", 2, 4, 5))), normal(RNG, 2, 5, 4), normal(RNG, 2, 4, 5))
    assert len(ops(graph)) == 2


def test_a_transpose_of_rows_stays_before_a_matrix_product():
    net = Net()
    a = net("Transpose", net.input("a", 4, 5), perm=(1, 0))
    y = net("Transpose", net("MatMul", a, net.input("b", 4, 6)), perm=(1, 0))
    graph = passed(net.graph(y), normal(RNG, 4, 5), normal(RNG, 4, 6))
    assert ops(graph) == ["Transpose", "MatMul", "Transpose"]


def test_a_product_that_others_read_keeps_its_transpose():
    net = Net()
    y = net("MatMul", net.input("a", 2, 5, 4), net.input("b", 2, 4, 6))
    graph = net.graph(y, net("Transpose", y, perm=(1, 0, 2)))
    assert ops(passed(graph, normal(RNG, 2, 5, 4), normal(RNG, 2, 4, 6))) == ["MatMul", "Transpose"]


@pytest.mark.parametrize("bias", [0.5, eighths(RNG, 8), eighths(RNG, 1, 1, 8)])
def test_a_bias_goes_into_a_matrix_product_of_any_rank(bias):
    net = Net()
    y = net("Add", net("MatMul", net.input("x", "N", 5, 6), normal(RNG, 6, 8)), bias)
    graph = passed(net.graph(net("Mul", y, powers(RNG, 8))), normal(RNG, 2, 5, 6))
    assert ops(graph) == ["MatMul"]


def test_a_bias_for_each_row_stays_behind_a_matrix_product():
    net = Net()
    y = net("Add", net("MatMul", net.input("x", "N", 8, 6), normal(RNG, 6, 8)), eighths(RNG, 8, 1))
    assert ops(passed(net.graph(y), normal(RNG, 2, 8, 6))) == ["MatMul", "Add"]


FORMS_OF_CONSTANTS = [(), (1,), (1, 1, 1), (8, 1, 1), (1, 8, 1, 1)]


@pytest.mark.parametrize("shape", FORMS_OF_CONSTANTS)
@pytest.mark.parametrize("op, first", [("Add", 0), ("Add", 1), ("Sub", 0), ("Mul", 0), ("Mul", 1), ("Div", 0)])
def test_a_constant_for_each_channel_goes_into_a_convolution(op, first, shape):
    net = Net()
    c = np.where(np.abs(a := normal(RNG, *shape)) < 0.1, 0.5, a).astype(np.float32)
    y = conv(net, image(net), eighths(RNG, 8))
    graph = net.graph(net(op, *((c, y) if first else (y, c))))
    assert ops(passed(graph, X, tolerance=ROUNDED)) == ["Conv"]


@pytest.mark.parametrize(
    "op, constant, first",
    [
        ("Sub", np.float32(1), True),
        ("Div", np.float32(1), True),
        ("Mul", normal(RNG, 8), False),
        ("Mul", normal(RNG, 8, 8), False),
        ("Add", normal(RNG, 8, 1), False),
        ("Add", normal(RNG, 8, 1, 8), False),
        ("Mul", normal(RNG, 2, 8, 1, 1), False),
        ("Add", normal(RNG, 1, 1, 8, 1, 1), False),
        ("Pow", np.float32(5), False),
        ("Div", np.float32(0), False),
    ],
)
def test_other_constants_stay(op, constant, first):
    net = Net()
    y = conv(net, image(net))
    graph = net.graph(net(op, *((constant, y) if first else (y, constant))))
    assert ops(passed(graph, X)) == ["Conv", op]


def test_a_chain_of_scales_and_shifts_goes_into_one_convolution():
    net = Net()
    y = net("BatchNormalization", conv(net, image(net)), *PARAMS)
    y = net("Add", net("Mul", y, powers(RNG, 8, 1, 1)), 0.5)
    graph = net.graph(net("Relu", net("BatchNormalization", y, *PARAMS)))
    assert ops(passed(graph, X, tolerance=ROUNDED)) == ["Conv+Relu"]


def test_batch_normalization_with_nothing_to_go_into_is_a_depthwise_convolution():
    net = Net()
    y = net("BatchNormalization", net("Relu", conv(net, image(net))), *PARAMS)
    graph = net.graph(net("Relu", net("Add", net("Mul", y, 2.0), eighths(RNG, 8, 1, 1))))
    assert ops(passed(graph, X, tolerance=ROUNDED)) == ["Conv+Relu", "Conv+Relu"]
    assert graph.nodes[1].op.group == 8
    assert graph.nodes[1].inputs[1].shape == (8, 1, 1, 1)


@pytest.mark.parametrize("shape", [(2, 8, 3, 3), (2, 8), (2, 8, 5), (2, 8, 2, 2, 3)])
def test_batch_normalization_of_a_graph_input_is_a_product_and_a_sum(shape):
    """A convolution behind it pads the normalized input with zeros: it could take the scale, but not the shift."""
    net = Net()
    x = net.input("x", *("N" if i == 0 else d for i, d in enumerate(shape)))
    graph = net.graph(net("Relu", net("BatchNormalization", x, *PARAMS)))
    assert ops(passed(graph, normal(RNG, *shape), tolerance=ROUNDED)) == ["Mul", "Add+Relu"]


def test_what_comes_before_a_graph_output_keeps_its_values():
    net = Net()
    y = conv(net, image(net))
    z = net("BatchNormalization", y, *PARAMS)
    assert ops(passed(net.graph(z, y), X, tolerance=ROUNDED)) == ["Conv", "Conv"]


def test_weights_that_two_convolutions_share_are_scaled_for_one():
    net = Net()
    x, w = image(net), Value("w", constant=W3)
    scaled = net("BatchNormalization", conv(net, x, w=w), *PARAMS)
    assert ops(passed(net.graph(scaled, conv(net, x, w=w)), X, tolerance=ROUNDED)) == ["Conv", "Conv"]
    np.testing.assert_array_equal(w.constant, W3)


@pytest.mark.parametrize("which", ["weights", "bias", "gamma"])
def test_operands_that_are_not_constant_stay(which):
    net = Net()
    x = image(net)
    w = net.input("w", 8, 3, 3, 3) if which == "weights" else W3
    b = net.input("b", 8) if which == "bias" else normal(RNG, 8)
    gamma = net.input("gamma", 8) if which == "gamma" else PARAMS[0]
    graph = net.graph(net("BatchNormalization", conv(net, x, b, w=w), gamma, *PARAMS[1:]))
    given = {"weights": W3, "bias": normal(RNG, 8), "gamma": PARAMS[0]}[which]
    found = ops(passed(graph, X, given, tolerance=ROUNDED))
    assert found == (["Conv", "BatchNormalization"] if which == "gamma" else ["Conv", "Conv"])


def test_a_negative_variance_gives_nan_as_by_the_definition():
    net = Net()
    params = [*PARAMS[:3], np.where(np.arange(8) == 2, -1, PARAMS[3]).astype(np.float32)]
    graph = net.graph(net("BatchNormalization", conv(net, image(net)), *params))
    (y,) = run_references(passed(graph, X, tolerance=ROUNDED), [X])
    np.testing.assert_array_equal(np.isnan(y).all(axis=(0, 2, 3)), np.arange(8) == 2)


# ---- epilogues


@pytest.mark.parametrize(
    "op, operands, attributes",
    [
        ("Relu", [], {}),
        ("Clip", [0.0, 6.0], {}),
        ("Clip", [-1.0], {}),
        ("Clip", [None, 1.0], {}),
        ("LeakyRelu", [], {"alpha": 0.2}),
        ("Sigmoid", [], {}),
        ("Tanh", [], {}),
        ("HardSigmoid", [], {}),
        ("HardSwish", [], {}),
        ("Elu", [], {}),
        ("Softplus", [], {}),
    ],
)
def test_activations_go_into_the_node_before(op, operands, attributes):
    net = Net()
    graph = net.graph(net(op, conv(net, image(net)), *operands, **attributes))
    assert ops(passed(graph, X)) == [f"Conv+{op}"]


def test_an_activation_with_a_bound_that_is_computed_stays():
    net = Net()
    graph = net.graph(net("Clip", conv(net, image(net)), None, net.input("high")))
    assert ops(passed(graph, X, np.float32(0.5))) == ["Conv", "Clip"]


@pytest.mark.parametrize("op, w", [("ConvTranspose", W3.swapaxes(0, 1)), ("Conv", W3)])
@pytest.mark.parametrize("order", [0, 1])
def test_a_residual_and_an_activation_go_into_the_node_before(op, w, order):
    net = Net()
    other, x = net.input("other", "N", 8, 8, 8), image(net)
    y = net(op, x, w, pads=(1, 1, 1, 1))
    graph = net.graph(net("Relu", net("Add", *((y, other) if order else (other, y)))))
    assert ops(passed(graph, normal(RNG, 2, 8, 8, 8), X)) == [f"{op}+Add+Relu"]


def test_of_two_convolutions_that_are_added_one_takes_the_other():
    net = Net()
    x = image(net)
    graph = net.graph(net("Relu", net("Add", conv(net, x), conv(net, x, w=2 * W3))))
    assert ops(passed(graph, X)) == ["Conv", "Conv+Add+Relu"]
    first, second = graph.nodes
    assert second.operands[-1] is first.results[0]


def test_a_residual_made_later_moves_the_node_behind_it():
    net = Net()
    x = image(net)
    y = conv(net, x)
    later = net("Abs", net("Neg", conv(net, x, w=2 * W3)))
    graph = net.graph(net("Relu", net("Add", y, later)))
    assert ops(passed(graph, X)) == ["Conv", "Neg", "Abs", "Conv+Add+Relu"]


def test_an_identity_block_adds_its_own_input():
    net = Net()
    x = net("Relu", conv(net, image(net)))
    for _ in range(2):
        inner = net("Relu", conv(net, x, w=normal(RNG, 8, 8, 3, 3) / 9))
        x = net("Relu", net("Add", conv(net, inner, w=normal(RNG, 8, 8, 3, 3) / 9), x))
    assert ops(passed(net.graph(x), X)) == ["Conv+Relu", *["Conv+Relu", "Conv+Add+Relu"] * 2]


def test_the_activation_before_an_add_goes_in_and_the_add_stays():
    net = Net()
    x = net("Abs", image(net, "N", 8, 8, 8))
    y = net("Relu", conv(net, x, w=normal(RNG, 8, 8, 3, 3) / 9))
    assert ops(passed(net.graph(net("Add", x, y)), normal(RNG, 1, 8, 8, 8))) == ["Abs", "Conv+Relu", "Add"]


def test_only_one_activation_goes_in():
    net = Net()
    assert ops(passed(net.graph(net("Relu", net("Sigmoid", conv(net, image(net))))), X)) == ["Conv+Sigmoid", "Relu"]


@pytest.mark.parametrize("op", ["Relu", "Add"])
@pytest.mark.parametrize("why", ["output", "two readers"])
def test_a_value_that_others_need_is_not_fused_away(op, why):
    net = Net()
    x = image(net)
    y = conv(net, x)
    z = net("Relu", y) if op == "Relu" else net("Add", y, net.input("other", "N", 8, 8, 8))
    graph = net.graph(z, y if why == "output" else net("Neg", y))
    arrays = [X] if op == "Relu" else [X, normal(RNG, 2, 8, 8, 8)]
    assert ops(passed(graph, *arrays))[:2] == ["Conv", op]


def test_a_value_added_to_itself_is_no_residual():
    net = Net()
    y = conv(net, image(net))
    assert ops(passed(net.graph(net("Add", y, y)), X)) == ["Conv", "Add"]


@pytest.mark.parametrize("shape", [("N", 8, 1, 1), ("N", 1, 8, 8), (8, 8), ("M", 8, 8, 8), ("N", 8, None, 8)])
def test_what_broadcasts_or_may_is_no_residual(shape):
    net = Net()
    x = image(net)
    other = net.input("other", *shape)
    graph = net.graph(net("Add", conv(net, x), other))
    given = normal(RNG, *(d if isinstance(d, int) else {"N": 2, "M": 1, None: 1}[d] for d in shape))
    assert ops(passed(graph, X, given)) == ["Conv", "Add"]


def test_a_residual_behind_symbols_is_found_when_they_are_known():
    net = Net()
    x = net.input("x", "N", 8, "H", "W")
    w = normal(RNG, 8, 8, 3, 3) / 9
    y = net("Add", conv(net, x, w=w, auto_pad="SAME_UPPER", pads=None), net("Abs", x))
    graph = passed(net.graph(net("Relu", y)), normal(RNG, 1, 8, 5, 6))
    assert ops(specialise(graph, [(1, 8, 5, 6)])) == ["Abs", "Conv+Add+Relu"]


def test_a_residual_chosen_by_the_order_of_the_nodes_leaves_an_order():
    """Three branches into two Adds: whichever is fused, each node still reads only values computed before it."""
    net = Net()
    x = image(net)
    a, b, c = (conv(net, x, w=i * W3) for i in (1, 2, 3))
    graph = net.graph(net("Relu", net("Add", net("Add", c, a), b)))
    assert ops(passed(graph, X)) == ["Conv", "Conv+Add", "Conv+Add+Relu"]


# ---- floats of 16 bits

FLOAT, FLOAT16, INT64, BFLOAT16 = 1, 10, 7, 16
HALVES = pytest.mark.parametrize("half", [np.float16, ml_dtypes.bfloat16])


def types(graph):
    """The dtypes that the nodes read, constants too, in their order and each once."""
    return list(dict.fromkeys(str(v.dtype) for n in graph.nodes for v in n.operands))


@HALVES
def test_floats_of_16_bits_are_computed_in_float32(half):
    """Between a Cast of the input and one of the output; scales and shifts are folded into weights as in float32."""
    net = Net()
    norm = net("BatchNormalization", conv(net, image(net)), *np.float32([[1, 2] * 4, [0.5] * 8, [1] * 8, [4] * 8]), epsilon=0.0)
    y = net("Flatten", net("GlobalAveragePool", net("Relu", norm)))
    graph = in_type(net.graph(net("Gemm", y, normal(RNG, 8, 5), normal(RNG, 5))), half)
    after = passed(graph, X.astype(half), tolerance=ROUNDED)
    assert ops(after) == ["Cast", "Conv+Relu", "GlobalAveragePool", "Flatten", "Gemm", "Cast"]
    name = np.dtype(half).name
    assert [str(v.dtype) for n in after.nodes for v in n.results] == ["float32"] * 5 + [name]
    assert types(after) == [name, "float32"]
    assert [v.name for v in after.outputs] == [v.name for v in graph.outputs]


@HALVES
def test_large_constants_are_widened_when_they_are_packed(half):
    net = Net()
    w = normal(RNG, 256, 128).astype(half)
    y = net("Relu", net("MatMul", net.input("x", "N", 256, dtype=half), w))
    after = passed(net.graph(y), normal(RNG, 2, 256).astype(half))
    (constant,) = (v.constant for n in after.nodes for v in n.operands if v.constant is not None)
    assert isinstance(constant, Widened)
    assert constant.source is w


def test_what_casts_between_floats_of_16_and_32_bits_goes():
    """A network with inputs, outputs and some nodes of float32: no value is rounded to 16 bits."""
    net = Net()
    x = net("Cast", image(net), to=FLOAT16)
    y = net("Cast", net("Exp", net("Abs", x)), to=FLOAT)
    y = net("Cast", net("Cast", net("Sqrt", y), to=BFLOAT16), to=FLOAT16)
    graph = net.graph(net("Neg", net("Cast", y, to=FLOAT)))
    assert ops(passed(graph, X)) == ["Abs", "Exp", "Sqrt", "Neg"]


def test_a_cast_of_integers_to_16_bits_is_one_to_float32():
    net = Net()
    y = net("Cast", net.input("i", 3, dtype=np.int64), to=FLOAT16)
    after = passed(net.graph(net("Cast", net("Neg", y), to=FLOAT16)), np.int64([1, 2, 70000]))
    assert ops(after) == ["Cast", "Neg", "Cast"]
    assert types(after) == ["int64", "float32"]
    # where it is a result, it is rounded once
    net = Net()
    y = net("Cast", net.input("i", 3, dtype=np.int64), to=FLOAT16)
    after = passed(net.graph(y, net("Neg", y)), np.int64([1, 2, 70000]))
    assert ops(after) == ["Cast", "Cast", "Neg", "Cast"]
    assert [str(n.inputs[0].dtype) for n in after.nodes] == ["int64", "int64", "float32", "float32"]


def test_results_of_other_types_come_from_float32():
    net = Net()
    x = net("Exp", net.input("x", "N", 4, dtype=np.float16))
    results = net("ArgMax", x, axis=1), net("Cast", x, to=INT64), net("Greater", x, np.float16([1]))
    results = *results, net("Where", net("IsNaN", x), x, np.float16([0]))
    after = passed(net.graph(*results, net("Shape", x)), normal(RNG, 2, 4).astype(np.float16))
    assert ops(after).count("Cast") == 3  # the input, the one there was, and the only result of 16 bits
    assert "float16" not in types(after)[1:]


def test_a_result_that_is_read_inside_is_read_in_float32():
    net = Net()
    x = net.input("x", 4, dtype=np.float16)
    y = net("Neg", x)
    after = passed(net.graph(y, net("Abs", y), x, net("Exp", x)), normal(RNG, 4).astype(np.float16))
    assert ops(after) == ["Cast", "Neg", "Cast", "Abs", "Cast", "Exp", "Cast"]


def test_a_cast_of_the_input_in_the_file_is_the_only_one():
    net = Net()
    x = net.input("x", 4, dtype=np.float16)
    graph = net.graph(net("Neg", net("Cast", x, to=FLOAT)), net("Cast", net("Abs", x), to=FLOAT))
    assert ops(passed(graph, normal(RNG, 4).astype(np.float16))) == ["Cast", "Neg", "Abs", "Cast"]
    assert all(v.dtype == np.float32 for v in graph.outputs)


def body(op):
    """A graph for a node: `op` of what it captures."""
    inside = Net()
    return Subgraph(inside.graph(inside(op, inside.input("x", 4, dtype=np.float16))), captured=1)


@pytest.mark.parametrize(
    "op, operands, attributes",
    [
        ("BitCast", ["x"], {"to": 5}),
        ("EyeLike", ["x"], {"dtype": FLOAT16}),
        ("SequenceConstruct", ["x"], {}),
        ("If", ["c", "x"], {"then_branch": "Neg", "else_branch": "Abs"}),
    ],
)
def test_a_node_that_needs_16_bits_keeps_them(op, operands, attributes):
    net = Net()
    shape = (4, 4) if op == "EyeLike" else (4,)
    given = {"x": net("Exp", net.input("x", *shape, dtype=np.float16)), "c": net.input("c", dtype=bool)}
    attributes = {k: body(v) if isinstance(v, str) else v for k, v in attributes.items()}
    y = net(op, *(given[name] for name in operands), **attributes)
    y = net("SequenceAt", y, np.array(0)) if op == "SequenceConstruct" else y
    y = net("Neg", y) if y.dtype == np.float16 else y
    graph = net.graph(y)
    expected = np.dtype(np.float16) if op != "BitCast" else np.dtype(np.int16)
    after = run_passes(graph.copy())
    assert [v.dtype for v in after.outputs] == [expected]
    (kept,) = (n for n in after.nodes if type(n.op).__name__ == op)
    assert all(v.dtype == np.float16 for v in kept.operands if v.dtype.kind == "f")
    assert all(v.dtype == np.float32 for n in after.nodes if type(n.op).__name__ in ("Exp", "Neg") for v in n.operands)
    again = ops(after)
    assert ops(run_passes(after)) == again
    arrays = [normal(RNG, *shape).astype(np.float16), np.array(True)]
    (a,), (b,) = (run_references(g, arrays, np.float16) for g in (graph, after))
    if op == "BitCast":
        a, b = a.view(np.float16), b.view(np.float16)
    np.testing.assert_allclose(a.astype(float), b.astype(float), rtol=2**-10)


def test_what_was_fused_is_widened_too():
    net = Net()
    graph = in_type(net.graph(net("Relu", conv(net, image(net)))), np.float16)
    fuse_epilogues(graph)
    assert ops(graph) == ["Conv+Relu"]
    assert ops(passed(graph, X.astype(np.float16))) == ["Cast", "Conv+Relu", "Cast"]


def test_a_graph_without_floats_of_16_bits_is_left_as_it_is():
    net = Net()
    graph = net.graph(net("Relu", image(net)))
    before = list(graph.nodes)
    run_passes(graph, until="widen")
    assert graph.nodes == before


# ---- quantized networks

SCALE, ZERO = np.float32(0.05), np.uint8(30)
PAIR = "QuantizeLinear+DequantizeLinear"


def quantize(net, x, scale=SCALE, zero=ZERO):
    return net("QuantizeLinear", x, np.array(scale, np.float32), np.array(zero))


def dequantize(net, x, scale=SCALE, zero=ZERO):
    return net("DequantizeLinear", x, np.array(scale, np.float32), np.array(zero))


def there_and_back(net, x, scale=SCALE, zero=ZERO):
    return dequantize(net, quantize(net, x, scale, zero), scale, zero)


def test_quantizing_and_back_goes_into_the_node_before():
    net = Net()
    x = there_and_back(net, image(net))
    y = net("Relu", conv(net, x))
    z = net("Add", conv(net, there_and_back(net, y), w=normal(RNG, 8, 8, 3, 3)), there_and_back(net, y, 0.1))
    graph = net.graph(there_and_back(net, z))
    found = ops(passed(graph, eighths(RNG, 2, 3, 8, 8)))
    assert found == [PAIR, "Conv+Relu", PAIR, PAIR, f"Conv+Add+{PAIR}"], "y is read twice"


def test_an_activation_goes_in_with_what_quantizes_it():
    for activation, rest in ((("Relu",), PAIR), (("Clip", 0.0, 6.0), PAIR), (("Sigmoid",), None), (("Clip", 1.0, 6.0), None)):
        net = Net()
        graph = net.graph(there_and_back(net, net(activation[0], conv(net, image(net)), *activation[1:])))
        found = [f"Conv+{activation[0]}+{PAIR}"] if rest else [f"Conv+{activation[0]}", PAIR]
        assert ops(passed(graph, X)) == found


@pytest.mark.parametrize(
    "why, scale, zero",
    [
        ("scale", 0.06, ZERO),
        ("tiny", 1e-30, ZERO),
        ("zero", SCALE, np.uint8(31)),
        ("axis", np.full(3, SCALE), np.full(3, ZERO)),
        ("output", SCALE, ZERO),
        ("reader", SCALE, ZERO),
    ],
)
def test_quantizing_that_is_not_undone_stays(why, scale, zero):
    net = Net()
    q = quantize(net, image(net), *((scale, zero) if why in ("axis", "tiny") else ()))
    outputs = [dequantize(net, q, np.float32(scale), zero)]
    outputs += [q] if why == "output" else [net("Cast", q, to=6)] if why == "reader" else []
    assert ops(passed(net.graph(*outputs), X))[:2] == ["QuantizeLinear", "DequantizeLinear"]


def test_integers_that_are_dequantized_several_times_are_floats_once():
    net = Net()
    q = quantize(net, conv(net, image(net)))
    graph = net.graph(net("Sub", net("Relu", dequantize(net, q)), net("Neg", dequantize(net, q))))
    assert ops(passed(graph, X)) == [f"Conv+{PAIR}", "Relu", "Neg", "Sub"]


@pytest.mark.parametrize("form", ["integers", "floats"])
def test_nodes_that_select_elements_stay_quantized(form):
    """The QuantizeLinear and DequantizeLinear behind each operator are removed, or move before all of them."""
    net = Net()
    move = [
        ("MaxPool", [], {"kernel_shape": (2, 2)}),
        ("Resize", [None, np.float32([1, 1, 2, 3])], {"mode": "nearest"}),
        ("Transpose", [], {"perm": (0, 2, 3, 1)}),
        ("Flatten", [], {}),
    ]
    y = quantize(net, conv(net, image(net)))
    for op, operands, attributes in move:
        y = dequantize(net, y) if form == "floats" else y
        y = net(op, y, *operands, **attributes)
        y = quantize(net, y) if form == "floats" else y
    graph = net.graph(net("Neg", dequantize(net, y)))
    assert ops(passed(graph, X)) == [f"Conv+{PAIR}", "MaxPool", "Resize", "Transpose", "Flatten", "Neg"]


def test_a_pair_that_gives_an_output_stays():
    net = Net()
    a = there_and_back(net, image(net))
    graph = net.graph(a, there_and_back(net, a))
    assert ops(passed(graph, X)) == ["QuantizeLinear", "DequantizeLinear", "DequantizeLinear"]


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("offset", [True, False])
def test_large_weights_stay_integers_until_they_are_read(axis, offset):
    rng = np.random.default_rng(4)
    w, count = rng.integers(-128, 128, (150, 120)).astype(np.int8), 1 if axis is None else (150, 120)[axis]
    scale, zero = rng.uniform(0.01, 0.1, count).astype(np.float32), rng.integers(-9, 9, count).astype(np.int8)
    net = Net()
    operands = [scale, zero] if offset else [scale]
    weights = net("DequantizeLinear", w, *operands, **({} if axis is None else {"axis": axis}))
    graph = net.graph(net("MatMul", net.input("x", "N", 150), weights))
    after = passed(graph, normal(rng, 3, 150), tolerance=ROUNDED)
    made = after.nodes[0].inputs[1].constant
    assert isinstance(made, Weights)
    shape = (-1, 1) if axis == 0 else (1, -1)
    expected = (w.astype(np.int32) - zero.reshape(shape) * offset).astype(np.float32) * scale.reshape(shape)
    np.testing.assert_array_equal(made, expected)
    np.testing.assert_array_equal(made[7:33], expected[7:33])
    assert made.key == run_passes(after.copy()).nodes[0].inputs[1].constant.key


def test_large_weights_dequantized_in_blocks_are_arrays():
    net = Net()
    w = np.ones((150, 128), np.int8)
    weights = net("DequantizeLinear", w, np.ones((150, 2), np.float32), block_size=64, axis=1)
    graph = net.graph(net("MatMul", net.input("x", "N", 150), weights))
    assert not isinstance(passed(graph, normal(RNG, 3, 150)).nodes[0].inputs[1].constant, Weights)


def quantized_network():
    """A network of ONNX Runtime's operators: (graph, its input as integers)."""
    net = Net()
    rng = np.random.default_rng(3)
    x = net.input("x", 1, 3, 8, 8, dtype=np.uint8)
    w, w2 = rng.integers(-127, 128, (8, 3, 3, 3)).astype(np.int8), rng.integers(-127, 128, (8, 8)).astype(np.int8)
    of_x, of_y = (np.array(0.02, np.float32), np.uint8(3)), (np.array(0.05, np.float32), np.uint8(120))
    of_x, of_y = ([np.asarray(v) for v in pair] for pair in (of_x, of_y))
    of_w = [rng.uniform(0.001, 0.01, 8).astype(np.float32), np.zeros(8, np.int8)]
    bias = rng.integers(-500, 500, 8).astype(np.int32)
    y = net("QLinearConv", x, *of_x, w, *of_w, *of_y, bias, pads=(1, 1, 1, 1))
    pooled = net("MaxPool", y, kernel_shape=(2, 2), strides=(2, 2), results=1)
    z = net(
        "com.microsoft::QLinearAdd", pooled, *of_y, net("com.microsoft::QLinearSigmoid", pooled, *of_y, *of_x), *of_x, *of_y
    )
    z = net("com.microsoft::QLinearConcat", *of_y, z, *of_y, pooled, *of_y, axis=1)
    z = net("Flatten", net("com.microsoft::QLinearGlobalAveragePool", z, *of_y, *of_y))
    half = net("Slice", z, np.int64([0]), np.int64([8]), np.int64([1]))
    c = rng.integers(-500, 500, 8).astype(np.int32)
    z = net("com.microsoft::QGemm", half, *of_y, w2, *of_w, c, *of_y, transB=1, alpha=0.5)
    return net.graph(z), rng.integers(0, 256, (1, 3, 8, 8)).astype(np.uint8)


def test_operators_on_integers_become_those_on_floats():
    graph, x = quantized_network()
    (expected,) = run_references(graph, [x], np.float32)
    after = run_passes(graph.copy())
    assert ops(after) == [
        "DequantizeLinear+DequantizeLinear+DequantizeLinear+Conv+QuantizeLinear",
        "MaxPool",
        f"DequantizeLinear+DequantizeLinear+Sigmoid+{PAIR}+Add+QuantizeLinear",
        "Concat",
        "DequantizeLinear+GlobalAveragePool+QuantizeLinear",
        "Flatten",
        "Slice",
        "DequantizeLinear",
        "Gemm",
        "QuantizeLinear",
    ]
    assert ops(specialise(after, [x.shape])) == ops(after)
    (y,) = run_references(after, [x], np.float32)
    assert y.dtype == expected.dtype
    assert np.abs(y.astype(int) - expected).max() <= 1


def test_operators_on_integers_stay_where_they_must_be_exact():
    graph, x = quantized_network()
    (expected,) = run_references(graph, [x], np.float32)
    after = run_passes(graph.copy(), accuracy="exact")
    assert "QLinearConv" in ops(after)
    np.testing.assert_array_equal(run_references(after, [x], np.float32)[0], expected)


@pytest.mark.parametrize("mode", ["half_pixel", "tf_crop_and_resize"])
def test_floats_are_resized_where_integers_need_not_be_exact(mode):
    net = Net()
    roi = np.float32([0, 0, 0, 0, 1, 1, 1, 1]) if mode == "tf_crop_and_resize" else None
    attributes = {"mode": "linear", "coordinate_transformation_mode": mode}
    y = net("Resize", quantize(net, conv(net, image(net))), roi, np.float32([1, 1, 2, 2]), **attributes)
    graph = net.graph(net("Neg", dequantize(net, y)))
    exact, fast = (run_passes(graph.copy(), accuracy=accuracy) for accuracy in ("exact", "default"))
    assert ops(exact) == ["Conv", "QuantizeLinear", "Resize", "DequantizeLinear", "Neg"]
    resize = "DequantizeLinear+Resize+QuantizeLinear" if mode == "half_pixel" else "Resize"
    assert ops(fast) == ["Conv", "QuantizeLinear", resize, "DequantizeLinear", "Neg"]
    x = eighths(RNG, 1, 3, 8, 8)
    (a,), (b,) = (run_references(g, [x], np.float32) for g in (exact, fast))
    assert np.abs(a - b).max() < 1.5 * SCALE, "a step at the most"


def test_operators_on_integers_with_a_scale_that_is_computed_stay():
    net = Net()
    x, scale = net.input("x", 1, 3, dtype=np.uint8), net.input("scale")
    of_y = [np.array(0.5, np.float32), np.array(0, np.uint8)]
    graph = net.graph(net("com.microsoft::QLinearSigmoid", x, scale, of_y[1], *of_y))
    assert ops(run_passes(graph)) == ["QLinearSigmoid"]


# ---- what torch's exporter writes where it does not optimize


def test_a_bias_of_zeros_as_torch_spells_it_out():
    """It has the input's dtype, which is known even if the elements are not, and adds nothing."""
    net = Net()
    x = image(net)
    zeros = net("Expand", net("CastLike", 0.0, x), net("Shape", W3, start=0, end=1))
    graph = passed(net.graph(net("LRN", conv(net, x, zeros), size=3)), X)
    assert ops(graph) == ["Conv", "LRN"]
    assert len(graph.nodes[0].inputs) == 2


@pytest.mark.parametrize("split", [np.array(2), np.array([2, 2, 2]), np.array([1, 0, 5])], ids=str)
def test_parts_of_a_split_sequence(split):
    """`x.chunk(3, 1)`: each part is a Slice, from the end too, and its shape is known."""
    net = Net()
    parts = net("SplitToSequence", image(net, "N", 6, 8, 8), split, axis=1)
    graph = net.graph(*(net("Relu", net("SequenceAt", parts, np.array(i))) for i in (0, 2, -2)))
    graph = passed(graph, normal(RNG, 2, 6, 8, 8))
    assert set(ops(graph)) <= {"Slice", "Relu", "Slice+Relu"}
    sizes = [split.item()] * 3 if split.ndim == 0 else split.tolist()
    assert [v.shape[1] for v in graph.outputs] == [sizes[0], sizes[2], sizes[1]]


@pytest.mark.parametrize(
    "case", ["an open axis", "no sizes", "sizes that the run brings", "beyond the last", "sizes that do not fit"]
)
def test_parts_that_are_left_to_the_run(case):
    net = Net()
    x = image(net, "N", 6 if case != "an open axis" else "C", 8, 8)
    sizes = {"no sizes": [], "sizes that the run brings": [net.input("sizes", 3, dtype=np.int64)]}.get(
        case, [np.array([2, 2, 2])]
    )
    sizes = [np.array([2, 2])] if case == "sizes that do not fit" else sizes
    parts = net("SplitToSequence", x, *sizes, axis=1)
    graph = net.graph(net("Relu", net("SequenceAt", parts, np.array(3 if case == "beyond the last" else 0))))
    assert ops(run_passes(graph)) == ["SplitToSequence", "SequenceAt", "Relu"]


def test_transposed_weights_keep_their_name():
    net = Net()
    w = Value("fc.weight", constant=normal(RNG, 5, 8))
    y = net("MatMul", image(net, "N", 3, 8), net("Transpose", w, perm=(1, 0)))
    graph = run_passes(net.graph(y), until="fold_constants")
    assert [v.name for v in graph.nodes[0].inputs] == ["x", "fc.weight"]
    assert graph.nodes[0].inputs[1].shape == (8, 5)


# ---- all of them


@pytest.mark.slow
@settings(max_examples=150, deadline=None, derandomize=True)
@given(networks(), st.sampled_from([np.float32, np.float16, ml_dtypes.bfloat16]))
def test_random_networks_compute_the_same(case, dtype):
    graph, shape = case
    passed(in_type(graph, dtype), eighths(np.random.default_rng(0), *shape).astype(dtype))


def test_until_stops_behind_a_pass():
    net = Net()
    graph = net.graph(net("Relu", net("Identity", conv(net, image(net)))))
    assert ops(run_passes(graph.copy(), until="fold_constants")) == ["Conv", "Identity", "Relu"]
    assert ops(run_passes(graph.copy(), until="remove_identity")) == ["Conv", "Relu"]
    assert PASSES[-1] is fuse_epilogues


def test_every_activation_of_an_operator_is_one_the_store_knows():
    from fastconv.plan.epilogue import activation_fields

    for op in REGISTRY.values():
        if op.arity[0] <= 1 and op.activation is not REGISTRY["Abs"].activation:
            x = Value("x", (1,), np.dtype(np.float32))
            activation = op().activation(Node(op(), [x], [Value("y")]))
            assert activation is None or activation_fields(activation)
