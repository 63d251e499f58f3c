"""Fold a QuantizeLinear and the DequantizeLinear after it into one function of floats, which kernels apply as an activation.

A DequantizeLinear moves before nodes that only select elements, to meet its QuantizeLinear. A pair whose input was already
rounded by a pair with the same parameters is removed.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

from ..graph import Graph, Node, Value
from ..ops.concat import Concat
from ..ops.quantize import DequantizeLinear, QuantizeLinear, quantization_of
from .edit import replace_inputs, sole_reader


def fold_quantize(graph: Graph) -> None:
    """Fold every pair whose integers have no other reader. A DequantizeLinear with a constant result is dropped."""
    graph.nodes = [n for n in graph.nodes if any(v.constant is None for v in n.results)]
    _dequantize_first(graph)
    consumers, replacements = graph.consumers(), dict[Value, Value]()
    rounded: dict[Value, Hashable] = {}  # values that consist of dequantized elements, and the parameters of those
    kept: list[Node] = []
    folded: set[Node] = set()
    for node in graph.nodes:
        if node in folded:
            continue
        replace_inputs(node, replacements)
        if dequantize := _inverse(node, graph, consumers):
            x, y = node.input(0), dequantize.results[0]
            folded.add(dequantize)
            if rounded.get(x) == quantization_of(node) and not graph.is_output(y):
                replacements[y] = x
                continue
            node.epilogue = [dequantize]
        last = node.chain[-1]
        if isinstance(last.op, DequantizeLinear):
            rounded[last.results[0]] = quantization_of(last)
        elif _selects_elements(node):
            rounded[node.results[0]] = rounded.get(node.input(0))
        elif isinstance(node.op, Concat) and len(found := {rounded.get(v) for v in node.operands}) == 1:
            rounded[node.results[0]] = found.pop()
        kept.append(node)
    graph.nodes = kept


def _inverse(node: Node, graph: Graph, consumers: Mapping[Value, Sequence[Node]]) -> Node | None:
    """The DequantizeLinear that is the inverse of a QuantizeLinear and the only reader of its integers."""
    given = quantization_of(node) if isinstance(node.op, QuantizeLinear) and not node.epilogue else None
    reader = sole_reader(node.results[0], graph, consumers) if given else None
    if reader is None or not isinstance(reader.op, DequantizeLinear):
        return None
    return reader if quantization_of(reader) == given else None


def _selects_elements(node: Node) -> bool:
    """Whether the node's only result consists of elements of its first input."""
    return not node.epilogue and node.results == node.outputs[:1] and node.op.selects_elements(node)


def _dequantize_once(graph: Graph) -> None:
    """Keep one of the nodes that dequantize the same integers in the same way."""
    first: dict[Hashable, Value] = {}
    replacements: dict[Value, Value] = {}
    kept = []
    for node in graph.nodes:
        replace_inputs(node, replacements)
        if isinstance(node.op, DequantizeLinear) and (given := quantization_of(node)):
            y = node.results[0]
            known = first.setdefault((node.input(0), given), y)
            if known is not y and not graph.is_output(y):
                replacements[y] = known
                continue
        kept.append(node)
    graph.nodes = kept


def _dequantize_first(graph: Graph) -> None:
    """Exchange each DequantizeLinear with the nodes before it that select elements, where this moves it to a QuantizeLinear."""
    _dequantize_once(graph)
    producers, consumers = graph.producers(), graph.consumers()
    for node in graph.nodes[::-1]:
        if not isinstance(node.op, DequantizeLinear) or not quantization_of(node):
            continue
        for before in _selecting(node, graph, producers, consumers):
            x, y = before.input(0), node.results[0]
            floats = Value(f"{x.name}.floats", x.shape, y.dtype)
            node.inputs[0], node.outputs = x, [floats]
            before.inputs[0], before.outputs = floats, [y]
            producers |= {floats: node, y: before}
            i, j = graph.nodes.index(before), graph.nodes.index(node)
            graph.nodes[i], graph.nodes[j] = node, before
    _dequantize_once(graph)


def _selecting(
    node: Node, graph: Graph, producers: Mapping[Value, Node], consumers: Mapping[Value, Sequence[Node]]
) -> list[Node]:
    """The nodes between a QuantizeLinear and this DequantizeLinear that select elements, the last first; none if others are."""
    found: list[Node] = []
    q = node.input(0)
    while (before := producers.get(q)) is not None and sole_reader(q, graph, consumers) is not None:
        if isinstance(before.op, QuantizeLinear):
            return found
        if not _selects_elements(before):
            break
        found.append(before)
        q = before.input(0)
    return []
