"""Measures the noise of a quantized network on the calibration data: of each layer, and of the outputs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from ..graph import Node
from ..outputs import Outputs
from ..progress import Advance, part
from .calibration import Calibration
from .layers import Layer
from .qdq import Scheme, rounded_weights
from .report import LayerNoise

#: the most calls on which the effect of each layer is measured: they give the order of the layers
PROBES = 8


class Noise:
    """The power of a signal, and of its errors."""

    def __init__(self) -> None:
        self.signal = self.noise = 0.0

    def add(self, exact: np.ndarray, rounded: np.ndarray) -> None:
        """Count the elements of an array."""
        signal = exact.astype(np.float64).reshape(-1)
        error = rounded.reshape(-1) - signal
        self.signal += float(signal @ signal)
        self.noise += float(error @ error)

    @property
    def decibels(self) -> float:
        """The signal-to-noise ratio; infinite without noise."""
        return 10 * (math.log10(self.signal or 5e-324) - math.log10(self.noise)) if self.noise else math.inf


class Quality(NamedTuple):
    """Of a quantized network: the least ratio of its outputs, and the shares of right answers in float and quantized."""

    output: float
    top1: tuple[float, float] | None


class _Outputs:
    """Compares the outputs of a float and of a quantized network, call by call."""

    def __init__(self, scheme: Scheme, labels: np.ndarray | None):
        self.names = [v.name for v in scheme.graph.outputs]
        self._labels = labels
        self._noise = {v.name: Noise() for v in scheme.graph.outputs if v.dtype is not None and v.dtype.kind == "f"}
        self._right = [0, 0]
        self._seen = 0

    def add(self, exact: Outputs, rounded: Outputs) -> None:
        """Count the outputs of a call."""
        for name, noise in self._noise.items():
            noise.add(exact[name], rounded[name])
        if self._labels is not None:
            scores = [found[self.names[0]] for found in (exact, rounded)]
            labels = self._labels[self._seen : self._seen + len(scores[0])]
            self._seen += len(scores[0])
            for i, y in enumerate(scores):
                self._right[i] += int((y.reshape(len(y), -1).argmax(axis=1)[: len(labels)] == labels).sum())

    @property
    def quality(self) -> Quality:
        """Of all calls."""
        if self._labels is not None and len(self._labels) != self._seen:
            raise InputError(f"labels: expected {self._seen}, one for each image, got {len(self._labels)}")
        before, after = (count / max(self._seen, 1) for count in self._right)
        worst = min((noise.decibels for noise in self._noise.values()), default=math.inf)
        return Quality(worst, None if self._labels is None else (before, after))


def measure_outputs(scheme: Scheme, data: Calibration, labels: np.ndarray | None, advance: Advance) -> Quality:
    """Compare the outputs with those of the float network."""
    outputs, half = _Outputs(scheme, labels), part(advance, 0.5)
    runs = (data.run(graph, outputs.names, half) for graph in (scheme.graph, scheme.network()))
    for exact, rounded in zip(*runs, strict=True):
        outputs.add(exact, rounded)
    return outputs.quality


def measure_effects(scheme: Scheme, data: Calibration, advance: Advance) -> dict[Node, float]:
    """The least ratio of the outputs if a layer alone is quantized, by its first node, of each layer that computes."""
    probes, layers = data.spread(PROBES), [layer for layer in scheme.layers if not layer.moves]
    step, names = part(advance, 1 / (len(layers) + 1)), _Outputs(scheme, None).names
    exact = list(probes.run(scheme.graph, names, step))
    effects = {}
    for layer in layers:
        outputs = _Outputs(scheme, None)
        alone = replace(scheme, layers=[layer]).network()
        for pair in zip(exact, probes.run(alone, names, step), strict=True):
            outputs.add(*pair)
        effects[layer.node] = outputs.quality.output
    return effects


def measure_layers(
    scheme: Scheme, effects: Mapping[Node, float], data: Calibration, labels: np.ndarray | None, advance: Advance
) -> tuple[dict[Node, LayerNoise], Quality]:
    """The noise of each layer that computes, by its first node, and that of the outputs; `effects` are measured before."""
    graph, twins = scheme.each_alone()
    chosen = {layer: twin for layer, twin in twins.items() if not layer.moves}
    alone, accumulated = ({layer: Noise() for layer in chosen} for _ in range(2))
    outputs, half = _Outputs(scheme, labels), part(advance, 0.5)
    results = [twin.last for twin in chosen.values()]
    exact_names = [*outputs.names, *results, *(twin.twin_last for twin in chosen.values())]
    runs = data.run(graph, exact_names, half), data.run(scheme.network(), [*outputs.names, *results], half)
    for exact, rounded in zip(*runs, strict=True):
        outputs.add(exact, rounded)
        for layer, twin in chosen.items():
            alone[layer].add(exact[twin.last], exact[twin.twin_last])
            accumulated[layer].add(exact[twin.last], rounded[twin.last])
    noise = {
        layer.node: LayerNoise(
            layer.name, layer.op, _of_weights(layer), alone[layer].decibels, effects[layer.node], accumulated[layer].decibels
        )
        for layer in chosen
    }
    return noise, outputs.quality


def _of_weights(layer: Layer) -> float | None:
    """The ratio of a layer's rounded weights."""
    if not layer.weighted:
        return None
    w, axis, noise = np.asarray(layer.node.input(1).constant), layer.node.op.weight_axis(layer.node), Noise()
    assert axis is not None
    integers, scales = rounded_weights(w, axis % w.ndim)
    noise.add(w, integers * np.expand_dims(scales, tuple(i for i in range(w.ndim) if i != axis % w.ndim)))
    return noise.decibels
