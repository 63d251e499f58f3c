"""ONNX's own conformance suite as tests on fastconv.backend, what of it does not pass, and the counts.

    python -m tests.onnx_suite.cases

prints the table of docs/conformance.md.
"""

from __future__ import annotations

import fnmatch
import functools
import unittest
import warnings
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from onnx.backend.test.loader import load_model_tests
from onnx.backend.test.runner import Runner

import fastconv.backend

NOT_PASSING = Path(__file__).with_name("not_passing.txt")

#: The operators of ONNX's node cases by what they are to convolutional networks.
TIERS = {
    "core": """
        Add AveragePool BatchNormalization Cast Clip Concat Constant Conv ConvTranspose DepthToSpace Div Dropout Elu Flatten
        Gather Gemm GlobalAveragePool GlobalMaxPool HardSigmoid HardSwish Identity InstanceNormalization LeakyRelu LRN MatMul
        MaxPool Mul Pad PRelu ReduceMean Relu Reshape Resize Shape Sigmoid Slice Softmax SpaceToDepth Split Squeeze Sub Sum
        Tanh Transpose Unsqueeze Upsample""",
    "extended": """
        Abs ArgMax ArgMin Ceil Celu ConstantOfShape ConvInteger DeformConv DequantizeLinear DynamicQuantizeLinear Equal Erf
        Exp Expand Floor GatherElements GatherND Gelu Greater GridSample GroupNormalization LayerNormalization Less Log
        LogSoftmax LpPool MatMulInteger Max MaxUnpool Mean Min Mish Neg NonMaxSuppression Pow QLinearConv QLinearMatMul
        QuantizeLinear Reciprocal ReduceL2 ReduceMax ReduceMin ReduceSum RoiAlign Round ScatterND Selu Sign Size Softplus Sqrt
        Swish Tile TopK Where""",
}

#: The rows of the table: node cases by tier, then the other kinds of ONNX's suite.
GROUPS = {
    "core": "nodes: the operators of convolutional networks",
    "extended": "nodes: those of their heads, of newer and of quantized networks",
    "other": "nodes: other operators",
    "functions": "nodes spelled out in other operators",
    "simple": "small models",
    "pytorch-operator": "operators exported by PyTorch",
    "pytorch-converted": "layers exported by PyTorch",
    "real": "networks with weights of one value (AlexNet to DenseNet-121)",
}
KINDS = ("node", *list(GROUPS)[4:])


@functools.cache
def cases() -> dict[str, tuple[str, str]]:
    """Each case's path in the list and its group.

    A path is the case's name without "test_", and before it, where the case is a node, its operator: "Conv/conv_with_strides".
    """
    found = {}
    tiers = {op: tier for tier, ops in TIERS.items() for op in ops.split()}
    for kind in KINDS:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            loaded = load_model_tests(kind=kind)
        for case in loaded:
            path, group = case.name.removeprefix("test_"), kind
            if kind == "node" and "_expanded" in case.name:
                group = "functions"
            elif kind == "node":
                node = case.model.graph.node[0]
                path = f"{node.domain}::{node.op_type}/{path}" if node.domain else f"{node.op_type}/{path}"
                group = tiers.get(node.op_type, "other")
            found[case.name] = path, group
    return found


def read_list() -> dict[str, list[str]]:
    """The list of what does not pass: each reason with the patterns of its cases' paths."""
    reasons: dict[str, list[str]] = {}
    for line in NOT_PASSING.read_text("utf-8").splitlines():
        if line.startswith(" "):
            reasons[next(reversed(reasons))] += line.split()
        elif line and not line.startswith("#"):
            reasons[line] = []
    return reasons


@functools.cache
def listed() -> frozenset[str]:
    """The cases that the list says do not pass."""
    patterns = [p for patterns in read_list().values() for p in patterns]
    return frozenset(name for name, (path, _) in cases().items() if any(fnmatch.fnmatchcase(path, p) for p in patterns))


def make_classes() -> dict[str, type[unittest.TestCase]]:
    """ONNX's tests for the CPU; those of the list are expected to fail, and it is an error if one does not."""
    cases()  # load them, without the warnings that making them raises
    classes = Runner(fastconv.backend, __name__).test_cases
    for cls in classes.values():
        for attribute in [a for a in vars(cls) if a.startswith("test_")]:
            name, _, device = attribute.rpartition("_")
            if device == "cuda":
                delattr(cls, attribute)
            elif name in listed():
                setattr(cls, attribute, unittest.expectedFailure(getattr(cls, attribute)))
    return classes


def table(passed: Iterable[str]) -> str:
    """The counts in Markdown, given the names of the cases that passed."""
    total, good = Counter(group for _, group in cases().values()), Counter(cases()[name][1] for name in passed)
    rows = [(text, good[group], total[group]) for group, text in GROUPS.items()]
    nodes = [group for group in GROUPS if group not in KINDS]
    rows.insert(len(nodes), ("**all node cases**", sum(good[g] for g in nodes), sum(total[g] for g in nodes)))
    lines = [f"| {text} | {n} of {of} |" for text, n, of in rows]
    return "\n".join(["| ONNX's own cases | passed |", "| --- | ---: |", *lines])


def expected() -> str:
    """The table as the list has it: every case that is not on it passes."""
    return table(cases().keys() - listed())


if __name__ == "__main__":
    print(expected())
