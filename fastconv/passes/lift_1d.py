"""Lift convolutions and pools over one spatial axis to two, and the nodes between them: N C W becomes N C 1 W.

The kernels have two spatial axes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..graph import Graph, Node, Value
from ..ops import Op
from ..ops.average_pool import AveragePool
from ..ops.batch_normalization import BatchNormalization
from ..ops.conv import Conv
from ..ops.conv_transpose import ConvTranspose
from ..ops.dims import known_ints
from ..ops.global_pool import GlobalPool
from ..ops.max_pool import MaxPool
from ..ops.normalization import OverChannels
from ..ops.reduce import Reduce
from ..ops.reshape import Squeeze, Unsqueeze
from .regions import HANDLERS, AxisMap, Handler, Region, Rewrite, convert_regions

#: operators that have kernels for two spatial axes only
WINDOWED = (Conv, ConvTranspose, MaxPool, AveragePool, GlobalPool)


def lift_1d(graph: Graph) -> None:
    """Lift every region that has such an operator."""
    convert_regions(graph, TO_2D, _has_windows)


def _has_windows(region: Region) -> bool:
    return any(isinstance(n.op, WINDOWED) for n in region.nodes)


def _windowed(n: Node, axis_map: AxisMap) -> Rewrite | None:
    """The attributes of the window get an entry for the new axis, and the weights get this axis."""
    op: Any = n.op
    weights = n.inputs[1:2]
    if any(v is None or v.constant is None for v in weights):
        return None
    lifted = {name: (1, *getattr(op, name)) for name in ("kernel_shape", "strides", "dilations") if getattr(op, name)}
    if op.pads:
        lifted["pads"] = (0, op.pads[0], 0, op.pads[1])
    if isinstance(op, ConvTranspose) and op.output_padding:
        lifted["output_padding"] = (0, *op.output_padding)
    if isinstance(op, ConvTranspose) and op.output_shape:
        lifted["output_shape"] = (1, op.output_shape[-1])
    planes = [
        Value(v.name, constant=v.constant.reshape(*v.constant.shape[:2], 1, *v.constant.shape[2:]))
        for v in weights
        if v is not None and v.constant is not None
    ]
    return Rewrite(replace(op, **lifted), [n.input(0), *planes, *n.inputs[2:]])


def _same(n: Node, axis_map: AxisMap) -> Rewrite:
    """Operators on any number of spatial axes."""
    return Rewrite(n.op, n.inputs)


def _reduce(n: Node, axis_map: AxisMap) -> Rewrite | None:
    """A reduction over the spatial axis becomes one over both."""
    op: Any = n.op
    axes = known_ints(n.optional(1), "axes")
    if axes is None or [a % axis_map.rank for a in axes] != [2]:
        return None
    both = Value(f"{n.label}.axes", constant=np.array([2, 3], np.int64))
    return Rewrite(op, [n.input(0), both], outputs=bool(op.keepdims))


_LIFTED: dict[type[Op], Handler] = {
    **dict.fromkeys((Conv, ConvTranspose, MaxPool, AveragePool), _windowed),
    **dict.fromkeys((GlobalPool, BatchNormalization, OverChannels), _same),
    Reduce: _reduce,
}
_HEIGHT = Value("height", constant=np.array([2], np.int64))

#: N C W to N C 1 W
TO_2D = AxisMap(3, (0, 1, 3), 4, "2d", (Unsqueeze(), (_HEIGHT,)), (Squeeze(), (_HEIGHT,)), HANDLERS | _LIFTED)
