"""Transposes and factors around a MatMul of two computed tensors go into it: the kernel takes any strides, and packs B."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from ..graph import Graph, Node, Value
from .fold_constants import drop_unread
from .recognise import with_factor


def fold_matmul(graph: Graph) -> None:
    """Fold what is before and behind every such MatMul; fold_affine does so with the factors behind it."""
    producers, consumers = graph.producers(), graph.consumers()
    for node in graph.nodes:
        if type(node.op).__name__ != "MatMul" or node.epilogue or node.results[0].dtype != np.float32:
            continue
        if any(v is None or v.constant is not None for v in node.inputs[:2]):
            continue
        for i in (0, 1):
            while _fold_operand(node, i, producers):
                pass
        y = node.results[0]
        readers = consumers[y]
        if y not in graph.outputs and len(readers) == 1 and (perm := _rows_stay(readers[0])):
            node.op = replace(node.op, perm_y=_then(node.op.perm_y, perm))  # type: ignore[attr-defined]
            node.outputs, readers[0].outputs = readers[0].outputs, node.outputs
            graph.nodes.remove(readers[0])
    drop_unread(graph)


def _fold_operand(node: Node, i: int, producers: dict[Value, Node]) -> bool:
    """Fold what makes operand i; whether it could be done."""
    op: Any = node.op
    before = producers.get(node.inputs[i])  # type: ignore[arg-type]
    if before is None or before.epilogue:
        return False
    if perm := _rows_stay(before) if i == 0 else _perm(before):
        name = ("perm_a", "perm_b")[i]
        node.op = replace(op, **{name: _then(perm, getattr(op, name))})
        node.inputs[i] = before.inputs[0]
        return True
    scaled = with_factor(before)
    if scaled and math.isfinite(scaled[1]) and scaled[0].shape is not None and scaled[0].shape == before.results[0].shape:
        node.op = replace(op, alpha=op.alpha * scaled[1])
        node.inputs[i] = scaled[0]
        return True
    return False


def _perm(node: Node) -> tuple[int, ...] | None:
    """The permutation that a Transpose is."""
    return getattr(node.op, "perm", None) if type(node.op).__name__ == "Transpose" and not node.epilogue else None


def _rows_stay(node: Node) -> tuple[int, ...] | None:
    """The permutation of a Transpose that leaves the last axis where it is: else rows of a product would be no rows."""
    perm = _perm(node)
    return perm if perm and perm[-1] == len(perm) - 1 else None


def _then(first: tuple[int, ...] | None, second: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """One Transpose for two."""
    return second if first is None else first if second is None else tuple(first[i] for i in second)
