"""Convert regions of a graph to other axes: in another order, or with one more. nhwc_to_nchw and lift_1d share this.

A region is a set of connected nodes that can all compute on the new axes, with other attributes. It is converted as a whole;
nodes at its borders convert the values that enter it and restore those that leave it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, cast

import numpy as np

from ..graph import Dim, Graph, Node, Value
from ..ops import Op
from ..ops.binary import Binary, Variadic, Where
from ..ops.concat import Concat
from ..ops.dims import axis_index, known_ints
from ..ops.elementwise import Clip, Unary
from ..ops.pad import Pad
from ..ops.quantize import Quantization
from ..ops.reduce import Reduce
from ..ops.resize import Resize
from ..ops.slice import Slice
from ..ops.softmax import AlongAxis
from ..ops.split import Split


class Rewrite(NamedTuple):
    """A node on the new axes: `converted` are the positions of the inputs that have them, `outputs` whether the outputs do."""

    op: Op
    inputs: list[Value | None]
    converted: Sequence[int] = (0,)
    outputs: bool = True

    @property
    def values(self) -> list[Value]:
        """The computed inputs that have the new axes."""
        return [v for i in self.converted if (v := self.inputs[i]) is not None and v.constant is None]

    def converts(self, v: Value) -> bool:
        """Whether all inputs that are this value have the new axes."""
        return all(u is not v or i in self.converted for i, u in enumerate(self.inputs))


Handler = Callable[[Node, "AxisMap"], Rewrite | None]


class AxisMap(NamedTuple):
    """New axes for values of `rank` axes: axis i becomes axis `axes[i]` of `new_rank`; new axes have size 1.

    `convert` and `restore` are the operators, each with its other inputs, that change a value to the new axes and back.
    `handlers` rewrite nodes, by the class of their operator. The names of converted values end in `suffix`.
    """

    rank: int
    axes: tuple[int, ...]
    new_rank: int
    suffix: str
    convert: tuple[Op, tuple[Value, ...]]
    restore: tuple[Op, tuple[Value, ...]]
    handlers: Mapping[type[Op], Handler]

    def rewrite(self, node: Node) -> Rewrite | None:
        """The node for the new axes; None if it depends on the old ones."""
        if not any(v is not None and v.constant is None and v.shape is not None and self.fits(v) for v in node.inputs):
            return None
        handler = next((self.handlers[c] for c in type(node.op).__mro__ if c in self.handlers), None)
        found = handler(node, self) if handler else None
        if found is None or (any(v is not None for v in node.outputs[1:]) and not isinstance(node.op, Split)):
            return None
        values = [found.inputs[i] for i in found.converted] + (node.outputs if found.outputs else [])
        fits = all(v is None or (v.shape is not None and self.fits(v)) for v in values)
        return found if fits and any(v is not None and v.constant is None for v in values) else None

    def fits(self, v: Value) -> bool:
        """Whether a value can have the new axes: a constant also if it broadcasts."""
        assert v.shape is not None
        return len(v.shape) <= self.rank if v.constant is not None else len(v.shape) == self.rank

    def shape(self, shape: Sequence[Dim]) -> tuple[Dim, ...]:
        """The shape on the new axes."""
        out: list[Dim] = [1] * self.new_rank
        for i, d in enumerate(shape):
            out[self.axes[i]] = d
        return tuple(out)

    def constant(self, v: Value) -> Value:
        """The constant on the new axes; one of a single element broadcasts as it is."""
        array = v.constant
        assert array is not None
        if array.size == 1:
            return v
        full = np.asarray(array).reshape((1,) * (self.rank - array.ndim) + array.shape)
        order = sorted(range(self.rank), key=self.axes.__getitem__)
        shape = cast(tuple[int, ...], self.shape(full.shape))
        return Value(v.name, constant=full.transpose(order).reshape(shape))

    def axis(self, i: int) -> int:
        """The new place of an axis, which may count from the end."""
        return self.axes[axis_index(i, self.rank)]


class Region(NamedTuple):
    """Connected nodes that can be converted together.

    `inputs` and `outputs` are the values at its borders, `producers` the nodes that compute values, of the whole graph.
    `outside` are the readers of a value on the old axes.
    """

    nodes: set[Node]
    inputs: list[Value]
    outputs: list[Value]
    producers: Mapping[Value, Node]
    outside: Mapping[Value, list[Node]]


def convert_regions(graph: Graph, axis_map: AxisMap, worthwhile: Callable[[Region], bool]) -> bool:
    """Convert every region of the graph that is worth it; whether there was one."""
    rewrites: dict[Node, Rewrite] = {}
    for node in graph.nodes:
        chain = {n: r for n in node.chain if (r := axis_map.rewrite(n)) is not None}
        if len(chain) == len(node.chain):  # fused nodes stay together
            rewrites |= chain
    if not rewrites:
        return False
    nodes = [n for node in graph.nodes for n in node.chain]
    producers = {v: n for n in nodes for v in n.outputs if v is not None}
    readers: dict[Value, list[Node]] = {}
    for n in nodes:
        for v in n.inputs:
            if v is not None:
                readers.setdefault(v, []).append(n)
    regions = [_region(graph, members, rewrites, producers, readers) for members in _connected(rewrites)]
    chosen = [r for r in regions if worthwhile(r)]
    for region in chosen:
        _convert(graph, axis_map, region, rewrites)
    return bool(chosen)


def _region(
    graph: Graph,
    members: list[Node],
    rewrites: Mapping[Node, Rewrite],
    producers: Mapping[Value, Node],
    readers: Mapping[Value, list[Node]],
) -> Region:
    nodes = set(members)
    written = dict.fromkeys(v for n in members if rewrites[n].outputs for v in n.outputs if v is not None)
    read = dict.fromkeys(v for n in members for v in rewrites[n].values)
    outside = {v: [r for r in readers.get(v, []) if r not in nodes or not rewrites[r].converts(v)] for v in (*written, *read)}
    outputs = [v for v in written if v in graph.outputs or outside[v]]
    return Region(nodes, [v for v in read if v not in written], outputs, producers, outside)


def _connected(rewrites: Mapping[Node, Rewrite]) -> list[list[Node]]:
    """The nodes that can be converted, grouped: nodes that share a converted value are in one group."""
    parents: dict[Node | Value, Node | Value] = {}

    def root(x: Node | Value) -> Node | Value:
        while parents.setdefault(x, x) is not x:
            parents[x] = x = parents[parents[x]]
        return x

    for n, r in rewrites.items():
        for v in (*r.values, *(n.outputs if r.outputs else ())):
            if v is not None:
                parents[root(v)] = root(n)
    groups: dict[Node | Value, list[Node]] = {}
    for n in rewrites:
        groups.setdefault(root(n), []).append(n)
    return list(groups.values())


def _convert(graph: Graph, axis_map: AxisMap, region: Region, rewrites: Mapping[Node, Rewrite]) -> None:
    """Rewrite the nodes of a region and insert the conversions at its borders."""
    new: dict[Value, Value] = {}

    def converted(v: Value) -> Value:
        if v not in new:
            assert v.shape is not None
            new[v] = Value(f"{v.name}.{axis_map.suffix}", axis_map.shape(v.shape), v.dtype)
        return new[v]

    def border(op: Op, operands: Sequence[Value], x: Value, y: Value) -> Node:
        return Node(op, [x, *operands], [y], f"{y.name}.{type(op).__name__.lower()}")

    inputs, outputs = list(region.inputs), set(region.outputs)
    nodes: list[Node] = []
    for node in graph.nodes:
        for n in node.chain:
            if n not in region.nodes:
                continue
            r = rewrites[n]
            entering = [v for v in inputs if v in r.values]
            nodes += [border(*axis_map.convert, v, converted(v)) for v in entering]
            inputs = [v for v in inputs if v not in entering]
            n.op = r.op
            n.inputs = [
                v if v is None or i not in r.converted else axis_map.constant(v) if v.constant is not None else converted(v)
                for i, v in enumerate(r.inputs)
            ]
            if r.outputs:
                n.outputs = [v and converted(v) for v in n.outputs]
        nodes.append(node)
        restored = {new[v]: v for v in outputs if v in new}
        nodes += [border(*axis_map.restore, v, restored[v]) for v in node.results if v in restored]
    graph.nodes = nodes


# ---- the operators that work on any axes


def _same(n: Node, axis_map: AxisMap) -> Rewrite:
    return Rewrite(n.op, n.inputs)


def _broadcast(n: Node, axis_map: AxisMap) -> Rewrite:
    return Rewrite(n.op, n.inputs, range(len(n.inputs)))


def _along_axis(n: Node, axis_map: AxisMap) -> Rewrite | None:
    op: Any = n.op
    if not -axis_map.rank <= op.axis < axis_map.rank or (isinstance(op, AlongAxis) and op.joint):
        return None
    converted = range(len(n.inputs)) if isinstance(op, Concat) else (0,)
    return Rewrite(replace(op, axis=axis_map.axis(op.axis)), n.inputs, converted)


def _quantization(n: Node, axis_map: AxisMap) -> Rewrite | None:
    """Scales and zero points are scalars, or have one entry for each index of the axis."""
    op: Any = n.op
    if op.block_size:
        return None
    if all(v is None or v.shape in ((), (1,)) for v in n.inputs[1:]):
        return Rewrite(op, n.inputs)
    return Rewrite(replace(op, axis=axis_map.axis(op.axis)), n.inputs) if -axis_map.rank <= op.axis < axis_map.rank else None


def _axes_input(n: Node, axis_map: AxisMap) -> Rewrite | None:
    """Pad and Slice: input 3 names the axes; without it they are the first ones."""
    axes: Sequence[int] | None = known_ints(n.optional(3), "axes")
    count = n.input(1).shape  # of the starts, or of the pads: two for each axis
    if n.optional(3) is None and count and isinstance(count[0], int):
        axes = range(count[0] // (2 if isinstance(n.op, Pad) else 1))
    if axes is None or not all(-axis_map.rank <= a < axis_map.rank for a in axes):
        return None
    inputs = [*n.inputs, None, None][: max(len(n.inputs), 4)]
    inputs[3] = Value(f"{n.label}.axes", constant=np.array([axis_map.axis(a) for a in axes], np.int64))
    return Rewrite(n.op, inputs)


def _resize(n: Node, axis_map: AxisMap) -> Rewrite:
    op: Any = n.op
    return Rewrite(replace(op, axes=tuple(axis_map.axis(a) for a in op.where(axis_map.rank))), n.inputs)


def _reduce(n: Node, axis_map: AxisMap) -> Rewrite | None:
    op: Any = n.op
    given = known_ints(n.optional(1), "axes")
    if not given:
        return None
    over = op.axes(axis_map.rank, given)
    kept = [axis_map.axes[i] for i in range(axis_map.rank) if i not in over]
    if not op.keepdims and kept != sorted(kept):
        return None
    axes = Value(f"{n.label}.axes", constant=np.array(sorted(axis_map.axes[i] for i in over), np.int64))
    return Rewrite(op, [n.input(0), axes], outputs=bool(op.keepdims))


HANDLERS: dict[type[Op], Handler] = {
    Unary: _same,
    Clip: _same,
    Binary: _broadcast,
    Variadic: _broadcast,
    Where: _broadcast,
    Concat: _along_axis,
    Split: _along_axis,
    AlongAxis: _along_axis,
    Pad: _axes_input,
    Slice: _axes_input,
    Quantization: _quantization,
    Resize: _resize,
    Reduce: _reduce,
}
