"""The grid of each rounded value: that of its range, or one that it shares with others, so that nothing is rounded twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..graph import Value
from ..ops.concat import Concat
from .layers import Layer
from .ranges import LEVELS, Range

#: values that are joined share a grid if the range of each is at least this share of the range of all
ALIKE = 0.75


class Grid(NamedTuple):
    """The numbers that 8 bits represent: (0..255 - zero) · scale."""

    scale: np.float32
    zero: np.uint8


def grid_over(bounds: Range) -> Grid:
    """The grid over a range, with zero on it. It does not pass the bound of a Relu or Clip, which runtimes drop then."""
    low, high = min(bounds[0], 0.0), max(bounds[1], 0.0)
    scale = np.float32((high - low) / (LEVELS - 1)) or np.float32(1)
    if not low and (LEVELS - 1) * scale > np.float32(high):
        scale = np.nextafter(scale, np.float32(0))
    return Grid(scale, np.uint8(np.rint(-low / scale)))


def choose_grids(layers: Sequence[Layer], ranges: Mapping[Value, Range]) -> dict[Value, Grid]:
    """The grid of each value in `ranges`, and of the constants among the operands of layers."""
    groups = {v: [v] for v in ranges}

    def share(values: Iterable[Value]) -> None:
        joined = list(dict.fromkeys(w for v in values for w in groups[v]))
        groups.update(dict.fromkeys(joined, joined))

    for layer in layers:
        if layer.moves:
            share([*layer.inputs, *layer.results])
    for layer in layers:
        values = [v for v in (*layer.inputs, *layer.results) if v in ranges]
        if isinstance(layer.node.op, Concat) and _are_alike([_hull(ranges, groups[v]) for v in values]):
            share(values)
    grids = {v: grid_over(_hull(ranges, group)) for v, group in groups.items()}
    constants = {v: np.asarray(v.constant) for x in layers for v in x.operands if v.constant is not None}
    return grids | {v: grid_over((float(c.min()), float(c.max()))) for v, c in constants.items()}


def _hull(ranges: Mapping[Value, Range], values: Sequence[Value]) -> Range:
    return min(ranges[v][0] for v in values), max(ranges[v][1] for v in values)


def _are_alike(ranges: Sequence[Range]) -> bool:
    widest = max(high for _, high in ranges) - min(low for low, _ in ranges)
    return all(high - low >= ALIKE * widest for low, high in ranges)
