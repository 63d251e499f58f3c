"""InferenceSession: a model with onnxruntime's interface; IOBinding: its inputs and outputs, bound before a run."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...dtypes import is_sequence
from ...errors import FastconvError, ModelError, UnsupportedError, warn
from ...model import Model
from ...onnx_json import Parsed, Reading, Source
from ...tensor_info import TensorInfo
from .errors import Fail, InvalidArgument, InvalidGraph, NotImplemented, RuntimeException, failure, message_of
from .model_file import node_arg, overridable, parse
from .options import RunOptions, SessionOptions
from .providers import CPU, check_providers
from .values import ModelMetadata, NodeArg, OrtValue, array_at, check_device, dtype_of, type_name

if TYPE_CHECKING:
    from typing import Unpack

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
    NoSuchFile, InvalidProtobuf, InvalidArgument, InvalidGraph, NotImplemented
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
        self._source = path_or_bytes
        parsed = parse(path_or_bytes, self._options)
        self._model = self._load(parsed)
        self._overriding: dict[frozenset[str], Model] = {}
        file, graph = parsed.model, parsed.model["graph"]
        declared = {info.get("name"): info for info in (*graph.get("input", ()), *graph.get("output", ()))}
        replaceable = overridable(file)
        self._input_infos = {info.name: info for info in (*self._model.inputs, *replaceable)}
        self._inputs = [node_arg(info, declared[info.name]) for info in self._model.inputs]
        self._outputs = [node_arg(info, declared[info.name]) for info in self._model.outputs]
        self._overridable = [node_arg(info, declared[info.name]) for info in replaceable]
        self._metadata = ModelMetadata(
            custom_metadata_map=dict(self._model.metadata),
            description=file.get("doc_string", ""),
            domain=file.get("domain", ""),
            graph_description=graph.get("doc_string", ""),
            graph_name=graph.get("name", ""),
            producer_name=file.get("producer_name", ""),
            version=file.get("model_version", _NO_VERSION),
        )

    def get_inputs(self) -> list[NodeArg]:
        """The inputs that a run needs."""
        return list(self._inputs)

    def get_outputs(self) -> list[NodeArg]:
        """The outputs."""
        return list(self._outputs)

    def get_overridable_initializers(self) -> list[NodeArg]:
        """The inputs that have a value in the file, which a run may replace."""
        return list(self._overridable)

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
            The inputs by name. Lists are converted to the input's type, arrays are not. The first run that replaces values of
            the file loads it again.
        run_options : RunOptions, optional
            A run whose `terminate` is set fails; the rest has no effect.

        Returns
        -------
        list of numpy.ndarray
            An array for each name.

        Raises
        ------
        ValueError
            If an input is missing.
        TypeError
            If `output_names` is one name.
        InvalidArgument, Fail, RuntimeException
            Of `capi.onnxruntime_pybind11_state`, as onnxruntime raises them.
        """
        self._check_missing(input_feed)
        if isinstance(output_names, str):
            raise TypeError(f"run(): output_names is a list of names, not {output_names!r}")
        if run_options is not None and run_options.terminate:
            raise failure(Fail, "Exiting due to terminate flag being set to true.")
        names = [arg.name for arg in self._outputs]
        arrays = {name: self._array(name, x) for name, x in input_feed.items()}
        asked = list(output_names or names)
        if unknown := [name for name in asked if name not in names]:
            raise failure(InvalidArgument, f"Invalid output name:{unknown[0]}")
        wanted = [name for name in names if name in asked]  # in one order: a model plans for each order anew
        model = self._model_for(frozenset(arg.name for arg in self._overridable if arg.name in arrays))
        try:
            results = model.run(arrays, None if wanted == names else wanted)
        except FastconvError as e:
            raise failure(RuntimeException, e) from e
        return [results[name] for name in asked]

    def run_async(
        self,
        output_names: Sequence[str] | None,
        input_feed: Mapping[str, Any],
        callback: Callable[[list[Any], Any, str], object],
        user_data: Any,
        run_options: RunOptions | None = None,
    ) -> None:
        """Run the model in a thread of its own, which then calls `callback(results, user_data, error)`.

        `error` is "", or the message of an error, without results. ValueError at once if an input is missing.
        """
        self._check_missing(input_feed)

        def run() -> None:
            results, error = [], ""
            try:
                results = self.run(output_names, input_feed, run_options)
            except Exception as e:
                error = message_of(e)
            callback(results, user_data, error)

        threading.Thread(target=run).start()

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
            raise RuntimeError(f"Error in execution: {message_of(e)}") from e
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

    def _load(self, source: Source | Parsed, **reading: Unpack[Reading]) -> Model:
        """The model, with the threads of the options and onnxruntime's errors."""
        threads = self._options.intra_op_num_threads
        try:
            return Model(source, threads=threads if threads > 0 else None, **reading)
        except UnsupportedError as e:
            raise failure(NotImplemented, e) from e
        except ModelError as e:
            raise failure(InvalidGraph, f"This is an invalid model. {e}") from e

    def _model_for(self, replaced: frozenset[str]) -> Model:
        """The model without the file's values of some inputs: fastconv packs weights once, so it is another model."""
        if not replaced:
            return self._model
        if replaced not in self._overriding:
            parsed = parse(self._source, self._options)
            graph = parsed.model["graph"]
            kept = [tensor for tensor in graph["initializer"] if tensor.get("name") not in replaced]
            model = parsed.model | {"graph": graph | {"initializer": kept}}
            self._overriding[replaced] = self._load(model, external_dir=parsed.folder)
        return self._overriding[replaced]

    def _check_missing(self, input_feed: Mapping[str, Any]) -> None:
        """ValueError if an input is missing."""
        given = input_feed.keys()  # AttributeError for a list, as in onnxruntime
        if missing := [arg.name for arg in self._inputs if arg.name not in given]:
            raise ValueError(f"Required inputs ({missing}) are missing from input feed ({list(given)}).")

    def _array(self, name: str, x: Any) -> Any:
        """The array of an input, checked as onnxruntime does."""
        info = self._input_infos.get(name)
        if info is None:
            raise failure(InvalidArgument, f"Invalid input name: {name}")
        if x is None:
            raise failure(Fail, f"Missing Input: {name}")
        if is_sequence(info.dtype):
            return x
        try:
            array = np.asarray(x, None if hasattr(x, "dtype") or isinstance(x, OrtValue) else info.dtype)
        except (TypeError, ValueError) as e:
            raise RuntimeError(f"Could not create tensor from given input list: {name}: {e}") from e
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
        """Bind an input to an array; RuntimeError if it is none."""
        if not isinstance(arr_on_cpu, np.ndarray):
            raise RuntimeError(f"Unable to create OrtValue from the given python object: {type(arr_on_cpu).__name__}")
        self.bind_ortvalue_input(name, OrtValue(arr_on_cpu))

    def bind_input(
        self, name: str, device_type: str, device_id: int, element_type: DTypeLike | int, shape: Sequence[int], buffer_ptr: int
    ) -> None:
        """Bind an input to memory of the CPU, which must stay allocated; RuntimeError if it is another device's."""
        check_device(device_type)
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
        """Bind an output to memory of the CPU, which must stay allocated, or to an array that the run makes.

        RuntimeError if the memory is another device's.
        """
        check_device(device_type)
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
