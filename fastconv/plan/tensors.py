"""The tensors of a plan, and its entries: the nodes and the reorders between layouts, in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..graph import Graph, Node, Value
from .layout import ROW_MAJOR, Geometry, Halo, Layout, geometry
from .select import Choice

if TYPE_CHECKING:
    from .binder import Step
    from .implementation import AnyImplementation


@dataclass(eq=False)
class Tensor:
    """A value in a layout. It has memory of its own or lies inside its `parent`, from channel `offset` on."""

    value: Value
    layout: Layout
    halo: Halo = ()
    #: the byte that fills the halo: 0, or the zero point of a quantized tensor
    halo_value: int = 0
    parent: Tensor | None = None
    offset: int = 0
    #: whether it is an input of the plan, whose memory the caller gives: it cannot lie in another tensor's
    is_input: bool = False

    @property
    def root(self) -> Tensor:
        """The tensor whose memory this one lies in."""
        return self if self.parent is None else self.parent.root

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return self.value.dtype.itemsize if self.value.dtype else 4

    @property
    def geometry(self) -> Geometry:
        """The memory of a root tensor."""
        return geometry(self.value.dims, self.layout, self.itemsize, self.halo)

    def takes_halo(self, halo: Halo, value: int) -> bool:
        """Whether the memory it lies in can have this halo: it has none with other bytes."""
        root = self.root
        return not any(halo) or not any(root.halo) or root.halo_value == value

    def widen(self, halo: Halo, value: int) -> None:
        """Make the halo of the memory it lies in at least this wide."""
        root = self.root
        if any(halo):
            root.halo, root.halo_value = tuple(map(max, root.halo or halo, halo)), value

    def lie_in(self, parent: Tensor, offset: int = 0) -> None:
        """Give up its own memory for a place in `parent`'s, from channel `offset` on, if the halos agree."""
        if parent.takes_halo(self.halo, self.halo_value):
            self.parent, self.offset = parent, offset
            parent.widen(self.halo, self.halo_value)

    @property
    def channel(self) -> int:
        """The channel of the root's memory at which it begins."""
        return self.offset + (self.parent.channel if self.parent else 0)

    def __repr__(self) -> str:
        return f"{self.value.name!r}:{self.layout}"


@dataclass
class Boundary:
    """How the tensor lies that one plan gives to the next: the first plan's only output and the second one's only input."""

    layout: Layout
    halo: Halo = ()
    halo_value: int = 0


@dataclass(eq=False)
class Entry:
    """A line of a plan: a node, or a reorder of a tensor (node None), with the tensors that it reads and writes."""

    node: Node | None
    implementation: AnyImplementation | None
    #: (name, reason) of each implementation that refused the node
    refusals: Sequence[tuple[str, str]]
    #: why the node runs its reference; empty if it does not
    reference_reason: str
    reads: dict[Value, Tensor]
    writes: dict[Value, Tensor]
    #: why it computes floats in a quantized network; empty for any other node
    in_floats: str = ""
    #: bytes of scratch memory, and their (base, offset)
    workspace: int = 0
    workspace_place: tuple[int, int] = (0, 0)
    #: None: the node runs its reference, in Python
    steps: list[Step] | None = None
    #: how many images it runs for, one after the other
    images: int = 1

    @property
    def label(self) -> str:
        """What tables and dumps call it."""
        return self.node.label if self.node else next(iter(self.writes.values())).value.name

    @property
    def algorithm(self) -> str:
        """What computes it, as tables and dumps print it: an implementation's name, "reference" or "reorder"."""
        return "reorder" if self.node is None else self.implementation.name if self.implementation else "reference"


def insert_reorders(
    graph: Graph, choices: list[Choice], source: Boundary | None = None, sink: Boundary | None = None
) -> tuple[list[Entry], dict[Value, Tensor]]:
    """The entries of a plan in order, and the tensor of each graph output.

    There is a reorder wherever a node wants another layout than the producer of its operand gives. Reorders start from the
    tensor that the producer gives and are made once for each layout, so that no two of them cancel. Graph inputs and outputs
    are row-major, except for an input that is a `source`, whose halo is set here, and an output that is a `sink`. A tensor that
    has a halo of other bytes than a node wants is copied.
    """
    given = {v: Tensor(v, source.layout if source else ROW_MAJOR, is_input=True) for v in graph.inputs}
    made: dict[tuple[Value, Layout], Tensor] = {(v, tensor.layout): tensor for v, tensor in given.items()}
    entries: list[Entry] = []

    def want(value: Value, layout: Layout, halo: Halo = (), halo_value: int = 0) -> Tensor:
        tensor = made.get((value, layout))
        if tensor is None or not tensor.takes_halo(halo, halo_value):
            tensor = made[value, layout] = Tensor(value, layout)
            entries.append(Entry(None, None, (), "", {value: given[value]}, {value: tensor}))
        tensor.widen(halo, halo_value)
        return tensor

    for node, implementation, refusals, reason, wants, gives, in_floats in choices:
        reads = {v: want(v, layout) for v, layout in wants.items()}
        writes = {}
        for v in node.results:
            writes[v] = given[v] = made[v, gives] = Tensor(v, gives)
        if implementation is not None:
            if any(halo := implementation.halo(node)):
                first = implementation.operands(node)[0]
                reads[first] = want(first, wants[first], halo, implementation.halo_value(node))
            implementation.alias(node, reads, writes)
        entries.append(Entry(node, implementation, refusals, reason, reads, writes, in_floats))
    outputs = {v: want(v, sink.layout if sink else ROW_MAJOR) for v in graph.outputs if v in given}
    if sink:
        for tensor in outputs.values():
            tensor.widen(sink.halo, sink.halo_value)
    if source:
        ((source.halo, source.halo_value),) = ((given[v].halo, given[v].halo_value) for v in graph.inputs)
    return entries, outputs
