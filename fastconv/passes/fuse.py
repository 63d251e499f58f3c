"""Activations, and the Add of a residual, go into the store of the node before them: they become its epilogue."""

from __future__ import annotations

from ..activation import NO_ACTIVATION, Activation
from ..graph import Graph, Node, Value


def fuse(graph: Graph) -> None:
    """Give each node that takes an epilogue what follows it: [Add of a tensor of the same shape], [what is one activation]."""
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
            # the other operand may be made after this node: the fused node stands where the Add stood
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
    """The node; or its chain, where what it adds is of another shape than the file said when they were fused.

    A file says the shapes of its outputs, and with symbols which sizes are equal. Kernels read a residual without asking.
    """
    adds = [n for n in node.epilogue if type(n.op).__name__ == "Add"]
    if all(v is not None and v.shape == n.results[0].shape for n in adds for v in n.inputs):
        return [node]
    apart = [node, *node.epilogue]
    node.epilogue = []
    return apart


def _follower(node: Node, graph: Graph, consumers: dict[Value, list[Node]]) -> Node | None:
    """The only reader of the node's only result."""
    (result, *more) = node.results
    users = consumers[result]
    if more or result in graph.outputs or len(users) != 1:
        return None
    return users[0]


def _joined(before: Activation, node: Node, value: Value) -> Activation | None:
    """What `before` and the node behind it, which reads `value`, are together, if that is an activation."""
    own = node.op.activation(node) if node.inputs[0] is value else None
    return before.then(own) if own else None


def _is_residual(add: Node, value: Value) -> bool:
    if type(add.op).__name__ != "Add" or add.epilogue:
        return False
    a, b = add.inputs
    other = b if a is value else a
    return (
        other is not value
        and other is not None
        and other.constant is None
        and value.shape is not None
        and None not in value.shape
        and other.shape == value.shape
        and other.dtype == value.dtype
    )
