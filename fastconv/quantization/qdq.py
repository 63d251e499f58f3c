"""Writes a network with QuantizeLinear and DequantizeLinear around its layers, in the form that runtimes fuse to integers.

Activations are uint8 with one scale and zero point for a tensor, weights int8 with a scale for each output channel, and biases
int32 with the product of the scales of activation and weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ..graph import Graph, Node, Value
from ..ops import Op
from ..ops.binary import Mul
from ..ops.conv import Conv
from ..ops.conv_transpose import ConvTranspose
from ..ops.elementwise import Sigmoid, Swish
from ..ops.gemm import Gemm
from ..ops.quantize import DequantizeLinear, QuantizeLinear
from .grids import Grid
from .layers import Layer

#: weights are -127..127: -128 would have no negative
LARGEST = 127
#: operators with a bias as input 2
BIASED = (Conv, ConvTranspose, Gemm)


def rounded_weights(w: np.ndarray, axis: int, least: np.ndarray | float = 0) -> tuple[np.ndarray, np.ndarray]:
    """Weights as int8, and the scale of each index of the axis, at least `least`."""
    others = tuple(i for i in range(w.ndim) if i != axis)
    scales = np.maximum(np.abs(w).max(axis=others) / LARGEST, least).astype(np.float32)
    scales[scales < np.finfo(np.float32).tiny] = 1
    integers = np.rint(w / np.expand_dims(scales, others))
    return np.clip(integers, -LARGEST, LARGEST).astype(np.int8), scales


@dataclass(frozen=True)
class Scheme:
    """What determines a quantized network: its layers, the grid of each rounded value, and what is added to biases."""

    graph: Graph
    layers: Sequence[Layer]
    grids: Mapping[Value, Grid]
    shifts: Mapping[Node, np.ndarray] = field(default_factory=dict)

    def network(self) -> Graph:
        """The quantized network. A rounded value has its name after DequantizeLinear."""
        writer, of = _Writer(self), {n: x for x in self.layers for n in x.nodes}
        made = {v for x in self.layers for v in x.results if v in self.grids}
        for node in self.graph.nodes:
            if (layer := of.get(node)) is None:
                writer.copy(node, {}, {})
                continue
            read = {v: writer.rounded(v) for v in layer.operands if v not in made} if node is layer.node else {}
            raw = {v: writer.value(f"{v.name}.float") for v in node.results if v in made}
            writer.copy(node, read, raw, layer.weighted and node is layer.node)
            for v, x in raw.items():
                writer.round(x, v, self.grids[v])
        return self._graph_of(writer.nodes)

    def each_alone(self) -> tuple[Graph, dict[Layer, Alone]]:
        """The float network, in which each layer has a quantized twin that reads the float network's values, rounded."""
        writer, twins = _Writer(self), dict[Layer, Alone]()
        writer.nodes = list(self.graph.nodes)
        for layer in self.layers:
            values = {v: writer.rounded(v) for v in layer.operands}
            for node in layer.nodes:
                results = {v: writer.value(f"{v.name}.alone") for v in node.results}
                writer.copy(node, values, results, layer.weighted and node is layer.node)
                values |= results
            first, last = layer.node.results[0], layer.results[0]
            summed = values[first]
            if last in self.grids:
                values[last] = writer.value(f"{last.name}.alone.rounded")
                writer.round(results[last], values[last], self.grids[last])
            twins[layer] = Alone(first.name, summed.name, last.name, values[last].name)
        return self._graph_of(writer.nodes), twins

    def _graph_of(self, nodes: Sequence[Node]) -> Graph:
        graph = Graph(self.graph.inputs, self.graph.outputs, nodes, self.graph.name, self.graph.budget)
        graph.metadata = self.graph.metadata
        return graph


class Alone(NamedTuple):
    """Names of a layer's values in the float network, and of its twin's: the first node's result, and the layer's."""

    first: str
    twin_first: str
    last: str
    twin_last: str


class _Writer:
    """The nodes of a quantized network, as they are made."""

    def __init__(self, scheme: Scheme):
        self.nodes: list[Node] = []
        self._scheme = scheme
        self._taken = {v.name for v in scheme.graph.values()}
        self._rounded: dict[Value, Value] = {}

    def value(self, name: str, constant: np.ndarray | None = None) -> Value:
        """A value with a name of its own."""
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return Value(name, constant=constant)

    def copy(self, node: Node, inputs: Mapping[Value, Value], results: Mapping[Value, Value], integers: bool = False) -> None:
        """Add a node that reads and writes other values; with `integers`, weights and bias become integers."""
        read = [v and inputs.get(v, v) for v in node.inputs]
        if integers:
            read[1:] = self._parameters(node)
        outputs = [v and results.get(v, v) for v in node.outputs]
        if isinstance(node.op, Swish) and node.op.alpha == 1:  # the standard has Swish only since opset 24
            gate = self._add(Sigmoid(), [read[0]], self.value(f"{node.results[0].name}.sigmoid"))
            self.nodes.append(Node(Mul(), [read[0], gate], outputs, node.name))
        else:
            self.nodes.append(Node(node.op, read, outputs, node.name))

    def rounded(self, x: Value) -> Value:
        """A value, or a constant, rounded to its grid; once for all readers."""
        if x not in self._rounded:
            self._rounded[x] = self.value(f"{x.name}.dequantized")
            self.round(x, self._rounded[x], self._scheme.grids[x])
        return self._rounded[x]

    def round(self, x: Value, y: Value, grid: Grid) -> None:
        """Make y of x, rounded to the grid."""
        scale, zero = np.array(grid.scale), np.array(grid.zero)
        parameters = [self.value(f"{y.name}.scale", scale), self.value(f"{y.name}.zero_point", zero)]
        if x.constant is not None:
            integers = self.value(f"{y.name}.quantized", QuantizeLinear().reference(np.asarray(x.constant), scale, zero))
        else:
            integers = self._add(QuantizeLinear(), [x, *parameters], self.value(f"{y.name}.quantized"))
        self._add(DequantizeLinear(), [integers, *parameters], y)

    def _parameters(self, node: Node) -> list[Value]:
        """The weights and the bias of a node, dequantized."""
        w, axis, by = node.input(1), node.op.weight_axis(node), self._scheme.grids[node.input(0)].scale
        assert w.constant is not None and axis is not None
        axis %= len(w.dims)
        bias = self._bias(node, w.dims[axis])
        integers, scales = rounded_weights(np.asarray(w.constant), axis, np.abs(bias) / (2.0**30 * by))
        found = [self._dequantized(w.name, integers, scales, axis)]
        if isinstance(node.op, BIASED) and (node.optional(2) is not None or bias.any()):
            name = f"{w.name}.bias" if (b := node.optional(2)) is None else b.name
            found.append(self._dequantized(name, np.rint(bias / (by * scales)).astype(np.int32), by * scales, 0))
        return found

    def _bias(self, node: Node, channels: int) -> np.ndarray:
        """The bias with what is added to it, in float64."""
        b = node.optional(2)
        bias = np.zeros(1) if b is None else np.asarray(b.constant, np.float64).reshape(-1)
        return np.broadcast_to(bias + self._scheme.shifts.get(node, 0), (channels,))

    def _dequantized(self, name: str, integers: np.ndarray, scales: np.ndarray, axis: int) -> Value:
        constants = {"quantized": integers, "scale": scales, "zero_point": np.zeros(scales.shape, integers.dtype)}
        inputs = [self.value(f"{name}.{kind}", constant) for kind, constant in constants.items()]
        return self._add(DequantizeLinear(axis=axis), inputs, self.value(f"{name}.dequantized"))

    def _add(self, op: Op, inputs: Sequence[Value | None], y: Value) -> Value:
        self.nodes.append(Node(op, inputs, [y]))
        return y
