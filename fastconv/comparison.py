"""How far a model's results are from those of another engine or of the reference in float64, as a whole and layer by layer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .dtypes import precision
from .graph import Node, Shape

if TYPE_CHECKING:
    from .model import Inputs, Model


@dataclass(frozen=True)
class LayerError:
    """The errors of a layer: a node with the nodes fused into it, named as in a summary.

    `largest` is the largest magnitude of what it is compared with. An error is infinite where only one of both is NaN or
    infinite, or where shapes differ.
    """

    name: str
    op: str
    output: Shape
    max_error: float
    rms_error: float
    largest: float
    #: the largest relative error that rounding explains: √ε of the least precise dtype up to this layer
    bound: float

    @property
    def relative(self) -> float:
        """The largest error over the largest magnitude."""
        return self.max_error / self.largest if self.largest else math.inf if self.max_error else 0.0

    @property
    def departs(self) -> bool:
        """Whether less than half of the digits are right, of a number as large as the largest."""
        return not self.relative <= self.bound


def compare_layers(model: Model, inputs: Inputs) -> list[LayerError]:
    """The errors of each layer against the reference in float64, in the order they run.

    Every layer runs as in a call, with the same nodes fused into it; layers of strings and sequences are left out.
    InputError if an input does not fit.
    """
    layers = _layers(model)
    names = [name for _, values in layers for name in values]
    ours, theirs = model.run(inputs, names), model.reference(inputs, outputs=names)
    return _layer_errors(layers, ours, theirs)


def _layers(model: Model) -> list[tuple[Node, list[str]]]:
    """The nodes that run, each with the names of the values of the file that it is the first to compute."""
    left = {v.name for n in model._original.nodes for v in n.outputs if v is not None}
    layers = []
    for node in model._stage_graph(()).graph.nodes:
        names = [v.name for v in node.results if v.name in left and v.dtype is not None and v.dtype.kind != "O"]
        left.difference_update(names)
        if names:
            layers.append((node, names))
    return layers


def _layer_errors(layers: Iterable[tuple[Node, Sequence[str]]], ours: Any, theirs: Any) -> list[LayerError]:
    """The errors of each layer, for the values of both by name."""
    errors, epsilon = [], precision(np.float32)  # wider dtypes are computed in float32, too
    for node, names in layers:
        pairs = [(ours[name], theirs[name]) for name in names]
        # a value inside the layer may be narrower than its results, and its results narrower than the node computes them
        dtypes = {v.dtype for n in node.chain for v in n.outputs if v is not None} | {a.dtype for a, _ in pairs}
        epsilon = max(epsilon, *(precision(t) for t in dtypes if t is not None))
        op = "+".join(type(n.op).__name__ for n in node.chain)
        errors.append(LayerError(node.label, op, pairs[0][0].shape, *_errors(pairs), math.sqrt(epsilon)))
    return errors


def _errors(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[float, float, float]:
    """(largest error, RMS error, largest magnitude of the second arrays) of pairs of arrays."""
    if any(a.shape != b.shape for a, b in pairs):
        return math.inf, math.inf, max(map(_largest, (b for _, b in pairs)))
    a, b = (np.concatenate([np.asarray(x, np.float64).ravel() for x in xs]) for xs in zip(*pairs, strict=True))
    with np.errstate(invalid="ignore"):
        far = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0, np.abs(a - b))
    far[np.isnan(far)] = math.inf
    return float(far.max(initial=0)), math.sqrt(np.square(far).mean()) if far.size else 0.0, _largest(b)


def _largest(array: np.ndarray) -> float:
    """The largest finite magnitude."""
    array = np.abs(np.asarray(array, np.float64))
    return float(array.max(initial=0, where=np.isfinite(array)))


__all__ = ["LayerError", "compare_layers"]
