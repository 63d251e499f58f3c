"""Fold a Pad of zeros over the spatial axes into the pads of the Conv that follows."""

from __future__ import annotations

from ..graph import Graph
from ..ops.conv import Conv
from ..ops.pad import Pad
from .edit import sole_reader


def fold_pad(graph: Graph) -> None:
    """Fold each Pad that only a Conv reads."""
    producers, consumers = graph.producers(), graph.consumers()
    for conv in list(graph.nodes):
        if not isinstance(conv.op, Conv) or (pad := producers.get(conv.input(0))) is None or not isinstance(pad.op, Pad):
            continue
        borders = pad.op.zeros_added(pad)
        if borders is None or borders[:2] != [(0, 0)] * 2 or sole_reader(conv.input(0), graph, consumers) is None:
            continue
        if padded := conv.op.padded(borders[2:]):
            conv.op = padded
            conv.inputs[0] = pad.input(0)
            graph.nodes.remove(pad)
