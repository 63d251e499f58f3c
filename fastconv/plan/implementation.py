"""Implementation: what a plan asks of each way to compute an operator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..graph import Node, Value

if TYPE_CHECKING:
    from .bind import Binder, Step
    from .layouts import Halo, Tensor
    from .select import Target


def input_refusal(x: Value | None) -> str | None:
    """Why a kernel for float32 cannot read a node's input."""
    assert x is not None
    if x.constant is not None:
        return "constant input"
    if x.dtype != np.float32:
        return f"dtype {x.dtype}"
    return "empty input" if 0 in x.dims else None


def blocked_refusal(x: Value | None, ranks: Sequence[int] = (4,)) -> str | None:
    """Why a tensor cannot be read in the blocked layout, where those of these ranks can."""
    assert x is not None
    return input_refusal(x) or (None if len(x.dims) in ranks else f"rank {len(x.dims)}")


class Implementation:
    """One way to compute an Op with the kernels of one ISA.

    `refuse` says no with a reason, or None for yes. Then `layouts` says how it wants its operands and gives its results,
    and `bind` makes the steps, with every size and address settled. Layouts are "nchw" (row-major, any rank) and "blocked"
    (nChw{V}c or nCdhw{V}c: channels in blocks of the vector width V).
    """

    name: ClassVar[str]

    def refuse(self, node: Node, target: Target) -> str | None:
        """Why this implementation cannot (or should not) run the node; None if it can."""
        raise NotImplementedError

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, str], str]:
        """The layout wanted for each operand that is not packed at bind time, and the layout of the results."""
        raise NotImplementedError

    def halo(self, node: Node) -> Halo:
        """The zeros that inputs[0] must have around it."""
        return ()

    def alias(self, node: Node, reads: dict[Value, Tensor], writes: dict[Value, Tensor]) -> None:
        """Let tensors share memory where that saves a copy: a view of an input, an input written in place of the output."""

    def workspace(self, node: Node, target: Target) -> int:
        """Bytes of scratch memory that the steps need while they run."""
        return 0

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        """The steps of the plan that compute the node."""
        raise NotImplementedError
