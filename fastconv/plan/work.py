"""How much work a node is: floating point operations for tables, and a rough time that says how it is shared among threads."""

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


def flops(node: Node) -> int:
    """Floating point operations of a node, a multiply-add counted as two; one an output element where no rule is known."""
    out = math.prod(node.results[0].dims)
    kind, inputs = type(node.op).__name__, node.inputs
    if kind == "Conv" and inputs[1] is not None:
        return 2 * out * math.prod(inputs[1].dims[1:])
    if kind == "ConvTranspose" and inputs[0] is not None and inputs[1] is not None:
        return 2 * math.prod(inputs[0].dims) * math.prod(inputs[1].dims[1:])
    if kind in ("Gemm", "MatMul") and inputs[0] is not None:
        a = inputs[0].dims
        return 2 * out * (a[0] if getattr(node.op, "transA", 0) else a[-1])
    if kind in ("MaxPool", "AveragePool"):
        return out * math.prod(node.op.kernel_shape)  # type: ignore[attr-defined]
    if kind.startswith(("Global", "Reduce")) and inputs[0] is not None:
        return math.prod(inputs[0].dims)
    return 0 if kind in ("Reshape", "Flatten", "Concat", "Transpose") else out


def microseconds(operations: int, values: list[Value]) -> float:
    """A rough time on one thread for so many operations on these values."""
    return operations / FLOPS + 4 * sum(math.prod(v.dims) for v in values) / BYTES


def pieces(microseconds: float, threads: int) -> int:
    """Into how many pieces each thread's share of a step goes that takes one thread so long; 0: it is not shared."""
    if microseconds < WHOLE_MICROSECONDS:
        return 0
    return min(max(1, int(microseconds / threads / PIECE_MICROSECONDS)), MOST_PIECES)
