"""Fuse operators with the DequantizeLinear before them and the QuantizeLinear behind: quantized nodes have kernels of bytes.

There are three kinds of quantized nodes: sums of products with constant weights, a few other operators, and functions of the
elements of one tensor, which are a table of 256 bytes. Activations are uint8. What is not fused stays an operator on floats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..dtypes import limits
from ..graph import Graph, Node, Value
from ..ops.average_pool import AveragePool
from ..ops.binary import Add, Mul
from ..ops.conv import Conv
from ..ops.dims import axis_index, known_ints
from ..ops.elementwise import Identity
from ..ops.gemm import Gemm
from ..ops.global_pool import GlobalAveragePool
from ..ops.matmul import MatMul
from ..ops.quantize import DequantizeLinear, QuantizeLinear, quantization_of
from ..ops.quantized import store_of
from ..ops.reduce import ReduceMean
from ..ops.resize import Resize
from .edit import drop_unread, sole_reader

#: sums of products of activations with constant weights
PRODUCTS = (Conv, Gemm, MatMul)
#: operators on two activations, and on one
SUMS, POOLS = (Add, Mul), (AveragePool, GlobalAveragePool)
#: the types that functions of one tensor read and give
BYTES = ("uint8", "int8")
#: how far the scale of a bias may be from that of the sums, relative to it, for its integers to be taken as they are
SCALE_TOLERANCE = 1e-6


def fuse_quantized(graph: Graph) -> None:
    """Fuse every such node whose operands are integers, then an Add of two of them into the product that it follows."""
    if any(isinstance(n.op, DequantizeLinear) for n in graph.nodes):
        _fuse_nodes(graph)
        _fuse_residuals(graph)


def take_apart(node: Node) -> list[Node]:
    """The nodes that a quantized node was fused from; any other node as it is."""
    if not node.prologue:
        return [node]
    chain = node.chain
    node.prologue, node.epilogue = [], []
    return chain


def _fuse_nodes(graph: Graph) -> None:
    fusion = _Fusion(graph)
    replaced: dict[Node, Node] = {}
    for node in graph.nodes:
        if node.epilogue or node in fusion.taken:
            continue
        if (chain := fusion.function(node) or fusion.operator(node)) is not None:
            fusion.taken.update(n for n in chain if n is not node)
            replaced[node] = _fused(chain, fusion.sources)
    graph.nodes = [replaced.get(n, n) for n in graph.nodes if n not in fusion.taken]
    if replaced:
        drop_unread(graph)
        graph.sort()


def _fused(chain: Sequence[Node], sources: Mapping[Value, Node]) -> Node:
    """The nodes as one, with copies of the DequantizeLinear nodes that compute its operands."""
    floats: dict[Value, Value] = {}
    prologue = []
    made = {v for n in chain for v in n.results}
    for v in (v for n in chain for v in n.inputs if v is not None and v not in made):
        source = sources.get(v)
        if source is not None and v not in floats:
            floats[v] = Value(v.name, v.shape, v.dtype, v.constant)
            prologue.append(Node(source.op, source.inputs, [floats[v]], source.name, source.where))
    node, *epilogue = [Node(n.op, [v and floats.get(v, v) for v in n.inputs], n.outputs, n.name, n.where) for n in chain]
    node.prologue, node.epilogue = prologue, epilogue
    return node


class _Fusion:
    """Finds the nodes of a graph that can be fused. `taken` are those that were, `sources` what dequantizes their operands."""

    def __init__(self, graph: Graph):
        self.taken: set[Node] = set()
        self.sources: dict[Value, Node] = {}
        self._graph = graph
        self._consumers = graph.consumers()
        found = (n for n in graph.nodes if isinstance(n.op, DequantizeLinear) and not n.epilogue and not n.op.block_size)
        self._dequantize = {n.results[0]: n for n in found}

    def _reader(self, v: Value | None) -> Node | None:
        """The only reader of a value, if it is fused with no other nodes."""
        reader = None if v is None else sole_reader(v, self._graph, self._consumers)
        return None if reader is None or reader.epilogue else reader

    def _activation(self, v: Value | None, dtypes: Sequence[str] = ("uint8",)) -> Node | None:
        """The node that computes floats from computed integers of these types, with one scale."""
        source = None if v is None else self._dequantize.get(v)
        given = None if source is None or source.input(0).constant is not None else quantization_of(source)
        return source if given and str(given[2]) in dtypes else None

    def _constant(self, v: Value) -> Node | None:
        """The node that computes floats from constant uint8 with one scale."""
        source = self._dequantize.get(v)
        given = None if source is None or source.input(0).constant is None else quantization_of(source)
        return source if given and given[2] == np.uint8 else None

    # ---- functions of the elements of one tensor

    def function(self, node: Node) -> list[Node] | None:
        """The nodes from this one to the QuantizeLinear that ends the longest function of one tensor of bytes."""
        if isinstance(node.op, DequantizeLinear) or (read := self._tensors(node, None)) is None or len(read) != 1:
            return None
        chain, length = [node], 0
        while True:
            last, (y,) = chain[-1], chain[-1].results
            if isinstance(last.op, QuantizeLinear) and quantization_of(last) and str(y.dtype) in BYTES:
                length = len(chain)
            if (reader := self._reader(y)) is None or (others := self._tensors(reader, y)) is None or not others <= read:
                break
            chain.append(reader)
        if not length:
            return None
        operands = (v for n in chain[:length] for v in n.inputs if v is not None)
        self.sources |= {v: source for v in operands if (source := self._activation(v, BYTES))}
        if not isinstance(node.op, QuantizeLinear):
            return chain[:length]
        x = node.input(0)
        same = Value(f"{x.name}.same", x.shape, x.dtype)
        identity = Node(Identity(), [x], [same], node.name, node.where)
        return [identity, Node(node.op, [same, *node.inputs[1:]], node.outputs, where=node.where), *chain[1:length]]

    def _tensors(self, node: Node, before: Value | None) -> set[Value] | None:
        """The integers that a function of elements reads, beside one float and constants of one element; None if it is none."""
        if not node.op.by_element or node.epilogue or len(node.results) != 1:
            return None
        read = set()
        for v in node.inputs:
            if v is None or v is before or (v.constant is not None and v.constant.size == 1):
                continue
            if (source := self._activation(v, BYTES)) is None:
                return None
            read.add(source.input(0))
        return read

    # ---- operators

    def operator(self, node: Node) -> list[Node] | None:
        """An operator on activations, with the nodes up to the QuantizeLinear that follows."""
        if isinstance(node.op, PRODUCTS):
            chain = self._product(node)
        else:
            chain = [node] if _has_kernel(node) else None
            tensors = node.inputs if isinstance(node.op, SUMS) else node.inputs[:1]
            constants = {v: source for v in tensors if v is not None and (source := self._constant(v))}
            if not all(self._activation(v) or v in constants for v in tensors):
                return None
            self.sources |= constants
        if chain is None:
            return None
        products = chain
        if not (chain := self._stored(products)):
            if not isinstance(node.op, Gemm | MatMul):
                return None
            chain = products  # its result stays float: most often that of the last layer
        self.sources |= {v: source for n in chain for v in n.inputs if v is not None and (source := self._activation(v))}
        return chain if chain is products or store_of(_fused(chain, self.sources)) is not None else None

    def _stored(self, chain: list[Node]) -> list[Node] | None:
        """The chain with what follows: an Add of another activation, bounds, a QuantizeLinear; None if that does not come."""
        node, y = chain[0], chain[-1].outputs[0]
        reader = self._reader(y)
        adds = reader is not None and isinstance(reader.op, Add) and node.op.takes_residual
        if reader is not None and adds and any(self._activation(v) for v in reader.inputs if v is not y):
            chain, y = [*chain, reader], reader.outputs[0]
        while (reader := self._reader(y)) is not None and reader.inputs[0] is y:
            chain, y = [*chain, reader], reader.outputs[0]
            if isinstance(reader.op, QuantizeLinear):
                return chain
            if reader.op.activation(reader) is None:
                break
        return None

    def _product(self, node: Node) -> list[Node] | None:
        """A product of an activation with constant weights, its bias as int32; perhaps with an Add of the bias."""
        x, w, axis = self._activation(node.input(0)), self._dequantize.get(node.input(1)), node.op.weight_axis(node)
        if x is None or w is None or axis is None or not _are_weights(w, axis):
            return None
        self.sources[node.input(1)] = w
        if node.optional(2) is None:
            self._add_bias(node)
        if (b := node.optional(2)) is None:
            return [node]
        if (bias := self._bias(b, x, w, w.input(0).dims[axis])) is None:
            return None
        self.sources |= dict.fromkeys(bias.results, bias)
        return [Node(node.op, [*node.inputs[:2], *bias.results], node.outputs, node.name, node.where)]

    def _add_bias(self, node: Node) -> None:
        """Make an Add of one constant for each channel the node's bias."""
        reader = self._reader(node.outputs[0])
        shift = reader.op.as_scale_shift(reader, node.op.channel_axis) if reader and isinstance(reader.op, Add) else None
        if reader and shift:
            node.inputs = [*node.inputs[:2], Value(f"{reader.label}.bias", constant=shift.shift.astype(np.float32))]
            node.outputs = reader.outputs
            self.taken.add(reader)

    def _bias(self, b: Value, x: Node, w: Node, OC: int) -> Node | None:
        """A DequantizeLinear of int32 at the scale of the sums; None if a bias is not constant, or out of the range of int32.

        Integers at another scale, and floats, are rounded to the nearest.
        """
        if b.constant is None or b.dims not in ((), (1,), (1, 1), (OC,), (1, OC)):
            return None
        scale = np.asarray(x.input(1).constant).reshape(()) * np.asarray(w.input(1).constant).reshape(-1)
        given = self._dequantize.get(b)
        if given is not None and b.dims == (OC,) and _is_int32(given, scale):
            return given
        floats = np.broadcast_to(np.asarray(b.constant, np.float64).reshape(-1), (OC,))
        with np.errstate(all="ignore"):
            integers = np.rint(floats / scale)
        low, high = limits(np.dtype(np.int32))
        if not (np.all(integers >= low) and np.all(integers <= high)):  # NaN is neither
            return None
        op, integers = DequantizeLinear(axis=0), integers.astype(np.int32)
        scale = scale if scale.size > 1 else scale.reshape(())
        operands = [Value(f"{b.name}.integers", constant=integers), Value(f"{b.name}.scale", constant=scale)]
        return Node(op, operands, [Value(b.name, constant=op.reference(integers, scale))])


def _are_weights(w: Node, axis: int) -> bool:
    """Whether a node dequantizes constants of 8 bits, with one scale or one for each index of the axis."""
    op: Any = w.op
    integers, scale, zero = w.input(0), w.input(1), w.optional(2)
    if integers.constant is None or str(integers.dtype) not in BYTES or scale.constant is None or scale.dtype != np.float32:
        return False
    if zero is not None and (zero.constant is None or zero.dims != scale.dims):
        return False
    rank = len(integers.dims)
    return scale.constant.size == 1 or axis_index(op.axis, rank) == axis_index(axis, rank)


def _is_int32(bias: Node, scale: np.ndarray) -> bool:
    """Whether a node dequantizes int32 constants without a zero point at this scale."""
    integers, given, zero = bias.input(0), bias.input(1).constant, bias.optional(2)
    if integers.constant is None or integers.dtype != np.int32 or given is None or given.size not in (1, scale.size):
        return False
    if zero is not None and (zero.constant is None or np.any(zero.constant)):
        return False
    return bool(np.allclose(np.asarray(given).reshape(-1), scale, rtol=SCALE_TOLERANCE, atol=0))


def _has_kernel(node: Node) -> bool:
    """Whether there are kernels of bytes for an operator: not for all modes of Resize, and for means of whole planes."""
    x = node.input(0)
    if isinstance(node.op, ReduceMean):
        given = known_ints(node.optional(1), "axes")
        rank = 0 if x.shape is None else len(x.shape)
        return rank > 2 and given is not None and sorted(node.op.axes(rank, given)) == list(range(2, rank))
    if isinstance(node.op, Resize):
        return node.op.mode == "linear" and not node.op.extrapolates
    return isinstance(node.op, SUMS + POOLS)


# ---- residuals


def _fuse_residuals(graph: Graph) -> None:
    """Fuse each Add of two activations into the later one of the products that it follows, if no other node reads that."""
    producers, consumers = graph.producers(), graph.consumers()
    place = {n: i for i, n in enumerate(graph.nodes)}
    replaced: dict[Node, Node | None] = {}
    for add in graph.nodes:
        if not isinstance(add.op, Add) or not add.prologue:
            continue
        before = {producers[q]: n for n in add.prologue if (q := n.input(0)) in producers}
        for node in sorted(before, key=place.__getitem__, reverse=True):
            dequantize = before[node]
            if not node.op.takes_residual or sole_reader(dequantize.input(0), graph, consumers) is None:
                continue
            fused = _with_residual(node, dequantize, add)
            if store_of(fused) is not None:
                replaced |= {node: None, add: fused}
                producers |= dict.fromkeys(add.results, fused)
                place[fused] = place[add]
                break
    graph.nodes = [n for node in graph.nodes if (n := replaced.get(node, node)) is not None]


def _with_residual(node: Node, dequantize: Node, add: Node) -> Node:
    """A quantized node, the node that dequantizes its result, and the quantized Add of that, as one."""
    fused = Node(node.op, node.inputs, node.outputs, node.name, node.where)
    fused.prologue = [*node.prologue, *(n for n in add.prologue if n is not dequantize)]
    last = Node(add.op, add.inputs, add.outputs, add.name, add.where)
    fused.epilogue = [*node.epilogue, dequantize, last, *add.epilogue]
    return fused
