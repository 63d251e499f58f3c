"""The layers of a model by fastconv and by the compiled plain loops of fastconv.naive: `fastconv bench MODEL --naive`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from ..model import Model
from ..profile import Profile
from ..progress import Advance, ignore
from .plain_loops import GFLOPS, ROUNDS, plain_loops
from .timing import seconds


class LayerTimes(NamedTuple):
    """A layer's milliseconds; `naive_ms` has each round's, and none if fastconv.naive has no such layer."""

    name: str
    operator: str
    by: str
    ms: float
    limit: str
    naive_ms: tuple[float, ...]

    @property
    def times_naive(self) -> float:
        """How many times as fast as the plain loops; the best round counts."""
        return min(self.naive_ms) / self.ms


def expected_seconds(profile: Profile) -> float:
    """About how long the plain loops take for all rounds."""
    return ROUNDS * sum(r.flops for r in profile.rows) / GFLOPS / 1e9


def beside_naive(
    model: Model, inputs: Mapping[str, np.ndarray], profile: Profile, advance: Advance = ignore
) -> list[LayerTimes]:
    """Time the layers of a profile by the plain loops; InputError if sizes become known only as the model runs."""
    entries = model.plan({name: a.shape for name, a in inputs.items()}).entries
    if len(entries) != len(profile.rows):
        raise InputError("naive: sizes of this model become known only as it runs, so its layers cannot be timed alone")
    total = sum(r.flops for r in profile.rows)
    layers = []
    for entry, r in zip(entries, profile.rows, strict=True):
        call = plain_loops(entry.node) if entry.node is not None else None
        times = tuple(1e3 * entry.images * seconds(call) for _ in range(ROUNDS)) if call is not None else ()
        layers.append(LayerTimes(r.name, r.op, r.implementation, r.ms, r.limit, times))
        advance(r.flops / total if total else 0)
    if not any(x.naive_ms for x in layers):
        raise InputError("naive: the model has no Conv, MaxPool or Gemm of float32 with two spatial axes")
    return layers
