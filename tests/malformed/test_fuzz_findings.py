"""What fuzzing found (python -m tests.fuzz), each as the smallest model that shows it."""

import pytest

import fastconv
from fastconv.errors import UnsupportedError

from ..support.onnx_dicts import model, node


@pytest.mark.parametrize("op_type", ["Re\x1b[31mlu", "Relu\n", "\u202eRelu", "R" * 10_000])
def test_the_name_of_an_unknown_operator_is_escaped_and_short(op_type):
    with pytest.raises(UnsupportedError, match=r"node 'y' \(.*\) at graph\.node\[0\]: operator not supported") as e:
        fastconv.load(model([node(op_type, ["x"], ["y"])]))
    assert all(line.isprintable() and len(line) < 200 for line in str(e.value).splitlines())
    assert len(str(e.value).splitlines()) == 2
