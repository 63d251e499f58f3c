"""ONNX's own conformance cases, through every operator's `upgrade`, `infer` and `reference`.

A case is a small model with inputs and the outputs expected. Every case of a registered operator passes, or is named here with
the reason why not. The newest forms come from ONNX's node cases; old ones from models that PyTorch wrote in opset 6.
"""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests

from fastconv.evaluate import evaluate
from fastconv.graph import Value
from fastconv.ops import REGISTRY, NodeSpec, make_node

from .onnx_cases import WITHOUT_CASES, as_array, attribute, cases_of

pytestmark = pytest.mark.slow  # it takes seconds to make ONNX's cases

# Operators whose output sizes depend on the elements of their inputs.
DATA_DEPENDENT = {"Compress", "NonMaxSuppression", "NonZero", "Unique"}

# Cases that state inputs and outputs with few digits, and how many.
FEW_DIGITS = {"test_averagepool_2d_ceil_last_window_starts_on_pad": 4, "test_gridsample*": 4, "test_roialign*": 4}

# In roundings of the largest element: reductions in another order make the few below.
ROUNDINGS = 8

# Operators whose cases have no input in float32.
WITHOUT_FLOAT32 = (
    "And BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Constant ConstantOfShape ConvInteger CumProd CumSum Einsum Equal "
    "EyeLike MatMulInteger NonZero Not OptionalHasElement Or Trilu Xor"
)

# What the classic networks consist of: none of them may go missing.
CLASSIC = (
    "Add AveragePool BatchNormalization Cast Clip Concat Conv ConvTranspose DepthToSpace Div Dropout Elu Flatten "
    "Gather Gemm GlobalAveragePool GlobalMaxPool HardSigmoid HardSwish Identity InstanceNormalization LRN LeakyRelu "
    "MatMul MaxPool Mul PRelu Pad ReduceMean Relu Reshape Resize Shape Sigmoid Slice Softmax SpaceToDepth Split "
    "Squeeze Sub Sum Tanh Transpose Unsqueeze Upsample"
)


def describe(name, array, how):
    """What is known of a model's input before the run: its elements ("constant"), its shape, or symbols for its shape."""
    if how == "constant":
        return Value(name, constant=array)
    if how == "shape":
        return Value(name, array.shape, array.dtype)
    return Value(name, tuple(f"{name}.{i}" for i in range(array.ndim)), array.dtype)


def run(model, inputs, how):
    """The outputs of a model by `infer` and `reference`, after `how` for each input; checks the one by the other."""
    graph = model.graph
    opsets = {o.domain: o.version for o in model.opset_import}
    constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    names = [i.name for i in graph.input if i.name not in constants]
    values = {name: describe(name, x, h) for name, x, h in zip(names, inputs, how, strict=True)}
    arrays = {values[name]: x for name, x in zip(names, inputs, strict=True)}
    symbols = {f"{name}.{i}": d for name, x in zip(names, inputs, strict=True) for i, d in enumerate(x.shape)}
    values |= {name: Value(name, constant=array) for name, array in constants.items()}
    nodes = []
    for n in graph.node:
        for name in n.output:
            values[name] = Value(name)
        ends = [[values[name] if name else None for name in side] for side in (n.input, n.output)]
        attributes = {a.name: attribute(a) for a in n.attribute}
        nodes.append(make_node(NodeSpec(n.op_type, attributes, *ends, opsets[n.domain], n.name)))
    for node in nodes:
        for value, (shape, dtype) in zip(node.outputs, node.op.infer(*node.inputs), strict=False):
            if value is not None:
                value.shape, value.dtype = shape, dtype
        with np.errstate(all="ignore"):
            evaluate(node, arrays)
        for value in node.results:
            check_inferred(value, arrays[value], symbols)
            if len(nodes) == 1 and set(how) <= {"constant"} and type(node.op).__name__ not in DATA_DEPENDENT:
                assert value.shape == arrays[value].shape
    return [arrays[values[o.name]] for o in graph.output]


def check_inferred(value, array, symbols):
    assert value.dtype is not None
    assert np.dtype(value.dtype) == array.dtype, f"{value}: inferred {value.dtype}, got {array.dtype}"
    if value.shape is not None:
        known = tuple(symbols[d] if isinstance(d, str) else d for d in value.shape)
        fits = len(known) == array.ndim and all(d is None or d == n for d, n in zip(known, array.shape, strict=True))
        assert fits, f"{value}: inferred {value.shape}, got {array.shape}"


def check_outputs(case, got, expected, doubles=False):
    """Compare with the outputs expected; with `doubles`, what is expected in float32 was computed in float64."""
    for y, e in zip(got, map(as_array, expected), strict=True):
        dtype = np.dtype(np.float64) if doubles and e.dtype == np.float32 else e.dtype
        assert (y.dtype, y.shape) == (dtype, e.shape)
        if e.dtype.kind != "f":
            np.testing.assert_array_equal(y, e)
            continue
        size = np.abs(e[np.isfinite(e)]).max(initial=0).astype(np.float64)
        digits = next((d for pattern, d in FEW_DIGITS.items() if fnmatch.fnmatch(case, pattern)), None)
        atol = ROUNDINGS * np.finfo(e.dtype).eps * size if digits is None else 10.0**-digits
        np.testing.assert_allclose(y.astype(np.float64), e.astype(np.float64), rtol=0, atol=atol)


@pytest.mark.parametrize("key", sorted(set(REGISTRY) - DATA_DEPENDENT - {"Upsample"}))  # which becomes Resize
def test_what_says_how_settles_the_shapes(key):
    """With the shapes of all inputs, and the elements of those in `Op.control_inputs`, every shape is known."""
    for case in cases_of(key):
        arrays = iter(map(as_array, case.data_sets[0][0]))
        (n,) = case.model.graph.node
        inputs = [
            describe(name, next(arrays), "constant" if i in REGISTRY[key].control_inputs else "shape") if name else None
            for i, name in enumerate(n.input)
        ]
        attributes = {a.name: attribute(a) for a in n.attribute}
        opset = next(o.version for o in case.model.opset_import if o.domain == n.domain)
        node = make_node(NodeSpec(key, attributes, inputs, [Value(name) for name in n.output], opset))
        shapes = [shape for shape, _ in node.op.infer(*node.inputs)]
        assert all(Value("", shape).known for shape in shapes), f"{case.name}: {shapes}"


@pytest.mark.parametrize("key", sorted(REGISTRY))
def test_node_cases(key):
    for case in cases_of(key):
        for inputs, outputs in case.data_sets:
            arrays = [as_array(x) for x in inputs]
            rest = len(arrays) - 1
            for how in (["constant"] * (rest + 1), ["shape"] * (rest + 1), ["symbol"] + ["constant"] * rest):
                try:
                    check_outputs(case.name, run(case.model, arrays, how[: len(arrays)]), outputs)
                except Exception as e:
                    e.add_note(f"in {case.name} with inputs given as {how}")
                    raise


@pytest.mark.parametrize("key", sorted(set(REGISTRY) - {"BitCast", "DynamicQuantizeLinear"}))
def test_references_compute_in_the_dtype_of_their_inputs(key):
    """References in float64 give the results that kernels are compared with. (Integer results may depend on the precision.)"""
    compared = False
    for case in cases_of(key):
        for inputs, outputs in case.data_sets:
            arrays = [as_array(x) for x in inputs]
            if not any(x.dtype == np.float32 for x in arrays):
                continue
            doubles = [x.astype(np.float64) if x.dtype == np.float32 else x for x in arrays]
            check_outputs(case.name, run(case.model, doubles, ["shape"] * len(doubles)), outputs, doubles=True)
            compared = True
    assert compared != (key in set(WITHOUT_FLOAT32.split()).union(*WITHOUT_CASES.values()))


@pytest.mark.parametrize("module", WITHOUT_CASES)
def test_operators_without_cases_are_tested_beside(module):
    text = Path(__file__).with_name(f"{module}.py").read_text(encoding="utf-8")
    assert [op for op in WITHOUT_CASES[module] if not re.search(rf'\b{op.rpartition(":")[2]}"', text)] == []


def old_models():
    for kind in ("pytorch-converted", "pytorch-operator"):
        for case in load_model_tests(kind=kind):
            yield pytest.param(case.model_dir, id=case.name.removeprefix("test_"))


@pytest.mark.parametrize("folder", list(old_models()))
def test_old_models(folder):
    """Models of opset 6, which PyTorch wrote, with its results."""
    model = onnx.load(Path(folder, "model.onnx"))
    load = {"input": [], "output": []}
    for side, arrays in load.items():
        for i in range(len(list(Path(folder, "test_data_set_0").glob(f"{side}_*.pb")))):
            tensor = onnx.TensorProto()
            tensor.ParseFromString(Path(folder, "test_data_set_0", f"{side}_{i}.pb").read_bytes())
            arrays.append(numpy_helper.to_array(tensor))
    for how in ("shape", "constant"):
        check_outputs(folder, run(model, load["input"], [how] * len(load["input"])), load["output"])


def test_the_classic_operators_are_here():
    assert set(CLASSIC.split()) <= set(REGISTRY)
