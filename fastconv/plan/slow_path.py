"""The layers of a plan that run their references, in NumPy, and the warning about them."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, NamedTuple

from .cost import WARNING_MICROSECONDS, node_microseconds
from .stages import Stage, reference_reason

if TYPE_CHECKING:
    from .batch import SplitPlan
    from .plan import Plan

#: how many layers a message names for each reason
NAMED = 4


class SlowLayer(NamedTuple):
    """A layer that runs its reference, the reason, and what a kernel would take for it."""

    name: str
    op: str
    reason: str
    microseconds: float


def slow_layers(plan: Plan | SplitPlan, stage: Stage) -> list[SlowLayer]:
    """The layers of a stage and its plan that run their references."""
    nodes = [(e.node, e.reference_reason) for e in plan.entries if e.node is not None]
    nodes += [(n, reference_reason(n)) for n in stage.data_dependent]
    return [SlowLayer(n.label, type(n.op).__name__, reason, node_microseconds(n)) for n, reason in nodes if reason]


def warning(layers: Collection[SlowLayer]) -> str | None:
    """The text of the SlowPathWarning about these layers, the largest first; None if they are not worth one.

    >>> warning([SlowLayer("relu", "Relu", "dtype float64", 50.0), SlowLayer("conv", "Conv", "dtype float64", 900.0)])
    "2 layers run by reference, in NumPy, which is slow: 'conv' (Conv), 'relu' (Relu): dtype float64"
    """
    if sum(x.microseconds for x in layers) < WARNING_MICROSECONDS:
        return None
    reasons: dict[str, list[str]] = {}
    for x in sorted(layers, key=lambda x: -x.microseconds):
        reasons.setdefault(x.reason, []).append(f"{x.name!r:.60} ({x.op})")
    parts = []
    for reason, names in reasons.items():
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        parts.append(f"{', '.join(names[:NAMED])}{more}: {reason}")
    what = f"{len(layers)} layers run" if len(layers) > 1 else "1 layer runs"
    return f"{what} by reference, in NumPy, which is slow: {'; '.join(parts)}"


__all__ = ["SlowLayer", "slow_layers", "warning"]
