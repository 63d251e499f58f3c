"""Matching the arrays of a state dict to the initializers of an exported graph, on graphs in the forms of torch's exporters.

tests/networks/test_torch.py does the same with torch itself.
"""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import fastconv
from fastconv import ModelError
from fastconv.state_dict import Placement, place

X = np.random.default_rng(0).standard_normal((2, 4, 6, 6)).astype(np.float32)


class Net:
    """A chain of layers, each (operator, module, shape of its weight, whether it has a bias, its BatchNorm or None)."""

    def __init__(self, *layers, groups=1):
        self.layers = layers
        self.groups = groups

    def channels(self, op, shape):
        return shape[1] * self.groups if op == "ConvTranspose" else shape[0]

    def state(self, seed=0, affine=True):
        """Random arrays as PyTorch names and orders them."""
        rng, out = np.random.default_rng(seed), {}
        for op, module, shape, bias, norm in self.layers:
            C = self.channels(op, shape)
            out[f"{module}.weight"] = rng.standard_normal(shape)
            if bias:
                out[f"{module}.bias"] = rng.standard_normal(C)
            if norm is not None:
                if affine:
                    out |= {f"{norm}.weight": rng.uniform(0.5, 2, C), f"{norm}.bias": rng.standard_normal(C)}
                out |= {f"{norm}.running_mean": rng.standard_normal(C), f"{norm}.running_var": rng.uniform(0.5, 2, C)}
                out[f"{norm}.num_batches_tracked"] = np.array(7)
        return {key: v if v.dtype == np.int64 else v.astype(np.float32) for key, v in out.items()}

    def graph(self, *, folded=(), named="", zeros=(), transB=1):
        """A GraphProto with weights of its own.

        folded: the BatchNorms that are not there, so that each layer before one has a bias, but for those in `zeros`, whose
        bias was 0. named: "path" names nodes by their modules, "scope" has that in their metadata, "weights" names weights.
        """
        nodes, weights, value = [], [], "x"
        old = self.state(seed=9)

        def initializer(array, name):
            weights.append(numpy_helper.from_array(array, name if name in kept else f"onnx::{len(weights)}"))
            return weights[-1].name

        kept = old.keys() if named in ("weights", "scope") else ()
        for i, (op, module, shape, bias, norm) in enumerate(self.layers):
            C = self.channels(op, shape)
            w = old[f"{module}.weight"]
            transposed = op == "MatMul" or (op == "Gemm" and not transB)
            inputs = [value, initializer(w.T if transposed else w, f"{module}.weight")]
            if bias:
                inputs.append(initializer(old[f"{module}.bias"], f"{module}.bias"))
            elif norm in folded and norm not in zeros:
                inputs.append(initializer(np.ones(C, np.float32), ""))
            attributes = {"group": self.groups} if op.startswith("Conv") else {"transB": transB} if op == "Gemm" else {}
            nodes.append(helper.make_node(op, inputs, [f"v{i}"], **attributes))
            self.name(nodes[-1], module, norm if norm in folded else None, named)
            value = f"v{i}"
            if norm is not None and norm not in folded:
                fields = ("weight", "bias", "running_mean", "running_var")
                params = [initializer(old[f"{norm}.{field}"], f"{norm}.{field}") for field in fields]
                nodes.append(helper.make_node("BatchNormalization", [value, *params], [f"n{i}"]))
                self.name(nodes[-1], norm, None, named)
                value = f"n{i}"
            nodes.append(helper.make_node("LeakyRelu", [value], [f"r{i}"]))
            value = f"r{i}"
        nodes[-1].output[0] = "y"
        shape = [None, 4] if self.layers[0][0] in ("Gemm", "MatMul") else [None, 4, 6, 6]
        inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
        outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
        return helper.make_graph(nodes, "net", inputs, outputs, weights)

    def name(self, node, module, norm, named):
        if named == "path":
            *parents, last = module.split(".")
            node.name = "/".join(["", *parents, last, node.op_type])
        elif named == "scope":
            scopes = {"name_scopes": str(["", norm or module, "x"])}
            if norm:
                scopes["fx_node"] = "%batch_norm : call_function[...](args = (%a, %p, 0.1, 0.25), kwargs = {})"
            for key, value in scopes.items():
                node.metadata_props.add(key=f"pkg.torch.onnx.{key}", value=value)


def answer(graph, x=X):
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    return fastconv.load(model.SerializeToString()).reference(x)


def expected(net, state, x=X, epsilon=1e-5):
    """The initializers of the network with these arrays and nothing folded, by name."""
    graph = net.graph(named="weights")
    for t in graph.initializer:
        if t.name in state:
            array = state[t.name]
            matmul = any(t.name in node.input for node in graph.node if node.op_type == "MatMul")
            t.CopyFrom(numpy_helper.from_array(array.T if matmul else array, t.name))
        else:  # of a BatchNorm without them
            t.CopyFrom(numpy_helper.from_array(np.full(t.dims, t.name.endswith("weight"), np.float32), t.name))
    for node in graph.node:
        if node.op_type == "BatchNormalization":
            node.attribute.append(helper.make_attribute("epsilon", epsilon))
    return answer(graph, x)


def by_name(state):
    """The arrays as a .safetensors file."""
    return {key: state[key] for key in sorted(state, key=lambda key: (state[key].dtype != np.int64, key))}


def check(net, graph, state, x=X, true_epsilon=1e-5, **options):
    wanted = expected(net, state, x, true_epsilon)
    placed = place(graph, state, **options)
    np.testing.assert_allclose(answer(graph, x), wanted, rtol=1e-5, atol=1e-5 * np.abs(wanted).max())
    return placed


def conv(module, norm=None, bias=False, shape=(4, 4, 1, 1)):
    return "Conv", module, shape, bias, norm


TWO = Net(conv("a.conv1", "a.bn1"), conv("a.conv2", "a.bn2"))
SEQUENTIAL = Net(conv("0.0", "0.1"), conv("2.0", "2.1"), conv("10.0", "10.1"), conv("11"))


@pytest.mark.parametrize("order", [dict, by_name])
@pytest.mark.parametrize("named", ["path", "scope", "weights"])
@pytest.mark.parametrize("net", [TWO, SEQUENTIAL], ids=["named", "numbered"])
def test_folded_by_name(net, named, order):
    """Layers are matched by their names, the BatchNorm of each by scope, order, number or name."""
    norms = [layer[4] for layer in net.layers if layer[4]]
    epsilon = 0.25 if named == "scope" else 1e-5  # as the metadata has it
    placed = check(net, net.graph(folded=norms, named=named), order(net.state()), true_epsilon=epsilon)
    assert [p.norm for p in placed if p.source.endswith("weight") and p.norm] == norms


def test_report():
    graph = TWO.graph(folded=["a.bn1"], named="path")
    placed = place(graph, TWO.state())
    assert placed[:3] == (
        Placement("onnx::0", "a.conv1.weight", "a.bn1"),
        Placement("onnx::1", "a.conv1.bias", "a.bn1"),
        Placement("onnx::2", "a.conv2.weight"),
    )
    assert str(placed[0]) == "onnx::0: a.conv1.weight, a.bn1 folded into it"
    assert str(placed[2]) == "onnx::2: a.conv2.weight"


def test_folded_by_order():
    """Names say nothing: shapes come in the order of the modules, and a BatchNorm follows its layer."""
    net = Net(conv("conv1", "bn1"), conv("b.conv", "b.norm"), conv("last", bias=True))
    check(net, net.graph(folded=["bn1", "b.norm"]), net.state())
    check(net, net.graph(folded=["bn1"]), net.state())
    check(net, net.graph(), net.state())


def test_by_a_shape_that_is_only_once():
    """Sorted keys have lost the order, but shapes tell it; the graph runs the layers in another order."""
    net = Net(conv("z", shape=(5, 4, 3, 3)), conv("m", "n", shape=(6, 5, 1, 1)), conv("a", shape=(4, 6, 1, 1)))
    check(net, net.graph(folded=["n"]), by_name(net.state()))


def test_ambiguous_layers_are_named():
    net = Net(conv("a"), conv("b"))
    with pytest.raises(ModelError) as e:
        place(net.graph(), by_name(net.state()))
    assert str(e.value).splitlines() == [
        "the weights do not fit the model:",
        "  'a': its weights could be those of node 'v0' or node 'v1', and nothing says which",
        "  'b': its weights could be those of node 'v0' or node 'v1', and nothing says which",
    ]


def test_ambiguous_norms_are_named():
    """conv_pw and bn1, conv_dw and bn2: names do not tell which belong together, but the order does."""
    net = Net(conv("conv_pw", "bn1"), conv("conv_dw", "bn2"))
    check(net, net.graph(folded=["bn1", "bn2"], named="path"), net.state())
    with pytest.raises(ModelError) as e:
        place(net.graph(folded=["bn1", "bn2"], named="path"), by_name(net.state()))
    assert str(e.value).splitlines() == [
        "the weights do not fit the model:",
        "  node '/conv_pw/Conv': nothing says which BatchNorm is folded into 'conv_pw': it could be 'bn1' or 'bn2'",
        "  node '/conv_dw/Conv': nothing says which BatchNorm is folded into 'conv_dw': it could be 'bn1' or 'bn2'",
    ]


def test_order_and_names_that_contradict_each_other():
    """A module that creates all convolutions before the BatchNorms."""
    net = Net(conv("conv1", "bn1"), conv("conv2", "bn2"))
    state = net.state()
    keys = sorted(state, key=lambda key: not key.startswith("conv"))
    with pytest.raises(ModelError, match="folded into 'conv2': it could be 'bn1' or 'bn2'"):
        place(net.graph(folded=["bn1", "bn2"], named="path"), {key: state[key] for key in keys})


def test_a_norm_before_its_convolution_is_not_folded_into_that():
    """norm2 precedes conv2 in the module and is folded into conv1; conv2 has kept its name."""
    net = Net(conv("b.conv1", "b.norm2"), conv("b.conv2"))
    for order in (dict, by_name):
        check(net, net.graph(folded=["b.norm2"], named="path"), order(net.state()))


def test_a_folded_norm_that_the_weights_lack():
    net = Net(conv("conv", "bn"))
    state = {key: array for key, array in net.state().items() if key.startswith("conv")}
    with pytest.raises(ModelError, match="which BatchNorm is folded into 'conv': it is not among them"):
        place(net.graph(folded=["bn"], named="path"), state, ignore_unused=True)


def test_what_nothing_takes():
    net, more = Net(conv("conv", "bn")), {"head.weight": np.zeros((9, 4), np.float32), "head.bias": np.zeros(9, np.float32)}
    graph = net.graph(folded=["bn"], named="path")
    with pytest.raises(ModelError) as e:
        place(graph, net.state() | more)
    assert str(e.value).splitlines()[1:] == [f"  {key!r}: the model has no initializer of this name" for key in more]
    placed = place(graph, net.state() | more, ignore_unused=True)
    assert [p.source for p in placed] == ["conv.weight", "conv.bias"]


def test_shapes_that_do_not_fit():
    net = Net(("MatMul", "m", (3, 4), False, None), ("Gemm", "g", (5, 3), True, None))
    state = net.state() | {"m.weight": np.zeros((4, 3), np.float32), "g.bias": np.zeros(5)}
    with pytest.raises(ModelError) as e:
        place(net.graph(named="path"), state)
    lines = ["'m.weight': expected float32 3×4, got float32 4×3", "'g.bias': expected float32 5, got float64 5"]
    assert str(e.value).splitlines()[1:] == [f"  {line}" for line in lines]


def test_a_norm_that_does_not_fit():
    state = TWO.state() | {
        f"a.bn1.{field}": np.ones(3, np.float32) for field in ("weight", "bias", "running_mean", "running_var")
    }
    with pytest.raises(ModelError, match=r"'a\.bn1' does not fit 'a\.conv1'"):
        place(TWO.graph(folded=["a.bn1", "a.bn2"], named="scope"), state)


@pytest.mark.parametrize("named", ["path", "scope"])
@pytest.mark.parametrize("transB", [0, 1])
def test_linear_layers(named, transB):
    """Weights are transposed if the graph has them transposed, square ones too."""
    net = Net(("MatMul", "m", (4, 4), False, None), ("Gemm", "g", (5, 4), True, "n"), ("Gemm", "last", (4, 5), False, None))
    graph = net.graph(folded=["n"], named=named, transB=transB)
    check(net, graph, net.state(), X[:, :, 0, 0], true_epsilon=0.25 if named == "scope" else 1e-5)


@pytest.mark.parametrize("groups", [1, 2])
def test_transposed_convolutions(groups):
    net = Net(("ConvTranspose", "up", (4, 6 // groups, 2, 2), False, "bn"), groups=groups)
    check(net, net.graph(folded=["bn"], named="path"), net.state())


def test_a_norm_without_weight_and_bias():
    check(TWO, TWO.graph(folded=["a.bn1", "a.bn2"], named="path"), TWO.state(affine=False))


def test_a_bias_that_was_zero():
    """An exporter leaves out a bias of zeros."""
    graph = TWO.graph(folded=["a.bn1", "a.bn2"], named="scope", zeros=["a.bn2"])
    placed = check(TWO, graph, TWO.state(), true_epsilon=0.25)
    assert placed[-1] == Placement("a.conv2.bias", "a.conv2.bias", "a.bn2")


def test_epsilon():
    check(TWO, TWO.graph(folded=["a.bn1", "a.bn2"], named="path"), TWO.state(), epsilon=0.5, true_epsilon=0.5)


def share(graph, a, b):
    """Make both names one initializer, as exporters do if the two are equal."""
    for node in graph.node:
        node.input[:] = [a if name == b else name for name in node.input]
    graph.initializer.remove(next(t for t in graph.initializer if t.name == b))


def test_initializers_that_equal_ones_share():
    """An untrained network shares initializers: between layers, BatchNorms, and inputs of one. Scopes tell them apart."""
    graph = TWO.graph(named="scope")
    share(graph, "a.conv1.weight", "a.conv2.weight")
    for field in ("bias", "running_mean"):
        share(graph, "a.bn1.running_var", f"a.bn2.{field}")
    share(graph, "a.bn1.weight", "a.bn1.running_var")
    check(TWO, graph, TWO.state())


def test_initializers_that_an_identity_shares():
    """The form of torch's older exporter."""
    graph = TWO.graph(named="weights")
    share(graph, "a.bn1.bias", "a.bn2.bias")
    graph.node.insert(0, helper.make_node("Identity", ["a.bn1.bias"], ["a.bn2.bias"]))
    second = [node for node in graph.node if node.op_type == "BatchNormalization"][1]
    second.input[2] = "a.bn2.bias"
    check(TWO, graph, TWO.state())


def test_a_module_that_runs_twice():
    net = Net(conv("a", bias=True), conv("b", bias=True))
    graph = net.graph(named="weights")
    share(graph, "a.weight", "b.weight")
    share(graph, "a.bias", "b.bias")
    state = {key: array for key, array in net.state().items() if key.startswith("a")}
    wanted = expected(net, state | {key.replace("a.", "b."): array for key, array in state.items()})
    assert len(place(graph, state)) == 2
    np.testing.assert_allclose(answer(graph), wanted, rtol=1e-5, atol=1e-5)


def test_other_parameters_by_name_and_scope():
    """Two equal scales, which the exporter made one."""
    rng = np.random.default_rng(3)
    nodes = [helper.make_node("Mul", ["x", "a.scale"], ["v"]), helper.make_node("Mul", ["v", "a.scale"], ["y"])]
    for node, module in zip(nodes, "ab", strict=True):
        node.metadata_props.add(key="pkg.torch.onnx.name_scopes", value=str(["", module, "mul"]))
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 4, 6, 6]) for name in "xy"]
    graph = helper.make_graph(
        nodes, "g", info[:1], info[1:], [numpy_helper.from_array(np.ones((4, 1, 1), np.float32), "a.scale")]
    )
    state = {f"{module}.scale": rng.standard_normal((4, 1, 1)).astype(np.float32) for module in "ab"}
    assert place(graph, state) == (Placement("a.scale", "a.scale"), Placement("b.scale", "b.scale"))
    np.testing.assert_allclose(answer(graph), X * state["a.scale"] * state["b.scale"], rtol=1e-6)


def test_graphs_that_make_no_sense():
    """Nodes without inputs and outputs, metadata and meaningless names are left as they are."""
    graph = TWO.graph(named="scope", folded=["a.bn1", "a.bn2"])
    for op in ("Identity", "Constant", "Conv", "BatchNormalization"):
        graph.node.append(helper.make_node(op, [], []))
        graph.node.append(helper.make_node(op, ["", "onnx::0", ""], ["", ""], name="//"))
    graph.node[-1].metadata_props.add(key="pkg.torch.onnx.name_scopes", value="['")
    for node in graph.node:
        for prop in node.metadata_props:
            if prop.key.endswith("fx_node"):
                prop.value = "batch_norm(a, 1.2.3), kwargs"
    place(graph, TWO.state())
    many = {f"{n}.weight": np.zeros((4, 4, 1, 1), np.float32) for n in ("9" * 5000, "²", "0")}
    with pytest.raises(ModelError, match=r"nothing says which|no initializer of this name"):
        place(graph, many)
