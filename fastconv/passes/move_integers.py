"""Let operators that only select elements select integers in place of floats, and make 8-bit activations uint8.

A DequantizeLinear moves behind such an operator, and a QuantizeLinear before it, where it may meet the operator that computes
the floats. A QuantizeLinear of floats that were dequantized with the same parameters is removed. An int8 tensor with zero point
z has the same floats as a uint8 tensor of q ^ 0x80 with zero point z + 128.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ..graph import Graph, Node, Value
from ..ops.concat import Concat
from ..ops.pad import Pad
from ..ops.quantize import DequantizeLinear, Quantization, QuantizeLinear, quantization_of
from ..ops.split import Split
from .edit import drop_unread, replace_inputs, sole_reader

INT8, UINT8 = np.dtype(np.int8), np.dtype(np.uint8)


def move_integers(graph: Graph) -> None:
    """Convert int8 to uint8, then move every QuantizeLinear and DequantizeLinear of 8 bits with one scale."""
    if any(isinstance(n.op, Quantization) for n in graph.nodes):
        _make_unsigned(graph)
        _dequantize_late(graph)
        _quantize_early(graph)
        drop_unread(graph)


def _parameters(node: Node) -> tuple[float, int, np.dtype] | None:
    """`quantization_of` a node on its own that quantizes to 8 bits, or undoes it."""
    given = None if node.epilogue else quantization_of(node)
    return given if given and given[2].itemsize == 1 else None


def _selected(node: Node) -> Sequence[int]:
    """The inputs whose elements the results consist of; none if the node does anything else.

    What a Pad adds counts as elements, if it is integers, or zeros: integers have them too.
    """
    if node.epilogue:
        return ()
    if isinstance(node.op, Concat):
        return range(len(node.inputs))
    if isinstance(node.op, Pad):
        adds_floats = node.op.mode == "constant" and node.results[0].dtype not in (INT8, UINT8)
        return () if adds_floats and node.op.zeros_added(node) is None else (0,)
    whole = node.results == node.outputs[:1] or isinstance(node.op, Split)
    return (0,) if whole and node.op.selects_elements(node) else ()


def _select(node: Node, integers: Iterable[Value], zero: Value | None) -> None:
    """Let a node select from integers with this zero point."""
    for i, q in zip(_selected(node), integers, strict=True):
        node.inputs[i] = q
    if isinstance(node.op, Pad):
        node.inputs = [*node.inputs[:2], zero, *node.inputs[3:]]


def _make_unsigned(graph: Graph) -> None:
    """Make the int8 values uint8 that only these nodes compute and read; inputs and outputs of the graph keep their type."""
    found = {v for v in graph.values() if v.dtype == INT8 and v.constant is None}
    while found and (
        rest := found & {v for n in graph.nodes if not _takes_unsigned(n, found) for v in (*n.operands, *n.results)}
    ):
        found -= rest
    if not found:
        return
    constants: dict[Value, Value] = {}
    for node in graph.nodes:
        if found.isdisjoint((*node.operands, *node.results)):
            continue
        quantizes = _parameters(node)
        if quantizes:
            zero = Value(f"{node.label}.zero", constant=np.array(quantizes[1] + 128, UINT8))
            node.inputs = [*node.inputs[:2], zero]
        elif isinstance(node.op, Pad) and node.op.mode == "constant" and node.optional(2) is None:
            node.inputs = [*node.inputs[:2], Value(f"{node.label}.zero", constant=np.array(128, UINT8)), *node.inputs[3:]]
        for v in node.operands:
            if v.dtype == INT8 and v.constant is not None:
                constants[v] = Value(v.name, constant=np.asarray(v.constant).view(UINT8) ^ np.uint8(128))
        replace_inputs(node, constants)
    twins = {v: Value(f"{v.name}.uint8", v.shape, UINT8) for v in (*graph.inputs, *graph.outputs) if v in found}
    for v in found - twins.keys():
        v.dtype = UINT8
    for node in graph.nodes:
        replace_inputs(node, twins)
        node.outputs = [v and twins.get(v, v) for v in node.outputs]
    entering = [n for v in graph.inputs if v in twins for n in _requantize(v, twins[v])]
    computed = [v for v in dict.fromkeys(graph.outputs) if v in twins and v not in graph.inputs]
    leaving = [n for v in computed for n in _requantize(twins[v], v)]
    graph.nodes = [*entering, *graph.nodes, *leaving]


def _takes_unsigned(node: Node, found: set[Value]) -> bool:
    """Whether a node computes the same with all of its int8 values that are no constants made uint8, if those are `found`."""
    if _parameters(node):
        return True
    selected = [node.input(i) for i in _selected(node)]
    return bool(selected) and all(v in found for v in (*selected, *node.results) if v.constant is None)


def _requantize(x: Value, y: Value) -> list[Node]:
    """The nodes that convert int8 to uint8, or back."""
    floats = Value(f"{x.name}.floats", x.shape, np.dtype(np.float32))
    zeros = [Value(f"{v.name}.zero", constant=np.array(0 if v.dtype == INT8 else 128, v.dtype)) for v in (x, y)]
    one = Value(f"{x.name}.scale", constant=np.ones((), np.float32))
    return [Node(DequantizeLinear(), [x, one, zeros[0]], [floats]), Node(QuantizeLinear(), [floats, one, zeros[1]], [y])]


def _dequantize_late(graph: Graph) -> None:
    """Move each DequantizeLinear behind the nodes that select from its floats, and remove those that quantize them again."""
    sources: dict[Value, Node] = {}  # the DequantizeLinear that computes a value from integers that are no constants
    replacements: dict[Value, Value] = {}
    inputs = set(graph.inputs)
    outputs: dict[Value, Value] = {}  # integers that are an output of the graph, too
    nodes: list[Node] = []
    for node in graph.nodes:
        replace_inputs(node, replacements)
        if given := _parameters(node):
            x, y = node.input(0), node.results[0]
            source = sources.get(x)
            if isinstance(node.op, DequantizeLinear) and x.constant is None:
                sources[y] = node
            elif source is not None and _parameters(source) == given:
                q = source.input(0)
                if not graph.is_output(y):
                    replacements[y] = q
                    continue
                if q not in outputs and q not in inputs and not graph.is_output(q):
                    outputs[q] = y
                    continue
        nodes.append(node)
        nodes += _dequantize_behind(node, sources)
    for node in nodes:
        replace_inputs(node, outputs)
        node.outputs = [v and outputs.get(v, v) for v in node.outputs]
    graph.nodes = nodes


def _dequantize_behind(node: Node, sources: dict[Value, Node]) -> list[Node]:
    """Let a node select from the integers whose floats it selects from; the nodes that dequantize its results then."""
    found = [sources.get(node.input(i)) for i in _selected(node)]
    before = [s for s in found if s is not None]
    if not before or len(before) < len(found) or len({_parameters(s) for s in before}) > 1:
        return []
    dtype = before[0].input(0).dtype
    _select(node, [s.input(0) for s in before], before[0].optional(2))
    nodes = []
    for i, y in enumerate(node.outputs):
        if y is not None:
            selected = Value(f"{y.name}.integers", y.shape, dtype)
            node.outputs[i] = selected
            sources[y] = Node(before[0].op, [selected, *before[0].inputs[1:]], [y], where=node.where)
            nodes.append(sources[y])
    return nodes


def _quantize_early(graph: Graph) -> None:
    """Move each QuantizeLinear before the node that selects the floats which it alone reads."""
    producers, consumers = graph.producers(), graph.consumers()
    todo, nodes = graph.nodes, list[Node]()  # the last first
    moved: dict[Node, list[Node]] = {}  # the nodes that were moved before a node
    while todo:
        node = todo.pop()
        given, before = _parameters(node), producers.get(x) if (x := next(iter(node.inputs), None)) else None
        if (
            given is None
            or before is None
            or not isinstance(node.op, QuantizeLinear)
            or sole_reader(node.input(0), graph, consumers) is None
            or before.results != before.outputs[:1]
            or not (selected := [before.input(i) for i in _selected(before)])
            or any(v.constant is not None for v in selected)
        ):
            nodes.append(node)
            todo += moved.pop(node, ())
            continue
        integers: dict[Value, Value] = {}
        for v in dict.fromkeys(selected):
            source = producers.get(v)
            if source is not None and isinstance(source.op, DequantizeLinear) and _parameters(source) == given:
                integers[v] = source.input(0)
                continue
            q = integers[v] = Value(f"{v.name}.integers", v.shape, given[2])
            producers[q] = Node(node.op, [v, *node.inputs[1:]], [q], where=node.where)
            consumers[q] = [before] * selected.count(v)
            consumers[v] = [*(n for n in consumers[v] if n is not before), producers[q]]
            moved.setdefault(before, []).append(producers[q])
        _select(before, [integers[v] for v in selected], node.optional(2))
        before.outputs = node.outputs
        producers |= dict.fromkeys(node.results, before)
    graph.nodes = nodes[::-1]
