"""What fuzzing found (python -m tests.fuzz), each as the smallest model that shows it."""

import pytest

import fastconv
from fastconv.errors import ModelError, UnsupportedError

from ..support.onnx_dicts import info, ints, model, node


@pytest.mark.parametrize("op_type", ["Re\x1b[31mlu", "Relu\n", "\u202eRelu", "R" * 10_000])
def test_the_name_of_an_unknown_operator_is_escaped_and_short(op_type):
    with pytest.raises(UnsupportedError, match=r"node 'y' \(.*\) at graph\.node\[0\]: operator not supported") as e:
        fastconv.load(model([node(op_type, ["x"], ["y"])]))
    assert all(line.isprintable() and len(line) < 200 for line in str(e.value).splitlines())
    assert len(str(e.value).splitlines()) == 2


@pytest.mark.parametrize("op_type, attributes", [("AveragePool", [ints("kernel_shape", 2, 2)]), ("GlobalAveragePool", [])])
def test_an_average_of_integers(op_type, attributes):
    """It was cut to an integer, where the reference has the mean; ONNX has averages of floating-point numbers only."""
    m = model([node(op_type, ["x"], ["y"], *attributes)], inputs=[info("x", 1, 3, 8, 8, elem_type=3)])
    with pytest.raises(ModelError, match=r"node 'y' .*: input: expected .*float.*, got int8"):
        fastconv.load(m)
