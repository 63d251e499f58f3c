"""Bias correction: rounding shifts the mean of a channel's sums, which its bias takes back (arXiv:1906.04721)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..progress import Advance
from .calibration import Calibration
from .layers import Layer
from .qdq import BIASED, Scheme


def correct_biases(scheme: Scheme, data: Calibration, advance: Advance) -> Scheme:
    """The scheme with what is added to each bias: the mean error of its channel where the layer alone is quantized."""
    graph, twins = scheme.each_alone()
    chosen = {layer: twin for layer, twin in twins.items() if isinstance(layer.node.op, BIASED)}
    sums: dict[Layer, np.ndarray] = {}
    counts = dict.fromkeys(chosen, 0)
    for found in data.run(graph, [name for twin in chosen.values() for name in (twin.first, twin.twin_first)], advance):
        for layer, twin in chosen.items():
            error = found[twin.first].astype(np.float64) - found[twin.twin_first]
            sums[layer] = sums.get(layer, 0) + error.sum(axis=(0, *range(2, error.ndim)))
            counts[layer] += error.size // error.shape[1]
    return replace(scheme, shifts={layer.node: sums[layer] / max(counts[layer], 1) for layer in chosen})
