"""Per node, the first implementation that does not refuse; the refusals are kept, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..graph import Graph, Node, Value

if TYPE_CHECKING:
    from ..kernels import Kernels
    from ..ops.base import Op
    from .implementation import Implementation

#: the layouts a tensor can have: as NumPy has it; the same in planes that may carry a halo of zeros; channels in blocks of V
NCHW, PLANAR, BLOCKED = "nchw", "planar", "blocked"
#: the ranks of tensors that may be planar or blocked: images N C H W, and volumes N C D H W
RANKS = (4, 5)


@dataclass
class Target:
    """What a plan is made for. `layouts` is filled as the selection goes: the layout each value is produced in."""

    #: the implementations of each operator, best first
    implementations: Mapping[type[Op], Sequence[Implementation]]
    kernels: Kernels
    threads: int
    accuracy: str = "default"
    #: an implementation's name that nodes must take where they have it, for tests and benches
    algorithm: str | None = None
    #: into how many pieces each thread's share of every step goes, for tests; None: by the step's estimated time
    pieces: int | None = None
    layouts: dict[Value, str] = field(default_factory=dict)

    @property
    def V(self) -> int:
        """Floats in a vector: the channels of a block."""
        return self.kernels.V

    def layout(self, value: Value | None) -> str:
        """The layout `value` is produced in."""
        return NCHW if value is None else self.layouts.get(value, NCHW)


@dataclass
class Choice:
    """A node with the implementation that runs it (None: the op's reference) and why the ones before it refused."""

    node: Node
    implementation: Implementation | None
    refusals: list[tuple[str, str]]
    wants: dict[Value, str]
    gives: str

    @property
    def name(self) -> str:
        """The implementation's name, as dumps and tables print it."""
        return self.implementation.name if self.implementation else "reference"

    @property
    def reason(self) -> str:
        """Why it runs by reference, as the implementation that takes most says; empty where it does not."""
        if self.implementation is not None:
            return ""
        return self.refusals[-1][1] if self.refusals else "no kernel"


def select(graph: Graph, target: Target, inputs: str = NCHW) -> list[Choice]:
    """A Choice for each node, in the graph's order; `inputs` is the layout of the graph's inputs."""
    choices = []
    target.layouts = dict.fromkeys(graph.inputs, inputs)
    for node in graph.nodes:
        refusals, chosen = [], None
        candidates = target.implementations.get(type(node.op), ())
        for candidate in candidates:
            reason = None
            if target.algorithm and target.algorithm != candidate.name:
                reason = f"{target.algorithm} was asked for" if any(i.name == target.algorithm for i in candidates) else None
            reason = reason or candidate.refuse(node, target)
            if reason is None:
                chosen = candidate
                break
            refusals.append((candidate.name, reason))
        if chosen is not None:
            wants, gives = chosen.layouts(node, target)
        else:
            wants, gives = {v: NCHW for v in node.operands if v.constant is None}, NCHW
        for v in node.results:
            target.layouts[v] = gives
        choices.append(Choice(node, chosen, refusals, wants, gives))
    return choices
