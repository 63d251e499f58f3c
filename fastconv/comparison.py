"""How far a model's results are from those of another engine or of the reference in float64, as a whole and layer by layer."""

from __future__ import annotations

import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from . import engines, onnx_json
from .convert import convert
from .dtypes import kind, precision
from .errors import FastconvError, InputError, ModelError, did_you_mean
from .graph import Node, Shape, shape_text
from .inputs import check_shapes, input_arrays
from .model import Model, load
from .progress import Advance, ignore
from .shown import number
from .table import LayerTable, shorten
from .version import __version__

if TYPE_CHECKING:
    from .model import Inputs

    class Module(Protocol):
        """What a torch.nn.Module has; without torch a type checker does not know its own name."""

        training: bool

        def __call__(self, *inputs: Any) -> Any: ...

    #: what a model is compared with: the reference or an engine by name, or a module of torch
    Against: TypeAlias = str | Module

    #: the model's array and the other one
    Pair = tuple[np.ndarray, np.ndarray]
    #: of each round, the milliseconds of a call of the model and of what it is compared with
    Times = Sequence[tuple[float, float]]

REFERENCE = "reference"
AGAINST = (REFERENCE, *engines.ENGINES)
ROUNDS = 7
FLOAT32 = precision(np.float32)
#: the operator of a row that is an output of the model
OUTPUT = "output"
#: the first column that is left out if it is empty
OPTIONAL = 7


@dataclass(frozen=True)
class LayerError:
    """The errors of a layer, a node with the nodes fused into it, named as in a summary; or those of an output.

    `largest` is the largest magnitude of what it is compared with. An error is infinite where only one of both is NaN or
    infinite, or where shapes differ.
    """

    name: str
    op: str
    output: Shape
    max_error: float
    rms_error: float
    largest: float
    #: the largest relative error that rounding explains: √ε of the least precise dtype up to here
    bound: float

    @property
    def relative(self) -> float:
        """The largest error over the largest magnitude."""
        return self.max_error / self.largest if self.largest else math.inf if self.max_error else 0.0

    @property
    def departs(self) -> bool:
        """Whether less than half of the digits are right, of a number as large as the largest."""
        return not self.relative <= self.bound

    def __str__(self) -> str:
        return f"{shorten(self.name)} ({self.op}), by {self.relative:.1e} of its largest value"


class Comparison(LayerTable):
    """A model's results beside another engine's, from `compare`. A REPL prints the table, str() of it, and a notebook shows it.

    Parameters
    ----------
    against : str
        The name of the other engine, and its version.
    outputs, layers : sequence of LayerError
        The errors of each output, and of each layer; no layers if they were not compared.
    top1 : mapping of str to tuple
        For each output with a number for each class: in how many rows both have the same class as the largest, and of how many.
    times : sequence of tuple
        Of each round, the milliseconds of a call of the model and of the other engine.
    threads : int
        The most threads that a call uses.

    Examples
    --------
    >>> import fastconv, numpy as np
    >>> model = fastconv.load(fastconv.data.DIGITS)
    >>> comparison = fastconv.compare(model, np.ones((1, 1, 8, 8), np.float32), layers=True, seconds=0.1)
    >>> comparison.layers[0].op, comparison.first is None
    ('Conv+Relu', True)
    """

    def __init__(
        self,
        against: str,
        outputs: Sequence[LayerError],
        layers: Sequence[LayerError],
        top1: Mapping[str, tuple[int, int]],
        times: Times,
        threads: int,
    ):
        self.against = against
        self.outputs: tuple[LayerError, ...] = tuple(outputs)
        self.layers: tuple[LayerError, ...] = tuple(layers)
        self.top1: dict[str, tuple[int, int]] = dict(top1)
        self.rounds: int = len(times)
        self.ms: float = statistics.median(ours for ours, _ in times)
        self.against_ms: float = statistics.median(theirs for _, theirs in times)
        self.ratio: float = statistics.median(theirs / ours for ours, theirs in times)
        self.threads = threads

    @property
    def first(self) -> LayerError | None:
        """The first layer that departs; if layers were not compared, the first output."""
        return next((e for e in self.layers or self.outputs if e.departs), None)

    def _entries(self) -> Sequence[Any]:
        return ()  # the table does not say what runs by reference

    def _head(self) -> str:
        return f"fastconv {__version__} against {self.against}, {self.threads} threads"

    def _table(self) -> tuple[Sequence[str], Sequence[Sequence[str]], int]:
        rows = [
            (
                shorten(e.name),
                e.op,
                shape_text(e.output),
                *(f"{x:.3g}" for x in (e.max_error, e.rms_error, e.largest, e.relative)),
                "{} of {}".format(*self.top1[e.name]) if e.op == OUTPUT and e.name in self.top1 else "",
                "departs" if e.departs else "",
            )
            for e in (*self.layers, *self.outputs)
        ]
        header = ("layer", "operator", "shape", "max error", "RMS error", "largest", "max / largest", "top-1", "")
        said = [i for i in range(len(header)) if i < OPTIONAL or any(r[i] for r in rows)]
        first, *rest = [[r[i] for i in said] for r in (header, *rows)]
        return first, rest, 3

    def _total(self) -> str:
        times = f"fastconv {self.ms:.3f} ms, {self.against.partition(' ')[0]} {self.against_ms:.3f} ms, ratio {self.ratio:.2f}"
        return f"{times} ({f'medians of {self.rounds} rounds' if self.rounds > 1 else 'one call'})\n{self._verdict()}"

    def _verdict(self) -> str:
        """Which layer departs first; else which is the furthest off."""
        errors, what = self.layers or self.outputs, "layer" if self.layers else "output"
        if self.first is None:
            return f"no {what} departs; furthest off is {max(errors, key=lambda e: e.relative / e.bound)}"
        before = errors[: errors.index(self.first)]
        tail = f"; the one before is off by {before[-1].relative:.1e}: {shorten(before[-1].name)}" if before else ""
        return f"the first {what} that departs is {self.first}, more than {self.first.bound:.1e}{tail}"

    def as_dict(self) -> dict[str, object]:
        """The comparison as a document for JSON.

        Returns
        -------
        dict
            Values that `json.dumps` takes; docs/command-line.md lists the keys.
        """

        def errors(rows: Sequence[LayerError]) -> list[dict[str, object]]:
            return [
                {
                    "name": e.name,
                    "operator": e.op,
                    "output": e.output,
                    "max_error": number(e.max_error),
                    "rms_error": number(e.rms_error),
                    "largest": e.largest,
                    "bound": e.bound,
                    "departs": e.departs,
                }
                for e in rows
            ]

        return {
            "against": self.against,
            "threads": self.threads,
            "ms": self.ms,
            "against_ms": self.against_ms,
            "ratio": self.ratio,
            "top1": {name: {"same": same, "of": rows} for name, (same, rows) in self.top1.items()},
            "outputs": errors(self.outputs),
            "layers": errors(self.layers),
            "first": self.first and self.first.name,
        }


def compare(
    model: Model,
    inputs: Inputs,
    against: Against = REFERENCE,
    *,
    other: str | os.PathLike[str] | None = None,
    layers: bool = False,
    seconds: float = 1.0,
    advance: Advance = ignore,
) -> Comparison:
    """Compare a model's results and times with those of another engine, or with the reference in float64.

    Parameters
    ----------
    model : Model
        The network.
    inputs : array_like, or mapping of str to array_like
        As in a call.
    against : str or torch.nn.Module
        "reference"; or "onnxruntime" or "openvino" (extra `peers`) or "torch" (extra `torch`), which run the model's file,
        torch as onnx2pytorch translates it; or a module in evaluation mode, which takes the model's inputs in order.
    other : str or os.PathLike, optional
        The file that the other one runs in place of the model's, with as many inputs and outputs: `.onnx`, `.json`, or for
        "torch" a `.pt2` file, as torch.export.save writes it.
    layers : bool
        Whether to compare each layer, too: a node with the nodes fused into it, as in `summary`.
    seconds : float
        How long to measure times. The two take turns. The reference, which may take minutes, runs once.
    advance : callable
        Called with the share of the work that was done since the last call; the shares add up to 1.

    Returns
    -------
    Comparison
        str() of it is the table; a REPL and a notebook show it.

    Raises
    ------
    InputError
        If an input does not fit, `against` is unknown, or `other` is another network.
    ModelError
        If a file is malformed.
    FastconvError
        If a package is missing, or the other engine cannot run the model.
    OSError
        If a file cannot be read.

    Examples
    --------
    >>> import fastconv, numpy as np
    >>> model = fastconv.load(fastconv.data.DIGITS)
    >>> fastconv.compare(model, np.ones((4, 1, 8, 8), np.float32), seconds=0.1).top1
    {'logits': (4, 4)}
    """
    arrays = input_arrays(model.inputs, inputs)
    given, outputs = dict(zip((i.name for i in model.inputs), arrays, strict=True)), [o.name for o in model.outputs]
    with _peer(model, against, other, arrays) as peer:
        if layers and peer.known is None:
            raise InputError("layers: a program of torch does not know the names of the model's values")
        compared = _layers(model, peer.known or ()) if layers else []
        inner = [name for _, names in compared for name in names]
        theirs = peer.values(arrays, inner, advance)
        if len(theirs) != len(outputs) + len(inner):
            raise InputError(f"{peer.title} has {len(theirs)} outputs, the model {len(outputs)}")
        times = peer.times(arrays, lambda: model.run(given), seconds, advance)
    # the outputs of a call as it is; values inside it take another one
    ours = [*model.run(given), *(model.run(given, inner) if inner else ())]
    both = list(zip(ours, theirs, strict=True))
    of_outputs, of_inner = dict(zip(outputs, both, strict=False)), dict(zip(inner, both[len(outputs) :], strict=True))
    numbers = {name: (a, b) for name, (a, b) in of_outputs.items() if isinstance(a, np.ndarray) and a.dtype.kind != "O"}
    bound = math.sqrt(max(map(_precision, model._stage_graph(()).graph.nodes), default=FLOAT32))
    errors = [LayerError(name, OUTPUT, pair[0].shape, *_distance([pair]), bound) for name, pair in numbers.items()]
    top1 = {name: found for name, pair in numbers.items() if (found := _top1(*pair))}
    return Comparison(peer.title, errors, _layer_errors(compared, of_inner), top1, times, model.threads)


def compare_layers(model: Model, inputs: Inputs, advance: Advance = ignore) -> list[LayerError]:
    """The errors of each layer against the reference in float64, in the order they run.

    Every layer runs as in a call, with the same nodes fused into it; layers of strings and sequences are left out.
    InputError if an input does not fit.
    """
    layers = _layers(model, _written(model))
    names = [name for _, values in layers for name in values]
    if not names:
        return []
    pairs = zip(model.run(inputs, names), model.reference(inputs, outputs=names, advance=advance), strict=True)
    return _layer_errors(layers, dict(zip(names, pairs, strict=True)))


# ---- errors


def _written(model: Model) -> set[str]:
    """The names of the values that the nodes of the model's file compute."""
    return {v.name for n in model._original.nodes for v in n.outputs if v is not None}


def _layers(model: Model, known: Collection[str]) -> list[tuple[Node, list[str]]]:
    """The nodes that run, each with the names, of those known, of the values that it is the first to compute."""
    left, layers = _written(model).intersection(known), []
    for node in model._stage_graph(()).graph.nodes:
        names = [v.name for v in node.results if v.name in left and v.dtype is not None and v.dtype.kind != "O"]
        left.difference_update(names)
        if names:
            layers.append((node, names))
    return layers


def _layer_errors(layers: Iterable[tuple[Node, Sequence[str]]], pairs: Mapping[str, Pair]) -> list[LayerError]:
    """The errors of each layer, for the two arrays of each value."""
    errors, epsilon = [], 0.0
    for node, names in layers:
        of_node = [pairs[name] for name in names]
        # the results in the file may be narrower than the node computes them
        epsilon = max(epsilon, _precision(node), *(precision(a.dtype) for a, _ in of_node))
        errors.append(LayerError(node.label, node.operators, of_node[0][0].shape, *_distance(of_node), math.sqrt(epsilon)))
    return errors


def _precision(node: Node) -> float:
    """The ε of the least precise value that a node computes, at least that of float32, which wider dtypes are computed in."""
    return max(FLOAT32, *(precision(v.dtype or np.float32) for n in node.chain for v in n.outputs if v is not None))


def _distance(pairs: Sequence[Pair]) -> tuple[float, float, float]:
    """(largest difference, RMS difference, largest magnitude of the second arrays) of pairs of arrays."""
    largest = max(_largest(b) for _, b in pairs)
    if any(a.shape != b.shape for a, b in pairs):
        return math.inf, math.inf, largest
    a, b = (np.concatenate([np.asarray(x, np.float64).ravel() for x in xs]) for xs in zip(*pairs, strict=True))
    with np.errstate(invalid="ignore"):
        far = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0, np.abs(a - b))
    far[np.isnan(far)] = math.inf
    return float(far.max(initial=0)), math.sqrt(np.square(far).mean()) if far.size else 0.0, largest


def _largest(array: np.ndarray) -> float:
    """The largest finite magnitude."""
    array = np.abs(np.asarray(array, np.float64))
    return float(array.max(initial=0, where=np.isfinite(array)))


def _top1(a: np.ndarray, b: np.ndarray) -> tuple[int, int] | None:
    """(rows with the largest number at the same place, rows), if the arrays have a number for each class."""
    if a.shape != b.shape or kind(a.dtype) != "f" or a.ndim < 2 or a.shape[1] < 2 or a.size != a.shape[0] * a.shape[1]:
        return None
    same = a.reshape(a.shape[:2]).argmax(axis=1) == b.reshape(b.shape[:2]).argmax(axis=1)
    return int(same.sum()), same.size


# ---- what a model is compared with


class _Program:
    """A function of the model's inputs. `known` are the names of the values that it can give besides its outputs, if any."""

    known: Collection[str] | None = None

    def __init__(self, run: engines.Run, title: str):
        self.run = run
        self.title = title

    def values(self, inputs: list[np.ndarray], inner: Sequence[str], advance: Advance = ignore) -> list[np.ndarray]:
        """Its outputs, then the values with these names."""
        try:
            return list(self.run(inputs))
        except Exception as e:
            raise engines.refusal(self.title, e) from e

    def times(self, inputs: list[np.ndarray], call: Callable[[], object], seconds: float, advance: Advance) -> Times:
        """The milliseconds of `call` and of its own, in rounds that take so many seconds in all; they take turns in each."""
        burst, times = seconds / ROUNDS / 2, []
        for _ in range(ROUNDS):
            times.append((engines.burst(call, burst), engines.burst(lambda: self.run(inputs), burst)))
            advance(1 / ROUNDS)
        return times


class _Engine(_Program):
    """An engine that runs a model's file, written to `path` as `.onnx`."""

    def __init__(self, name: str, model: Model, path: Path):
        source = model._source
        if not isinstance(source, str | os.PathLike):
            source = path.with_suffix(".json")
            onnx_json.write(model._original, source)
        reading = {key: model._options[key] for key in ("external_dir", "follow_links") if key in model._options}
        convert(source, path, **reading)
        super().__init__(*engines.load(name, path, model.threads))
        self.name, self.path, self.model = name, path, model
        self.known = _written(model)

    def values(self, inputs: list[np.ndarray], inner: Sequence[str], advance: Advance = ignore) -> list[np.ndarray]:
        """As in _Program. More outputs would slow it down, so those values come from another file."""
        outputs = super().values(inputs, ())
        if not inner:
            return outputs
        try:
            import onnx
        except ImportError:
            raise FastconvError("layers need the onnx package: pip install 'fastconv[onnx]'") from None
        proto = onnx.load(self.path, load_external_data=False)
        names = list(dict.fromkeys([*(o.name for o in proto.graph.output), *inner]))
        proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names[len(outputs) :])
        path = self.path.with_name("layers.onnx")
        onnx.save(proto, path)
        found = _Program(*engines.load(self.name, path, self.model.threads)).values(inputs, ())
        by_name = dict(zip(names, found, strict=True))
        return [*outputs, *(by_name[name] for name in inner)]


class _Reference(_Program):
    """A model in float64, in NumPy."""

    def __init__(self, model: Model):
        super().__init__(lambda inputs: self.values(list(inputs), ()), REFERENCE)
        self.model = model
        self.known = _written(model)

    def values(self, inputs: list[np.ndarray], inner: Sequence[str], advance: Advance = ignore) -> list[np.ndarray]:
        """As in _Program."""
        names = [*(o.name for o in self.model.outputs), *inner]
        began = time.perf_counter()
        given = dict(zip((i.name for i in self.model.inputs), inputs, strict=True))
        found = self.model.reference(given, outputs=names, advance=advance)
        self.ms = 1e3 * (time.perf_counter() - began)
        return [found[name] for name in names]

    def times(self, inputs: list[np.ndarray], call: Callable[[], object], seconds: float, advance: Advance) -> Times:
        """As in _Program, but the call that gave the values counts: another may take minutes."""
        return [(engines.burst(call, seconds), self.ms)]


@contextmanager
def _peer(model: Model, against: Against, other: str | os.PathLike[str] | None, inputs: list[np.ndarray]) -> Iterator[_Program]:
    """What a model is compared with on these inputs, as in `compare`; its files are there until the end."""
    if not isinstance(against, str):
        yield _Program(engines.module(against, model.threads), f"torch {type(against).__name__}")
        return
    if against not in AGAINST:
        raise InputError(f"against: expected {', '.join(AGAINST)}, got {against!r}{did_you_mean(against, AGAINST)}")
    if against == "torch" and other is not None and Path(other).suffix == ".pt2":
        yield _Program(*engines.load(against, Path(other), model.threads))
        return
    twin = model if other is None else _twin(model, other, inputs)
    if against == REFERENCE:
        yield _Reference(twin)
        return
    with tempfile.TemporaryDirectory() as folder:
        yield _Engine(against, twin, Path(folder, "model.onnx"))


def _twin(model: Model, path: str | os.PathLike[str], inputs: list[np.ndarray]) -> Model:
    """The model in another file; InputError if it is not one of as many outputs that takes the same inputs."""
    try:
        twin = load(path, threads=model.threads)
        names = [i.name for i in twin.inputs]
        check_shapes(twin.inputs, [a.shape for a in input_arrays(twin.inputs, dict(zip(names, inputs, strict=True)))])
    except (ModelError, InputError) as e:
        raise InputError(f"{path}: {e}") from None
    except ValueError:
        raise InputError(f"{path} has {len(names)} inputs, the model {len(inputs)}") from None
    return twin


__all__ = ["Comparison", "LayerError", "compare", "compare_layers"]
