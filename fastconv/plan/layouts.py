"""Which tensors a plan has: a reorder wherever a consumer wants another layout than the producer gives.

A Tensor is one value in one layout. Reorders start from the tensor the producer gives and are made once per layout, so a pair
that would cancel never arises.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..graph import Graph, Value
from .select import NCHW, Choice

#: zeros before a tensor along each spatial axis, then behind it: top, left, bottom, right. Empty where there are none
Halo = tuple[int, ...]


@dataclass(eq=False)
class Tensor:
    """A value in a layout, and where it lies: in memory of its own or, `offset` channels in, inside its `parent`."""

    value: Value
    layout: str
    halo: Halo = ()
    parent: Tensor | None = None
    offset: int = 0
    #: it is an input of the plan, whose memory is there already: it cannot lie in another tensor's
    outside: bool = False

    @property
    def root(self) -> Tensor:
        """The tensor whose memory this one lies in."""
        return self if self.parent is None else self.parent.root

    def widen(self, halo: Halo) -> None:
        """Make the halo of the memory it lies in at least this wide."""
        root = self.root
        if any(halo):
            root.halo = tuple(map(max, root.halo or halo, halo))

    def lie_in(self, parent: Tensor, offset: int = 0) -> None:
        """Give up the own memory for a place in `parent`'s, `offset` channels in."""
        self.parent, self.offset = parent, offset
        parent.widen(self.halo)

    @property
    def channel(self) -> int:
        """The channel of the root's memory at which it begins."""
        return self.offset + (self.parent.channel if self.parent else 0)

    def __repr__(self) -> str:
        return f"{self.value.name!r}:{self.layout}"


@dataclass
class Seam:
    """How the only input of a plan lies in memory, which is the only output of another: its layout, and then its halo."""

    layout: str
    halo: Halo = ()


@dataclass(eq=False)
class Task:
    """One node (or, without a choice, one reorder from reads[0] to writes[0]) with the tensors it touches."""

    choice: Choice | None
    reads: dict[Value, Tensor]
    writes: dict[Value, Tensor]
    workspace: int = 0
    place: tuple[int, int] = (0, 0)
    notes: list[str] = field(default_factory=list)

    @property
    def label(self) -> str:
        """How tables and dumps call it."""
        return self.choice.node.label if self.choice else next(iter(self.writes.values())).value.name


def arrange(
    graph: Graph, choices: list[Choice], source: Seam | None = None, sink: Seam | None = None
) -> tuple[list[Task], dict[Value, Tensor]]:
    """The tasks in order, reorders included, and the tensor of each graph output.

    Inputs and outputs are as NumPy has them, but for the input that is a `source`, which learns its halo here, and the output
    that is a `sink`.
    """
    given = {v: Tensor(v, source.layout if source else NCHW, outside=True) for v in graph.inputs}
    made: dict[tuple[Value, str], Tensor] = {(v, tensor.layout): tensor for v, tensor in given.items()}
    tasks: list[Task] = []

    def want(value: Value, layout: str) -> Tensor:
        tensor = made.get((value, layout))
        if tensor is None:
            tensor = made[value, layout] = Tensor(value, layout)
            tasks.append(Task(None, {value: given[value]}, {value: tensor}))
        return tensor

    for choice in choices:
        reads = {v: want(v, layout) for v, layout in choice.wants.items()}
        writes = {}
        for v in choice.node.results:
            writes[v] = given[v] = made[v, choice.gives] = Tensor(v, choice.gives)
        if choice.implementation is not None:
            halo = choice.implementation.halo(choice.node)
            first = choice.node.inputs[0]
            if any(halo) and first is not None:
                reads[first].widen(halo)
            choice.implementation.alias(choice.node, reads, writes)
        tasks.append(Task(choice, reads, writes))
    outputs = {v: want(v, sink.layout if sink else NCHW) for v in graph.outputs if v in given}
    if sink:
        for tensor in outputs.values():
            tensor.widen(sink.halo)
    if source:
        (source.halo,) = (given[v].halo for v in graph.inputs)
    return tasks, outputs
