"""Fuse activations, and the Add of a residual, into the node before them: its kernel applies them as it stores the result."""

from __future__ import annotations

from ..activation import NO_ACTIVATION, Activation
from ..graph import Graph, Node, Value
from ..ops.binary import Add
from .edit import sole_reader


def fuse_epilogues(graph: Graph) -> None:
    """Fuse into each node that takes an epilogue: an Add of a tensor of the same shape, then nodes that make one activation."""
    graph.nodes = [n for node in graph.nodes for n in _split_unequal(node)]
    consumers = graph.consumers()
    fused: set[Node] = set()
    i = 0
    while i < len(graph.nodes):
        node = graph.nodes[i]
        i += 1
        if not node.op.takes_epilogue or node.epilogue:
            continue
        if (
            node.op.takes_residual
            and (add := _follower(node, graph, consumers))
            and add not in fused
            and _is_residual(add, node.results[0])
        ):
            # the other operand may be computed after this node: the fused node takes the place of the Add
            graph.nodes.remove(node)
            graph.nodes[graph.nodes.index(add)] = node
            node.epilogue.append(add)
            fused.add(add)
            i -= 1
        activation = NO_ACTIVATION
        while (act := _follower(node, graph, consumers)) and (joined := _joined(activation, act, node.results[0])):
            activation = joined
            node.epilogue.append(act)
            fused.add(act)
            graph.nodes.remove(act)


def _split_unequal(node: Node) -> list[Node]:
    """The node; or the nodes it was fused from, if what it adds has another shape than was declared when they were fused.

    A file declares the shapes of its outputs, and by symbols which sizes are equal. Kernels read a residual unchecked.
    """
    adds = [n for n in node.epilogue if isinstance(n.op, Add)]
    if all(v is not None and v.shape == n.results[0].shape for n in adds for v in n.inputs):
        return [node]
    apart = [node, *node.epilogue]
    node.epilogue = []
    return apart


def _follower(node: Node, graph: Graph, consumers: dict[Value, list[Node]]) -> Node | None:
    """The only reader of the node's only result."""
    return sole_reader(node.results[0], graph, consumers) if len(node.results) == 1 else None


def _joined(activation: Activation, node: Node, x: Value) -> Activation | None:
    """The one activation that `activation` and then the node, a function of x, make; None if they make none."""
    own = node.op.activation(node) if node.inputs[0] is x else None
    return activation.then(own) if own else None


def _is_residual(add: Node, x: Value) -> bool:
    """Whether the node adds to x another computed tensor of the same shape."""
    if not isinstance(add.op, Add) or add.epilogue:
        return False
    a, b = add.input(0), add.input(1)
    other = b if a is x else a
    if other is x or other.constant is not None or x.shape is None or None in x.shape:
        return False
    return (other.shape, other.dtype) == (x.shape, x.dtype)
