"""Model: a loaded network that arrays go through. It checks what comes in, finds or builds the plan, and runs it."""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Mapping, Sequence, ValuesView
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from . import _executor, kernels, onnx_json
from .dtypes import element_of, is_sequence, sequence, type_name
from .errors import InputError, ModelError, ModelWarning, SlowPathWarning, UnsupportedError, did_you_mean, warn
from .graph import Dim, Graph, Shape, Value, shape_text
from .implementations import IMPLEMENTATIONS
from .onnx_json import Reading, Source
from .passes import PASSES, run_passes
from .plan import Arenas, Plan, SplitPlan, Target, build_batch
from .plan.binder import Packed
from .plan.slow_path import SlowLayer, slow_layers, warning
from .plan.stages import Stage, StageGraph, Stamp, split
from .reference import run_references
from .report import Profile, Summary, outline, profile_plan, summarise
from .threads import Locked, resolve

if TYPE_CHECKING:
    from typing import Unpack

    from numpy.typing import ArrayLike, DTypeLike

    #: the inputs of a call: the only one, or a mapping by name
    Inputs = ArrayLike | Mapping[str, ArrayLike]

Accuracy = Literal["default", "exact"]
ACCURACIES: tuple[Accuracy, ...] = get_args(Accuracy)
NO_INPUTS: Mapping[str, ArrayLike] = MappingProxyType({})
#: plans kept at once: one for each set of outputs, input shapes and elements that say how to compute
MOST_PLANS = 16

#: of a plan: the names of outputs, and what the graph of each stage up to its own was told
Key = tuple[Any, ...]


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a model.

    Parameters
    ----------
    name : str
        Its name.
    shape : tuple of int, str or None, or None
        Its sizes: an int, a symbol such as "N", or None where the file does not know it. None where not even the number of
        sizes is known.
    dtype : numpy.dtype
        The type of its elements.

    Examples
    --------
    >>> import fastconv
    >>> print(fastconv.load(fastconv.data.DIGITS).inputs[0])
    image N×1×8×8 float32
    """

    name: str
    shape: Shape
    dtype: np.dtype

    def __str__(self) -> str:
        return f"{self.name} {shape_text(self.shape)} {type_name(self.dtype)}"


class Outputs:
    """The results of a run by name and by position, in order.

    Iterating gives the arrays, so that `boxes, scores = out` unpacks them. A result that is a sequence of ONNX is a list of
    arrays.

    Parameters
    ----------
    arrays : mapping of str to numpy.ndarray
        The results, in order.

    Examples
    --------
    >>> import fastconv, numpy as np
    >>> out = fastconv.load(fastconv.data.DIGITS).run(np.zeros((1, 1, 8, 8), np.float32))
    >>> out
    Outputs(logits: 1×10 float32)
    >>> out["logits"] is out[0]
    True
    >>> (logits,) = out
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]):
        self._arrays = dict(arrays)

    def __getitem__(self, key: str | int) -> np.ndarray:
        return self._arrays[key] if isinstance(key, str) else list(self._arrays.values())[key]

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter(self._arrays.values())

    def __len__(self) -> int:
        return len(self._arrays)

    def __contains__(self, name: object) -> bool:
        return name in self._arrays

    def keys(self) -> KeysView[str]:
        """The names, in order.

        Returns
        -------
        KeysView of str
            A view, as a dict's.
        """
        return self._arrays.keys()

    def values(self) -> ValuesView[np.ndarray]:
        """The arrays, in order.

        Returns
        -------
        ValuesView of numpy.ndarray
            A view, as a dict's.
        """
        return self._arrays.values()

    def items(self) -> ItemsView[str, np.ndarray]:
        """(name, array) pairs, in order.

        Returns
        -------
        ItemsView of str and numpy.ndarray
            A view, as a dict's.
        """
        return self._arrays.items()

    def __repr__(self) -> str:
        def text(v: Any) -> str:
            return f"{len(v)} arrays" if isinstance(v, list) else f"{shape_text(v.shape)} {type_name(v.dtype)}"

        return f"Outputs({', '.join(f'{k}: {text(v)}' for k, v in self.items())})"


class Model(Locked):
    """A network, ready to run; made by `fastconv.load`. Immutable: any number of threads may call it at once.

    Parameters
    ----------
    source, threads, accuracy, **reading
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
        self, source: Source, *, threads: int | None = None, accuracy: Accuracy = "default", **reading: Unpack[Reading]
    ):
        if accuracy not in ACCURACIES:
            raise InputError(f"accuracy: expected {' or '.join(map(repr, ACCURACIES))}, got {accuracy!r}")
        self._source = source
        self._options: dict[str, Any] = {"threads": threads, "accuracy": accuracy, **reading}
        self._threads = resolve(threads)
        self._fixed_threads = threads is not None
        self._follows_openmp = self._threads.source.startswith("OpenMP")
        self._accuracy = accuracy
        self._kernels = kernels.load()
        self._original = onnx_json.read(source, **reading)
        self._warned = False
        self._slow: list[SlowLayer] = []
        self._told_slow = False
        self._parts: dict[tuple[str, ...], StageGraph] = {}
        self._plans: OrderedDict[Key, tuple[Plan | SplitPlan, Stage]] = OrderedDict()
        self._arenas = Arenas()
        self._packed: weakref.WeakValueDictionary[Any, Packed] = weakref.WeakValueDictionary()
        super().__init__()
        graph = self._part(()).graph
        self._inputs = tuple(_info(v) for v in graph.inputs)
        self._outputs = tuple(_info(v) for v in graph.outputs)

    def _unlock(self) -> None:
        super()._unlock()
        self._planning = threading.Lock()
        self._calls = 0

    # ---- what it is

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
        """What the file says about the network, by key (ONNX's metadata_props): class names, an alphabet; read-only."""
        return MappingProxyType(self._original.metadata)

    @property
    def threads(self) -> int:
        """The most threads that a call uses."""
        return self._threads.count

    def __repr__(self) -> str:
        name = self._original.name or "model"
        doors = " -> ".join(", ".join(map(str, infos)) for infos in (self.inputs, self.outputs))
        return f"<fastconv.Model {name!r}: {doors}; {self._kernels.isa}, {self.threads} threads>"

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
            The only input, or the inputs by name, of the shapes and dtypes in `model.inputs`. Contiguous arrays, also of other
            libraries, are taken without a copy.
        out : numpy.ndarray, or mapping of str to numpy.ndarray, optional
            Where to write the only output, or outputs by name.
        **named : array_like
            The inputs by name, in place of `inputs`: `model(image=x, mask=m)`. An input that is called `out`, or by no Python
            name, comes in a mapping.

        Returns
        -------
        numpy.ndarray or Outputs
            The array of the only output, or `Outputs` where there are several. How many there are only the file says, so a
            type checker takes the result for an array; `run` gives `Outputs` always, and is typed so.

        Raises
        ------
        InputError
            Where an input does not fit, which it names.

        Warns
        -----
        ModelWarning
            Once, where sizes of one symbol differ.

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
                raise InputError(f"the inputs come by position or by name, not both; the model has {_names(self.inputs)}")
            inputs = named
        if out is None:
            out = {}
        elif not isinstance(out, Mapping):
            if len(self.outputs) > 1:
                names = _names(self.outputs)
                raise InputError(f"the model has {len(self.outputs)} outputs ({names}): give out as a mapping by name")
            out = {self.outputs[0].name: out}
        return _one_or_all(self._results((), inputs, out, self._run))

    def run(self, inputs: Inputs, outputs: str | Sequence[str] | None = None) -> Outputs:
        """Run the network and return results by name, whichever values of the graph they are.

        Parameters
        ----------
        inputs : array_like, or mapping of str to array_like
            As in a call.
        outputs : str or sequence of str, optional
            Names of values of the graph; default: the model's outputs.

        Returns
        -------
        Outputs
            The values, in the order in which they were named.

        Raises
        ------
        InputError
            Where an input does not fit, or the graph has no value of a name.

        Examples
        --------
        >>> import fastconv, numpy as np
        >>> model = fastconv.load(fastconv.data.DIGITS)
        >>> model.run(np.zeros((1, 1, 8, 8), np.float32), outputs=["relu1", "logits"])
        Outputs(relu1: 1×16×8×8 float32, logits: 1×10 float32)
        """
        if outputs is None:
            return Outputs(self._results((), inputs, {}, self._run))
        names = tuple(dict.fromkeys([outputs] if isinstance(outputs, str) else outputs))
        if not names:
            raise InputError("outputs: expected the names of values, got none")
        return Outputs(self._results(names, inputs, {}, self._run))

    def reference(self, inputs: Inputs, dtype: DTypeLike = np.float64) -> np.ndarray:
        """What the network gives in float64: the judge of how exact a call is.

        Runs the graph as the file has it, by the operators' references alone: plain NumPy, no kernel, nothing folded or fused.
        Slow, and it needs the memory for that.

        Parameters
        ----------
        inputs : array_like, or mapping of str to array_like
            As in a call.
        dtype : dtype_like
            A floating-point type: numbers of narrower ones are computed and returned in it.

        Returns
        -------
        numpy.ndarray or Outputs
            As from a call.

        Raises
        ------
        InputError
            Where an input does not fit, or `dtype` is no floating-point type.

        Examples
        --------
        >>> import fastconv, numpy as np
        >>> model = fastconv.load(fastconv.data.DIGITS)
        >>> x = np.ones((1, 1, 8, 8), np.float32)
        >>> bool(np.abs(model(x) - model.reference(x)).max() < 1e-5)
        True
        """
        arrays = self._arrays(inputs)
        part = self._part(())
        told = part.key(arrays)
        self._check_shapes(told[0])
        _specialised(part.graph, *told, accuracy=self._accuracy)  # for its errors
        graph = self._cut(())
        return _one_or_all(dict(zip((v.name for v in graph.outputs), run_references(graph, arrays, dtype), strict=True)))

    # What is between __call__ and plan.run, there and back, runs with nothing in the caches: each line of it counts for a call.

    def _results(self, names: tuple[str, ...], inputs: Any, out: Mapping[str, Any], run: Callable[..., Any]) -> dict[str, Any]:
        """What the network gives, by name: stage by stage, each of which `run` runs the plan of."""
        arrays = self._arrays(inputs)
        first = part = self._part(names)
        if out and (unknown := out.keys() - first.names):
            name = sorted(unknown)[0]
            has = ", ".join(map(repr, first.names))
            raise InputError(f"out: the model has no output {name!r}; it has {has}{did_you_mean(name, first.names)}")
        results: dict[str, Any] = {}
        key: Key = (names,)
        while True:
            key = (*key, part.key(arrays))
            plan, stage = self._stage(key, part)
            outputs = [_target(v, out.get(v.name), arrays) for v in stage.graph.outputs]
            stamps = run(plan, arrays, outputs)
            if stage.complete:
                results.update(zip(part.names, outputs, strict=True))
                break
            values = stage.values(arrays, outputs, stamps)
            results.update((v.name, values[v]) for v in stage.outputs)
            if stage.rest is None:
                break
            part = stage.rest
            arrays = [values[v] for v in part.graph.inputs]
        for name, array in out.items():
            if results[name] is not array:
                _check_out(name, results[name].shape, results[name].dtype, array)
                array[...], results[name] = results[name], array
        if part is first and stage.complete:
            return results
        return {v.name: list(results[v.name]) if is_sequence(v.dtype) else results[v.name] for v in first.graph.outputs}

    def _run(self, plan: Plan | SplitPlan, inputs: list[np.ndarray], outputs: list[np.ndarray]) -> None:
        with self._lock:
            self._calls += 1
            threads = self._threads.count if self._fixed_threads else max(1, self._threads_now() // self._calls)
        try:
            plan.run(inputs, outputs, threads)
        finally:
            with self._lock:
                self._calls -= 1

    def _threads_now(self) -> int:
        """OpenMP's setting may have changed since the model was loaded, for this call's thread alone (threadpoolctl)."""
        return min(self.threads, _executor.openmp_max_threads()) if self._follows_openmp else self.threads

    def _arrays(self, inputs: Any) -> list[np.ndarray]:
        """The inputs in order, contiguous and of the model's dtypes, of any shapes; InputError for what does not fit."""
        if not isinstance(inputs, np.ndarray) and isinstance(inputs, Mapping):  # an abstract class's isinstance takes 0.1 µs
            if unknown := set(inputs) - {i.name for i in self.inputs}:
                raise self._no_input(unknown)
            if missing := [i.name for i in self.inputs if i.name not in inputs]:
                raise InputError(f"input {missing[0]!r} is missing; the model has {_names(self.inputs)}")
            given = [inputs[i.name] for i in self.inputs]
        elif len(self.inputs) == 1:
            given = [inputs]
        else:
            raise InputError(f"the model has {len(self.inputs)} inputs ({_names(self.inputs)}): give them as a mapping by name")
        return [_array(i, x) for i, x in zip(self._inputs, given, strict=True)]

    def _no_input(self, unknown: Iterable[Any]) -> InputError:
        name, names = min(map(str, unknown)), [i.name for i in self.inputs]
        return InputError(f"the model has no input {name!r}; it has {_names(self.inputs)}{did_you_mean(name, names)}")

    def _check_shapes(self, shapes: Sequence[tuple[int, ...]]) -> None:
        """InputError for shapes that are wrong; the model's one warning where only a symbol speaks against them."""
        differ = _check_shapes(self._inputs, shapes)
        if differ is not None and not self._warned:
            self._warned = True
            warn(f"{differ}; it runs if the model's nodes allow it", ModelWarning)

    # ---- stages

    def _part(self, names: tuple[str, ...]) -> StageGraph:
        """The graph after all passes, with the named values (none: the model's outputs) as its outputs."""
        part = self._parts.get(names)
        if part is None:
            part = StageGraph(run_passes(self._cut(names), accuracy=self._accuracy))
            with self._lock:
                if len(self._parts) > MOST_PLANS:
                    self._parts = {(): self._parts[()]}
                self._parts[names] = part
        return part

    def _cut(self, names: tuple[str, ...]) -> Graph:
        graph = self._original.copy()
        if names:
            values = {v.name: v for v in graph.values()}
            if unknown := [n for n in names if n not in values]:
                raise InputError(f"the model has no value {unknown[0]!r}{did_you_mean(unknown[0], values)}")
            graph.outputs = [values[n] for n in names]
        return graph

    def _stage(self, key: Key, part: StageGraph) -> tuple[Plan | SplitPlan, Stage]:
        """The first stage of a graph, with its plan."""
        if found := self._find(key):
            return found
        if len(key) == 2:  # the model's own inputs; where there is a plan, they were checked
            self._check_shapes(key[1][0])
        with self._planning:  # weights are packed once, however many threads ask; calls that have a plan go on meanwhile
            if found := self._find(key):
                return found
            stage = split(_specialised(part.graph, *key[-1], accuracy=self._accuracy))
            target = Target(IMPLEMENTATIONS, self._kernels, self.threads, self._accuracy)
            made = build_batch(stage.graph, target, self._packed, self._arenas), stage
            self._slow += slow_layers(*made)
            with self._lock:
                self._plans[key] = made
                if len(self._plans) > MOST_PLANS:
                    self._plans.popitem(last=False)
                    self._arenas.clear()  # they may be larger than the plans that are left need
        if stage.rest is None:
            self._warn_slow()
        return made

    def _warn_slow(self) -> None:
        """The model's one SlowPathWarning, where the stages planned since the last whole plan are worth it."""
        layers, self._slow = list(dict.fromkeys(self._slow)), []
        if not self._told_slow and (text := warning(layers)) is not None:
            self._told_slow = True
            warn(text, SlowPathWarning)

    def _find(self, key: Key) -> tuple[Plan | SplitPlan, Stage] | None:
        with self._lock:
            if found := self._plans.get(key):
                self._plans.move_to_end(key)
            return found

    def _given(self, shapes: Mapping[str, Sequence[int]] | None) -> list[Shape]:
        """The inputs' shapes: as given, else as the file has them, in which an open first axis is 1 where no other is open."""
        given = shapes or {}
        if unknown := set(given) - {i.name for i in self.inputs}:
            raise self._no_input(unknown)
        out = []
        for i in self.inputs:
            shape: Shape = tuple(given[i.name]) if i.name in given else i.shape
            if i.name not in given and shape is not None and _settled(shape[1:]):
                shape = tuple(1 if not isinstance(d, int) else d for d in shape)
            if not _all_fit(i.shape, shape):
                raise InputError(f"input {i.name!r}: expected {shape_text(i.shape)}, got {shape_text(shape)}")
            out.append(shape)
        return out

    def _shapes(self, shapes: Mapping[str, Sequence[int]] | None) -> tuple[tuple[int, ...], ...]:
        """The inputs' shapes where all sizes are known; InputError where one is not."""
        given = self._given(shapes)
        for i, shape in zip(self.inputs, given, strict=True):
            if not _settled(shape):
                raise InputError(f"input {i.name!r}: give sizes for {shape_text(i.shape)}: shapes={{{i.name!r}: (…)}}")
        return tuple(given)  # type: ignore[arg-type]

    def _first_stage(self, shapes: Mapping[str, Sequence[int]] | None) -> tuple[Plan | SplitPlan, Stage]:
        """The first stage for these input shapes, and its plan."""
        part, given = self._part(()), self._shapes(shapes)
        if any(part.controls):
            names = _names(v for v, how in zip(part.graph.inputs, part.controls, strict=True) if how)
            raise InputError(f"the plan depends on the elements of {names}: model.profile(inputs) shows it")
        told = (given, (None,) * len(given))
        first = self._stage(((), told), part)
        self._warn_slow()
        return first

    def plan(self, shapes: Mapping[str, Sequence[int]] | None = None) -> Plan | SplitPlan:
        """The plan for these input shapes; str() of it is what `fastconv dump --after plan` prints.

        Where sizes show only as the network runs, it is the plan of what comes before.

        Parameters
        ----------
        shapes : mapping of str to sequence of int, optional
            The shape of each input by its name; default: as the file has it, with 1 for a first size that it leaves open.

        Returns
        -------
        Plan or SplitPlan
            What runs, in order, for these shapes.

        Raises
        ------
        InputError
            Where a shape does not fit, or is needed; or where the plan depends on the elements of inputs.

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
            Where there is no such stage; for a plan as `plan` does.

        Examples
        --------
        >>> import fastconv
        >>> print(fastconv.load(fastconv.data.DIGITS).dump("read").splitlines()[1])
          input  'image':float32[N×1×8×8]
        """
        if stage == "plan":
            plan, first = self._first_stage(shapes)
            waits = [f"then {n!r}" for n in first.data_dependent] + ([f"then {first.rest.graph}"] if first.rest else [])
            return "\n".join([str(plan), *waits])
        if stage not in (known := ["read", *(p.__name__ for p in PASSES)]):
            hint = did_you_mean(stage, [*known, "plan"])
            raise InputError(f"stage: expected {', '.join(known)} or plan, got {stage!r}{hint}")
        graph = self._cut(())
        if shapes:
            for v, shape in zip(graph.inputs, self._shapes(shapes), strict=True):
                v.shape = shape
        return str(graph if stage == "read" else run_passes(graph, stage, self._accuracy))

    def summary(self, shapes: Mapping[str, Sequence[int]] | None = None) -> Summary:
        """A table of the layers: operator, implementation, shape, window, parameters, multiply-adds, floating point operations.

        Parameters
        ----------
        shapes : mapping of str to sequence of int, optional
            The shape of each input by its name. Sizes that the file leaves open and `shapes` does not give stay symbols, and
            then nothing is planned; but an open batch alone is taken as 1, which the first line says.

        Returns
        -------
        Summary
            str() of it is the table; a REPL and a notebook show it.

        Raises
        ------
        InputError
            Where a shape does not fit, or the plan depends on the elements of inputs.

        Examples
        --------
        >>> import fastconv
        >>> fastconv.load(fastconv.data.DIGITS).summary().layers[1].op
        'Conv+Relu'
        """
        given = self._given(shapes)
        inputs = [(i.name, i.shape, shape) for i, shape in zip(self.inputs, given, strict=True)]
        if not all(map(_settled, given)):
            return outline(inputs, _specialised(self._part(()).graph, given, accuracy=self._accuracy).nodes)
        return summarise(inputs, *self._first_stage(shapes))

    def profile(self, inputs: Inputs, runs: int = 10) -> Profile:
        """Run the network several times and say what each layer took.

        Parameters
        ----------
        inputs : array_like, or mapping of str to array_like
            As in a call.
        runs : int
            How often to run it; the times are the medians.

        Returns
        -------
        Profile
            str() of it is the table; a REPL and a notebook show it, and `save` writes a trace.

        Raises
        ------
        InputError
            Where an input does not fit.

        Examples
        --------
        >>> import fastconv, numpy as np
        >>> profile = fastconv.load(fastconv.data.DIGITS).profile(np.zeros((1, 1, 8, 8), np.float32))
        >>> profile.rows[1].op
        'Conv+Relu'
        """
        stages: list[tuple[Profile, list[Stamp]]] = []

        def run(plan: Plan | SplitPlan, arrays: list[np.ndarray], outputs: list[np.ndarray]) -> list[Stamp]:
            stamps: list[Stamp] = []
            stages.append((profile_plan(plan, arrays, outputs, self.threads, runs), stamps))
            return stamps

        self._results((), inputs, {}, run)
        return Profile.of(stages)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network after all passes as ONNX in JSON: BatchNormalization is folded, fused nodes stand apart.

        Parameters
        ----------
        path : str or os.PathLike
            The file; large weights go to one beside it, of its name with ".data".

        Raises
        ------
        OSError
            Where a file cannot be written; none is left half-written.

        Examples
        --------
        >>> import fastconv, os, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "net.json")
        ...     fastconv.load(fastconv.data.DIGITS).save(path)
        ...     fastconv.load(path).outputs[0].name
        'logits'
        """
        onnx_json.write(self._part(()).graph, path)


def specialise(
    graph: Graph, shapes: Sequence[Shape], elements: Sequence[bytes | None] = (), *, accuracy: str = "default"
) -> Graph:
    """A copy of the graph for inputs of these shapes (and of these bytes, where some are given) with all that this tells."""
    graph = graph.copy()
    for v in graph.values():
        if v.constant is None and v not in graph.inputs:
            v.shape = None
    for v, shape, known in itertools.zip_longest(graph.inputs, shapes, elements):
        v.shape = shape
        if known is not None:
            v.constant = np.frombuffer(known, v.dtype).reshape(v.dims)
    return run_passes(graph, accuracy=accuracy)


def _specialised(
    graph: Graph, shapes: Sequence[Shape], elements: Sequence[bytes | None] = (), *, accuracy: str = "default"
) -> Graph:
    """The graph that was told so much; InputError where inputs of these shapes do not go through it."""
    try:
        return specialise(graph, shapes, elements, accuracy=accuracy)
    except UnsupportedError:
        raise
    except ModelError as e:
        given = ", ".join(f"{v.name} {shape_text(shape)}" for v, shape in zip(graph.inputs, shapes, strict=True))
        raise InputError(f"the model does not take {given}: {e}") from None


def load(
    source: Source,
    *,
    threads: int | None = None,
    accuracy: Accuracy = "default",
    external_dir: str | os.PathLike[str] | None = None,
    follow_links: bool = False,
    max_bytes: int | None = None,
) -> Model:
    """Load a network from ONNX as JSON, or from `.onnx` with the [onnx] extra.

    Large weights are read from their file when a shape's first call packs them, so it must not be written to until then; it may
    be deleted or replaced.

    Parameters
    ----------
    source : str, os.PathLike, bytes or mapping
        The file, `model.json` or `model.onnx`; the contents of one as bytes; or what JSON parses to.
    threads : int, optional
        The most threads that a call uses; default: FASTCONV_NUM_THREADS, then OpenMP's own setting.
    accuracy : {"default", "exact"}
        "exact" uses only algorithms that sum the same products as the definition (no Winograd; of quantized networks the
        integers), and keeps denormals, which kernels otherwise take for zero.
    external_dir : str or os.PathLike, optional
        Where weight files are; default: beside the model.
    follow_links : bool
        Whether weight files may be symbolic links.
    max_bytes : int, optional
        Refuse models whose file or tensors need more bytes.

    Returns
    -------
    Model
        The network, ready to run.

    Raises
    ------
    ModelError
        Where the file is wrong; UnsupportedError, which is one, lists every node that is not supported.
    InputError
        Where an argument makes no sense.
    OSError
        Where the file cannot be read.

    Warns
    -----
    SlowPathWarning
        Once, where much of the network has no kernel for its dtype or its shapes. As a file may leave sizes open, it is the
        first plan that warns, which a call or `summary` makes.

    Examples
    --------
    >>> import fastconv
    >>> fastconv.load(fastconv.data.DIGITS, threads=1).outputs[0].shape
    ('N', 10)
    """
    reading: Reading = {"external_dir": external_dir, "follow_links": follow_links, "max_bytes": max_bytes}
    return Model(source, threads=threads, accuracy=accuracy, **reading)


def _rebuild(source: Any, options: dict[str, Any]) -> Model:
    return Model(source, **options)


def _info(value: Value) -> TensorInfo:
    return TensorInfo(value.name, value.shape, np.dtype(value.dtype or np.float32))


def _one_or_all(results: dict[str, Any]) -> Any:
    return next(iter(results.values())) if len(results) == 1 else Outputs(results)


def _names(values: Any) -> str:
    return ", ".join(repr(v.name) for v in values)


def _fits(dim: Dim, size: Dim) -> bool:
    return not isinstance(dim, int) or dim == size


def _all_fit(declared: Shape, given: Shape) -> bool:
    return declared is None or given is None or (len(declared) == len(given) and all(map(_fits, declared, given)))


def _settled(shape: Shape) -> bool:
    return shape is not None and all(isinstance(d, int) for d in shape)


def _wrong(info: TensorInfo, expected: str, got: str, hint: str = "") -> InputError:
    return InputError(f"input {info.name!r}: expected {expected}, got {got}{hint}")


def _array(info: TensorInfo, x: Any) -> np.ndarray:
    """The input as a contiguous array of the model's dtype; InputError, naming it, for what does not fit."""
    if type(x) is np.ndarray and x.dtype == info.dtype and not x.dtype.hasobject and x.flags.c_contiguous and x.flags.aligned:
        return x
    if is_sequence(info.dtype):
        element = element_of(info.dtype)
        if not (isinstance(x, list | tuple) and all(isinstance(a, np.ndarray) and a.dtype == element for a in x)):
            raise _wrong(info, f"a list of arrays of {element}", f"{type(x).__name__}")
        return sequence(x)
    if info.dtype == object:
        array = np.asarray(x, object)
        if not all(isinstance(s, str) for s in array.flat):
            raise _wrong(info, "strings", f"{type(x).__name__}")
    elif isinstance(x, list | tuple):
        try:
            numbers = np.array(x)
            if numbers.dtype.kind not in "biuf":
                raise TypeError
            array = numbers.astype(info.dtype, casting="same_kind")
        except (TypeError, ValueError):
            raise _wrong(info, f"numbers of {info.dtype}", f"a {type(x).__name__} that is not an array of them") from None
    else:
        if x is None or isinstance(x, str | bytes | os.PathLike):
            raise _no_array(info, x)
        try:
            array = np.from_dlpack(x) if not isinstance(x, np.ndarray) and hasattr(x, "__dlpack__") else np.asarray(x)
        except (TypeError, ValueError, RuntimeError, BufferError) as e:
            raise _wrong(info, f"an array of {info.dtype}", f"{type(x).__name__} ({e})") from None
    if isinstance(x, np.ndarray) and hasattr(x, "filled"):  # to name the class would import numpy.ma
        raise _wrong(info, "a plain array", "a masked array", ": fill it first, x.filled(…)")
    if array.dtype.newbyteorder("=") != info.dtype:
        hint = f": x{_cast(info)}" if array.dtype.kind in "fiub" else ""
        code = "x" if isinstance(x, np.ndarray) else "np.asarray(x)"
        raise _wrong(info, str(info.dtype), str(array.dtype), _picture_hint(info, array.shape, array.dtype, code) or hint)
    return np.require(array, info.dtype, ("C", "ALIGNED"))


def _cast(info: TensorInfo) -> str:
    return f".astype({'np' if hasattr(np, info.dtype.name) else 'ml_dtypes'}.{info.dtype})"


def _no_array(info: TensorInfo, x: Any) -> InputError:
    """The error for what stands for an array, but is none: nothing, bytes, the path of a file."""
    expected = f"an array of {info.dtype} {shape_text(info.shape)}"
    if x is None or isinstance(x, bytes):
        return _wrong(info, expected, "None" if x is None else "bytes")
    path = os.fspath(x)
    if path.endswith((".npy", ".npz")):
        hint = f", np.load({path!r})"
    else:
        hint = f", fastconv.vision.to_nchw(fastconv.vision.read({path!r}))" if _takes_pictures(info) else ""
    return _wrong(info, expected, f"a path, {path!r}", f": read it first{hint}")


def _takes_pictures(info: TensorInfo) -> bool:
    """Whether it is N×3×H×W of floats."""
    return info.shape is not None and len(info.shape) == 4 and info.shape[1] == 3 and info.dtype.kind == "f"


def _picture_hint(info: TensorInfo, shape: tuple[int, ...], dtype: np.dtype, code: str = "x") -> str:
    """How a picture (H×W×3 or, with transparency, H×W×4), or several, becomes this input; "" where x is none."""
    rank = len(shape)
    if not _takes_pictures(info) or rank not in (3, 4) or shape[-1] not in (3, 4) or dtype.kind not in "fiu":
        return ""
    assert info.shape is not None
    if _all_fit(info.shape[-rank:], shape):  # the channels come first as it is
        return ""
    code += "[..., :3]" if shape[-1] == 4 else ""
    to_floats = "" if dtype in (np.uint8, info.dtype) else _cast(info)
    if rank == 3 and _settled(info.shape[2:]) and not _all_fit(info.shape[2:], shape[:2]):
        code = f"fastconv.vision.resize({code}{to_floats}, {info.shape[2:]})"
        to_floats = ""
    if dtype == np.uint8:
        return f": a picture becomes an input by fastconv.vision.to_nchw({code})" + (
            "" if info.dtype == np.float32 else _cast(info)
        )
    return f": channels come first, {code}.transpose({'2, 0, 1)[None]' if rank == 3 else '0, 3, 1, 2)'}{to_floats}"


def _check_shapes(infos: Sequence[TensorInfo], shapes: Sequence[tuple[int, ...]]) -> str | None:
    """InputError, naming the input, for a shape that is not as the model says; a text where two sizes of one symbol differ."""
    symbols: dict[str, tuple[int, str]] = {}
    differ = None
    for info, shape in zip(infos, shapes, strict=True):
        if info.shape is None:
            continue
        if len(shape) != len(info.shape):
            more = len(info.shape) - len(shape)
            fits = more > 0 and _all_fit(info.shape, (1,) * more + shape)
            axes = "batch axis" if more == 1 else "first axes"
            hint = f": add the {axes}, x[{', '.join(['None'] * more)}]" if fits else _picture_hint(info, shape, info.dtype)
            raise _wrong(info, shape_text(info.shape), shape_text(shape), hint)
        if not all(map(_fits, info.shape, shape)):
            raise _wrong(info, shape_text(info.shape), shape_text(shape), _picture_hint(info, shape, info.dtype))
        for dim, size in zip(info.shape, shape, strict=True):
            if isinstance(dim, str):
                before, owner = symbols.setdefault(dim, (size, info.name))
                if before != size and differ is None:
                    sizes = f"{before} and {size}" if owner == info.name else f"{size}, but {before} in input {owner!r}"
                    given = f"expected {shape_text(info.shape)}, got {shape_text(shape)}"
                    differ = f"input {info.name!r}: {given}: {dim} is {sizes}"
    return differ


def _target(value: Value, given: Any, inputs: Sequence[np.ndarray]) -> np.ndarray:
    """The array that an output is computed into: the one given, where there is one and that can be."""
    dtype = value.dtype or np.dtype(np.float32)
    if given is not None:
        _check_out(value.name, value.dims, dtype, given)
        if given.flags.carray and not any(np.may_share_memory(given, a) for a in inputs):
            return given
    return np.empty(value.dims, dtype)


def _check_out(name: str, shape: tuple[int, ...], dtype: np.dtype, out: Any) -> None:
    if not isinstance(out, np.ndarray) or out.dtype != dtype or out.shape != shape or not out.flags.writeable:
        got = f"{shape_text(out.shape)} {out.dtype}" if isinstance(out, np.ndarray) else type(out).__name__
        kind = " (read-only)" if isinstance(out, np.ndarray) and not out.flags.writeable else ""
        raise InputError(f"out {name!r}: expected a writable array {shape_text(shape)} {dtype}, got {got}{kind}")


__all__ = ["Model", "Outputs", "TensorInfo", "load"]
