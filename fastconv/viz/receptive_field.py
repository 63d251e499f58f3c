"""Receptive fields: which pixels of the input a unit of a layer sees."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..errors import InputError
from ..graph import Graph, Node, Value, shape_text
from ..inputs import known_input_shapes
from ..model import Model
from ..ops.span import WHOLE, Span, Spans
from ..ops.transpose import Transpose
from ..specialise import specialise
from .layers import value_of


@dataclass(frozen=True, eq=False)
class ReceptiveField:
    """What the units of a layer see of the picture, by `receptive_field`. Tuples are along the spatial axes of the input.

    Parameters
    ----------
    layer, input : str
        The layer, and the model's input.
    size : tuple of int
        The pixels that a unit sees, at most; some of them may lie beyond the picture's edges. If every unit sees the whole
        picture, the picture's size.
    stride : tuple of float
        The distance between what neighbouring units see, in pixels; 0 if every unit sees the whole picture.
    offset : tuple of int
        The first pixel that the first unit sees, below 0 where there is padding.
    first, last : tuple of numpy.ndarray
        For each axis the first and the last pixel that each unit along it sees.
    picture : tuple of int
        The input's spatial sizes.
    order : tuple of int
        The layer's axis for each of the input's: (1, 0) behind a Transpose of rows and columns.
    channel_axis : int
        The layer's axis that is its channels.

    Examples
    --------
    >>> import fastconv
    >>> seen = fastconv.viz.receptive_field(fastconv.load(fastconv.data.DIGITS), "conv2")
    >>> seen.size, seen.stride, seen.offset
    ((10, 10), (2.0, 2.0), (-4, -4))
    >>> print(seen)
    10×10 pixels, stride 2
    """

    layer: str
    input: str
    size: tuple[int, ...]
    stride: tuple[float, ...]
    offset: tuple[int, ...]
    first: tuple[np.ndarray, ...] = field(repr=False)
    last: tuple[np.ndarray, ...] = field(repr=False)
    picture: tuple[int, ...]
    order: tuple[int, ...] = field(repr=False)
    channel_axis: int = field(repr=False)

    def pixels(self, *unit: int) -> tuple[slice, ...]:
        """The pixels that one unit sees, inside the picture.

        Parameters
        ----------
        *unit : int
            The unit's index along each spatial axis: y, x.

        Returns
        -------
        tuple of slice
            Rows and columns: `picture[seen.pixels(y, x)]` is what the unit sees.

        Raises
        ------
        InputError
            If the layer has no such unit.

        Examples
        --------
        >>> import fastconv
        >>> seen = fastconv.viz.receptive_field(fastconv.load(fastconv.data.DIGITS), "conv2")
        >>> seen.pixels(0, 1)
        (slice(0, 6, None), slice(0, 8, None))
        """
        counts = [len(self.first[self.order.index(i)]) for i in range(len(self.order))]
        if len(unit) != len(counts) or not all(0 <= i < n for i, n in zip(unit, counts, strict=True)):
            raise InputError(f"unit: expected indices below {shape_text(counts)}, got {unit}")
        ends = zip((unit[i] for i in self.order), self.first, self.last, self.picture, strict=True)
        return tuple(slice(int(np.clip(first[i], 0, d)), int(np.clip(last[i] + 1, 0, d))) for i, first, last, d in ends)

    def __str__(self) -> str:
        if not any(self.stride):
            return "the whole picture"
        strides = [f"{s:.4g}" for s in self.stride]
        return f"{shape_text(self.size)} pixels, stride {shape_text(strides[: len(set(strides))])}"


def receptive_field(model: Model, layer: str, shapes: Mapping[str, Sequence[int]] | None = None) -> ReceptiveField:
    """Which pixels each unit of a layer sees, by the kernels, strides, dilations and paddings on all ways to it.

    What follows a global pool, a fully connected layer or attention sees the whole picture. The arithmetic is that of Araujo et
    al., "Computing receptive fields of convolutional neural networks", Distill 2019, doi:10.23915/distill.00021.

    Parameters
    ----------
    model : Model
        The network.
    layer : str
        A layer of `model.summary()`, of which the result is meant, or any value of the graph, as in `model.run`.
    shapes : mapping of str to sequence of int, optional
        The shape of each input by its name; default: the shape in the file, with 1 for a first size that it leaves open.

    Returns
    -------
    ReceptiveField
        The size, the stride and the offset of what the units see, and the pixels of each.

    Raises
    ------
    InputError
        If there is no such layer, it has no spatial axes, or a shape does not fit.

    Examples
    --------
    >>> import fastconv
    >>> model = fastconv.load(fastconv.data.DIGITS)
    >>> fastconv.viz.receptive_field(model, "conv1").size
    (5, 5)
    """
    return receptive_fields(model, [layer], shapes)[0]


def receptive_fields(
    model: Model, layers: Sequence[str], shapes: Mapping[str, Sequence[int]] | None = None
) -> list[ReceptiveField]:
    """`receptive_field` of several layers."""
    values = [value_of(model, layer) for layer in layers]
    names = tuple(dict.fromkeys(values))
    graph = specialise(model._with_outputs(names), known_input_shapes(model.inputs, shapes))
    targets = dict(zip(names, graph.outputs, strict=True))
    return [_field(graph, layer, targets[value]) for layer, value in zip(layers, values, strict=True)]


def _field(graph: Graph, layer: str, target: Value) -> ReceptiveField:
    nodes = [m for n in graph.nodes for m in n.chain]
    seeds: list[Span] = [WHOLE] * len(target.dims)
    axes = spatial_axes(target.dims, channels_last(nodes, target))
    for i, axis in enumerate(axes):
        units = np.arange(target.dims[axis], dtype=np.float64)
        seeds[axis] = Span(i, units, units, 1.0)
    seen = _trace(nodes, target, seeds)
    found = next((v for v in graph.inputs if v in seen and len(v.dims) == len(seeds) > 2), None)
    if found is None:
        raise InputError(f"layer {layer!r} is {shape_text(target.shape)}: it has no spatial axes, as maps have")
    local = {a: span.axis for a, span in enumerate(seen[found]) if span.axis is not None}
    pictures = spatial_axes(found.dims, 1 in local or (not local and found.dims[1] > 4 >= found.dims[-1]))
    free = iter([i for i in range(len(axes)) if i not in local.values()])
    order = tuple(local[a] if a in local else next(free) for a in pictures)
    spans, picture = [seen[found][a] for a in pictures], tuple(found.dims[a] for a in pictures)
    counts = [target.dims[axes[i]] for i in order]
    first = tuple(np.broadcast_to(s.first, n) for s, n in zip(spans, counts, strict=True))
    last = tuple(np.broadcast_to(s.last, n) for s, n in zip(spans, counts, strict=True))
    size, stride, offset = zip(*map(_along, spans, picture), strict=True)
    channels = len(axes) + 1 if axes[0] == 1 else 1
    return ReceptiveField(layer, found.name, size, stride, offset, first, last, picture, order, channels)


def _along(span: Span, d: int) -> tuple[int, float, int]:
    """(size, stride, offset) along an axis of d pixels."""
    size = np.max(span.last - span.first) + 1
    if size == math.inf:
        return d, 0.0, 0
    return max(int(size), 0), span.stride, int(np.ravel(span.first)[0]) if size > 0 else 0


def channels_last(nodes: Sequence[Node], value: Value) -> bool:
    """Whether a value of a graph is N *size C: its last node moves the channels there."""
    node = next((n for n in nodes if value in n.outputs), None)
    return node is not None and isinstance(node.op, Transpose) and node.op.permutation(len(value.dims))[-1] == 1


def spatial_axes(dims: Sequence[int], last: bool) -> range:
    """The axes of N C *size, or, with channels last, of N *size C."""
    return range(1, len(dims) - 1) if last else range(2, len(dims))


def _trace(nodes: Sequence[Node], target: Value, seeds: Spans) -> dict[Value, Spans]:
    """The elements of every value that the target's are computed from."""
    seen = {target: seeds}
    for node in reversed(nodes):
        for result in node.outputs:
            if result is None or result not in seen:
                continue
            for i, v in enumerate(node.inputs):
                if v is not None and v.constant is None:
                    read = _reads(node, i, v, result, seen[result])
                    seen[v] = [a | b for a, b in zip(seen[v], read, strict=True)] if v in seen else read
    return seen


def _reads(node: Node, i: int, v: Value, result: Value, spans: Spans) -> Spans:
    """`Op.reads` where it may be asked, else all elements."""
    given = [v for v in (*node.inputs, *node.outputs) if v is not None]
    controls = [c for c in map(node.optional, node.op.control_inputs) if c is not None]
    if all(v.known for v in given) and all(c.constant is not None for c in controls):
        return node.op.reads(node, i, result, spans)
    return [WHOLE] * len(v.shape or ())


__all__ = ["ReceptiveField", "receptive_field"]
