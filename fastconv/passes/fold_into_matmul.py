"""Fold Transposes and scalar factors into a MatMul of two computed tensors, whose kernel takes any strides and packs B."""

from __future__ import annotations

from dataclasses import replace

from ..graph import Graph, Node, Value
from ..ops.binary import Div, Mul
from ..ops.matmul import MatMul
from .edit import KERNEL_FLOAT, drop_unread, permutation, sole_reader


def fold_into_matmul(graph: Graph) -> None:
    """Fold the nodes before both operands, and a Transpose of the result; fold_affine folds factors of the result."""
    producers, consumers = graph.producers(), graph.consumers()
    for node in graph.nodes:
        if not isinstance(node.op, MatMul) or node.epilogue or node.results[0].dtype != KERNEL_FLOAT:
            continue
        if any(v is None or v.constant is not None for v in node.inputs[:2]):
            continue
        for i in (0, 1):
            while _fold_operand(node, node.op, i, producers):
                pass
        reader = sole_reader(node.results[0], graph, consumers)
        if reader is not None and (perm := permutation(reader)) and _keeps_last(perm):
            node.op = replace(node.op, perm_y=_composed(node.op.perm_y, perm))
            node.outputs, reader.outputs = reader.outputs, node.outputs
            graph.nodes.remove(reader)
    drop_unread(graph)


def _fold_operand(node: Node, op: MatMul, i: int, producers: dict[Value, Node]) -> bool:
    """Fold the node that computes operand i; whether it could be done."""
    before = producers.get(node.input(i))
    if before is None or before.epilogue:
        return False
    perm = permutation(before)
    if perm and (i == 1 or _keeps_last(perm)):
        node.op = replace(op, perm_b=_composed(perm, op.perm_b)) if i else replace(op, perm_a=_composed(perm, op.perm_a))
        node.inputs[i] = before.input(0)
        return True
    scaled = before.op.as_scale_shift(before, -1) if isinstance(before.op, Mul | Div) else None
    if scaled is not None and scaled.scale is not None and scaled.scale.size == 1:
        node.op = replace(op, alpha=op.alpha * float(scaled.scale[0]))
        node.inputs[i] = scaled.x
        return True
    return False


def _keeps_last(perm: tuple[int, ...]) -> bool:
    """Whether the last axis stays the last, as the kernel needs it for the rows of A and of the result."""
    return perm[-1] == len(perm) - 1


def _composed(first: tuple[int, ...] | None, second: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """The permutation of two Transposes in a row."""
    return second if first is None else first if second is None else tuple(first[i] for i in second)
