"""A rough time for the work of a node, which says how it is shared among threads."""

from __future__ import annotations

import math

from ..graph import Node, Value

#: a step estimated below this is run by one thread: waking the others and waiting for them costs about as much
WHOLE_MICROSECONDS = 15.0
#: a thread's share of a step goes in at most so many pieces, of so many estimated microseconds or more: the smaller they are,
#: the less do threads wait for each other, but each piece begins anew
MOST_PIECES, PIECE_MICROSECONDS = 16, 25.0
#: cautious rates of one thread: floating point operations, and bytes to and from memory, a microsecond
FLOPS, BYTES = 40e3, 8e3


def node_microseconds(node: Node) -> float:
    """A rough time on one thread for a kernel that computes the node; sizes that are not known count for nothing."""
    values = dict.fromkeys((*node.operands, *node.results))
    known = [v for v in values if v.known]
    return microseconds(node.op.flops(node) if len(known) == len(values) else 0, known)


def microseconds(operations: int, values: list[Value]) -> float:
    """A rough time on one thread for so many operations on these values."""
    return operations / FLOPS + 4 * sum(math.prod(v.dims) for v in values) / BYTES


def pieces(microseconds: float, threads: int) -> int:
    """Into how many pieces each thread's share of a step goes that takes one thread so long; 0: it is not shared."""
    if microseconds < WHOLE_MICROSECONDS:
        return 0
    return min(max(1, int(microseconds / threads / PIECE_MICROSECONDS)), MOST_PIECES)
