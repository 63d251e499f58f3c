"""The layers of a network that can compute on 8-bit integers: a node, and the bounds that are applied before it is rounded."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ..graph import Graph, Node, Value
from ..ops import Op
from ..ops.average_pool import AveragePool
from ..ops.binary import Add, Mul, PRelu
from ..ops.concat import Concat
from ..ops.conv import Conv
from ..ops.conv_transpose import ConvTranspose
from ..ops.elementwise import Clip, Elu, Gelu, HardSigmoid, HardSwish, LeakyRelu, Mish, Relu, Sigmoid, Swish, Tanh
from ..ops.gemm import Gemm
from ..ops.global_pool import GlobalAveragePool
from ..ops.matmul import MatMul
from ..ops.reduce import ReduceMean
from ..ops.resize import Resize
from ..ops.split import Split
from ..passes.edit import KERNEL_FLOAT, sole_reader

#: operators with weights, one scale for each index of `Op.weight_axis`
WEIGHTED: tuple[type[Op], ...] = (Conv, ConvTranspose, Gemm, MatMul)
#: those that give the sums of products as floats, too, so that an output of the network need not be rounded
FLOAT_RESULT = (Gemm, MatMul)
#: operators of which all inputs are quantized
JOINING = (Add, Mul, Concat)
#: operators of which the first input is quantized
POOLS = (AveragePool, GlobalAveragePool, ReduceMean, Resize)
FUNCTIONS = (Clip, Elu, Gelu, HardSigmoid, HardSwish, LeakyRelu, Mish, PRelu, Relu, Sigmoid, Swish, Tanh)
#: activations that are bounds of the integers, and cost nothing
BOUNDS = (Clip, Relu)


@dataclass(frozen=True, eq=False)
class Layer:
    """Nodes, each of which is the only reader of the one before it. What passes between them is not rounded."""

    nodes: tuple[Node, ...]

    @property
    def node(self) -> Node:
        """The first node."""
        return self.nodes[0]

    @property
    def name(self) -> str:
        """The name in reports."""
        return self.node.label

    @property
    def op(self) -> str:
        """The operators, as reports print them: Conv+Relu."""
        return "+".join(type(n.op).__name__ for n in self.nodes)

    @property
    def weighted(self) -> bool:
        """Whether it has weights."""
        return isinstance(self.node.op, WEIGHTED)

    @property
    def moves(self) -> bool:
        """Whether it only moves elements, so that its results have the scale of its input."""
        return _moves(self.node)

    @property
    def operands(self) -> list[Value]:
        """The inputs of the first node that are quantized; constants among them are none of WEIGHTED's."""
        return [v for v in self.node.inputs if v is not None] if isinstance(self.node.op, JOINING) else [self.node.input(0)]

    @property
    def inputs(self) -> list[Value]:
        """The operands that are not constant."""
        return [v for v in self.operands if v.constant is None]

    @property
    def results(self) -> list[Value]:
        """The results of the last node."""
        return self.nodes[-1].results


def find_layers(graph: Graph, floats: Collection[str] = ()) -> list[Layer]:
    """The layers to quantize, in order, but those named in `floats`.

    A layer without weights is one only if its operands come from layers and its results reach weights: the integers are there
    already then, and are needed.
    """
    layers = [x for x in _candidates(graph) if x.name not in floats]
    made: set[Value] = set()
    fed: list[Layer] = []
    for layer in layers:
        if layer.weighted or any(v in made for v in layer.inputs):
            fed.append(layer)
            made.update(layer.results)
    wanted: set[Value] = set()
    found: list[Layer] = []
    for layer in reversed(fed):
        if layer.weighted or any(v in wanted for v in layer.results):
            found.append(layer)
            wanted.update(layer.inputs)
    return found[::-1]


def rounded_values(layers: Sequence[Layer]) -> list[Value]:
    """The values that are rounded to 8 bits: what layers read, and results of convolutions that nothing else reads."""
    read = dict.fromkeys(v for x in layers for v in x.inputs)
    convolved = (v for x in layers if x.weighted and not isinstance(x.node.op, FLOAT_RESULT) for v in x.results)
    return list(dict.fromkeys([*read, *convolved]))


def _candidates(graph: Graph) -> list[Layer]:
    consumers = graph.consumers()
    layers: list[Layer] = []
    taken: set[Node] = set()
    for node in graph.nodes:
        if node in taken or not _computes_in_bytes(node):
            continue
        nodes = [node]
        while (follower := _absorbed(nodes[-1], graph, consumers)) is not None:
            nodes.append(follower)
        layers.append(Layer(tuple(nodes)))
        taken.update(nodes)
    return layers


def _moves(node: Node) -> bool:
    return isinstance(node.op, Split) or node.op.selects_elements(node)


def _computes_in_bytes(node: Node) -> bool:
    """Whether the node's operator can be computed on integers."""
    if any(v.dtype != KERNEL_FLOAT for v in node.results) or node.input(0).dtype != KERNEL_FLOAT:
        return False
    if isinstance(node.op, WEIGHTED):
        constants = [v for v in node.inputs[1:] if v is not None]
        has_axis = node.op.weight_axis(node) is not None
        return has_axis and node.input(0).constant is None and all(v.constant is not None for v in constants)
    return isinstance(node.op, (*JOINING, *POOLS, *FUNCTIONS)) or _moves(node)


def _absorbed(node: Node, graph: Graph, consumers: Mapping[Value, Sequence[Node]]) -> Node | None:
    """The only reader of a node's result, if it needs no rounding before it: a bound, or the bias of a MatMul."""
    if len(node.results) != 1 or _moves(node):
        return None
    reader = sole_reader(node.results[0], graph, consumers)
    if reader is None:
        return None
    if isinstance(reader.op, BOUNDS) and reader.input(0) is node.results[0]:
        return reader
    adds_bias = isinstance(node.op, MatMul) and isinstance(reader.op, Add)
    return reader if adds_bias and any(v.constant is not None for v in reader.operands) else None
