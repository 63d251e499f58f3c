"""Convolutions and pools of one spatial axis, with what is between them, become those of two, of which the first has size 1.

So they run on the kernels of two axes: N C W is N C 1 W.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..graph import Graph, Node, Value
from ..ops import REGISTRY, Op
from ..ops.average_pool import AveragePool
from ..ops.batch_normalization import BatchNormalization
from ..ops.conv import Conv
from ..ops.conv_transpose import ConvTranspose
from ..ops.global_pool import GlobalPool
from ..ops.max_pool import MaxPool
from ..ops.normalization import OverChannels
from ..ops.reduce import Reduce
from .arrange import COMMON, Arrangement, Handler, Part, Rewrite, arrange

#: what is worth it: the operators that have kernels for two spatial axes only
WINDOWS = (Conv, ConvTranspose, MaxPool, AveragePool, GlobalPool)


def lift(graph: Graph) -> None:
    """Lift every part that has such an operator."""
    arrange(graph, TO_PLANES, _worth)


def _worth(part: Part) -> bool:
    return any(isinstance(n.op, WINDOWS) for n in part.nodes)


def _windows(n: Node, to: Arrangement) -> Rewrite | None:
    """The attributes of a window get an entry for the new axis, and weights that axis."""
    op: Any = n.op
    if any(v is None or v.constant is None for v in n.inputs[1:2]):
        return None
    one = {name: (1, *getattr(op, name)) for name in ("kernel_shape", "strides", "dilations") if getattr(op, name)}
    if op.pads:
        one["pads"] = (0, op.pads[0], 0, op.pads[1])
    if isinstance(op, ConvTranspose) and op.output_padding:
        one["output_padding"] = (0, *op.output_padding)
    if isinstance(op, ConvTranspose) and op.output_shape:
        one["output_shape"] = (1, op.output_shape[-1])
    weights = [
        Value(v.name, constant=v.constant.reshape(*v.constant.shape[:2], 1, *v.constant.shape[2:]))
        for v in n.inputs[1:2]
        if v is not None and v.constant is not None
    ]
    return Rewrite(replace(op, **one), [n.inputs[0], *weights, *n.inputs[2:]])


def _same(n: Node, to: Arrangement) -> Rewrite:
    """What works on any number of spatial axes."""
    return Rewrite(n.op, n.inputs)


def _reduce(n: Node, to: Arrangement) -> Rewrite | None:
    """Over the whole plane, where it is over the spatial axis."""
    op: Any = n.op
    axes = n.inputs[1].constant if len(n.inputs) > 1 and n.inputs[1] is not None else None
    if axes is None or [a % to.rank for a in np.asarray(axes).reshape(-1).tolist()] != [2]:
        return None
    both = Value(f"{n.label}.axes", constant=np.array([2, 3], np.int64))
    return Rewrite(op, [n.inputs[0], both], outputs=bool(op.keepdims))


_HANDLERS: dict[type[Op], Handler] = {
    **dict.fromkeys((Conv, ConvTranspose, MaxPool, AveragePool), _windows),
    **dict.fromkeys((GlobalPool, BatchNormalization, OverChannels), _same),
    Reduce: _reduce,
}
_NEW_AXIS = Value("height", constant=np.array([2], np.int64))

#: N C W as N C 1 W
TO_PLANES = Arrangement(
    3, (0, 1, 3), 4, (REGISTRY["Unsqueeze"](), (_NEW_AXIS,)), (REGISTRY["Squeeze"](), (_NEW_AXIS,)), COMMON | _HANDLERS
)
