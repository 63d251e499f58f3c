"""A QuantizeLinear and the DequantizeLinear behind it become one function of floats, which goes into a store as activations do.

A DequantizeLinear goes before what only moves elements, to meet its QuantizeLinear, and a pair behind another with the same
steps goes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence

from ..graph import Graph, Node, Value
from ..ops.quantize import DequantizeLinear, QuantizeLinear, parameters
from ..ops.resize import Resize

#: operators whose result has elements of inputs[0] only, in whatever form those are
MOVES = ("MaxPool", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice", "DepthToSpace", "SpaceToDepth")


def fold_quantize(graph: Graph) -> None:
    """Join every such pair whose integers nobody else reads."""
    dequantize_first(graph, _moves)
    consumers, instead = graph.consumers(), dict[Value, Value]()
    on_steps: dict[Value | None, Hashable] = {}  # the parameters of values that dequantizing gave, and of their elements moved
    kept: list[Node] = []
    joined: set[Node] = set()
    for node in graph.nodes:
        if node in joined:
            continue
        _read_instead(node, instead)
        if behind := _behind(node, graph, consumers):
            x, y = node.inputs[0], behind.results[0]
            joined.add(behind)
            if x is not None and on_steps.get(x) == parameters(node) and y not in graph.outputs:
                instead[y] = x
                continue
            node.epilogue = [behind]
        last = node.chain[-1]
        if isinstance(last.op, DequantizeLinear):
            on_steps[last.results[0]] = parameters(last)
        elif _moves(node):
            on_steps[node.results[0]] = on_steps.get(node.inputs[0])
        elif type(node.op).__name__ == "Concat" and len(found := {on_steps.get(v) for v in node.operands}) == 1:
            on_steps[node.results[0]] = found.pop()
        kept.append(node)
    graph.nodes = kept


def _read_instead(node: Node, instead: Mapping[Value, Value]) -> None:
    """Let the node read other values."""
    for n in node.chain:
        n.inputs = [instead.get(v, v) if v is not None else None for v in n.inputs]


def _behind(node: Node, graph: Graph, consumers: Mapping[Value, Sequence[Node]]) -> Node | None:
    """The DequantizeLinear that undoes the node, a QuantizeLinear, and is all that reads its integers."""
    given = parameters(node) if isinstance(node.op, QuantizeLinear) and not node.epilogue else None
    if given is None or node.results[0] in graph.outputs or len(users := consumers[node.results[0]]) != 1:
        return None
    return users[0] if isinstance(users[0].op, DequantizeLinear) and parameters(users[0]) == given else None


def _moves(node: Node) -> bool:
    """Whether it only moves elements, to one result."""
    if node.epilogue or any(v is not None for v in node.outputs[1:]):
        return False
    op = node.op
    return type(op).__name__ in MOVES or (isinstance(op, Resize) and op.mode == "nearest" and inside(op))


def inside(op: Resize) -> bool:
    """Whether it makes no element of an attribute's value."""
    return op.coordinate_transformation_mode != "tf_crop_and_resize"


def _dequantize_once(graph: Graph) -> None:
    """Of the nodes that dequantize the same integers in the same way, leave one."""
    first: dict[Hashable, Value] = {}
    instead: dict[Value, Value] = {}
    kept = []
    for node in graph.nodes:
        _read_instead(node, instead)
        given = parameters(node) if isinstance(node.op, DequantizeLinear) else None
        y = node.results[0] if given else None
        known = first.setdefault((node.inputs[0], given), y) if y is not None else None
        if y is not None and known is not None and known is not y and y not in graph.outputs:
            instead[y] = known
        else:
            kept.append(node)
    graph.nodes = kept


def dequantize_first(graph: Graph, moves: Callable[[Node], bool]) -> None:
    """Exchange each DequantizeLinear with the nodes before it of which `moves` says so, and that have no other reader."""
    _dequantize_once(graph)
    producers, consumers = graph.producers(), graph.consumers()
    for node in graph.nodes[::-1]:
        while isinstance(node.op, DequantizeLinear) and parameters(node):
            integers = node.inputs[0]
            assert integers is not None
            move = producers.get(integers)
            if move is None or not moves(move) or len(consumers[integers]) > 1 or integers in graph.outputs:
                break
            x, y = move.inputs[0], node.results[0]
            assert x is not None
            floats = Value(f"{x.name}.floats", x.shape, y.dtype)
            node.inputs[0], node.outputs = x, [floats]
            move.inputs[0], move.outputs = floats, [y]
            producers |= {floats: node, y: move}
            i, j = graph.nodes.index(move), graph.nodes.index(node)
            graph.nodes[i], graph.nodes[j] = node, move
    _dequantize_once(graph)
