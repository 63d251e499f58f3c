"""The passes that convert regions of a graph to other axes: nhwc_to_nchw and lift_1d."""

import numpy as np
import pytest

import fastconv
from fastconv import kernels, onnx_json
from fastconv.implementations import IMPLEMENTATIONS
from fastconv.ops.transpose import Transpose
from fastconv.passes import run_passes
from fastconv.plan import Target, build
from fastconv.reference import run_references
from fastconv.specialise import specialise

from ..support import onnx_dicts
from ..support.graphs import Net, eighths, normal, ops, powers
from ..support.onnx_dicts import info, model, node, tensor
from ..support.rng import generator
from .test_passes import passed, there_and_back

RNG = generator(__name__)
LAST, FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
W = normal(RNG, 4, 4, 3, 3) / 6
X = normal(RNG, 2, 4, 6, 8)


def ints(*values):
    return np.array(values, np.int64)


def conv(net, x, w=W):
    return net("Conv", x, w, pads=(1, 1, 1, 1))


def last(net, x):
    return net("Transpose", x, perm=LAST)


def first(net, x):
    return net("Transpose", x, perm=FIRST)


def by_channel(net, op, x):
    return net(op, x, np.float32([0.01, 0.02, 0.03, 0.04]), np.array([100, 110, 120, 130], np.uint8), axis=-1)


def kinds(graph):
    """The operators, without what is fused into them."""
    return [k.partition("+")[0] for k in ops(graph)]


#: nodes between the Transposes: (net, value N H W C) -> value
BETWEEN = {
    "activation": lambda net, v: net("LeakyRelu", net("Exp", v)),
    "clip": lambda net, v: net("Clip", v, 0.0, 6.0),
    "scalar": lambda net, v: net("Sub", 1.0, v),
    "channels": lambda net, v: net("Add", v, normal(RNG, 4)),
    "all of a constant": lambda net, v: net("Mul", normal(RNG, 1, 6, 8, 4), v),
    "rows of a constant": lambda net, v: net("Mul", v, normal(RNG, 6, 1, 1)),
    "slopes": lambda net, v: net("PRelu", v, normal(RNG, 1, 1, 4)),
    "two tensors": lambda net, v: net("Mul", net("Sigmoid", v), net("Neg", v)),
    "gate": lambda net, v: net("Mul", v, net("Sigmoid", net("ReduceMean", v, ints(1, 2)))),
    "where": lambda net, v: net("Where", net("Greater", v, 0.0), v, net("Neg", v)),
    "concat": lambda net, v: net("Concat", v, normal(RNG, 2, 6, 8, 2), net("Exp", v), axis=3),
    "concat of rows": lambda net, v: net("Concat", v, v, axis=-3),
    "split": lambda net, v: net("Add", *net("Split", v, ints(2, 2), axis=-1, results=2)),
    "slice": lambda net, v: net("Slice", v, ints(1, 1), ints(-1, 99), ints(3, 1), ints(1, 2)),
    "slice of all axes": lambda net, v: net("Slice", v, ints(0, 2, 1, 1), ints(9, 9, 7, 3)),
    "pad": lambda net, v: net("Pad", v, ints(0, 1, 2, 0, 0, 3, 4, 1)),
    "pad of some axes": lambda net, v: net("Pad", v, ints(1, 2), None, ints(-2), mode="edge"),
    "scales": lambda net, v: net("Resize", v, None, np.float32([1, 2, 3, 1])),
    "sizes": lambda net, v: net("Resize", v, None, None, ints(5, 7), axes=(1, -2), mode="linear"),
    "softmax": lambda net, v: net("Softmax", v),
    "reduce": lambda net, v: net("Mul", net("ReduceMax", v, ints(-1)), v),
    "quantized": lambda net, v: there_and_back(net, v),
    "quantized by channel": lambda net, v: by_channel(net, "DequantizeLinear", by_channel(net, "QuantizeLinear", v)),
    "matmul": lambda net, v: net("MatMul", v, normal(RNG, 4, 9)),
    "layer normalization": lambda net, v: net("LayerNormalization", v, normal(RNG, 4), normal(RNG, 4)),
}


@pytest.mark.parametrize("name", BETWEEN)
def test_no_transpose_stays_between_convolutions(name):
    net = Net()
    y = first(net, BETWEEN[name](net, last(net, conv(net, net.input("x", "N", 4, 6, 8)))))
    graph = net.graph(net("Conv", y, normal(RNG, 3, y.shape[1], 1, 1)))
    assert "Transpose" not in kinds(passed(graph, X))


@pytest.mark.parametrize("name", BETWEEN)
def test_a_transpose_goes_to_the_output(name):
    """The convolution keeps its epilogue, and the Transpose follows that."""
    net = Net()
    graph = net.graph(net("Reshape", BETWEEN[name](net, last(net, conv(net, net.input("x", 2, 4, 6, 8)))), ints(-1)))
    after = kinds(passed(graph, X))
    smaller = name in (
        "pad",
        "pad of some axes",
        "concat",
        "concat of rows",
        "scales",
        "matmul",
    )  # before the node than behind it
    assert after[-2:] == ["Transpose", "Reshape"] or smaller
    assert after.count("Transpose") == 1


@pytest.mark.parametrize("name", BETWEEN)
def test_every_region_runs_on_kernels(name):
    net = Net()
    y = first(net, BETWEEN[name](net, last(net, conv(net, net.input("x", 2, 4, 6, 8)))))
    graph = net.graph(net("Conv", y, normal(RNG, 3, y.shape[1], 1, 1) / 4))
    wanted = run_references(graph, [X])[0]
    plan = build(run_passes(graph), Target(IMPLEMENTATIONS, kernels.load(), 1), {})
    assert name == "where" or not plan.python_steps
    found = np.empty(wanted.shape, np.float32)
    plan.run([X], [found], 1)
    np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())


def tf_style(net):
    """tf2onnx's form without optimization: an N H W C image, and Transposes around the nodes that need N C H W."""
    x = net.input("x", "N", 17, 15, 3)
    y = net("Mul", net("Sub", x, np.float32([0.25, 0.5, 0.75])), 2.0)
    y = net("Pad", y, ints(0, 0, 0, 0, 0, 1, 1, 0))
    y = last(net, net("Conv", first(net, y), normal(RNG, 8, 3, 3, 3) / 5, strides=(2, 2)))
    y = net("Clip", net("Add", net("Mul", y, powers(RNG, 8)), eighths(RNG, 8)), 0.0, 6.0)
    z = last(net, net("Conv", first(net, y), normal(RNG, 8, 1, 3, 3) / 3, group=8, pads=(1, 1, 1, 1)))
    y = net("Add", net("Relu", z), y)
    z = last(net, net("MaxPool", first(net, y), kernel_shape=(3, 3), pads=(1, 1, 1, 1)))
    y = net("Concat", y, z, axis=3)
    y = last(net, net("Conv", first(net, y), normal(RNG, 6, 16, 1, 1) / 4))
    means = net("ReduceMean", y, ints(1, 2), keepdims=0)
    return y, net("MatMul", means, normal(RNG, 6, 5))


def test_what_tf2onnx_writes():
    net = Net()
    graph = passed(net.graph(*tf_style(net)), normal(RNG, 2, 17, 15, 3), tolerance=1e-7)
    assert kinds(graph)[0] == "Transpose"
    assert kinds(graph).count("Transpose") == 2  # of the input, and of the map that is an output
    assert "Pad" not in kinds(graph)  # the first convolution has it
    net = Net()
    graph = passed(net.graph(tf_style(net)[1]), normal(RNG, 2, 17, 15, 3), tolerance=1e-7)
    assert kinds(graph).count("Transpose") == 1


def test_a_value_inside_can_be_asked_for(tmp_path):
    """A value requested by name keeps the file's order of axes: channels last."""
    net = Net()
    graph = net.graph(tf_style(net)[1])
    clip = next(n.outputs[0].name for n in graph.nodes if type(n.op).__name__ == "Clip")
    onnx_json.write(graph, tmp_path / "m.json")
    x = normal(RNG, 1, 17, 15, 3)
    found = fastconv.load(tmp_path / "m.json").run(x, outputs=[clip])[clip]
    graph = onnx_json.read(tmp_path / "m.json")
    graph.outputs = [v for v in graph.values() if v.name == clip]
    assert found.shape == (1, 8, 7, 8)
    np.testing.assert_allclose(found, run_references(graph, [x])[0], atol=1e-5)


def test_saved_and_read_again(tmp_path):
    """ONNX has no LayerNormalization over axis 1 alone: it is written with Transposes, which cancel again."""
    net = Net()
    y = net("LayerNormalization", last(net, conv(net, net.input("x", "N", 4, 6, 8))), normal(RNG, 4), normal(RNG, 4))
    graph = run_passes(net.graph(conv(net, first(net, y))))
    onnx_json.write(graph, tmp_path / "m.json")
    again = onnx_json.read(tmp_path / "m.json")
    assert kinds(again) == ["Conv", "Transpose", "LayerNormalization", "Transpose", "Conv"]
    np.testing.assert_allclose(run_references(again, [X])[0], run_references(graph, [X])[0], atol=1e-12)
    assert ops(run_passes(again)) == ops(graph) == ["Conv", "LayerNormalization", "Conv"]


def test_transposes_in_a_row_are_one():
    net = Net()
    x = net.input("x", "N", 4, 6, 8)
    y = net("Transpose", net("Transpose", x, perm=(0, 1, 3, 2)), perm=LAST)
    graph = passed(net.graph(net("Relu", y)), X)
    assert [n.op.perm for n in graph.nodes if kinds(graph).count("Transpose") == 1 and n.op.attributes()] == [(0, 3, 2, 1)]
    net = Net()
    graph = net.graph(first(net, last(net, net.input("x", "N", 4, 6, 8))))
    assert passed(graph, X).nodes[0].op.perm == (0, 1, 2, 3)  # it is the output


def test_a_region_that_would_need_more_transposes_stays():
    """Three NHWC inputs, and only one Transpose to remove."""
    net = Net()
    a, b, c = (net.input(name, 2, 6, 8, 4) for name in "abc")
    y = conv(net, first(net, net("Add", net("Mul", a, b), c)))
    arrays = [normal(RNG, 2, 6, 8, 4) for _ in range(3)]
    assert kinds(passed(net.graph(y), *arrays)) == ["Mul", "Add", "Transpose", "Conv"]


@pytest.mark.parametrize("dtype, op, transposed", [(bool, "And", [bool] * 2), (np.float64, "Greater", [np.float32] * 2)])
def test_transposes_of_several_dtypes_are_compared_by_their_bytes(dtype, op, transposed):
    """Two Transposes of float32 are replaced by two of bool, but not by two of float64."""
    net = Net()
    x = conv(net, net.input("x", 2, 4, 6, 8))
    a, b = (net.input(name, 2, 6, 8, 4, dtype=dtype) for name in "ab")
    graph = net.graph(conv(net, first(net, net("Where", net(op, a, b), last(net, x), 0.0))))
    arrays = [(RNG.standard_normal((2, 6, 8, 4)) > 0).astype(dtype) for _ in "ab"]
    after = passed(graph, X, *arrays)
    assert [n.input(0).dtype for n in after.nodes if isinstance(n.op, Transpose)] == transposed


def test_three_spatial_axes():
    net = Net()
    x = net.input("x", 1, 2, 3, 4, 5)
    w = normal(RNG, 2, 2, 1, 1, 1)
    y = net("Relu", net("MatMul", net("Transpose", net("Conv", x, w), perm=(0, 2, 3, 4, 1)), normal(RNG, 2, 2)))
    graph = net.graph(net("Conv", net("Transpose", y, perm=(0, 4, 1, 2, 3)), w))
    assert ops(passed(graph, normal(RNG, 1, 2, 3, 4, 5))) == ["Conv", "Conv+Relu", "Conv"]


# ---- one spatial axis


def lines(net, *shape):
    return net.input("x", *(shape or ("N", 4, 20)))


W1 = normal(RNG, 6, 4, 3) / 3
LINES = normal(RNG, 2, 4, 20)

ONE_AXIS = {
    "conv": lambda net, x: net("Conv", x, W1, eighths(RNG, 6), pads=(1, 2), strides=(2,), dilations=(2,)),
    "conv of the same size": lambda net, x: net("Conv", x, W1, auto_pad="SAME_UPPER", strides=(2,)),
    "depthwise": lambda net, x: net("Conv", x, normal(RNG, 4, 1, 5), group=4, kernel_shape=(5,)),
    "transposed": lambda net, x: net("ConvTranspose", x, normal(RNG, 4, 3, 4), strides=(2,), pads=(1, 1), output_padding=(1,)),
    "transposed to a shape": lambda net, x: net("ConvTranspose", x, normal(RNG, 4, 3, 4), strides=(2,), output_shape=(41,)),
    "max pool": lambda net, x: net("MaxPool", x, kernel_shape=(3,), strides=(2,), ceil_mode=1, pads=(1, 1)),
    "average pool": lambda net, x: net("AveragePool", x, kernel_shape=(4,), pads=(2, 1), count_include_pad=1),
    "global": lambda net, x: net("Add", net("GlobalAveragePool", x), net("GlobalMaxPool", x)),
    "mean": lambda net, x: net("ReduceMean", net("Conv", x, W1), ints(-1), keepdims=0),
    "block": lambda net, x: net("Relu", net("Add", x, net("BatchNormalization", net("Conv", x, normal(RNG, 4, 4, 1)), *NORM))),
    "join": lambda net, x: net("Concat", net("Conv", x, W1, pads=(1, 1)), x, axis=1),
    "pad": lambda net, x: net("Conv", net("Pad", x, ints(0, 0, 3, 0, 0, 1)), W1),
    "resize": lambda net, x: net("Resize", net("Conv", x, W1), None, np.float32([1, 1, 2]), mode="linear"),
    "softmax": lambda net, x: net("Softmax", net("Conv", x, W1), axis=1),
    "normalization": lambda net, x: net("Relu", net("InstanceNormalization", net("Conv", x, W1), *np.ones((2, 6), np.float32))),
}
NORM = powers(RNG, 4), eighths(RNG, 4), eighths(RNG, 4), powers(RNG, 4) ** 2


@pytest.mark.parametrize("isa", kernels.available("conv_direct"))
@pytest.mark.parametrize("name", ONE_AXIS)
def test_one_spatial_axis_runs_on_the_kernels_of_two(name, isa):
    net = Net()
    graph = net.graph(ONE_AXIS[name](net, lines(net)))
    wanted = run_references(graph, [LINES])[0]
    graph = passed(graph, LINES, tolerance=1e-7)
    assert "Unsqueeze" in kinds(graph)
    fixed = specialise(graph, [LINES.shape])
    plan = build(fixed, Target(IMPLEMENTATIONS, kernels.load(isa), 2), {})
    assert not plan.python_steps
    found = np.empty(wanted.shape, np.float32)
    plan.run([LINES], [found], 2)
    np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())


def test_a_region_is_converted_once_at_each_border():
    net = Net()
    x = lines(net)
    y = net("Relu", net("Conv", x, W1, pads=(1, 1)))
    y = net("MaxPool", net("Sigmoid", net("Conv", y, normal(RNG, 6, 6, 1))), kernel_shape=(2,), strides=(2,))
    assert ops(passed(net.graph(y), LINES)) == ["Unsqueeze", "Conv+Relu", "Conv+Sigmoid", "MaxPool", "Squeeze"]


def test_without_windows_nothing_is_lifted():
    net = Net()
    assert ops(passed(net.graph(net("Relu", net("Add", lines(net), 1.0))), LINES)) == ["Add+Relu"]


def test_nodes_without_a_kernel_for_two_axes_are_not_lifted():
    """Indices, and weights that are not constant."""
    net = Net()
    graph = net.graph(*net("MaxPool", lines(net), kernel_shape=(2,), results=2))
    assert ops(passed(graph, LINES)) == ["MaxPool"]
    net = Net()
    x, w = lines(net), net.input("w", 6, 4, 3)
    assert ops(passed(net.graph(net("Conv", x, w)), LINES, W1)) == ["Conv"]


# ---- other exporters' ways


def test_weights_in_constant_nodes_and_symbols_for_sizes():
    """paddle2onnx's form: weights are Constant nodes, sizes -1 or names with dots, and a scale is Add, Mul and Clip."""
    w, b = normal(RNG, 8, 3, 3, 3) / 5, eighths(RNG, 8)

    def constant(name, array):
        return node("Constant", [], [name], {"name": "value", "t": tensor("", array), "type": "TENSOR"})

    nodes = [
        constant("conv2d_0.w_0", w),
        node(
            "Conv",
            ["x", "conv2d_0.w_0"],
            ["conv2d_0.tmp_0"],
            onnx_dicts.ints("pads", 1, 1, 1, 1),
            onnx_dicts.ints("strides", 2, 2),
        ),
        constant("batch_norm_0.b_0", b.reshape(1, 8, 1, 1)),
        node("Add", ["conv2d_0.tmp_0", "batch_norm_0.b_0"], ["add"]),
        constant("three", np.float32([3])),
        constant("sixth", np.float32([1 / 6])),
        constant("low", np.float32(0)),
        constant("high", np.float32(6)),
        node("Add", ["add", "three"], ["plus"]),
        node("Clip", ["plus", "low", "high"], ["clip"]),
        node("Mul", ["add", "clip"], ["product"]),
        node("Mul", ["product", "sixth"], ["act"]),
        node("Shape", ["x"], ["shape"]),
        constant("begin", ints(2)),
        constant("end", ints(4)),
        node("Slice", ["shape", "begin", "end"], ["size"]),
        constant("one_eight", ints(1, 8)),
        node("Concat", ["one_eight", "size"], ["sizes"], {"name": "axis", "i": 0, "type": "INT"}),
        node("Resize", ["act", "", "", "sizes"], ["y"]),
    ]
    sizes = [info("x", -1, 3, "image.h", -1)], [info("y", -1, 8, "image.h", None)]
    graph = onnx_json.read(model(nodes, inputs=sizes[0], outputs=sizes[1], opset=16))
    assert graph.inputs[0].shape == (None, 3, None, None)
    x = normal(RNG, 1, 3, 12, 10)
    wanted = run_references(graph, [x])[0]
    found = fastconv.load(model(nodes, inputs=sizes[0], outputs=sizes[1], opset=16))
    np.testing.assert_allclose(found(x), wanted, atol=1e-5 * np.abs(wanted).max())
    assert ops(found.plan({"x": x.shape}).graph) == ["Conv+HardSwish", "Resize"]


def test_a_matrix_product_with_a_bias_becomes_a_convolution():
    """The form that fold_affine leaves if only the shapes of a call tell that the channels are the last axis."""
    net = Net()
    x = last(net, conv(net, net.input("x", 2, 4, 6, 8)))
    y = net("MatMul", x, normal(RNG, x.shape[-1], 5) / 4, eighths(RNG, 5))
    graph = passed(net.graph(net("MaxPool", first(net, y), kernel_shape=(2, 2))), X, tolerance=1e-6)
    assert ops(graph) == ["Conv", "Conv", "MaxPool"]


def test_what_keras2onnx_writes():
    """Transposes around every operator, a batch "N", Reshapes with a size of 0 or -1, a bias that is added."""
    net = Net()
    x = net.input("x", "N", 8, 8, 3)
    y = net("Conv", first(net, x), normal(RNG, 8, 3, 3, 3) / 5, auto_pad="SAME_LOWER", strides=(2, 2))
    y = net("BatchNormalization", y, *(np.concatenate([a, a]) for a in NORM))
    y = first(net, net("Relu", last(net, y)))
    y = last(net, net("AveragePool", y, kernel_shape=(2, 2), strides=(2, 2), auto_pad="VALID"))
    y = net("Reshape", y, ints(0, -1))
    y = net("Softmax", net("Add", net("MatMul", y, normal(RNG, 32, 5)), eighths(RNG, 5)))
    graph = passed(net.graph(y), normal(RNG, 2, 8, 8, 3), tolerance=1e-6)
    assert ops(graph) == ["Transpose", "Conv+Relu", "AveragePool", "Transpose", "Reshape", "MatMul", "Softmax"]
