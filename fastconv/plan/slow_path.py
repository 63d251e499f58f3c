"""What of a plan runs by reference, in NumPy, and whether that is worth a warning."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, NamedTuple

from .stages import Stage, why_told
from .work import node_microseconds

if TYPE_CHECKING:
    from .images import SplitPlan
    from .plan import Plan

#: what kernels would take for all layers by reference together, in estimated microseconds, where it is worth a warning: 160 kB
#: read and written, or 800,000 operations. NumPy takes a few times that for the simplest functions, hundreds of times that for
#: convolutions. Below it, the way in and out of Python, some ten microseconds a layer, is most of the cost: the arithmetic of
#: shapes is there, and what follows a classifier.
WORTH_MICROSECONDS = 20.0
#: how many layers a message names for each reason
NAMED = 4


class SlowLayer(NamedTuple):
    """A layer by reference, why, and what a kernel would take for it."""

    name: str
    op: str
    reason: str
    microseconds: float


def slow_layers(plan: Plan | SplitPlan, stage: Stage) -> list[SlowLayer]:
    """Those of a stage and its plan."""
    choices = [e.task.choice for e in plan.entries if e.task.choice is not None]
    nodes = [(c.node, c.reason) for c in choices] + [(n, why_told(n)) for n in stage.tell]
    return [SlowLayer(n.label, type(n.op).__name__, reason, node_microseconds(n)) for n, reason in nodes if reason]


def warning(layers: Collection[SlowLayer]) -> str | None:
    """What a SlowPathWarning says of these layers, the largest first; None where they are not worth one.

    >>> warning([SlowLayer("relu", "Relu", "dtype float64", 50.0), SlowLayer("conv", "Conv", "dtype float64", 900.0)])
    "2 layers run by reference, in NumPy, which is slow: 'conv' (Conv), 'relu' (Relu): dtype float64"
    """
    if sum(x.microseconds for x in layers) < WORTH_MICROSECONDS:
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
