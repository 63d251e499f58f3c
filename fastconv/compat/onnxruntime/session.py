"""InferenceSession: a model with onnxruntime's interface; IOBinding: its inputs and outputs, bound before a run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...dtypes import is_sequence
from ...errors import FastconvError, ModelError, UnsupportedError, warn
from ...model import Model
from ...onnx_json import wire
from ...tensor_info import TensorInfo
from .errors import (
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
    NoSuchFile,
    NotImplemented,
    RuntimeException,
    failure,
)
from .options import RunOptions, SessionOptions
from .providers import CPU, check_providers
from .values import ModelMetadata, NodeArg, OrtValue, array_at, dtype_of, type_name

if TYPE_CHECKING:
    from numpy.typing import DTypeLike


#: the version of a model that states none, as onnxruntime reports it
_NO_VERSION = (1 << 63) - 1


class InferenceSession:
    """A model that is ready to run, with onnxruntime's interface. Any number of threads may call it at once.

    Parameters
    ----------
    path_or_bytes : str, os.PathLike or bytes
        The `.onnx` file, or its contents.
    sess_options : SessionOptions, optional
        `intra_op_num_threads` is the number of threads; default: as in `fastconv.load`.
    providers, provider_options : sequence, optional
        Names, or names and options, of onnxruntime's providers. The CPU runs the model, whatever they are.
    **kwargs
        `enable_fallback=False` raises errors in `providers`, in place of a warning.

    Raises
    ------
    NoSuchFile, InvalidProtobuf, InvalidGraph, NotImplemented
        Of `capi.onnxruntime_pybind11_state`, as onnxruntime raises them.
    TypeError
        If `path_or_bytes` is none of its types.
    """

    def __init__(
        self,
        path_or_bytes: str | os.PathLike[str] | bytes,
        sess_options: SessionOptions | None = None,
        providers: Sequence[str | tuple[str, dict[Any, Any]]] | None = None,
        provider_options: Sequence[dict[Any, Any]] | None = None,
        **kwargs: Any,
    ):
        if not isinstance(path_or_bytes, str | os.PathLike | bytes):
            raise TypeError(f"Unable to load from type '{type(path_or_bytes)}'")
        try:
            check_providers(providers, provider_options)
        except (ValueError, RuntimeError) as e:
            if not int(kwargs.get("enable_fallback", 1)):
                raise
            warn(f"EP Error {e} when using {providers}; falling back to {[CPU]}", UserWarning)
        self._options = sess_options or SessionOptions()
        header = _header(path_or_bytes)
        threads = self._options.intra_op_num_threads
        try:
            self._model = Model(path_or_bytes, threads=threads if threads > 0 else None)
        except UnsupportedError as e:
            raise failure(NotImplemented, e) from e
        except ModelError as e:
            raise failure(InvalidGraph, f"This is an invalid model. {e}") from e
        graph = header["graph"]
        declared = {info.get("name"): info for info in (*graph.get("input", ()), *graph.get("output", ()))}
        self._input_infos = {info.name: info for info in self._model.inputs}
        self._inputs = [_node_arg(info, declared[info.name]) for info in self._model.inputs]
        self._outputs = [_node_arg(info, declared[info.name]) for info in self._model.outputs]
        self._metadata = ModelMetadata(
            custom_metadata_map=dict(self._model.metadata),
            description=header.get("doc_string", ""),
            domain=header.get("domain", ""),
            graph_description=graph.get("doc_string", ""),
            graph_name=graph.get("name", ""),
            producer_name=header.get("producer_name", ""),
            version=header.get("model_version", _NO_VERSION),
        )

    def get_inputs(self) -> list[NodeArg]:
        """The inputs that a run needs."""
        return list(self._inputs)

    def get_outputs(self) -> list[NodeArg]:
        """The outputs."""
        return list(self._outputs)

    def get_overridable_initializers(self) -> list[NodeArg]:
        """None: fastconv packs weights once, so a run cannot replace them."""
        return []

    def get_modelmeta(self) -> ModelMetadata:
        """What the file says about the model."""
        return self._metadata

    def get_session_options(self) -> SessionOptions:
        """The options of the session."""
        return self._options

    def get_providers(self) -> list[str]:
        """The providers that run the model."""
        return [CPU]

    def get_provider_options(self) -> dict[str, dict[str, str]]:
        """The options of each provider."""
        return {CPU: {}}

    def set_providers(
        self,
        providers: Sequence[str | tuple[str, dict[Any, Any]]] | None = None,
        provider_options: Sequence[dict[Any, Any]] | None = None,
    ) -> None:
        """Check the providers; the CPU runs the model, whatever they are."""
        check_providers(providers, provider_options)

    def enable_fallback(self) -> None:
        """No effect: there is one provider."""

    def disable_fallback(self) -> None:
        """No effect: there is one provider."""

    def end_profiling(self) -> str:
        """The file of the profile: none, "". `fastconv.Model.profile` and `fastconv profile` make profiles."""
        return ""

    def get_profiling_start_time_ns(self) -> int:
        """The time at which a profile was begun: none, 0."""
        return 0

    def run(
        self, output_names: Sequence[str] | None, input_feed: Mapping[str, Any], run_options: RunOptions | None = None
    ) -> list[Any]:
        """Run the model.

        Parameters
        ----------
        output_names : sequence of str, or None
            Names of outputs; None or empty: all.
        input_feed : mapping of str to array_like or OrtValue
            The inputs by name. Lists are converted to the input's type, arrays are not.
        run_options : RunOptions, optional
            No effect.

        Returns
        -------
        list of numpy.ndarray
            An array for each name.

        Raises
        ------
        ValueError
            If an input is missing.
        InvalidArgument, RuntimeException
            Of `capi.onnxruntime_pybind11_state`, as onnxruntime raises them.
        """
        names = [arg.name for arg in self._outputs]
        given = input_feed.keys()  # AttributeError for a list, as in onnxruntime
        if missing := [arg.name for arg in self._inputs if arg.name not in given]:
            raise ValueError(f"Required inputs ({missing}) are missing from input feed ({list(given)}).")
        arrays = {name: self._array(name, x) for name, x in input_feed.items()}
        asked = list(output_names or names)
        if unknown := [name for name in asked if name not in names]:
            raise failure(InvalidArgument, f"Invalid output name:{unknown[0]}")
        wanted = [name for name in names if name in asked]  # in one order: a model plans for each order anew
        try:
            results = self._model.run(arrays, None if wanted == names else wanted)
        except FastconvError as e:
            raise failure(RuntimeException, e) from e
        return [results[name] for name in asked]

    def run_with_ort_values(
        self,
        output_names: Sequence[str] | None,
        input_dict_ort_values: Mapping[str, OrtValue],
        run_options: RunOptions | None = None,
    ) -> list[OrtValue]:
        """The same, with OrtValues as inputs and results."""
        return [OrtValue(array) for array in self.run(output_names, input_dict_ort_values, run_options)]

    def io_binding(self) -> IOBinding:
        """A binding without inputs and outputs."""
        return IOBinding(self)

    def run_with_iobinding(self, iobinding: IOBinding, run_options: RunOptions | None = None) -> None:
        """Run the model on the inputs of a binding and put its outputs there; RuntimeError if they do not fit."""
        outputs = iobinding._outputs
        if not outputs:
            raise RuntimeError("Error in execution: At least one output should be requested.")
        try:
            results = self.run(list(outputs), iobinding._inputs, run_options)
        except (ValueError, InvalidArgument, RuntimeException, Fail) as e:
            raise RuntimeError(f"Error in execution: {str(e).split(' : ', 3)[-1]}") from e
        for (name, bound), array in zip(outputs.items(), results, strict=True):
            if bound is None:
                iobinding._results[name] = OrtValue(array)
                continue
            to = bound.numpy()
            if to.shape != array.shape or to.dtype != array.dtype:
                got, expected = (f"{list(a.shape)} {type_name(a.dtype)}" for a in (to, array))
                raise RuntimeError(f"Error in execution: output {name}: Got: {got} Expected: {expected}")
            to[...] = array
            iobinding._results[name] = bound

    def _array(self, name: str, x: Any) -> Any:
        """The array of an input, checked as onnxruntime does."""
        info = self._input_infos.get(name)
        if info is None:
            raise failure(InvalidArgument, f"Invalid input name: {name}")
        if x is None:
            raise failure(Fail, f"Missing Input: {name}")
        if is_sequence(info.dtype):
            return x
        array = np.asarray(x, None if hasattr(x, "dtype") or isinstance(x, OrtValue) else info.dtype)
        if array.dtype != info.dtype and (actual := type_name(array.dtype)) != (expected := type_name(info.dtype)):
            raise failure(InvalidArgument, f"Unexpected input data type. Actual: ({actual}) , expected: ({expected})")
        _check_shape(info, array.shape)
        return array.astype(object) if array.dtype.kind in "SU" else array


class IOBinding:
    """Inputs and outputs of a session, bound to arrays or memory before a run."""

    def __init__(self, session: InferenceSession):
        self._session = session
        self._inputs: dict[str, OrtValue] = {}
        self._outputs: dict[str, OrtValue | None] = {}  # None: an array that the run makes
        self._results: dict[str, OrtValue] = {}

    def bind_cpu_input(self, name: str, arr_on_cpu: np.ndarray) -> None:
        """Bind an input to an array."""
        self.bind_ortvalue_input(name, OrtValue(arr_on_cpu))

    def bind_input(
        self, name: str, device_type: str, device_id: int, element_type: DTypeLike | int, shape: Sequence[int], buffer_ptr: int
    ) -> None:
        """Bind an input to memory of the CPU, which must stay allocated."""
        self.bind_ortvalue_input(name, OrtValue(array_at(buffer_ptr, shape, dtype_of(element_type))))

    def bind_ortvalue_input(self, name: str, ortvalue: OrtValue) -> None:
        """Bind an input to a value; RuntimeError if the model has no such input."""
        if name not in self._session._input_infos:
            raise RuntimeError(f"Failed to find NodeArg with name: {name} in the def list")
        self._inputs[name] = ortvalue

    def bind_output(
        self,
        name: str,
        device_type: str = "cpu",
        device_id: int = 0,
        element_type: DTypeLike | int | None = None,
        shape: Sequence[int] | None = None,
        buffer_ptr: int | None = None,
    ) -> None:
        """Bind an output to memory of the CPU, which must stay allocated, or to an array that the run makes."""
        if buffer_ptr is None or shape is None:
            self._outputs[name] = None
        else:
            dtype = np.dtype(np.float32) if element_type is None else dtype_of(element_type)
            self._outputs[name] = OrtValue(array_at(buffer_ptr, shape, dtype))

    def bind_ortvalue_output(self, name: str, ortvalue: OrtValue) -> None:
        """Bind an output to a value."""
        self._outputs[name] = ortvalue

    def get_outputs(self) -> list[OrtValue]:
        """The outputs of the last run, in the order in which they were bound."""
        return [self._results[name] for name in self._outputs if name in self._results]

    def copy_outputs_to_cpu(self) -> list[np.ndarray]:
        """The outputs of the last run as arrays."""
        return [value.numpy().copy() for value in self.get_outputs()]

    def clear_binding_inputs(self) -> None:
        """Bind no inputs."""
        self._inputs.clear()

    def clear_binding_outputs(self) -> None:
        """Bind no outputs."""
        self._outputs.clear()
        self._results.clear()

    def synchronize_inputs(self) -> None:
        """No effect: the inputs are in the CPU's memory."""

    def synchronize_outputs(self) -> None:
        """No effect: the outputs are in the CPU's memory."""


def _header(source: str | os.PathLike[str] | bytes) -> dict[str, Any]:
    """What the file says about the model, its inputs and outputs."""
    if isinstance(source, bytes):
        data, failed = source, "Failed to load model because protobuf parsing failed."
    else:
        path = os.fspath(source)
        failed = f"Load model from {path} failed:Protobuf parsing failed."
        try:
            with open(path, "rb") as file:
                data = file.read()
        except FileNotFoundError as e:
            text = f"Load model from {path} failed:Load model {path} failed. File doesn't exist"
            raise failure(NoSuchFile, text) from e
        except IsADirectoryError as e:
            raise failure(InvalidProtobuf, failed) from e
        except OSError as e:
            raise failure(Fail, f"Load model from {path} failed:{e}") from e
    if not data:
        raise failure(InvalidArgument, "No graph was found in the protobuf.")
    try:
        return wire.parse(data, "Header")
    except ModelError as e:
        raise failure(InvalidProtobuf, f"{failed} {e}") from e


def _node_arg(info: TensorInfo, declared: dict[str, Any]) -> NodeArg:
    """An input or output with the symbols that the file has: fastconv's are only those that are identifiers."""
    dims = declared.get("type", {}).get("tensor_type", {}).get("shape", {}).get("dim", [])
    texts = [d.get("dim_param") or None for d in dims]
    sizes = info.shape or ()
    if len(texts) != len(sizes):
        return NodeArg(info.name, list(sizes), type_name(info.dtype))
    shape = [size if isinstance(size, int) else text or size for size, text in zip(sizes, texts, strict=True)]
    return NodeArg(info.name, shape, type_name(info.dtype))


def _check_shape(info: TensorInfo, shape: tuple[int, ...]) -> None:
    """InvalidArgument, as onnxruntime words it, for a shape that the model does not take."""
    if info.shape is None:
        return
    fix = "Please fix either the inputs/outputs or the model."
    if len(shape) != len(info.shape):
        text = f"Invalid rank for input: {info.name} Got: {len(shape)} Expected: {len(info.shape)} {fix}"
        raise failure(InvalidArgument, text)
    pairs = enumerate(zip(shape, info.shape, strict=True))
    if wrong := [f" index: {i} Got: {got} Expected: {dim}" for i, (got, dim) in pairs if isinstance(dim, int) and got != dim]:
        lines = [f"Got invalid dimensions for input: {info.name} for the following indices", *wrong, f" {fix}"]
        raise failure(InvalidArgument, "\n".join(lines))
