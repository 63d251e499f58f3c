"""Quantized nodes: every pattern that quantizers write is fused, and computes the same bits as the nodes it was fused from."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from fastconv import onnx_json
from fastconv.graph import Graph
from fastconv.ops.quantized import operand_of, store_of
from fastconv.passes import run_passes
from fastconv.reference import run_references
from fastconv.specialise import specialise
from fastconv.weights import Weights

from ..support.graphs import Net, normal, ops
from ..support.rng import generator

RNG = generator(__name__)
#: scale and zero point of uint8 and int8, and of other integers
A, B = (0.05, np.uint8(30)), (0.04, np.uint8(131))
SIGNED = (0.05, np.int8(-98))
SHORT = {"DequantizeLinear": "DQ", "QuantizeLinear": "Q"}


def quantize(net, x, scale=A[0], zero=A[1]):
    return net("QuantizeLinear", x, np.array(scale, np.float32), *([] if zero is None else [np.array(zero)]))


def dequantize(net, x, scale=A[0], zero=A[1], **attributes):
    return net("DequantizeLinear", x, np.array(scale, np.float32), *([] if zero is None else [np.array(zero)]), **attributes)


def there_and_back(net, x, parameters=A):
    return dequantize(net, quantize(net, x, *parameters), *parameters)


def activation(net, *shape, parameters=A, name="x"):
    """The floats of an input of integers."""
    return dequantize(net, net.input(name, *(shape or ("N", 3, 8, 8)), dtype=parameters[1].dtype), *parameters)


def weights(net, *shape, dtype=np.int8, axis=0, alike=False, zero=0):
    """The floats of constant integers, with a scale for each output channel or (alike) one for all."""
    low, high = (-127, 128) if dtype == np.int8 else (0, 256)
    w, scale = RNG.integers(low, high, shape).astype(dtype), RNG.uniform(0.001, 0.01, () if alike else shape[axis])
    return dequantize(net, w, scale, np.full(scale.shape if not alike else (), zero, dtype), axis=axis)


def conv(net, x, *bias, OC=8, kernel=3, parameters=A, then=(), **more):
    """A Conv with weights of int8, then an operator with its operands, then QuantizeLinear and DequantizeLinear."""
    y = net("Conv", x, weights(net, OC, x.shape[1], kernel, kernel, **more), *bias, pads=(kernel // 2,) * 4)
    y = net(then[0], y, *then[1:]) if then else y
    return there_and_back(net, y, parameters)


def bias(net, scale=A[0], channels=8):
    """A bias of int32 at the scale of the sums of the weights made last."""
    of_w = np.asarray(net.nodes[-1].input(1).constant)
    return dequantize(net, RNG.integers(-900, 900, channels).astype(np.int32), np.float32(scale) * of_w, None, axis=0)


def arrays_for(graph, N=2):
    shapes = [tuple(N if d == "N" else d for d in v.shape) for v in graph.inputs]
    return [
        RNG.standard_normal(s).astype(v.dtype)
        if v.dtype.kind == "f"
        else RNG.integers(0, 256, s).astype(np.uint8).view(v.dtype)
        for v, s in zip(graph.inputs, shapes, strict=True)
    ]


def short(graph):
    """The operators of a graph, in few letters."""
    found = ops(graph)
    for name, letters in SHORT.items():
        found = [o.replace(name, letters) for o in found]
    return found


def fused(graph: Graph, tmp_path, steps=0):
    """The operators after all passes, checked to give the same bits as before them; `steps`: outputs may differ by so much."""
    arrays = arrays_for(graph)
    expected = run_references(graph, arrays, np.float32)
    after = run_passes(graph.copy())
    special = specialise(after, [a.shape for a in arrays])
    onnx_json.write(after, tmp_path / "net.json")
    read = run_passes(onnx_json.read(tmp_path / "net.json"))
    for other in (after, special, after.copy(), read, pickle.loads(pickle.dumps(after))):
        assert [(v.name, v.dtype) for v in other.outputs] == [(v.name, v.dtype) for v in graph.outputs]
        for y, e in zip(run_references(other, arrays, np.float32), expected, strict=True):
            if steps:
                assert np.abs(y.astype(np.float64) - e).max() <= steps
            else:
                np.testing.assert_array_equal(y, e, str(other))
    found = short(after)
    assert short(special) == short(read) == short(run_passes(after.copy())) == found
    return found


CONV = "DQ+DQ+Conv+Q"
BIASED = "DQ+DQ+DQ+Conv+Q"


# ---- convolutions


@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("parameters", [A, SIGNED], ids=["uint8", "int8"])
def test_a_convolution_with_a_scale_for_each_channel(with_bias, parameters, tmp_path):
    net = Net()
    x = there_and_back(net, net.input("x", "N", 3, 8, 8), parameters)
    w = weights(net, 8, 3, 3, 3)
    y = net("Conv", x, w, *([bias(net)] if with_bias else []), pads=(1, 1, 1, 1))
    graph = net.graph(there_and_back(net, y, parameters))
    assert fused(graph, tmp_path) == ["Q", BIASED if with_bias else CONV, "DQ"]


@pytest.mark.parametrize("parameters", [A, SIGNED], ids=["uint8", "int8"])
@pytest.mark.parametrize("of_w", [{"dtype": np.uint8, "zero": 120}, {"dtype": np.int8, "alike": True}], ids=["zero", "alike"])
def test_other_weights(parameters, of_w, tmp_path):
    net = Net()
    graph = net.graph(conv(net, there_and_back(net, net.input("x", "N", 3, 8, 8), parameters), parameters=parameters, **of_w))
    assert fused(graph, tmp_path) == ["Q", CONV, "DQ"]
    w = operand_of(node := run_passes(graph).nodes[1], node.inputs[1])
    assert (w.integers.dtype, w.zero.max(), w.scale.size) == (of_w["dtype"], of_w.get("zero", 0), 1 if "alike" in of_w else 8)


@pytest.mark.parametrize("scale, axis", [("of the input channels", 1), ("in blocks", 0)])
def test_weights_with_other_scales_are_floats(scale, axis, tmp_path):
    net = Net()
    w = RNG.integers(-127, 128, (8, 8, 3, 3)).astype(np.int8)
    if axis:
        floats = dequantize(net, w, RNG.uniform(0.001, 0.01, 8), None, axis=axis)
    else:
        floats = dequantize(net, w, RNG.uniform(0.001, 0.01, (4, 8, 3, 3)), None, axis=0, block_size=2)
    y = there_and_back(net, net("Conv", activation(net, "N", 8, 8, 8), floats))
    assert fused(net.graph(net("Neg", y)), tmp_path) == ["DQ", "Conv+Q+DQ", "Neg"]


@pytest.mark.parametrize("then, bounds", [(("Relu",), (30, 255)), (("Clip", 0.0, 6.0), (30, 150)), ((), (0, 255))], ids=str)
def test_bounds(then, bounds, tmp_path):
    net = Net()
    graph = net.graph(conv(net, activation(net), then=then))
    assert fused(graph, tmp_path) == ["+".join(["DQ+DQ+Conv", *then[:1], "Q"]), "DQ"]
    last = store_of(run_passes(graph).nodes[0]).last
    assert (last.low, last.high) == bounds


def test_an_activation_without_a_kernel_of_bytes_leaves_floats(tmp_path):
    net = Net()
    graph = net.graph(net("Neg", conv(net, activation(net), then=("Sigmoid",))))
    assert fused(graph, tmp_path) == ["DQ", "Conv+Sigmoid", "Q+DQ", "Neg"]


@pytest.mark.parametrize("of_bias", ["integers", "other scale", "floats"])
def test_weights_and_bias_that_are_floats_in_the_file(of_bias, tmp_path):
    """As NNCF and torch write them: constants become integers; a bias is rounded to the scale of the sums."""
    net = Net()
    w, scale = normal(RNG, 8, 3, 3, 3), RNG.uniform(0.02, 0.03, 8).astype(np.float32)
    x = activation(net)
    of_w = [scale, np.zeros(8, np.int8)]
    q = dequantize(net, quantize_by(net, w, *of_w), *of_w, axis=0)
    b = np.arange(-4, 4, dtype=np.float32) / 7
    if of_bias == "integers":
        b = dequantize(net, np.arange(8, dtype=np.int32), np.float32(A[0]) * scale, None, axis=0)
    elif of_bias == "other scale":
        b = there_and_back_to(net, b, np.float32(0.001), np.int32(0))
    graph = net.graph(there_and_back(net, net("Conv", x, q, b), B))
    steps = 0 if of_bias == "integers" else 1.001 * B[0]
    assert fused(graph, tmp_path, steps) == [BIASED, "DQ"]
    node = run_passes(graph).nodes[0]
    found = operand_of(node, node.inputs[2])
    assert found.integers.dtype == np.int32
    np.testing.assert_allclose(found.scale, np.float32(A[0]) * scale, rtol=1e-6)
    floats = np.arange(-4, 4) / 7 if of_bias != "integers" else np.arange(8) * found.scale
    assert (np.abs(found.integers.constant * found.scale - floats) <= found.scale * 0.5001 + 0.0005).all()


def test_a_bias_beyond_int32_leaves_floats(tmp_path):
    net = Net()
    y = net("Conv", activation(net), weights(net, 8, 3, 3, 3), np.full(8, 1e9, np.float32))
    assert fused(net.graph(net("Neg", there_and_back(net, y))), tmp_path) == ["DQ", "Conv+Q+DQ", "Neg"]


def quantize_by(net, x, scale, zero):
    return net("QuantizeLinear", x, scale, zero, axis=0)


def there_and_back_to(net, x, scale, zero):
    """Floats that were rounded to multiples of a scale, as constants."""
    return np.rint(x / scale).astype(zero.dtype).astype(np.float32) * scale


def test_large_weights_are_integers_in_memory():
    net = Net()
    graph = run_passes(net.graph(conv(net, activation(net, "N", 256, 8, 8), OC=64)))
    node = graph.nodes[0]
    assert isinstance(node.inputs[1].constant, Weights)
    assert operand_of(node, node.inputs[1]).integers.constant.dtype == np.int8


def test_a_transposed_convolution_is_one_of_floats(tmp_path):
    net = Net()
    y = net("ConvTranspose", activation(net), weights(net, 3, 8, 3, 3, axis=1))
    assert fused(net.graph(net("Neg", there_and_back(net, y))), tmp_path) == ["DQ", "ConvTranspose+Q+DQ", "Neg"]


# ---- products of matrices


@pytest.mark.parametrize("op, attributes, axis", [("Gemm", {"transB": 1}, 0), ("Gemm", {}, 1), ("MatMul", {}, 1)], ids=str)
@pytest.mark.parametrize("of_bias", ["none", "operand", "Add"])
def test_products_of_matrices(op, attributes, axis, of_bias, tmp_path):
    net = Net()
    x, w = activation(net, "N", 20), weights(net, *((8, 20) if axis == 0 else (20, 8)), axis=axis)
    b = bias(net) if of_bias != "none" else None
    if of_bias == "Add" or (b and op == "MatMul"):
        y = net("Add", net(op, x, w, **attributes), b)
    else:
        y = net(op, x, w, *([b] if b else []), **attributes)
    steps = 1.001 * B[0] if of_bias == "Add" or op == "MatMul" else 0
    found = fused(net.graph(there_and_back(net, y, B)), tmp_path, steps)
    assert found == [f"{'DQ+DQ+DQ' if b else 'DQ+DQ'}+{op}+Q", "DQ"]


def test_a_product_of_two_activations_is_one_of_floats(tmp_path):
    net = Net()
    y = net("MatMul", activation(net, "N", 4, 5), activation(net, "N", 5, 6, name="y"))
    assert fused(net.graph(net("Neg", there_and_back(net, y))), tmp_path) == ["DQ", "DQ", "MatMul+Q+DQ", "Neg"]


# ---- sums of two tensors


@pytest.mark.parametrize("op", ["Add", "Mul"])
def test_two_activations(op, tmp_path):
    net = Net()
    graph = net.graph(there_and_back(net, net("Relu", net(op, activation(net), activation(net, parameters=B, name="y")))))
    assert fused(graph, tmp_path) == [f"DQ+DQ+{op}+Relu+Q", "DQ"]


@pytest.mark.parametrize("op", ["Add", "Mul"])
def test_an_activation_and_constant_bytes(op, tmp_path):
    net = Net()
    constant = dequantize(net, RNG.integers(0, 256, (3, 1, 1)).astype(np.uint8), *B)
    assert fused(net.graph(there_and_back(net, net(op, activation(net), constant))), tmp_path) == [f"DQ+DQ+{op}+Q", "DQ"]


RESIDUAL = "DQ+DQ+DQ+Conv+Q+DQ+Add+Q"


@pytest.mark.parametrize("swapped", [False, True])
def test_a_residual(swapped, tmp_path):
    """The Add goes into the later of the two nodes before it."""
    net = Net()
    x = conv(net, activation(net))
    y = conv(net, x, parameters=B)
    graph = net.graph(there_and_back(net, net("Add", *((x, y) if swapped else (y, x)))))
    assert fused(graph, tmp_path) == [CONV, RESIDUAL, "DQ"]
    store = store_of(run_passes(graph).nodes[1])
    assert (store.between.zero, store.residual.zero, store.last.zero) == (B[1], A[1], A[1])


def test_a_residual_of_two_convolutions(tmp_path):
    net = Net()
    x = activation(net)
    graph = net.graph(there_and_back(net, net("Relu", net("Add", conv(net, x), conv(net, x, parameters=B)))))
    assert fused(graph, tmp_path) == [CONV, RESIDUAL.replace("Add", "Add+Relu"), "DQ"]


def test_a_residual_that_is_added_to_floats(tmp_path):
    """Torch's quantizer leaves out what is between the convolution and the sum."""
    net = Net()
    x, r = conv(net, activation(net)), activation(net, "N", 8, 8, 8, name="r")
    y = net("Conv", x, weights(net, 8, 8, 1, 1))
    graph = net.graph(there_and_back(net, net("Relu", net("Add", r, y))))
    assert fused(graph, tmp_path) == [CONV, "DQ+DQ+DQ+Conv+Add+Relu+Q", "DQ"]
    assert store_of(run_passes(graph).nodes[1]).between is None


@pytest.mark.parametrize("why", ["other reader", "other shape", "output"])
def test_an_add_that_is_no_residual(why, tmp_path):
    net = Net()
    x = activation(net, "N", 8, 8, 8)
    y = conv(net, activation(net, "N", 8, 1, 1, name="y") if why == "other shape" else x)
    outputs = [net.nodes[-1].input(0)] if why == "output" else [net("Neg", y)] if why == "other reader" else []
    assert "DQ+DQ+Add+Q" in fused(net.graph(there_and_back(net, net("Add", x, y)), *outputs), tmp_path)


def test_shapes_that_turn_out_to_be_unequal():
    """Symbols of the file say that two sizes are equal; the residual is read unchecked."""
    net = Net()
    x = activation(net, "N", 8, "H", "W")
    y = conv(net, activation(net, "N", 8, "H", "W", name="y"), kernel=1)
    graph = run_passes(net.graph(there_and_back(net, net("Add", x, y))))
    assert short(graph) == [RESIDUAL, "DQ"]
    apart = specialise(graph, [(1, 8, 4, 4), (1, 8, 1, 4)])
    assert short(apart) == [CONV, "DQ+DQ+Add+Q", "DQ"]


# ---- operators that select elements


SELECTS = [
    ("MaxPool", [], {"kernel_shape": (3, 3), "pads": (1, 1, 1, 1)}),
    ("Resize", [None, np.float32([1, 1, 2, 3])], {"mode": "nearest"}),
    ("Reshape", [np.int64([0, 2, -1])], {}),
    ("Transpose", [], {"perm": (0, 1, 3, 2)}),
    ("Slice", [np.int64([1]), np.int64([7]), np.int64([1])], {}),
    ("Gather", [np.int64([2, 0])], {"axis": 1}),
    ("Unsqueeze", [np.int64([1])], {}),
    ("Flatten", [], {}),
    ("DepthToSpace", [], {"blocksize": 2}),
    ("Pad", [np.int64([0, 0, 1, 0, 0, 0, 1, 2])], {}),
    ("Pad", [np.int64([0, 0, 1, 0, 0, 0, 1, 2])], {"mode": "reflect"}),
]


@pytest.mark.parametrize("parameters", [A, SIGNED], ids=["uint8", "int8"])
@pytest.mark.parametrize("form", ["both", "behind", "before"])
@pytest.mark.parametrize("op, operands, attributes", SELECTS, ids=[s[0] for s in SELECTS])
def test_operators_that_select_elements(op, operands, attributes, form, parameters, tmp_path):
    """DequantizeLinear before, QuantizeLinear behind, or both: the operator moves bytes."""
    net = Net()
    x = activation(net, "N", 8, 8, 8, parameters=parameters)
    if form == "behind":
        x = net("Conv", x, weights(net, 8, 8, 1, 1))
    y = net(op, x, *operands, **attributes)
    y = y if form == "before" else there_and_back(net, y, parameters)
    door = ["DQ+Identity+Q"] if parameters is SIGNED else []
    assert fused(net.graph(net("Neg", y)), tmp_path) == [*door, *([CONV] if form == "behind" else []), op, "DQ", "Neg"]


def test_integers_that_are_selected(tmp_path):
    """As ONNX Runtime writes them: from integers to integers, of either type."""
    for parameters in (A, SIGNED):
        net = Net()
        q = quantize(net, net("Conv", activation(net), weights(net, 8, 3, 1, 1)), *parameters)
        zero = [np.array(parameters[1])] if parameters is A else []
        for op, operands, attributes in SELECTS:
            if op in ("MaxPool", "Resize", "Slice", "Gather", "Pad"):
                q = net(op, q, *operands, *(zero if attributes == {} and op == "Pad" else []), **attributes)
        graph = net.graph(net("Neg", dequantize(net, q, *parameters)))
        assert fused(graph, tmp_path)[0] == CONV
        assert fused(graph, tmp_path)[-2:] == ["DQ", "Neg"]


@pytest.mark.parametrize("mode", ["edge", "constant"])
def test_other_borders_than_zeros_are_floats(mode, tmp_path):
    net = Net()
    pads = [np.int64([0, 0, 1, 0, 0, 0, 1, 2]), *([1.0] if mode == "constant" else [])]
    y = there_and_back(net, net("Pad", activation(net), *pads, mode=mode))
    assert fused(net.graph(net("Neg", y)), tmp_path) == (
        ["Pad", "DQ", "Neg"] if mode == "edge" else ["DQ", "Pad", "Q+DQ", "Neg"]
    )


@pytest.mark.parametrize("parameters", [A, SIGNED], ids=["uint8", "int8"])
def test_a_split(parameters, tmp_path):
    net = Net()
    x = activation(net, "N", 4, 8, 8, parameters=parameters)
    parts = net("Split", x, np.int64([1, 3]), axis=1, results=2)
    outputs = [there_and_back(net, y, parameters) for y in parts]
    door = ["DQ+Identity+Q"] if parameters is SIGNED else []
    assert fused(net.graph(*(net("Neg", y) for y in outputs)), tmp_path) == [*door, "Split", "DQ", "DQ", "Neg", "Neg"]


def test_a_pool_with_indices_is_one_of_floats(tmp_path):
    net = Net()
    y, indices = net("MaxPool", activation(net), kernel_shape=(2, 2), results=2)
    assert fused(net.graph(there_and_back(net, y), indices), tmp_path) == ["DQ", "MaxPool", "Q+DQ"]


@pytest.mark.parametrize("of_y", [A, B], ids=["alike", "unlike"])
def test_a_concat(of_y, tmp_path):
    """No copy is quantized again where the parameters are alike."""
    net = Net()
    x = activation(net, "N", 8, 8, 8)
    y = there_and_back(net, net("Concat", conv(net, x), conv(net, x, parameters=of_y), conv(net, x), axis=1))
    again = ["DQ+Identity+Q"] if of_y is B else []
    assert sorted(fused(net.graph(y), tmp_path)) == sorted([CONV, CONV, CONV, *again, "Concat", "DQ"])


def test_a_concat_of_floats_and_integers(tmp_path):
    net = Net()
    x = activation(net, "N", 8, 8, 8)
    y = net("MaxPool", net("Conv", x, weights(net, 4, 8, 1, 1)), kernel_shape=(1, 1))
    graph = net.graph(there_and_back(net, net("Concat", x, y, net("Softmax", x, axis=1), axis=1)))
    assert sorted(fused(graph, tmp_path)) == sorted([CONV, "MaxPool", "DQ", "Softmax", "Q", "Concat", "DQ"])


# ---- means


MEANS = [
    ("AveragePool", [], {"kernel_shape": (3, 3), "pads": (1, 1, 1, 1), "count_include_pad": 1}),
    ("GlobalAveragePool", [], {}),
    ("ReduceMean", [np.int64([2, 3])], {"keepdims": 0}),
    ("ReduceMean", [np.int64([-1, -2])], {}),
    ("Resize", [None, np.float32([1, 1, 2, 2])], {"mode": "linear"}),
]


@pytest.mark.parametrize("op, operands, attributes", MEANS, ids=[m[0] for m in MEANS])
def test_means(op, operands, attributes, tmp_path):
    net = Net()
    y = there_and_back(net, net(op, activation(net), *operands, **attributes), B)
    assert fused(net.graph(y), tmp_path) == [f"DQ+{op}+Q", "DQ"]


def test_other_means_are_those_of_floats(tmp_path):
    net = Net()
    y = there_and_back(net, net("ReduceMean", activation(net), np.int64([1, 3])), B)
    assert fused(net.graph(net("Neg", y)), tmp_path) == ["DQ", "ReduceMean", "Q+DQ", "Neg"]


# ---- functions of the elements of one tensor


FUNCTIONS = [
    ("Sigmoid", [], {}),
    ("HardSigmoid", [], {}),
    ("HardSwish", [], {}),
    ("Tanh", [], {}),
    ("LeakyRelu", [], {}),
    ("PRelu", [np.full((1, 1, 1), 0.3, np.float32)], {}),
    ("Relu", [], {}),
    ("Clip", [0.5, 3.0], {}),
    ("Mul", [1.7], {}),
    ("Sub", [0.3], {}),
]


@pytest.mark.parametrize("op, operands, attributes", FUNCTIONS, ids=[f[0] for f in FUNCTIONS])
def test_functions_of_one_tensor(op, operands, attributes, tmp_path):
    net = Net()
    y = there_and_back(net, net(op, activation(net), *operands, **attributes), B)
    assert fused(net.graph(y), tmp_path) == [f"DQ+{op}+Q", "DQ"]


def test_other_parameters_of_the_same_tensor(tmp_path):
    net = Net()
    assert fused(net.graph(there_and_back(net, activation(net), B)), tmp_path) == ["DQ+Identity+Q", "DQ"]


@pytest.mark.parametrize("between", [False, True])
def test_silu_in_two_nodes(between, tmp_path):
    net = Net()
    x = conv(net, activation(net))
    gate = net("Sigmoid", x)
    y = there_and_back(net, net("Mul", x, there_and_back(net, gate, B) if between else gate))
    assert fused(net.graph(y), tmp_path) == [CONV, "DQ+Sigmoid+Q+DQ+Mul+Q" if between else "DQ+Swish+Q", "DQ"]


def test_functions_that_follow_each_other_are_one(tmp_path):
    net = Net()
    y = there_and_back(net, net("Tanh", there_and_back(net, net("Sigmoid", activation(net)), B)))
    graph = net.graph(there_and_back(net, net("Add", y, activation(net, name="y"))))
    assert fused(graph, tmp_path) == ["DQ+Sigmoid+Q+DQ+Tanh+Q", "DQ+DQ+Add+Q", "DQ"]


def test_a_softmax_is_one_of_floats(tmp_path):
    net = Net()
    y = there_and_back(net, net("Softmax", activation(net), axis=1), B)
    assert fused(net.graph(y), tmp_path) == ["DQ", "Softmax+Q+DQ"] or fused(net.graph(y), tmp_path) == ["DQ", "Softmax", "Q+DQ"]


# ---- forms of graphs


def test_integers_that_are_dequantized_twice(tmp_path):
    net = Net()
    q = quantize(net, net("Conv", activation(net), weights(net, 8, 3, 3, 3)))
    y = [conv(net, dequantize(net, q)), conv(net, dequantize(net, q)), net("Neg", dequantize(net, q))]
    assert sorted(fused(net.graph(*y), tmp_path)) == sorted([CONV, CONV, CONV, "DQ", "DQ", "DQ", "Neg"])


def test_integers_are_inputs_and_outputs(tmp_path):
    for parameters, door in ((A, []), (SIGNED, ["DQ+Identity+Q"])):
        net = Net()
        x = activation(net, parameters=parameters)
        y = quantize(net, net("Conv", x, weights(net, 8, 3, 3, 3)), *parameters)
        graph = net.graph(y)
        assert graph.outputs[0].dtype == parameters[1].dtype
        assert fused(graph, tmp_path) == [*door, CONV, *door]


def test_no_zero_point(tmp_path):
    net = Net()
    graph = net.graph(conv(net, dequantize(net, net.input("x", "N", 3, 8, 8, dtype=np.uint8), 0.05, None), then=("Relu",)))
    last = net.nodes[-2:]
    for n in last:
        n.inputs.pop()
    assert fused(graph, tmp_path) == ["DQ+DQ+Conv+Relu+Q", "DQ"]


def test_what_is_no_quantization_to_8_bits_stays_float(tmp_path):
    net = Net()
    wide = (0.001, np.uint16(30000))
    x = net.input("x", "N", 3, 8, 8)
    y = conv(net, there_and_back(net, x, wide), parameters=wide)
    assert fused(net.graph(net("Neg", y)), tmp_path) == ["Q+DQ", "Conv+Q+DQ", "Neg"]


def test_dynamic_quantization_runs_by_reference(tmp_path):
    net = Net()
    x = net.input("x", "N", 3, 8, 8)
    q, scale, zero = net("DynamicQuantizeLinear", x, results=3)
    w = RNG.integers(-127, 128, (8, 3, 3, 3)).astype(np.int8)
    sums = net("Cast", net("ConvInteger", q, w, zero), to=1)
    y = net("Mul", sums, net("Mul", scale, np.float32(0.01)))
    assert fused(net.graph(y), tmp_path) == ["DynamicQ", "ConvInteger", "Cast", "Mul", "Mul"]


def test_transposes_around_quantization(tmp_path):
    """As TensorFlow's exporter writes them: they go, or move to the ends."""
    net = Net()
    x = net("Transpose", there_and_back(net, net.input("x", "N", 8, 8, 3)), perm=(0, 3, 1, 2))
    for _ in range(2):
        y = net("Transpose", net("Conv", x, weights(net, 3, 3, 3, 3), pads=(1, 1, 1, 1)), perm=(0, 2, 3, 1))
        x = net("Transpose", there_and_back(net, y), perm=(0, 3, 1, 2))
    graph = net.graph(net("Transpose", x, perm=(0, 2, 3, 1)))
    assert fused(graph, tmp_path) == ["Q", "Transpose", CONV, CONV, "Transpose", "DQ"]


OF_X, OF_Y = ([np.array(A[0], np.float32), np.array(A[1])], [np.array(B[0], np.float32), np.array(B[1])])


def _qlinear(net, op, *operands, **attributes):
    """One of ONNX Runtime's operators on the bytes x, whose other operands stand between x's and the result's parameters."""
    x = net.input("x", "N", 6, *((8, 8) if "MatMul" not in op and "Gemm" not in op else ()), dtype=np.uint8)
    domain = "" if op in ("QLinearConv", "QLinearMatMul") else "com.microsoft::"
    if op == "QLinearConcat":
        return net(domain + op, *OF_Y, x, *OF_X, x, *OF_Y, axis=1)
    return net(domain + op, x, *OF_X, *operands, *OF_Y, **attributes)


def _of_weights(*shape, axis=0):
    scale = RNG.uniform(0.001, 0.01, shape[axis]).astype(np.float32)
    return [RNG.integers(-127, 128, shape).astype(np.int8), scale, np.zeros(shape[axis], np.int8)]


QOPERATORS = [
    ("QLinearConv", _of_weights(8, 6, 3, 3), {}, "DQ+DQ+Conv+Q"),
    ("QLinearMatMul", _of_weights(6, 8, axis=1), {}, "DQ+DQ+MatMul+Q"),
    ("QGemm", [*_of_weights(8, 6), None], {"transB": 1}, "DQ+DQ+Gemm+Q"),
    ("QLinearConcat", [], {}, "DQ+Identity+Q"),
    ("QLinearAveragePool", [], {"kernel_shape": (2, 2)}, "DQ+AveragePool+Q"),
    ("QLinearGlobalAveragePool", [], {}, "DQ+GlobalAveragePool+Q"),
    ("QLinearSigmoid", [], {}, "DQ+Sigmoid+Q"),
    ("QLinearLeakyRelu", [], {"alpha": 0.2}, "DQ+LeakyRelu+Q"),
    ("QLinearSoftmax", [], {"opset": 13}, "Softmax"),
]


@pytest.mark.parametrize("op, operands, attributes, found", QOPERATORS, ids=[q[0] for q in QOPERATORS])
def test_operators_on_integers(op, operands, attributes, found, tmp_path):
    """They are operators between DequantizeLinear and QuantizeLinear, but sum integers, so one step may be between them."""
    net = Net()
    graph = net.graph(_qlinear(net, op, *operands, **attributes))
    assert found in fused(graph, tmp_path, steps=1)


@pytest.mark.parametrize("op", ["Add", "Mul"])
def test_operators_on_the_integers_of_two_tensors(op, tmp_path):
    net = Net()
    x, y = (net.input(name, "N", 3, 8, 8, dtype=np.uint8) for name in "xy")
    graph = net.graph(net(f"com.microsoft::QLinear{op}", x, *OF_X, y, *OF_Y, *OF_X))
    assert fused(graph, tmp_path, steps=1) == [f"DQ+DQ+{op}+Q"]


def test_exact_results_are_those_of_floats():
    net = Net()
    graph = net.graph(net("Neg", conv(net, activation(net), then=("Relu",))))
    assert short(run_passes(graph.copy(), accuracy="exact")) == ["DQ", "Conv+Relu+Q+DQ", "Neg"]


def test_a_dump_names_the_passes():
    net = Net()
    graph = net.graph(conv(net, activation(net)))
    assert "DequantizeLinear + DequantizeLinear + Conv + QuantizeLinear" in str(run_passes(graph.copy(), "fuse_quantized"))
    assert "= Conv(" in str(run_passes(graph, "move_integers"))
