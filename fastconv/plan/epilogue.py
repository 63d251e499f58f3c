"""What a kernel applies to its sums before it stores them: the nodes that passes fused into a node."""

from __future__ import annotations

from typing import Any

from .. import _constants
from ..activation import NO_ACTIVATION, Activation
from ..graph import Node, Value


def epilogue_of(node: Node) -> tuple[Value | None, Activation]:
    """The residual to add to a node's sums, and the activation of the result."""
    residual, activation = None, NO_ACTIVATION
    before = node.outputs[0]
    for n in node.epilogue:
        if (own := n.op.activation(n)) is None:
            residual = next(v for v in n.inputs if v is not before)
        else:
            joined = activation.then(own)
            assert joined is not None, "fuse takes no others"
            activation = joined
        before = n.results[0]
    return residual, activation


def activation_fields(activation: Activation) -> dict[str, Any]:
    """An Activation as the struct of pyx/activation.pxd."""
    kind = getattr(_constants, activation.kind.upper())
    return {"kind": kind, "a": activation.a, "b": activation.b, "c": activation.c}
