"""fastconv.backend as ONNX's interface asks for it; what it computes is for tests/onnx_suite to test."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
from google.protobuf.message import EncodeError
from onnx import TensorProto, helper
from onnx.backend.base import Backend, BackendRep

import fastconv.backend
from fastconv.errors import InputError, UnsupportedError

A, B = np.arange(6, dtype=np.float32).reshape(2, 3), np.ones((2, 3), np.float32)


def model(op_type="Sub"):
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (2, 3)) for name in "aby"]
    return helper.make_model(helper.make_graph([helper.make_node(op_type, ["a", "b"], ["y"])], "g", infos[:2], infos[2:]))


def test_prepare_and_run():
    rep = fastconv.backend.prepare(model(), threads=1)
    assert isinstance(rep, BackendRep)
    for inputs in ([A, B], (A, B), {"b": B, "a": A}):
        outputs = rep.run(inputs)
        assert isinstance(outputs, tuple)
        np.testing.assert_array_equal(outputs, [A - B])
    np.testing.assert_array_equal(fastconv.backend.run_model(model(), [A, B]), [A - B])


def test_run_node():
    (y,) = fastconv.backend.run_node(helper.make_node("Sub", ["a", "a"], ["y"]), [A])
    np.testing.assert_array_equal(y, A - A)
    (y,) = fastconv.backend.run_node(helper.make_node("Clip", ["x", "", "most"], ["y"]), [A, np.float32(3)])
    np.testing.assert_array_equal(y, np.minimum(A, 3))
    (y,) = fastconv.backend.run_node(helper.make_node("Clip", ["x"], ["y"], max=3.0), [A], opset_version=6)
    np.testing.assert_array_equal(y, np.minimum(A, 3))


def test_devices():
    assert fastconv.backend.supports_device("CPU")
    assert fastconv.backend.supports_device("CPU:0")
    assert not fastconv.backend.supports_device("CUDA")
    with pytest.raises(InputError, match="device: expected 'CPU', got 'CUDA:1'"):
        fastconv.backend.prepare(model(), "CUDA:1")


def test_errors():
    with pytest.raises(UnsupportedError, match="NoSuchOperator"):
        fastconv.backend.prepare(model("NoSuchOperator"))
    with pytest.raises(InputError, match="the model has 2 inputs \\('a', 'b'\\), got 1"):
        fastconv.backend.run_model(model(), [A])
    with pytest.raises(InputError, match="the node reads 2 values \\('a', 'b'\\), got 3 arrays"):
        fastconv.backend.run_node(helper.make_node("Sub", ["a", "b"], ["y"]), [A, B, B])


def test_a_model_that_protobuf_does_not_write():
    class Large:
        def SerializeToString(self):
            raise EncodeError("Failed to serialize proto")

    with pytest.raises(InputError, match="protobuf writes less than 2 GiB"):
        fastconv.backend.prepare(Large())


def test_it_is_onnx_interface():
    for name in fastconv.backend.__all__:
        if hasattr(Backend, name):
            assert callable(getattr(fastconv.backend, name))
    assert issubclass(fastconv.backend.FastconvBackend, Backend)


def test_without_the_onnx_package_the_error_names_the_extra():
    code = """
        import sys
        sys.modules["onnx"] = None
        import fastconv
        try:
            import fastconv.backend
        except ImportError as e:
            print(e)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "fastconv.backend needs the onnx package: pip install 'fastconv[onnx]'", done.stderr
