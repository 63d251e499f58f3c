"""Plans of quantized networks: nodes that no implementation takes are computed in parts, and tables say so."""

from __future__ import annotations

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

from ..passes.test_fuse_quantized import A, B, activation, arrays_for, conv, there_and_back, weights
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
    assert str(summary).endswith("\n† 1 quantized layers in floats (a Monday)")
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
