"""Pad with zeros over the spatial axes goes into the convolution behind it."""

from __future__ import annotations

import dataclasses

from ..graph import Graph, Node


def fold_pad(graph: Graph) -> None:
    """Add a Pad's borders to the pads of the Conv that alone reads it."""
    consumers = graph.consumers()
    producers = graph.producers()
    for conv in list(graph.nodes):
        x = conv.inputs[0] if conv.inputs else None
        pad = producers.get(x) if x is not None else None
        if type(conv.op).__name__ != "Conv" or pad is None or x is None or len(consumers[x]) > 1 or x in graph.outputs:
            continue
        borders = _zero_borders(pad)
        if borders is None or getattr(conv.op, "auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
            continue
        given = conv.op.pads if conv.op.pads and conv.op.auto_pad == "NOTSET" else (0,) * 2 * len(borders)  # type: ignore[attr-defined]
        added = [b for b, _ in borders] + [a for _, a in borders]
        pads = tuple(p + a for p, a in zip(given, added, strict=True))
        conv.op = dataclasses.replace(conv.op, pads=pads, auto_pad="NOTSET")
        conv.inputs[0] = pad.inputs[0]
        graph.nodes.remove(pad)


def _zero_borders(pad: Node) -> list[tuple[int, int]] | None:
    """(before, after) of each spatial axis, where the node is a Pad that adds zeros there and nothing elsewhere."""
    op = pad.op
    if type(op).__name__ != "Pad" or op.mode != "constant":  # type: ignore[attr-defined]
        return None
    x, pads, fill, axes = (*pad.inputs, None, None)[:4]
    if x is None or x.shape is None or pads is None or pads.constant is None:
        return None
    if any(v is not None and v.constant is None for v in (fill, axes)) or (fill is not None and fill.constant.any()):  # type: ignore[union-attr]
        return None
    where = None if axes is None or axes.constant is None else tuple(int(a) for a in axes.constant)
    borders = op.borders([int(p) for p in pads.constant], where, len(x.shape))  # type: ignore[attr-defined]
    if any(b != (0, 0) for b in borders[:2]) or any(v < 0 for b in borders for v in b):
        return None
    return borders[2:]
