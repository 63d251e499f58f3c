"""fastconv.compat.onnxruntime: its interface, and the same answers and errors as onnxruntime's where that is installed.

FASTCONV_MODELS names a folder of trained networks, as in tests/networks/test_trained.py.
"""

import builtins
import os
import re
import subprocess
import sys
import threading
import warnings
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import fastconv
import fastconv.compat.onnxruntime as ort
from fastconv.errors import ModelWarning, SlowPathWarning

from ..kernels.test_loader import python

FOLDER = os.environ.get("FASTCONV_MODELS")
ENGINES = ["fastconv.compat.onnxruntime", "onnxruntime"]


@pytest.fixture(scope="module")
def onnx_bytes():
    """y = x·w + 1 and z = relu(y), where w (a default) is listed among the inputs; sizes N, ? and 2."""
    onnx = pytest.importorskip("onnx")
    h, FLOAT = onnx.helper, onnx.TensorProto.FLOAT
    x, y, z = (h.make_tensor_value_info(name, FLOAT, ["N", 3, "?", None]) for name in "xyz")
    nodes = [h.make_node("Mul", ["x", "w"], ["m"]), h.make_node("Add", ["m", "b"], ["y"]), h.make_node("Relu", ["y"], ["z"])]
    weights = [h.make_tensor("w", FLOAT, [1], [2]), h.make_tensor("b", FLOAT, [1], [1])]
    w = h.make_tensor_value_info("w", FLOAT, [1])
    graph = h.make_graph(nodes, "graph", [x, w], [y, z], weights, doc_string="of graph")
    model = h.make_model(
        graph,
        opset_imports=[h.make_opsetid("", 13)],
        ir_version=8,
        producer_name="tests",
        domain="here",
        doc_string="of model",
    )
    model.model_version = 7
    h.set_model_props(model, {"names": "{0: 'cat'}"})
    return model.SerializeToString()


@pytest.fixture(params=ENGINES)
def engine(request):
    """fastconv.compat.onnxruntime, and onnxruntime where it is installed."""
    engine = pytest.importorskip(request.param)
    engine.set_default_logger_severity(3)
    return engine


def session_of(engine, model, *args, **kwargs):
    """A session, in a fixture of both engines."""
    return engine.InferenceSession(model, *args, providers=["CPUExecutionProvider"], **kwargs)


X = np.arange(-6, 6, dtype=np.float32).reshape(1, 3, 2, 2)
Y = 2 * X + 1
Z = np.maximum(Y, 0)


# ---- the interface, as both engines have it


def test_what_a_session_says_about_its_model(engine, onnx_bytes):
    session = session_of(engine, onnx_bytes)
    inputs, outputs = session.get_inputs(), session.get_outputs()
    assert [(i.name, i.shape, i.type) for i in inputs] == [("x", ["N", 3, "?", None], "tensor(float)")]
    assert [(o.name, o.shape, o.type) for o in outputs] == [(n, ["N", 3, "?", None], "tensor(float)") for n in "yz"]
    about = session.get_modelmeta()
    assert about.custom_metadata_map == {"names": "{0: 'cat'}"}
    assert (about.producer_name, about.graph_name, about.domain, about.version) == ("tests", "graph", "here", 7)
    assert (about.description, about.graph_description) == ("of model", "of graph")
    assert session.get_providers() == ["CPUExecutionProvider"]
    assert session.get_provider_options() == {"CPUExecutionProvider": {}}
    assert session.end_profiling() == ""


def test_a_run_returns_the_named_outputs_in_order(engine, onnx_bytes, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx_bytes)
    for source in (onnx_bytes, path, str(path)):
        session = session_of(engine, source)
        for names, expected in ((None, [Y, Z]), ([], [Y, Z]), (["z"], [Z]), (["z", "y", "z"], [Z, Y, Z])):
            results = session.run(names, {"x": X}, engine.RunOptions())
            assert isinstance(results, list)
            np.testing.assert_array_equal(results, expected)


def test_inputs_may_be_lists_and_ort_values(engine, onnx_bytes):
    session = session_of(engine, onnx_bytes)
    value = engine.OrtValue.ortvalue_from_numpy(X)
    np.testing.assert_array_equal(session.run(["z"], {"x": X.tolist()})[0], Z)
    np.testing.assert_array_equal(session.run(["z"], {"x": value})[0], Z)
    np.testing.assert_array_equal(session.run_with_ort_values(["z"], {"x": value})[0].numpy(), Z)
    np.testing.assert_array_equal(session.run(["z"], {"x": X.transpose(0, 1, 3, 2)})[0], Z.transpose(0, 1, 3, 2))


def test_an_ort_value_is_the_memory_of_an_array(engine):
    array = np.zeros((2, 3), np.float32)
    value = engine.OrtValue.ortvalue_from_numpy(array)
    array[:] = 5
    assert value.numpy()[0, 0] == 5
    assert (value.shape(), value.data_type(), value.element_type(), value.device_name()) == ([2, 3], "tensor(float)", 1, "cpu")
    assert (value.has_value(), value.is_tensor(), value.data_ptr()) == (True, True, array.ctypes.data)
    assert (value.is_sparse_tensor(), value.is_tensor_sequence()) == (False, False)
    empty = engine.OrtValue.ortvalue_from_shape_and_type([2, 3], np.float32)
    empty.update_inplace(array)
    np.testing.assert_array_equal(empty.numpy(), array)
    with pytest.raises(RuntimeError, match="does not match the size"):
        empty.update_inplace(np.zeros(4, np.float32))
    for bad in ([1.0], np.array(["a"])):
        with pytest.raises(RuntimeError, match="Creation of OrtValues"):
            engine.OrtValue.ortvalue_from_numpy(bad)
    with pytest.raises(RuntimeError, match="allocate memory on the device"):
        engine.OrtValue.ortvalue_from_numpy(array, "cuda", 0)


def test_names_of_types():
    names = {"float64": "double", "float16": "float16", "uint8": "uint8", "int64": "int64", "bool": "bool"}
    for dtype, name in names.items():
        assert ort.OrtValue.ortvalue_from_numpy(np.zeros(1, dtype)).data_type() == f"tensor({name})"


def test_a_binding_gives_inputs_and_takes_outputs(engine, onnx_bytes):
    session = session_of(engine, onnx_bytes)
    out = np.zeros_like(Z)
    binding = session.io_binding()
    binding.bind_input("x", "cpu", 0, np.float32, X.shape, X.ctypes.data)
    binding.bind_output("z", "cpu", 0, np.float32, out.shape, out.ctypes.data)
    binding.bind_output("y")
    session.run_with_iobinding(binding)
    np.testing.assert_array_equal(out, Z)
    np.testing.assert_array_equal([v.numpy() for v in binding.get_outputs()], [Z, Y])
    np.testing.assert_array_equal(binding.copy_outputs_to_cpu(), [Z, Y])

    binding.clear_binding_outputs()
    value = engine.OrtValue.ortvalue_from_shape_and_type(X.shape, np.float32)
    binding.bind_cpu_input("x", X + 1)
    binding.bind_ortvalue_output("y", value)
    session.run_with_iobinding(binding)
    np.testing.assert_array_equal(value.numpy(), Y + 2)


def test_a_binding_that_does_not_fit(engine, onnx_bytes):
    session = session_of(engine, onnx_bytes)
    binding = session.io_binding()
    with pytest.raises(RuntimeError, match="Failed to find NodeArg with name: q"):
        binding.bind_cpu_input("q", X)
    with pytest.raises(RuntimeError, match="At least one output should be requested"):
        session.run_with_iobinding(binding)
    binding.bind_output("z")
    with pytest.raises(RuntimeError, match="Error in execution: "):
        session.run_with_iobinding(binding)
    binding.bind_cpu_input("x", X[0])
    with pytest.raises(RuntimeError, match="Error in execution: Invalid rank for input: x"):
        session.run_with_iobinding(binding)
    binding.bind_cpu_input("x", X)
    binding.bind_ortvalue_output("z", engine.OrtValue.ortvalue_from_shape_and_type([1, 3, 9, 2], np.float32))
    with pytest.raises(RuntimeError, match="Error in execution: "):
        session.run_with_iobinding(binding)


def test_what_is_not_bound(onnx_bytes):
    """onnxruntime raises RuntimeError too, and some of its versions abort the process."""
    binding = ort.InferenceSession(onnx_bytes).io_binding()
    with pytest.raises(RuntimeError, match="Unable to create OrtValue from the given python object: list"):
        binding.bind_cpu_input("x", X.tolist())
    with pytest.raises(RuntimeError, match="Can't allocate memory on the device 'cuda'"):
        binding.bind_input("x", "cuda", 0, np.float32, X.shape, X.ctypes.data)
    with pytest.raises(RuntimeError, match="Can't allocate memory on the device 'cuda'"):
        binding.bind_output("z", "cuda")


INVALID, MISSING = "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : ", "Required inputs (['x']) are missing from input feed ("
DIMENSIONS = "Got invalid dimensions for input: x for the following indices\n index: 1 Got: 4 Expected: 3\n Please fix"


@pytest.mark.parametrize(
    ("names", "feed", "kind", "message"),
    [
        (None, {}, "ValueError", f"{MISSING}[])."),
        (None, {"q": X}, "ValueError", f"{MISSING}['q'])."),
        (None, {"x": X, "q": X}, "InvalidArgument", f"{INVALID}Invalid input name: q"),
        (["q"], {"x": X}, "InvalidArgument", f"{INVALID}Invalid output name:q"),
        (None, {"x": X[0]}, "InvalidArgument", f"{INVALID}Invalid rank for input: x Got: 3 Expected: 4 Please fix either"),
        (None, {"x": np.zeros((1, 4, 2, 2), np.float32)}, "InvalidArgument", INVALID + DIMENSIONS),
        (
            None,
            {"x": X.astype(np.float64)},
            "InvalidArgument",
            f"{INVALID}Unexpected input data type. Actual: (tensor(double)) , expected: (tensor(float))",
        ),
        (None, {"x": None}, "Fail", "[ONNXRuntimeError] : 1 : FAIL : "),
        (None, {"x": ["a"]}, "RuntimeError", "Could not create tensor from given input list"),
        (None, [X], "AttributeError", "'list' object has no attribute 'keys'"),
        ("z", {"x": X}, "TypeError", "run(): "),
    ],
    ids=[
        "no-input",
        "another-input",
        "unknown-input",
        "unknown-output",
        "rank",
        "sizes",
        "dtype",
        "none",
        "text",
        "list",
        "one-name",
    ],
)
def test_a_wrong_call_raises_the_same_error(engine, onnx_bytes, names, feed, kind, message):
    session = session_of(engine, onnx_bytes)
    errors = engine.capi.onnxruntime_pybind11_state
    with pytest.raises(getattr(errors, kind, None) or getattr(builtins, kind)) as e:
        session.run(names, feed)
    assert str(e.value).startswith(message)


def test_a_wrong_model_raises_the_same_error(engine, onnx_bytes, tmp_path):
    errors = engine.capi.onnxruntime_pybind11_state
    truncated, empty = tmp_path / "truncated.onnx", tmp_path / "empty.onnx"
    empty.touch()
    truncated.write_bytes(onnx_bytes[:100])
    no_protobuf, no_graph = "failed:Protobuf parsing failed.", "No graph was found in the protobuf."
    for source, kind, message in (
        ("/nowhere/x.onnx", "NoSuchFile", "3 : NO_SUCHFILE : Load model from /nowhere/x.onnx failed:"),
        (onnx_bytes[:100], "InvalidProtobuf", "7 : INVALID_PROTOBUF : Failed to load model because protobuf parsing failed."),
        (truncated, "InvalidProtobuf", f"7 : INVALID_PROTOBUF : Load model from {truncated} {no_protobuf}"),
        (tmp_path, "InvalidProtobuf", f"7 : INVALID_PROTOBUF : Load model from {tmp_path} {no_protobuf}"),
        (b"no model", "InvalidProtobuf", "7 : INVALID_PROTOBUF : Failed to load model because protobuf parsing failed."),
        (b"", "InvalidArgument", f"2 : INVALID_ARGUMENT : {no_graph}"),
        (onnx_bytes[:2], "InvalidArgument", f"2 : INVALID_ARGUMENT : {no_graph}"),
        (
            empty,
            "InvalidArgument",
            f"2 : INVALID_ARGUMENT : Load model from {empty} failed:{no_graph}",
        ),
    ):
        with pytest.raises(getattr(errors, kind), match=re.escape(f"[ONNXRuntimeError] : {message}")):
            session_of(engine, source)
    with pytest.raises(TypeError, match="Unable to load from type '<class 'int'>'"):
        session_of(engine, 3)


def test_an_operator_that_is_not_implemented(onnx_bytes):
    model = onnx_bytes.replace(b"Relu", b"Fold")
    with pytest.raises(ort.capi.onnxruntime_pybind11_state.NotImplemented, match=r"9 : NOT_IMPLEMENTED : .*\n.*Fold"):
        ort.InferenceSession(model)


def test_an_initializer_among_the_inputs_may_be_replaced(engine, onnx_bytes, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx_bytes)
    errors = engine.capi.onnxruntime_pybind11_state
    for source in (onnx_bytes, path):
        session = session_of(engine, source)
        assert [(w.name, w.shape, w.type) for w in session.get_overridable_initializers()] == [("w", [1], "tensor(float)")]
        for w in (3, 0):
            np.testing.assert_array_equal(session.run(["y"], {"x": X, "w": np.float32([w])})[0], w * X + 1)
        np.testing.assert_array_equal(session.run(["y"], {"x": X})[0], Y)
        with pytest.raises(errors.InvalidArgument, match="Got invalid dimensions for input: w"):
            session.run(None, {"x": X, "w": np.zeros(2, np.float32)})
        with pytest.raises(errors.InvalidArgument, match="Invalid input name: b"):
            session.run(None, {"x": X, "b": np.zeros(1, np.float32)})


def test_an_initializer_of_an_old_file_is_constant(engine, onnx_bytes):
    """Before IR version 4 every initializer had to be listed among the inputs."""
    session = session_of(engine, onnx_bytes.replace(b"\x08\x08", b"\x08\x03", 1))
    assert session.get_overridable_initializers() == []
    with pytest.raises(engine.capi.onnxruntime_pybind11_state.InvalidArgument, match="Invalid input name: w"):
        session.run(None, {"x": X, "w": np.zeros(1, np.float32)})


def test_a_size_is_given_to_a_symbol(engine, onnx_bytes):
    options = engine.SessionOptions()
    options.add_free_dimension_override_by_name("N", 2)
    options.add_free_dimension_override_by_denotation("DATA_CHANNEL", 3)
    session = session_of(engine, onnx_bytes, options)
    assert session.get_inputs()[0].shape == [2, 3, "?", None]
    np.testing.assert_array_equal(session.run(["z"], {"x": np.concatenate([X, X])})[0], np.concatenate([Z, Z]))
    with pytest.raises(engine.capi.onnxruntime_pybind11_state.InvalidArgument, match="index: 0 Got: 1 Expected: 2"):
        session.run(None, {"x": X})


def test_a_run_in_a_thread_calls_back(engine, onnx_bytes):
    session = session_of(engine, onnx_bytes)
    for names, x, expected in (
        (["z"], X, ([Z.tolist()], "data", "")),
        (["z"], X[0], ([], "data", "Invalid rank for input: x Got: 3 Expected: 4 Please fix")),
        (["q"], X, ([], "data", "Invalid output name")),
    ):
        calls, called = [], threading.Event()

        def callback(results, data, error, calls=calls, called=called):
            calls.append(([r.tolist() for r in results], data, error, threading.current_thread() is threading.main_thread()))
            called.set()

        session.run_async(names, {"x": x}, callback, "data")
        assert called.wait(10)
        ((results, data, error, here),) = calls
        assert (results, data, error[: len(expected[2])], here) == (*expected, False)
        assert bool(error) == bool(expected[2])
    with pytest.raises(ValueError, match="Required inputs"):
        session.run_async(None, {}, print, None)


def test_a_run_that_is_to_terminate(engine, onnx_bytes):
    options = engine.RunOptions()
    options.terminate = True
    with pytest.raises(engine.capi.onnxruntime_pybind11_state.Fail, match="Exiting due to terminate flag"):
        session_of(engine, onnx_bytes).run(None, {"x": X}, options)


def test_sparse_tensors_are_not_implemented():
    value = ort.OrtValue.ortvalue_from_numpy(X)
    assert not isinstance(value, ort.SparseTensor)
    with pytest.raises(ort.capi.onnxruntime_pybind11_state.NotImplemented, match="fastconv has no sparse tensors"):
        ort.SparseTensor.sparse_coo_from_numpy([3], np.ones(1), np.zeros(1), None)


def test_a_name_that_is_not_there():
    for thing, name in ((ort, "OrtDevice"), (ort.InferenceSession, "get_tuning_results")):
        with pytest.raises(AttributeError, match=name):
            getattr(thing, name)


def test_a_file_is_read_once(onnx_bytes, tmp_path, monkeypatch):
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx_bytes)
    opened = []
    real = builtins.open
    monkeypatch.setattr(builtins, "open", lambda *args, **kwargs: opened.append(args[0]) or real(*args, **kwargs))
    ort.InferenceSession(path)
    assert opened.count(str(path)) == 1


def test_a_node_that_fails(onnx_bytes):
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string(onnx_bytes)
    model.graph.initializer[1].CopyFrom(onnx.helper.make_tensor("b", 1, [5], [1] * 5))
    session = ort.InferenceSession(model.SerializeToString())
    with pytest.raises(ort.capi.onnxruntime_pybind11_state.RuntimeException, match=r"6 : RUNTIME_EXCEPTION : .*Add"):
        session.run(None, {"x": X})


def test_strings_and_another_byte_order(onnx_bytes):
    onnx = pytest.importorskip("onnx")
    h, STRING = onnx.helper, onnx.TensorProto.STRING
    x, y = (h.make_tensor_value_info(name, STRING, ["N"]) for name in "xy")
    graph = h.make_graph([h.make_node("Identity", ["x"], ["y"])], "g", [x], [y])
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 13)], ir_version=8).SerializeToString()
    session = ort.InferenceSession(model)
    assert session.get_inputs()[0].type == "tensor(string)"
    for strings in (["a", "bc"], np.array(["a", "bc"]), np.array(["a", "bc"], object)):
        assert session.run(None, {"x": strings})[0].tolist() == ["a", "bc"]
    np.testing.assert_array_equal(ort.InferenceSession(onnx_bytes).run(["z"], {"x": X.astype(">f4")})[0], Z)


@pytest.mark.filterwarnings("ignore:EP Error")
def test_providers_that_are_not_here(engine, onnx_bytes):
    """onnxruntime warns, and the CPU runs the model; a later choice of an unknown one is an error."""
    with pytest.warns(UserWarning, match="Specified provider 'CUDAExecutionProvider' is not in available provider names"):
        session = engine.InferenceSession(onnx_bytes, providers=["CUDAExecutionProvider", "CPUExecutionProvider"])
    assert session.get_providers() == ["CPUExecutionProvider"]
    with pytest.warns(UserWarning, match="Specified provider 'Nope'"):
        session = engine.InferenceSession(onnx_bytes, providers=["Nope"])
    assert session.get_providers() == ["CPUExecutionProvider"]
    with pytest.raises(RuntimeError, match="Unknown Provider Type: Nope"), pytest.warns(UserWarning, match="'Nope'"):
        session.set_providers(["Nope"])
    with pytest.raises(ValueError, match="should be the same length"):
        engine.InferenceSession(
            onnx_bytes, providers=["CPUExecutionProvider"], provider_options=[{}, {}], enable_fallback=False
        )
    session = engine.InferenceSession(onnx_bytes, None, [("CPUExecutionProvider", {"arena_extend_strategy": "x"})])
    np.testing.assert_array_equal(session.run(["z"], {"x": X})[0], Z)


def test_options_are_kept(engine, onnx_bytes):
    options = engine.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = engine.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.execution_mode = engine.ExecutionMode.ORT_SEQUENTIAL
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    options.log_severity_level = 3
    options.add_session_config_entry("session.dynamic_block_base", "4")
    assert options.get_session_config_entry("session.dynamic_block_base") == "4"
    with pytest.raises(RuntimeError, match="does not have configuration with key: q"):
        options.get_session_config_entry("q")
    with pytest.raises(TypeError):
        options.intra_op_num_threads = "4"
    with pytest.raises(engine.capi.onnxruntime_pybind11_state.Fail, match="Failed to load library"):
        options.register_custom_ops_library("/nowhere.so")
    session = session_of(engine, onnx_bytes, options)
    assert session.get_session_options().intra_op_num_threads == 1
    np.testing.assert_array_equal(session.run(["z"], {"x": X})[0], Z)


def test_an_unknown_option_is_kept_with_one_warning():
    options = ort.SessionOptions()
    with pytest.warns(UserWarning, match=r"^SessionOptions.of_the_future is unknown .* no effect$"):
        options.of_the_future = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        options.of_the_future = {1: 2}
    assert options.of_the_future == {1: 2}


def test_the_threads_are_those_of_the_options(onnx_bytes):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    assert ort.InferenceSession(onnx_bytes, options)._model.threads == 1


def test_the_functions_for_a_whole_process(engine):
    assert "CPUExecutionProvider" in engine.get_available_providers()
    assert set(engine.get_available_providers()) <= set(engine.get_all_providers())
    assert engine.get_device() == "CPU"
    engine.set_seed(1)
    engine.disable_telemetry_events()
    engine.set_default_logger_verbosity(0)
    with pytest.raises(RuntimeError, match="Invalid logging severity"):
        engine.set_default_logger_severity(9)


def test_names_are_onnxruntime_s_own():
    real = pytest.importorskip("onnxruntime")
    assert [n for n in ort.__all__ if not hasattr(real, n)] == []
    for module in ("capi.onnxruntime_pybind11_state", "capi._pybind_state", "capi.onnxruntime_inference_collection"):
        ours, theirs = (import_module(f"{engine}.{module}") for engine in ENGINES)
        assert [n for n in vars(ours) if not n.startswith("_") and not hasattr(theirs, n)] == []
    assert ort.get_all_providers() == real.get_all_providers()
    for kind in (ort.InferenceSession, ort.IOBinding, ort.OrtValue, ort.SessionOptions, ort.RunOptions, ort.ModelMetadata):
        theirs = getattr(real, kind.__name__)
        assert [n for n in vars(kind) if not n.startswith("_") and not hasattr(theirs, n)] == []


def test_threads_share_a_session(onnx_bytes):
    session = ort.InferenceSession(onnx_bytes)
    results = {}

    def work(i):
        x = np.full((1 + i % 3, 3, 4, 4), i, np.float32)
        results[i] = all((session.run(["z"], {"x": x})[0] == 2 * i + 1).all() for _ in range(20))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert list(results.values()) == [True] * 8


# ---- trained networks


@pytest.mark.slow
@pytest.mark.skipif(not FOLDER, reason="FASTCONV_MODELS names no folder of trained networks")
@pytest.mark.parametrize("name", ["squeezenet1_1_imagenet", "movenet_lightning_192_heads", "emotion_64", "mtcnn_onet"])
def test_trained_networks_answer_as_in_onnxruntime(name):
    real = pytest.importorskip("onnxruntime")
    real.set_default_logger_severity(3)
    path = Path(FOLDER, f"{name}.onnx")
    with np.load(path.with_suffix(".npz")) as arrays:
        feed = {key.removeprefix("in:"): arrays[key] for key in arrays if key.startswith("in:")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ModelWarning)
        warnings.simplefilter("ignore", SlowPathWarning)
        ours, theirs = (session_of(engine, path) for engine in (ort, real))
        results = ours.run(None, feed)
    for get in ("get_inputs", "get_outputs"):
        described = [[(a.name, a.shape, a.type) for a in getattr(s, get)()] for s in (ours, theirs)]
        assert described[0] == described[1]
    for a, b in zip(results, theirs.run(None, feed), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * np.abs(b).max())


# ---- programs that import onnxruntime

PROGRAM = """
import sys
import onnxruntime as ort
import onnxruntime.capi._pybind_state as C
from onnxruntime.capi.onnxruntime_pybind11_state import NoSuchFile
try:
    ort.InferenceSession("/nowhere.onnx")
except NoSuchFile:
    print(ort.__name__, C.get_available_providers(), sys.argv[1:], __name__)
"""


def test_install_and_uninstall():
    after = "fastconv.compat.uninstall(); print('onnxruntime' in sys.modules)"
    code = f"import fastconv; fastconv.compat.install()\n{PROGRAM}\n{after}"
    expected = "fastconv.compat.onnxruntime ['CPUExecutionProvider'] [] __main__\nFalse\n"
    assert python(code) == (expected, "", 0)


def test_install_comes_before_onnxruntime():
    code = """
    import sys, types
    sys.modules["onnxruntime"] = types.ModuleType("onnxruntime")
    import fastconv
    try:
        fastconv.compat.install()
    except fastconv.FastconvError as e:
        print(e)
    """
    assert python(code) == ("onnxruntime was imported before: call fastconv.compat.install() first\n", "", 0)


def run_program(folder, *arguments):
    """(what `python -m fastconv.compat` prints, its errors, its exit code)."""
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(fastconv.__file__).parents[1]), str(folder)])}
    done = subprocess.run(
        [sys.executable, "-m", "fastconv.compat", *arguments], env=env, capture_output=True, text=True, timeout=60
    )
    return done.stdout, done.stderr, done.returncode


@pytest.mark.slow
@pytest.mark.parametrize("module", [False, True], ids=["script", "module"])
def test_a_program_runs_unchanged(tmp_path, module):
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    program = ["-m", "program"] if module else [str(path)]
    expected = "fastconv.compat.onnxruntime ['CPUExecutionProvider'] ['a', '--b'] __main__\n"
    assert run_program(tmp_path, *program, "a", "--b") == (expected, "", 0)


@pytest.mark.slow
def test_a_program_that_is_not_there(tmp_path):
    assert run_program(tmp_path, "/nowhere.py") == ("", "no such file: /nowhere.py\n", 2)
    for arguments in ([], ["--help"]):
        out, err, code = run_program(tmp_path, *arguments)
        assert (out, err.partition(" ")[0], code) == ("", "usage:", 2)


@pytest.mark.slow
def test_it_is_imported_when_it_is_asked_for():
    out, _, _ = python("import fastconv, sys; fastconv.load(fastconv.data.DIGITS); print(*sys.modules)")
    assert not [m for m in out.split() if m.startswith("fastconv.compat")]
