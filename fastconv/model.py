"""Model: a loaded network. A call checks its inputs, finds or makes the plan for their shapes, and runs it.

What only reports need is reached through the package (`fastconv.Summary`), so that it is imported when a report is made.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import numpy as np

import fastconv

from . import _executor, kernels, onnx_json
from .arguments import one_of, whole_number
from .errors import InputError, ModelWarning, did_you_mean, warn
from .graph import Graph
from .inputs import check_shapes, input_arrays, input_shapes, is_known, known_input_shapes
from .onnx_json import Parsed, Reading, Source
from .ops.integer import ConvInteger, MatMulInteger
from .ops.qoperator import QOperator
from .ops.quantize import DynamicQuantizeLinear, Quantization
from .outputs import Outputs, arrays_by_name, one_or_all, value_names
from .passes import PASSES, run_passes
from .plan import Plan, SplitPlan
from .plan.stages import StageGraph, Stamp
from .plan_cache import MOST_PLANS, PlanCache, Planned
from .progress import Advance, ignore
from .reference import run_references
from .run_stages import Run, run_stages
from .specialise import specialise
from .tensor_info import TensorInfo, info_of, quoted_names
from .threads import RUNNING, Locked, resolve

if TYPE_CHECKING:
    from typing import Unpack

    from numpy.typing import ArrayLike, DTypeLike

    from .profile import Profile
    from .report import Report
    from .summary import Summary

    #: the inputs of a call: the only one, or a mapping by name
    Inputs = ArrayLike | Mapping[str, ArrayLike]

Accuracy = Literal["default", "exact"]
ACCURACIES: tuple[Accuracy, ...] = get_args(Accuracy)
WeightsType = Literal["float32", "bf16", "float16"]
WEIGHTS_TYPES: tuple[WeightsType, ...] = get_args(WeightsType)
#: the operators of quantized networks
QUANTIZED = (Quantization, DynamicQuantizeLinear, QOperator, ConvInteger, MatMulInteger)
NO_INPUTS: Mapping[str, ArrayLike] = MappingProxyType({})


class Model(Locked):
    """A network that is ready to run, as `fastconv.load` returns it. Immutable: any number of threads may call it at once.

    Parameters
    ----------
    source, threads, accuracy, weights, **reading
        As in `fastconv.load`.

    Examples
    --------
    >>> import fastconv, numpy as np
    >>> model = fastconv.load(fastconv.data.DIGITS)
    >>> model.inputs[0].shape
    ('N', 1, 8, 8)
    >>> model(np.zeros((2, 1, 8, 8), np.float32)).shape
    (2, 10)
    """

    def __init__(
        self,
        source: Source | Parsed | Graph,
        *,
        threads: int | None = None,
        accuracy: Accuracy = "default",
        weights: WeightsType = "float32",
        **reading: Unpack[Reading],
    ):
        one_of("accuracy", accuracy, ACCURACIES)
        one_of("weights", weights, WEIGHTS_TYPES)
        if accuracy == "exact" and weights != "float32":
            raise InputError(f"weights={weights!r} rounds weights, accuracy='exact' does not")
        self._source = source.source if isinstance(source, Parsed) else source  # without the weights of the dict
        self._options: dict[str, Any] = {"threads": threads, "accuracy": accuracy, "weights": weights, **reading}
        self._threads = resolve(threads)
        self._fixed_threads = threads is not None
        self._follows_openmp = self._threads.source.startswith("OpenMP")
        self._accuracy = accuracy
        self._weights = weights
        self._kernels = kernels.load()
        self._original = source if isinstance(source, Graph) else onnx_json.read(source, **reading)
        self._warned = False
        self._stage_graphs: dict[tuple[str, ...], StageGraph] = {}
        self._plans = PlanCache(self._kernels, self.threads, accuracy, weights)
        super().__init__()
        graph = self._stage_graph(()).graph
        self._inputs = tuple(map(info_of, graph.inputs))
        self._outputs = tuple(map(info_of, graph.outputs))

    # ---- properties

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        """Name, shape and dtype of each input."""
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        """Name, shape and dtype of each output."""
        return self._outputs

    @property
    def metadata(self) -> Mapping[str, str]:
        """The file's metadata by key (ONNX's metadata_props), such as class names or an alphabet; read-only."""
        return MappingProxyType(self._original.metadata)

    @property
    def threads(self) -> int:
        """The most threads that a call uses."""
        return self._threads.count

    def __repr__(self) -> str:
        name = self._original.name or "model"
        inputs, outputs = (", ".join(map(str, infos)) for infos in (self.inputs, self.outputs))
        weights = "" if self._weights == "float32" else f", {self._weights} weights"
        return f"<fastconv.Model {name!r}: {inputs} -> {outputs}; {self._kernels.isa}, {self.threads} threads{weights}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self._source, self._options)

    # ---- running

    def __call__(
        self,
        inputs: Inputs = NO_INPUTS,
        /,
        out: np.ndarray | Mapping[str, np.ndarray] | None = None,
        **named: ArrayLike,
    ) -> np.ndarray:
        """Run the network.

        Parameters
        ----------
        inputs : array_like, or mapping of str to array_like
            The only input, or the inputs by name, with the shapes and dtypes of `model.inputs`. Contiguous arrays, also those
            of other libraries, are not copied.
        out : numpy.ndarray, or mapping of str to numpy.ndarray, optional
            The array to write the only output to, or arrays for outputs by name.
        **named : array_like
            The inputs by name, in place of `inputs`: `model(image=x, mask=m)`. An input with the name `out`, or with a name
            that is no Python identifier, must come in a mapping.

        Returns
        -------
        numpy.ndarray or Outputs
            The array of the only output, or `Outputs` if there are several. The number is known only from the file, so the
            annotation says array; `run` always returns `Outputs`.

        Raises
        ------
        InputError
            If an input does not fit, or its shape needs more memory than `max_bytes` of `load` allows; the message names it.
        ModelError
            If the elements of the inputs are such that a node has no result, or needs more memory or rounds than are allowed.

        Warns
        -----
        ModelWarning
            Once, if sizes of one symbol differ.

        Examples
        --------
        >>> import fastconv, numpy as np
        >>> model = fastconv.load(fastconv.data.DIGITS)
        >>> x = np.zeros((2, 1, 8, 8), np.float32)
        >>> model(x).shape
        (2, 10)
        >>> bool((model(image=x) == model({"image": x})).all())
        True
        """
        if named:
            if inputs is not NO_INPUTS:
                names = quoted_names(self.inputs)
                raise InputError(f"the inputs come by position or by name, not both; the model has {names}")
            inputs = named
        out = {} if out is None else arrays_by_name(self._outputs, out)
        arrays = input_arrays(self._inputs, inputs)
        return one_or_all(run_stages(self._stage_graph(()), arrays, out, self._plans, self._run_plan, self._check_shapes))

    def run(self, inputs: Inputs, outputs: str | Sequence[str] | None = None) -> Outputs:
        """Run the network and return results by name: its outputs, or any other values of the graph.

        Parameters
        ----------
        inputs : array_like, or mapping of str to array_like
            As in a call.
        outputs : str or sequence of str, optional
            Names of values of the graph; default: the model's outputs.

        Returns
        -------
        Outputs
            The values, in the order of their names in `outputs`.

        Raises
        ------
        InputError
            If an input does not fit, or the graph has no value of a name.

        Examples
        --------
        >>> import fastconv, numpy as np
        >>> model = fastconv.load(fastconv.data.DIGITS)
        >>> model.run(np.zeros((1, 1, 8, 8), np.float32), outputs=["relu1", "logits"])
        Outputs(relu1: 1×16×8×8 float32, logits: 1×10 float32)
        """
        names = value_names(outputs)
        arrays = input_arrays(self._inputs, inputs)
        return Outputs(run_stages(self._stage_graph(names), arrays, {}, self._plans, self._run_plan, self._check_shapes))

    def reference(
        self,
        inputs: Inputs,
        dtype: DTypeLike = np.float64,
        outputs: str | Sequence[str] | None = None,
        *,
        advance: Advance = ignore,
    ) -> np.ndarray:
        """Run the network in float64, as ground truth.

        Every node of the file runs by its operator's reference, in plain NumPy: no kernel, no folding, no fusion. This is slow,
        and needs memory for all values in the wider dtype.

        Parameters
        ----------
        inputs : array_like, or mapping of str to array_like
            As in a call.
        dtype : dtype_like
            A floating-point type; narrower floats are computed and returned in it.
        outputs : str or sequence of str, optional
            As in `run`.
        advance : callable
            Called with the share of the work that was done since the last call; the shares add up to 1.

        Returns
        -------
        numpy.ndarray or Outputs
            As from a call; `Outputs` if `outputs` names values.

        Raises
        ------
        InputError
            If an input does not fit, the graph has no value of a name, or `dtype` is no floating-point type.

        Examples
        --------
        >>> import fastconv, numpy as np
        >>> model = fastconv.load(fastconv.data.DIGITS)
        >>> x = np.ones((1, 1, 8, 8), np.float32)
        >>> bool(np.abs(model(x) - model.reference(x)).max() < 1e-5)
        True
        """
        arrays = input_arrays(self._inputs, inputs)
        stage_graph = self._stage_graph(())
        shapes, elements = stage_graph.key(arrays)
        self._check_shapes(shapes)
        specialise(stage_graph.graph, shapes, elements, accuracy=self._accuracy)  # for its errors
        graph = self._with_outputs(value_names(outputs))
        with graph.budget.scope():
            results = dict(zip((v.name for v in graph.outputs), run_references(graph, arrays, dtype, advance), strict=True))
        return one_or_all(results) if outputs is None else cast(np.ndarray, Outputs(results))

    def _run_plan(self, plan: Plan | SplitPlan, inputs: list[np.ndarray], outputs: list[np.ndarray]) -> None:
        """Run a plan. Calls that run at once, of all models, share the threads, unless the user has set a number."""
        call, others = object(), len(RUNNING)
        try:
            RUNNING.add(call)
            threads = self._threads.count if self._fixed_threads else max(1, self._threads_now() // (others + 1))
            plan.run(inputs, outputs, threads)
        finally:
            RUNNING.discard(call)

    def _run_stages(self, inputs: Inputs, run: Run) -> None:
        """Run the network, with `run` for the plan of each stage."""
        run_stages(self._stage_graph(()), input_arrays(self._inputs, inputs), {}, self._plans, run, self._check_shapes)

    def _threads_now(self) -> int:
        """The threads for this call: OpenMP's setting may have changed since the load, for the calling thread alone."""
        return min(self.threads, _executor.openmp_max_threads()) if self._follows_openmp else self.threads

    def _check_shapes(self, shapes: Sequence[tuple[int, ...]]) -> None:
        """InputError for wrong shapes; one warning for a model if only a symbol's sizes differ."""
        differ = check_shapes(self._inputs, shapes)
        if differ is not None and not self._warned:
            self._warned = True
            warn(f"{differ}; it runs if the model's nodes allow it", ModelWarning)

    # ---- graphs and plans

    def _stage_graph(self, names: tuple[str, ...]) -> StageGraph:
        """The graph after all passes, with the named values (none: the model's outputs) as its outputs."""
        stage_graph = self._stage_graphs.get(names)
        if stage_graph is None:
            stage_graph = StageGraph(run_passes(self._with_outputs(names), accuracy=self._accuracy))
            with self._lock:
                if len(self._stage_graphs) > MOST_PLANS:
                    self._stage_graphs = {(): self._stage_graphs[()]}
                stage_graph = self._stage_graphs.setdefault(names, stage_graph)
        return stage_graph

    def _with_outputs(self, names: tuple[str, ...]) -> Graph:
        """A copy of the graph as the file has it, with the named values (none: the model's outputs) as its outputs."""
        graph = self._original.copy()
        if names:
            values = {v.name: v for v in graph.values()}
            if unknown := [n for n in names if n not in values]:
                raise InputError(f"the model has no value {unknown[0]!r}{did_you_mean(unknown[0], values)}")
            graph.outputs = [values[n] for n in names]
        return graph

    def _first_stage(self, shapes: Mapping[str, Sequence[int]] | None) -> Planned:
        """The plan of the first stage for these input shapes, and the stage."""
        stage_graph, known = self._stage_graph(()), known_input_shapes(self._inputs, shapes)
        if any(stage_graph.controls):
            names = quoted_names(v for v, how in zip(stage_graph.graph.inputs, stage_graph.controls, strict=True) if how)
            raise InputError(f"the plan depends on the elements of {names}: model.profile(inputs) shows it")
        self._check_shapes(known)
        key = stage_graph, (known, (None,) * len(known))
        planned = self._plans.find(key) or self._plans.make(key)
        self._plans.warn_if_slow()
        return planned

    def plan(self, shapes: Mapping[str, Sequence[int]] | None = None) -> Plan | SplitPlan:
        """The plan for these input shapes; str() of it is what `fastconv dump --after plan` prints.

        If sizes become known only as the network runs, it is the plan of the part before them.

        Parameters
        ----------
        shapes : mapping of str to sequence of int, optional
            The shape of each input by its name; default: the shape in the file, with 1 for a first size that it leaves open.

        Returns
        -------
        Plan or SplitPlan
            The steps for these shapes, in order.

        Raises
        ------
        InputError
            If a shape does not fit or is missing, or the plan depends on the elements of inputs.

        Examples
        --------
        >>> import fastconv
        >>> plan = fastconv.load(fastconv.data.DIGITS).plan({"image": (4, 1, 8, 8)})
        >>> plan.python_steps
        []
        """
        return self._first_stage(shapes)[0]

    def dump(self, stage: str = "plan", shapes: Mapping[str, Sequence[int]] | None = None) -> str:
        """The graph after a stage, or the plan, as text.

        Parameters
        ----------
        stage : str
            "read", the name of a pass, or "plan".
        shapes : mapping of str to sequence of int, optional
            As in `plan`.

        Returns
        -------
        str
            A line for each node.

        Raises
        ------
        InputError
            If there is no such stage; for "plan" as in `plan`.

        Examples
        --------
        >>> import fastconv
        >>> print(fastconv.load(fastconv.data.DIGITS).dump("read").splitlines()[1])
          input  'image':float32[N×1×8×8]
        """
        if stage == "plan":
            plan, first = self._first_stage(shapes)
            later = [f"then {n!r}" for n in first.data_dependent] + ([f"then {first.rest.graph}"] if first.rest else [])
            return "\n".join([str(plan), *later])
        if stage not in (known := ["read", *(p.__name__ for p in PASSES)]):
            hint = did_you_mean(stage, [*known, "plan"])
            raise InputError(f"stage: expected {', '.join(known)} or plan, got {stage!r}{hint}")
        graph = self._with_outputs(())
        if shapes:
            for v, shape in zip(graph.inputs, known_input_shapes(self._inputs, shapes), strict=True):
                v.shape = shape
        return str(graph if stage == "read" else run_passes(graph, stage, self._accuracy))

    # ---- reports

    def summary(self, shapes: Mapping[str, Sequence[int]] | None = None, *, explain: bool = False) -> Summary:
        """A table of the layers: operator, implementation, shape, window, parameters, multiply-adds, bytes of activations.

        Parameters
        ----------
        shapes : mapping of str to sequence of int, optional
            The shape of each input by its name. If sizes stay open, they are shown as symbols and nothing is planned; an open
            batch alone is taken as 1, and the first line says so.
        explain : bool
            Whether to show, below each layer, how its numbers are computed. `explanation` of each layer has these lines anyway.

        Returns
        -------
        Summary
            str() of it is the table; a REPL and a notebook show it.

        Raises
        ------
        InputError
            If a shape does not fit, or the plan depends on the elements of inputs.

        Examples
        --------
        >>> import fastconv
        >>> fastconv.load(fastconv.data.DIGITS).summary().layers[1].op
        'Conv+Relu'
        >>> print(*fastconv.load(fastconv.data.DIGITS).summary().layers[1].explanation, sep="\\n")
        5×5 at stride 1: (8 − 5 + 2·2)/1 + 1 = 8
        parameters: (5·5·1 + 1)·16 = 416
        multiply-adds: 8·8·16 · 5·5·1 = 25,600
        without sharing weights: 8·8·16 · 26 = 26,624 parameters
        """
        chosen = input_shapes(self._inputs, shapes)
        inputs = [(i.name, i.shape, shape) for i, shape in zip(self.inputs, chosen, strict=True)]
        if not all(map(is_known, chosen)):
            nodes = specialise(self._stage_graph(()).graph, chosen, accuracy=self._accuracy).nodes
            return fastconv.Summary.of_nodes(inputs, nodes, explain)
        return fastconv.Summary.of_stage(inputs, *self._first_stage(shapes), explain)

    def profile(self, inputs: Inputs, runs: int = 10, *, explain: bool = False, advance: Advance = ignore) -> Profile:
        """Run the network several times and report the time of each layer, and how near it comes to this machine's limit.

        Parameters
        ----------
        inputs : array_like, or mapping of str to array_like
            As in a call.
        runs : int
            The number of runs; the times are their medians.
        explain : bool
            Whether to show, below each layer, which implementations refused it. `refusals` of each row has these anyway.
        advance : callable
            Called with the share of the work that was done since the last call; the shares add up to 1.

        Returns
        -------
        Profile
            str() of it is the table; a REPL and a notebook show it, `plot` draws it, and `save` writes a trace.

        Raises
        ------
        InputError
            If an input does not fit.

        Examples
        --------
        >>> import fastconv, numpy as np
        >>> profile = fastconv.load(fastconv.data.DIGITS).profile(np.zeros((1, 1, 8, 8), np.float32))
        >>> profile.rows[1].op
        'Conv+Relu'
        """
        runs = whole_number("runs", runs)
        stages: list[tuple[Profile, list[Stamp]]] = []

        def run(plan: Plan | SplitPlan, arrays: list[np.ndarray], outputs: list[np.ndarray]) -> list[Stamp]:
            stamps: list[Stamp] = []
            stages.append((fastconv.Profile.of_plan(plan, arrays, outputs, self.threads, runs, advance), stamps))
            return stamps

        self._run_stages(inputs, run)
        return fastconv.Profile.of_stages(stages, explain)

    def report(self, inputs: Inputs, runs: int = 10) -> Report:
        """A page about the network and these inputs: its layers, their times, memory and errors, to walk through.

        Parameters
        ----------
        inputs : array_like, or mapping of str to array_like
            As in a call. `fastconv.Report.of_picture` takes a picture.
        runs : int
            The number of runs; the times are their medians.

        Returns
        -------
        Report
            `save` writes the page.

        Raises
        ------
        FastconvError
            If the network computes with images and Pillow is missing.
        InputError
            If an input does not fit.

        Examples
        --------
        >>> import fastconv, numpy as np, os, tempfile
        >>> model = fastconv.load(fastconv.data.DIGITS)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.report(np.zeros((1, 1, 8, 8), np.float32)).save(os.path.join(folder, "report.html"))
        """
        return fastconv.Report(self, inputs, runs)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network after all passes as ONNX in JSON: BatchNormalization is folded, fused nodes are written apart.

        A quantized network is written as it was read, since the passes make floats of its integers.

        Parameters
        ----------
        path : str or os.PathLike
            The file. Large weights go to a file beside it, with ".data" after its name. If that exists, as when a model is
            replaced, the new one is ".1.data", and the old one is removed at last: whatever happens, the old model or the new
            one is there.

        Raises
        ------
        OSError
            If a file cannot be written; no half-written file is left.

        Examples
        --------
        >>> import fastconv, os, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "net.json")
        ...     fastconv.load(fastconv.data.DIGITS).save(path)
        ...     fastconv.load(path).outputs[0].name
        'logits'
        """
        graph = self._original if is_quantized(self._original) else self._stage_graph(()).graph
        onnx_json.write(graph, path)


def load(
    source: Source,
    *,
    threads: int | None = None,
    accuracy: Accuracy = "default",
    weights: WeightsType = "float32",
    external_dir: str | os.PathLike[str] | None = None,
    follow_links: bool = False,
    max_bytes: int | None = None,
) -> Model:
    """Load a network from `.onnx`, or from ONNX as JSON. No other package is needed for either.

    Large weights are read from their file when the first call with a shape packs them. Until then the file must not be written
    to; it may be deleted or replaced.

    Parameters
    ----------
    source : str, os.PathLike, bytes or mapping
        The file, `model.json` or `model.onnx`; its contents as bytes; or the parsed JSON.
    threads : int, optional
        The most threads that a call uses; default: FASTCONV_NUM_THREADS, then OpenMP's own setting.
    accuracy : {"default", "exact"}
        "exact" uses only algorithms that sum the same products as the definition (no Winograd; integer sums for quantized
        networks), and keeps denormals, which kernels otherwise treat as zero.
    weights : {"float32", "bf16", "float16"}
        How fully connected layers (Gemm, MatMul) keep constant weights in memory: in 16 bits they take half of it, and a call
        for one row, which memory limits, about half the time. Weights are rounded to bf16 (8 bits of mantissa) or float16 (11
        bits, up to 65504); arithmetic stays float32. Weights that a file has in 16 bits stay so in any case, exactly.
    external_dir : str or os.PathLike, optional
        The folder of the weight files; default: the model's.
    follow_links : bool
        Whether weight files may be symbolic links.
    max_bytes : int, optional
        The most bytes of the file, of its weights, of any tensor, and of the memory that one call takes for its tensors: what
        needs more is an error. Default: for the file and its weights there is no bound, for all else the memory that is
        available.

    Returns
    -------
    Model
        The network, ready to run.

    Raises
    ------
    ModelError
        If the file is malformed, or needs more than `max_bytes`; its subclass UnsupportedError lists every node that is not
        supported.
    InputError
        If an argument is invalid.
    OSError
        If the file cannot be read.

    Warns
    -----
    SlowPathWarning
        Once, if much of the network has no kernel for its dtype or shapes. A file may leave sizes open, so the warning comes
        with the first plan, which a call or `summary` makes.

    Examples
    --------
    >>> import fastconv
    >>> fastconv.load(fastconv.data.DIGITS, threads=1).outputs[0].shape
    ('N', 10)
    """
    reading: Reading = {"external_dir": external_dir, "follow_links": follow_links, "max_bytes": max_bytes}
    return Model(source, threads=threads, accuracy=accuracy, weights=weights, **reading)


def is_quantized(graph: Graph) -> bool:
    """Whether a network as its file has it computes on quantized tensors."""
    return any(isinstance(n.op, QUANTIZED) for n in graph.nodes)


def _rebuild(source: Any, options: dict[str, Any]) -> Model:
    return Model(source, **options)


__all__ = ["Model", "load"]
