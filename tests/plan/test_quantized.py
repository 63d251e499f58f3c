"""Plans of quantized networks: nodes that no implementation takes are computed in parts, and tables say so."""

from __future__ import annotations

import pickle
from functools import partial

import numpy as np

import fastconv
from fastconv import kernels, onnx_json
from fastconv.graph import Graph
from fastconv.implementations import IMPLEMENTATIONS
from fastconv.passes import run_passes
from fastconv.plan import Target, build
from fastconv.plan.stages import split
from fastconv.reference import run_references
from fastconv.summary import Summary
from fastconv.viz import receptive_field

from ..passes.test_fuse_quantized import A, B, activation, arrays_for, conv, dequantize, there_and_back, weights
from ..support.graphs import Net
from ..support.harness import run_plan

#: the implementations on floats
FLOATS = {op: [i for i in found if not i.quantized] for op, found in IMPLEMENTATIONS.items()}


def plan_of(graph: Graph, implementations=FLOATS):
    return build(graph, Target(implementations, kernels.load(), 2), {})


def residual(N=2):
    net = Net()
    x = activation(net, N, 8, 8, 8)
    return net.graph(there_and_back(net, net("Relu", net("Add", conv(net, x, then=("Relu",), parameters=B), x))))


def test_parts_of_a_quantized_node():
    graph = run_passes(residual())
    plan = plan_of(graph.copy())
    assert [e.node.operators for e in plan.entries if e.node] == [
        "DequantizeLinear", "DequantizeLinear", "Conv+Relu", "QuantizeLinear", "DequantizeLinear", "Add+Relu", "QuantizeLinear",
        "DequantizeLinear",
    ]  # fmt: skip
    assert [e.in_floats for e in plan.entries if e.in_floats] == ["no kernel"]
    assert str(plan).count(" (in floats: no kernel): ") == 1
    arrays = arrays_for(graph)
    (y,), (expected,) = run_plan(plan, arrays, 2), run_references(graph, arrays, np.float32)
    assert np.abs(y - expected).max() <= 1.001 * A[0]


def test_the_refusals_of_a_quantized_node_come_first():
    class Refuses(type(IMPLEMENTATIONS[fastconv.ops.REGISTRY["Conv"]][0])):
        name, quantized = "bytes", True

        def refusal(self, node, selection):
            return "a Monday"

    conv_op = fastconv.ops.REGISTRY["Conv"]
    plan = plan_of(run_passes(residual()), FLOATS | {conv_op: [Refuses(), *FLOATS[conv_op]]})
    (entry,) = (e for e in plan.entries if e.in_floats)
    assert entry.in_floats == "a Monday"
    assert entry.refusals[0] == ("bytes", "a Monday")
    summary = Summary.of_stage([], plan, split(plan.graph))
    assert str(summary).endswith("\n† 1 of 8 layers in floats between integers (a Monday)")
    (row,) = (row for row in summary.as_dict()["layers"] if row["in_floats"])
    assert (row["operator"], row["in_floats"]) == ("Conv+Relu", "a Monday")
    assert f"{row['by']} †" in str(summary)


def test_parameters_are_counted_as_they_are_stored(tmp_path):
    net = Net()
    graph = net.graph(there_and_back(net, net("Conv", activation(net, 1, 3, 8, 8), weights(net, 8, 3, 3, 3))))
    onnx_json.write(graph, tmp_path / "net.json")
    summary = fastconv.load(tmp_path / "net.json").summary(explain=True)
    assert (summary.params, summary.weight_bytes) == (216, 216)
    (layer,) = (x for x in summary.layers if x.params)
    assert layer.op == "Conv"
    assert "parameters: 3·3·3·8 = 216" in layer.explanation


def every_operator():
    """Every operator that has kernels of bytes, and those that have none: Softmax and ConvTranspose."""
    net = Net()
    q = partial(there_and_back, net)
    x = conv(net, q(net.input("x", 1, 3, 16, 16)), OC=16, then=("Relu",))
    y = q(net("Add", conv(net, x, OC=16, kernel=1, parameters=B), x))
    y = q(net("MaxPool", y, kernel_shape=(2, 2), strides=(2, 2)))
    y = q(net("Concat", y, q(net("AveragePool", x, kernel_shape=(2, 2), strides=(2, 2)), B), axis=1))
    a, b = net("Split", y, np.int64([16, 16]), axis=1, results=2)
    y = q(net("Mul", q(a), q(net("Sigmoid", b), B)))
    y = q(net("Resize", y, None, np.float32([1, 1, 0.5, 0.5]), mode="linear"), B)
    y = q(net("Resize", y, None, np.float32([1, 1, 4, 4]), mode="nearest"))
    y = q(net("HardSwish", q(net("Pad", y, np.int64([0, 0, 1, 1, 0, 0, 1, 1])))))
    y = q(net("DepthToSpace", q(net("Slice", y, np.int64([2]), np.int64([18]), np.int64([2]))), blocksize=2))
    y = q(net("Mul", y, q(net("PRelu", y, np.float32([0.2])), B)))
    y = q(net("Conv", y, weights(net, 4, 1, 3, 3), group=4))
    y = q(net("Add", q(net("ConvTranspose", y, weights(net, 4, 8, 2, 2, axis=1))), dequantize(net, np.uint8([[[[3]]]]), 0.1)))
    y = q(net("Softmax", y, axis=1))
    y = q(net("Transpose", q(net("ReduceMean", y, np.int64([2, 3]))), perm=(0, 2, 3, 1)))
    y = q(net("MatMul", q(net("Reshape", y, np.int64([1, 8]))), weights(net, 8, 12, axis=1)))
    return net.graph(q(net("Gemm", q(net("Add", y, np.float32(0.5))), weights(net, 5, 12), transB=1)))


def test_nothing_computes_floats_that_has_kernels_of_bytes():
    graph = run_passes(every_operator())
    plan = plan_of(graph.copy(), IMPLEMENTATIONS)
    assert not plan.python_steps
    found = [e.node.operators for e in plan.entries if e.node and any(v.dtype == np.float32 for v in (*e.reads, *e.writes))]
    assert [op for op in found if op not in ("DequantizeLinear", "QuantizeLinear")] == ["ConvTranspose", "Softmax"]
    assert found[0] == "QuantizeLinear"
    assert found[-1] == "DequantizeLinear"
    assert len(found) == 8, "one more before and behind each"
    assert [(e.node.operators, e.in_floats) for e in plan.entries if e.in_floats] == [
        ("ConvTranspose", "no kernel for integers"),
        ("Softmax", "no kernel for integers"),
    ]
    arrays = arrays_for(graph)
    for count in range(1, len(graph.nodes) + 1):  # each layer, from bytes that are exact: differences do not add up
        part = Graph(graph.inputs, graph.nodes[count - 1].results, graph.nodes[:count]).copy()
        y, expected = run_plan(plan_of(part.copy(), IMPLEMENTATIONS), arrays, 2)[0], run_references(part, arrays, np.float32)[0]
        assert np.abs(y.astype(np.float64) - expected).max() <= (2 if y.dtype == np.uint8 else 0.1), graph.nodes[count - 1]


def test_tools_take_quantized_networks(tmp_path):
    onnx_json.write(residual(1), tmp_path / "net.json")
    model = fastconv.load(tmp_path / "net.json")
    (x,) = arrays_for(residual(1))
    y = model(x)
    layers = fastconv.compare(model, x, layers=True, seconds=0.01).layers
    assert ("Conv+Relu+Add+Relu", False) in [(layer.op, layer.departs) for layer in layers]
    assert "Conv+Relu+Add+Relu" in [row.op for row in model.profile(x, runs=1).rows]
    assert receptive_field(model, next(x.name for x in model.summary().layers if x.params)).size == (3, 3)
    model.save(tmp_path / "saved.json")
    for other in (pickle.loads(pickle.dumps(model)), fastconv.load(tmp_path / "saved.json")):
        np.testing.assert_array_equal(other(x), y)
