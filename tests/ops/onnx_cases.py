"""ONNX's node cases: small models with inputs and the outputs expected."""

from __future__ import annotations

import functools
import warnings

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests

from fastconv.dtypes import DATA_TYPES

#: The operators without a case that NumPy's types can hold, by the module beside this one that tests them.
WITHOUT_CASES = {
    "test_control": ("If", "Loop", "Scan", "SequenceMap"),
    "test_lp_pool": ("GlobalLpPool",),
    "test_quantized": (
        "com.microsoft::DequantizeLinear",
        "com.microsoft::QGemm",
        "com.microsoft::QLinearAdd",
        "com.microsoft::QLinearAveragePool",
        "com.microsoft::QLinearConcat",
        "com.microsoft::QLinearGlobalAveragePool",
        "com.microsoft::QLinearLeakyRelu",
        "com.microsoft::QLinearMul",
        "com.microsoft::QLinearSigmoid",
        "com.microsoft::QLinearSoftmax",
        "com.microsoft::QuantizeLinear",
    ),
    "test_sequence": (
        "ConcatFromSequence",
        "SequenceAt",
        "SequenceConstruct",
        "SequenceEmpty",
        "SequenceErase",
        "SequenceInsert",
        "SequenceLength",
        "SplitToSequence",
    ),
}


@functools.cache
def node_cases():
    """ONNX's node cases by the key of their operator; those with graphs in them, or that spell operators out, are left out."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        cases = load_model_tests(kind="node")
    found = {}
    for case in cases:
        if "_expanded" not in case.name:
            (node,) = case.model.graph.node
            if any(a.type == onnx.AttributeProto.GRAPH for a in node.attribute):
                continue
            found.setdefault(f"{node.domain}::{node.op_type}" if node.domain else node.op_type, []).append(case)
    return found


def cases_of(key):
    """The node cases of an operator that are of NumPy's types: there are some, unless WITHOUT_CASES has the operator."""
    cases = [case for case in node_cases().get(key, ()) if not other_types(case.model)]
    assert bool(cases) != (key in set().union(*WITHOUT_CASES.values()))
    return cases


def attribute(proto):
    value = onnx.helper.get_attribute_value(proto)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    if isinstance(value, int | float):
        return value
    return [v.decode() if isinstance(v, bytes) else v for v in value]


def as_array(data):
    return numpy_helper.to_array(data) if isinstance(data, onnx.TensorProto) else np.asarray(data)


def other_types(model):
    """Whether the model has elements of a type that NumPy has not, or other values than tensors."""
    numpy = {number for number, t in DATA_TYPES.items() if t.numpy not in ("", "object") and hasattr(np, t.numpy)}
    return not numpy.issuperset(e.type.tensor_type.elem_type for e in (*model.graph.input, *model.graph.output))
