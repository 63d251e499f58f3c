"""Choose an implementation for each node: the first that does not refuse it. Refusals are kept, in words.

A quantized node that all refuse is computed in parts, from integers to floats and back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ..activation import NO_ACTIVATION
from ..errors import Naming
from ..graph import Graph, Node, Value
from .cost import WORTHWHILE_SHARE
from .layout import CHANNELS_LAST, ROW_MAJOR, Layout, blocked

if TYPE_CHECKING:
    from ..kernels import Kernels
    from ..ops.base import Op
    from .implementation import AnyImplementation


class Target(NamedTuple):
    """What a plan is made for."""

    #: the implementations of each operator, best first
    implementations: Mapping[type[Op], Sequence[AnyImplementation]]
    kernels: Kernels
    threads: int
    accuracy: str = "default"
    #: an implementation's name that nodes must take where they have it, for tests and benches
    algorithm: str | None = None
    #: how many pieces of every step each thread has, for tests; None: as many as the step's estimated time is worth
    pieces: int | None = None
    #: how the weights of fully connected layers are stored, at most: "float32", "bf16" or "float16"
    weights: str = "float32"

    @property
    def V(self) -> int:
        """Floats in a vector: the channels of a block."""
        return self.kernels.V

    @property
    def blocked(self) -> Layout:
        """The blocked layout of float32 tensors, nChw{V}c."""
        return blocked(self.V)

    def blocked_of(self, value: Value) -> Layout:
        """The blocked layout of a tensor of floats or bytes."""
        return self.blocked if value.dtype is None or value.dtype.itemsize == 4 else CHANNELS_LAST


@dataclass
class Selection:
    """The state of a selection, as refusals see it: the target, and the layout in which each value is produced."""

    target: Target
    layouts: dict[Value, Layout] = field(default_factory=dict)

    def layout(self, value: Value) -> Layout:
        """The layout in which `value` is produced."""
        return self.layouts.get(value, ROW_MAJOR)


class Choice(NamedTuple):
    """A node, its implementation (None: it runs its reference), and the refusals of those before it: (name, reason).

    `reason` says why the node runs its reference, "" if it does not. `wants` has the layout of each operand that is no
    constant, `gives` is that of the results. `in_floats` says why a node of a quantized network, or a part of a quantized
    node, computes floats, "" for any other; the refusals of the whole node are before those of the part.
    """

    node: Node
    implementation: AnyImplementation | None
    refusals: list[tuple[str, str]]
    reason: str
    wants: dict[Value, Layout]
    gives: Layout
    in_floats: str = ""


def select(graph: Graph, target: Target, inputs: Layout = ROW_MAJOR) -> list[Choice]:
    """A Choice for each node or part of one, in the graph's order; `inputs` is the layout of the graph's inputs."""
    selection = Selection(target, dict.fromkeys(graph.inputs, inputs))
    choices, between = [], _between_integers(graph)
    for node in graph.nodes:
        with Naming(node.error):
            whole = _choose(node, selection)
            if node in between:
                whole = whole._replace(in_floats="no kernel for integers")
            choices += [whole] if whole.implementation or not node.prologue else _in_parts(whole, selection)
    return choices


def _between_integers(graph: Graph) -> set[Node]:
    """The nodes that compute floats of dequantized floats, which are quantized again."""
    read = {v for n in graph.nodes if n.chain[-1].op.converts for v in n.results if _is_float(v)}
    written = {v for n in graph.nodes if n.op.converts for v in n.operands if _is_float(v)}
    found = (n for n in graph.nodes if not n.prologue and not n.op.converts and not read.isdisjoint(n.operands))
    return {n for n in found if n.chain[-1].op.converts or not written.isdisjoint(n.results)}


def _is_float(v: Value) -> bool:
    return v.constant is None and v.dtype is not None and v.dtype.kind == "f"


def implementations_of(node: Node, target: Target) -> list[AnyImplementation]:
    """The implementations of a node's operator, on integers if the node is quantized, else on floats."""
    return [i for i in target.implementations.get(type(node.op), ()) if i.quantized == bool(node.prologue)]


def _in_parts(whole: Choice, selection: Selection) -> list[Choice]:
    """A Choice for each part of a quantized node."""
    choices = []
    for part in _parts(whole.node):
        choice = _choose(part, selection)
        if part.op is whole.node.op:
            choice = choice._replace(refusals=whole.refusals + choice.refusals, in_floats=whole.reason)
        choices.append(choice)
    return choices


def _parts(node: Node) -> list[Node]:
    """The nodes that a quantized node was fused from, each with the activations behind it if it takes them."""
    parts = [n for n in node.prologue if any(v.constant is None for v in n.results)]
    parts.append(Node(node.op, node.inputs, node.outputs, node.name, node.where))
    activation = NO_ACTIVATION
    for n in node.epilogue:
        last, own = parts[-1], n.op.activation(n)
        joined = own and activation.then(own)
        if joined and last.op.takes_epilogue and n.inputs[0] is last.results[0]:
            last.epilogue.append(n)
            activation = joined
        else:
            parts.append(Node(n.op, n.inputs, n.outputs, n.name, n.where))
            activation = NO_ACTIVATION
    return parts


def _choose(node: Node, selection: Selection) -> Choice:
    """The first implementation that does not refuse the node; the layout of its results is kept in the selection."""
    refusals: list[tuple[str, str]] = []
    candidates = implementations_of(node, selection.target)
    for candidate in candidates:
        refusal = _refusal(candidate, node, selection)
        if refusal is None:
            choice = Choice(node, candidate, refusals, "", *candidate.layouts(node, selection.target))
            break
        refusals.append((candidate.name, refusal))
    else:
        reason = _reference_reason(node, candidates, refusals)
        choice = Choice(node, None, refusals, reason, {v: ROW_MAJOR for v in node.operands if v.constant is None}, ROW_MAJOR)
    selection.layouts |= dict.fromkeys(node.results, choice.gives)
    return choice


def _reference_reason(node: Node, candidates: Sequence[AnyImplementation], refusals: list[tuple[str, str]]) -> str:
    """The refusal of the last candidate that takes the node's dtypes, else of the last one."""
    fitting = [reason for c, (_, reason) in zip(candidates, refusals, strict=True) if c.other_dtype(node) is None]
    return (fitting or [reason for _, reason in refusals] or ["no kernel"])[-1]


def _refusal(candidate: AnyImplementation, node: Node, selection: Selection) -> str | None:
    """Why a node is not computed by this implementation: another one was asked for, it cannot, or it would be slower."""
    target = selection.target
    wanted = target.algorithm
    if wanted not in (None, candidate.name) and any(i.name == wanted for i in target.implementations[type(node.op)]):
        return f"{wanted} was asked for"
    if (reason := candidate.refusal(node, selection)) is not None:
        return reason
    if wanted is None and (share := candidate.time_share(node, target)) > WORTHWHILE_SHARE:
        return f"estimated {share:.2f} of the time of the next"
    return None
