"""Parts of a graph in another arrangement of axes: what the passes channels_first and lift share.

A part is a set of nodes that hand values on to each other and that all can work on the other arrangement, with other
attributes. It is rearranged as a whole: where values enter and leave it, nodes change between the arrangements.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..graph import Dim, Graph, Node, Value
from ..ops.base import Op
from ..ops.binary import Binary, Variadic, Where
from ..ops.concat import Concat
from ..ops.dims import axis_index
from ..ops.elementwise import Clip, Unary
from ..ops.pad import Pad
from ..ops.quantize import Quantization
from ..ops.reduce import Reduce
from ..ops.resize import Resize
from ..ops.slice import Slice
from ..ops.softmax import AlongAxis
from ..ops.split import Split


@dataclass(frozen=True)
class Rewrite:
    """A node for the other arrangement: its op and inputs, which of the inputs and whether the outputs are arranged anew."""

    op: Op
    inputs: list[Value | None]
    moved: Sequence[int] = (0,)
    outputs: bool = True


Handler = Callable[[Node, "Arrangement"], Rewrite | None]


@dataclass(frozen=True)
class Arrangement:
    """Another arrangement of values of `rank`: axis i becomes `axes[i]` of `after` axes; further ones have size 1.

    `enter` and `leave` are the ops, with their further inputs, that change to it and back. `handlers` rewrite nodes by type.
    """

    rank: int
    axes: tuple[int, ...]
    after: int
    enter: tuple[Op, tuple[Value, ...]]
    leave: tuple[Op, tuple[Value, ...]]
    handlers: Mapping[type[Op], Handler]

    def rewrite(self, node: Node) -> Rewrite | None:
        """The node for values so arranged; None where it needs them as they are."""
        if not any(v is not None and v.constant is None and v.shape is not None and self.fits(v) for v in node.inputs):
            return None
        handler = next((self.handlers[c] for c in type(node.op).__mro__ if c in self.handlers), None)
        found = handler(node, self) if handler else None
        if found is None or (any(v is not None for v in node.outputs[1:]) and not isinstance(node.op, Split)):
            return None
        values = [found.inputs[i] for i in found.moved] + (node.outputs if found.outputs else [])
        fits = all(v is None or (v.shape is not None and self.fits(v)) for v in values)
        return found if fits and any(v is not None and v.constant is None for v in values) else None

    def fits(self, v: Value) -> bool:
        """Whether a value can be arranged: a constant that broadcasts too."""
        assert v.shape is not None
        return len(v.shape) <= self.rank if v.constant is not None else len(v.shape) == self.rank

    def shape(self, shape: Sequence[Dim]) -> tuple[Dim, ...]:
        """A shape, rearranged."""
        out: list[Dim] = [1] * self.after
        for i, d in enumerate(shape):
            out[self.axes[i]] = d
        return tuple(out)

    def constant(self, v: Value) -> Value:
        """A constant, rearranged; one of a single element broadcasts as it is."""
        array = v.constant
        assert array is not None
        if array.size == 1:
            return v
        full = np.asarray(array).reshape((1,) * (self.rank - array.ndim) + array.shape)
        order = sorted(range(self.rank), key=self.axes.__getitem__)
        return Value(v.name, constant=full.transpose(order).reshape(self.shape(full.shape)))  # type: ignore[arg-type]

    def axis(self, i: int) -> int:
        """Where an axis, which may count from the end, stands then."""
        return self.axes[axis_index(i, self.rank)]


@dataclass(frozen=True)
class Part:
    """Nodes to rearrange together, the values that enter them and leave them, and who else gives or reads those."""

    nodes: set[Node]
    entering: list[Value]
    leaving: list[Value]
    givers: Mapping[Value, Node]
    outside: Mapping[Value, list[Node]]


def arrange(graph: Graph, to: Arrangement, worth: Callable[[Part], bool]) -> bool:
    """Rearrange every part of the graph that is `worth` it; whether there was one."""
    rewrites: dict[Node, Rewrite] = {}
    for m in graph.nodes:
        chain = {n: to.rewrite(n) for n in m.chain}
        if all(chain.values()):  # what is fused stays together
            rewrites |= chain  # type: ignore[arg-type]
    if not rewrites:
        return False
    nodes = [n for m in graph.nodes for n in m.chain]
    givers = {v: n for n in nodes for v in n.outputs if v is not None}
    readers: dict[Value, list[Node]] = {}
    for n in nodes:
        for v in n.inputs:
            if v is not None:
                readers.setdefault(v, []).append(n)
    parts = [_part(graph, members, rewrites, givers, readers) for members in _groups(rewrites)]
    chosen = [p for p in parts if worth(p)]
    for part in chosen:
        _rearrange(graph, to, part, rewrites)
    return bool(chosen)


def _part(
    graph: Graph,
    members: list[Node],
    rewrites: Mapping[Node, Rewrite],
    givers: Mapping[Value, Node],
    readers: Mapping[Value, list[Node]],
) -> Part:
    nodes = set(members)
    given = dict.fromkeys(v for n in members if rewrites[n].outputs for v in n.outputs if v is not None)
    read = dict.fromkeys(v for n in members for v in _moved(rewrites[n]))
    outside = {v: [r for r in readers.get(v, []) if r not in nodes or not _moves(rewrites[r], v)] for v in (*given, *read)}
    leaving = [v for v in given if v in graph.outputs or outside[v]]
    return Part(nodes, [v for v in read if v not in given], leaving, givers, outside)


def _moved(r: Rewrite) -> list[Value]:
    """The values that a node reads in the arrangement of its part."""
    return [v for i in r.moved if (v := r.inputs[i]) is not None and v.constant is None]


def _moves(r: Rewrite, v: Value) -> bool:
    """Whether every place where the node reads v is rearranged."""
    return all(u is not v or i in r.moved for i, u in enumerate(r.inputs))


def _groups(rewrites: Mapping[Node, Rewrite]) -> list[list[Node]]:
    """The nodes that can be rearranged, those together that touch a common value."""
    owner: dict[Node | Value, Node | Value] = {}

    def root(x: Node | Value) -> Node | Value:
        while owner.setdefault(x, x) is not x:
            owner[x] = x = owner[owner[x]]
        return x

    for n, r in rewrites.items():
        for v in (*_moved(r), *(n.outputs if r.outputs else ())):
            if v is not None:
                owner[root(v)] = root(n)
    groups: dict[Node | Value, list[Node]] = {}
    for n in rewrites:
        groups.setdefault(root(n), []).append(n)
    return list(groups.values())


def _rearrange(graph: Graph, to: Arrangement, part: Part, rewrites: Mapping[Node, Rewrite]) -> None:
    """Rewrite the part's nodes, and put the changes of arrangement around it."""
    new: dict[Value, Value] = {}

    def arranged(v: Value) -> Value:
        if v not in new:
            assert v.shape is not None
            new[v] = Value(f"{v.name}.arranged", to.shape(v.shape), v.dtype)
        return new[v]

    def change(op: Op, operands: Sequence[Value], x: Value, y: Value) -> Node:
        return Node(op, [x, *operands], [y], f"{y.name}.{type(op).__name__.lower()}")

    entering, leaving = list(part.entering), set(part.leaving)
    nodes: list[Node] = []
    for m in graph.nodes:
        for n in m.chain:
            if n not in part.nodes:
                continue
            r = rewrites[n]
            here = [v for v in entering if v in _moved(r)]
            nodes += [change(*to.enter, v, arranged(v)) for v in here]
            entering = [v for v in entering if v not in here]
            n.op = r.op
            n.inputs = [
                v if v is None or i not in r.moved else to.constant(v) if v.constant is not None else arranged(v)
                for i, v in enumerate(r.inputs)
            ]
            if r.outputs:
                n.outputs = [v and arranged(v) for v in n.outputs]
        nodes.append(m)
        back = {new[v]: v for v in leaving if v in new}
        nodes += [change(*to.leave, v, back[v]) for v in m.results if v in back]
    graph.nodes = nodes


# ---- the operators that work on any arrangement


def _unary(n: Node, to: Arrangement) -> Rewrite:
    return Rewrite(n.op, n.inputs)


def _broadcast(n: Node, to: Arrangement) -> Rewrite:
    return Rewrite(n.op, n.inputs, range(len(n.inputs)))


def _along_axis(n: Node, to: Arrangement) -> Rewrite | None:
    op: Any = n.op
    if not -to.rank <= op.axis < to.rank or (isinstance(op, AlongAxis) and op.joint):
        return None
    return Rewrite(replace(op, axis=to.axis(op.axis)), n.inputs, range(len(n.inputs)) if isinstance(op, Concat) else (0,))


def _quantization(n: Node, to: Arrangement) -> Rewrite | None:
    """Scales and zero points are scalars, or lie along the axis."""
    op: Any = n.op
    if op.block_size:
        return None
    scalars = all(v is None or v.shape in ((), (1,)) for v in n.inputs[1:])
    if not scalars and not -to.rank <= op.axis < to.rank:
        return None
    return Rewrite(op if scalars else replace(op, axis=to.axis(op.axis)), n.inputs)


def _named_axes(n: Node, to: Arrangement) -> Rewrite | None:
    """Pad and Slice: their input 3 names the axes."""
    given = n.inputs[3] if len(n.inputs) > 3 else None
    count = n.inputs[1].shape if n.inputs[1] is not None else None  # starts, or pads: two for each axis
    if given is not None:
        if given.constant is None:
            return None
        axes = np.asarray(given.constant).reshape(-1).tolist()
    elif count and isinstance(count[0], int):
        axes = list(range(count[0] // (2 if isinstance(n.op, Pad) else 1)))
    else:
        return None
    if not all(-to.rank <= a < to.rank for a in axes):
        return None
    inputs = [*n.inputs, None, None][: max(len(n.inputs), 4)]
    inputs[3] = Value(f"{n.label}.axes", constant=np.array([to.axis(a) for a in axes], np.int64))
    return Rewrite(n.op, inputs)


def _resize(n: Node, to: Arrangement) -> Rewrite:
    op: Any = n.op
    return Rewrite(replace(op, axes=tuple(to.axis(a) for a in op.where(to.rank))), n.inputs)


def _reduce(n: Node, to: Arrangement) -> Rewrite | None:
    op: Any = n.op
    given = n.inputs[1] if len(n.inputs) > 1 else None
    if given is None or given.constant is None or not given.constant.size:
        return None
    over = op.axes(to.rank, np.asarray(given.constant).reshape(-1).tolist())
    left = [to.axes[i] for i in range(to.rank) if i not in over]
    if not op.keepdims and left != sorted(left):
        return None
    axes = Value(f"{n.label}.axes", constant=np.array(sorted(to.axes[i] for i in over), np.int64))
    return Rewrite(op, [n.inputs[0], axes], outputs=bool(op.keepdims))


COMMON: dict[type[Op], Handler] = {
    Unary: _unary,
    Clip: _unary,
    Binary: _broadcast,
    Variadic: _broadcast,
    Where: _broadcast,
    Concat: _along_axis,
    Split: _along_axis,
    AlongAxis: _along_axis,
    Pad: _named_axes,
    Slice: _named_axes,
    Quantization: _quantization,
    Resize: _resize,
    Reduce: _reduce,
}

__all__ = ["COMMON", "Arrangement", "Handler", "Part", "Rewrite", "arrange"]
