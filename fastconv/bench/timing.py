"""One layer as a plan of its own, of which only the kernel is timed: its weights are packed and its input stands in the layout
that the kernel reads, as the layer before it would have left it.

    run = Kernel(case)      # case: a layer, an algorithm, an instruction set and a number of threads
    run()

The algorithm "naive" is the compiled plain loops of fastconv.naive, which have one thread and no instruction set. A layer is a
quantized node for the algorithms of those: its source, weights and result are bytes.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from .. import _executor, kernels
from ..graph import Graph, Node, Value
from ..implementations import IMPLEMENTATIONS
from ..infer_node import infer_node
from ..ops import REGISTRY, Op
from ..peak import instruction
from ..plan import Target, build
from ..plan.implementation import AnyImplementation
from ..plan.packing import empty_aligned
from ..plan.select import Selection, implementations_of
from .layers import Conv, ConvTranspose, Layer, Linear, MaxPool, Shape, load, with_batch
from .plain_loops import plain_loops, some
from .tables import NAIVE

#: the kinds of layers that fastconv.naive has
NAIVE_KINDS = (Conv, Linear, MaxPool)
#: array(shape, dtype)
Array: TypeAlias = Callable[[Shape, Any], np.ndarray]
#: the zero point of activations, and the scale of a sum of one product by those of its factors
MIDDLE, BYTE_SCALE = np.uint8(128), 128.0
#: up to so many channels a convolution's input is the image, whose copy to another layout is a part of the layer's cost
IMAGE_CHANNELS = 4


@dataclass(frozen=True)
class Case:
    """What one benchmark times."""

    layer: Layer
    algorithm: str
    isa: str
    threads: int
    #: how the weights of a fully connected layer are stored, as `load` takes it
    weights: str = "float32"

    @property
    def id(self) -> str:
        """resnet50-conv1-direct-t1-avx2, alexnet-fc6-bf16-gemm-t1-avx2, or resnet50-conv1-naive.

        The histogram of pytest-benchmark cuts off the end.
        """
        weights = [] if self.weights == "float32" else [self.weights]
        how = [self.algorithm] if self.algorithm == NAIVE else [self.algorithm, f"t{self.threads}", self.isa]
        return "-".join([self.layer.network, self.layer.name, *weights, *how])

    @property
    def bytes(self) -> int:
        """The least that a call can move: every input, weight, bias and output once."""
        if self.quantized:
            return self.layer.elements
        return 4 * self.layer.elements - (2 * math.prod(self.layer.weights[0]) if self.weights != "float32" else 0)

    @property
    def info(self) -> dict[str, Any]:
        """The fields that tables.py reads, except the measured ones."""
        layer = self.layer
        narrow = self.weights != "float32"
        return {
            "layer": layer.label,
            "count": layer.count,
            "algorithm": f"{self.algorithm}-{self.weights}" if narrow else self.algorithm,
            "isa": self.isa,
            "threads": self.threads,
            "flops": layer.flops,
            "bytes": self.bytes,
            "fewer_products": any(i.fewer_products for i in self.implementations),
            **self.limit,
        }

    @property
    def implementations(self) -> list[AnyImplementation]:
        """Those of the algorithm: one, or none."""
        return [i for i in IMPLEMENTATIONS[type(op_of(self.layer))] if i.name == self.algorithm]

    @property
    def quantized(self) -> bool:
        """Whether the algorithm computes bytes."""
        return any(i.quantized for i in self.implementations)

    @property
    def limit(self) -> dict[str, str]:
        """The kind of the algorithm's products, as of Implementation.products, and the instruction that multiplies bytes."""
        if not self.implementations:
            return {}
        node, target = _graph_and_packed(self.layer, self.quantized)[0].nodes[0], self.target
        products = self.implementations[0].products(node, target)
        return {"products": products, "instruction": instruction(target.kernels, products)}

    @property
    def target(self) -> Target:
        """What its plan is made for."""
        algorithm = None if self.algorithm == "auto" else self.algorithm
        return Target(IMPLEMENTATIONS, kernels.load(self.isa), self.threads, algorithm=algorithm, weights=self.weights)

    def run(self) -> Callable[[], object]:
        """What is timed."""
        return naive(self.layer) if self.algorithm == NAIVE else Kernel(self)


def op_of(layer: Layer) -> Op:
    """The operator of a layer with its attributes."""
    if isinstance(layer, Conv):
        s, p, d = layer.stride, layer.pad, layer.dilation
        return REGISTRY["Conv"](strides=(s, s), pads=(p,) * 4, dilations=(d, d), group=layer.groups)
    if isinstance(layer, ConvTranspose):
        return REGISTRY["ConvTranspose"](strides=(layer.stride,) * 2)
    if isinstance(layer, MaxPool):
        s, p = layer.stride, layer.pad
        return REGISTRY["MaxPool"](kernel_shape=(layer.KH, layer.KW), strides=(s, s), pads=(p,) * 4, ceil_mode=layer.ceil)
    if isinstance(layer, Linear):
        return REGISTRY["Gemm"](transB=1)
    raise TypeError(f"{layer.label}: no operator for a {type(layer).__name__}")


def graph_of(layer: Layer, array: Array, quantized: bool = False) -> Graph:
    """A graph of one node; `array(shape, dtype)` makes weights and bias.

    A quantized node has a scale for each output channel of its weights, and sums that fill the range of its result.
    """
    x, y = Value("x", layer.x_shape, np.dtype(np.uint8 if quantized else np.float32)), Value("y")
    if not quantized:
        weights = [Value(name, constant=array(shape, np.float32)) for name, shape in zip("wb", layer.weights, strict=False)]
        node = Node(op_of(layer), [x, *weights], [y], layer.name)
        infer_node(node)
        return Graph([x], [y], [node])
    w_shape, b_shape = layer.weights
    axis, (OC,) = w_shape.index(b_shape[0]), b_shape
    w, b = Value("w", constant=array(w_shape, np.int8)), Value("b", constant=np.zeros(b_shape, np.int32))
    ones, zero = np.ones(OC, np.float32), np.zeros(OC, np.int8)
    scale = np.float32(BYTE_SCALE * math.sqrt(math.prod(w_shape) / OC))
    prologue = [
        _converted("DequantizeLinear", x, np.float32(1), MIDDLE),
        _converted("DequantizeLinear", w, ones, zero, axis=axis),
        _converted("DequantizeLinear", b, ones, axis=0),
    ]
    node = Node(op_of(layer), [n.outputs[0] for n in prologue], [y], layer.name)
    node.prologue = prologue
    node.epilogue = [_converted("QuantizeLinear", y, scale, MIDDLE)]
    for n in node.chain:
        infer_node(n)
    return Graph([x], node.results, [node])


def _converted(kind: str, x: Value, *parameters: Any, **attributes: Any) -> Node:
    """A node that makes floats of integers or integers of floats, by a scale and a zero point."""
    values = [Value(f"{x.name}.{name}", constant=np.asarray(p)) for name, p in zip(("scale", "zero"), parameters, strict=False)]
    return Node(REGISTRY[kind](**attributes), [x, *values], [Value(f"{x.name}.{kind}")])


def numbers(shape: Shape, dtype: Any) -> np.ndarray:
    """Numbers that are neither denormal nor all alike: floats between -0.5 and 0.5, or any bytes."""
    if dtype == np.float32:
        return some(shape)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8).view(dtype)


def zeros(shape: Shape, dtype: Any) -> np.ndarray:
    """Zeros that take no memory, for a graph that is not run."""
    return np.broadcast_to(np.dtype(dtype).type(0), shape)


@lru_cache(maxsize=1)  # a layer's cases come one after the other; its weights may take hundreds of MB
def _graph_and_packed(layer: Layer, quantized: bool) -> tuple[Graph, dict[Any, Any]]:
    return graph_of(layer, numbers, quantized), {}


def algorithms(layer: Layer, isa: str, threads: int = 1, quantized: bool = False) -> list[str]:
    """The names of the implementations that can run the layer, also of those that the selection estimates to be slower."""
    node = graph_of(layer, zeros, quantized).nodes[0]
    target = Target(IMPLEMENTATIONS, kernels.load(isa), threads)
    return [i.name for i in implementations_of(node, target) if i.refusal(node, Selection(target)) is None]


def with_own(kernel: str, isas: Iterable[str]) -> list[str]:
    """The instruction sets whose builds of a kernel these sets run."""
    return list(dict.fromkeys(kernels.load(isa).sources[kernel] for isa in isas))


def cases(
    networks: Iterable[str],
    kinds: tuple[type[Layer], ...],
    isas: list[str],
    algorithm: list[str] | None,
    threads: list[int],
    batches: list[int],
    weights: Sequence[str] = ("float32",),
) -> Iterator[Case]:
    """The cases of all layers of these kinds; `algorithm` None is all that can run it, "auto" the selection's choice.

    A set without kernels of floats of its own has cases of bytes, and its ancestor those of floats. Packed fully connected
    layers are there with each type of `weights`.
    """
    for network in networks:
        for layer, batch in itertools.product(load(network, *kinds), batches):
            layer = with_batch(layer, batch)
            if isinstance(layer, NAIVE_KINDS) and (algorithm is None or NAIVE in algorithm):
                yield Case(layer, NAIVE, "", 1)
            for isa in with_own("conv_direct", isas):
                possible = ["auto", *algorithms(layer, isa)]
                for name in possible[1:] if algorithm is None else algorithm:
                    if name in possible:
                        types = weights if isinstance(layer, Linear) and name in ("auto", "gemm") else ["float32"]
                        yield from (Case(layer, name, isa, t, w) for w in types for t in threads)
            for isa in with_own("conv_int8", isas) if layer.weights else ():
                for name in algorithms(layer, isa, quantized=True):
                    if algorithm is None or name in algorithm:
                        yield from (Case(layer, name, isa, t) for t in threads)


class Kernel:
    """Runs the kernel of a case when it is called; `with_copy` adds the copy of its input from NCHW, where there is one."""

    def __init__(self, case: Case, with_copy: bool = False):
        graph, packed = _graph_and_packed(case.layer, case.quantized)
        plan = self.plan = build(graph, case.target, packed)
        if plan.python_steps:
            raise ValueError(f"{case.id}: no compiled kernel takes it\n{plan}")
        x, y = graph.inputs[0], graph.outputs[0]
        arena, source = empty_aligned((plan.arena_size // 4,)), numbers(x.dims, x.dtype)
        # in the order of the bases in plan/view.py
        self.arrays = (None, arena, None, source, empty_aligned(y.dims, y.dtype))
        self.threads = case.threads
        self.algorithm = next(e.algorithm for e in reversed(plan.entries) if e.node is not None)
        steps = [(e.node is not None, s) for e in plan.entries for s in e.steps or ()]
        own = [i for i, (is_node, _) in enumerate(steps) if is_node]
        # the copy of the input, and the zeros around it
        _executor.Program([s for _, s in steps]).run(self.arrays, self.threads)
        self.program = _executor.Program([s for _, s in steps[0 if with_copy else own[0] : own[-1] + 1]])

    def __call__(self) -> None:
        self.program.run(self.arrays, self.threads)


class Cool:
    """A call flushes the caches and wakes the threads, as in the middle of a network."""

    BYTES = 128 << 20

    def __init__(self, threads: int):
        self.buffer = np.ones(self.BYTES // 4, np.float32)
        self.threads = threads

    def __call__(self) -> None:
        self.buffer.sum()
        _executor.Program([]).run((), self.threads)


def seconds(run: Callable[[], object]) -> float:
    """How long one call takes."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def naive(layer: Layer) -> Callable[[], object]:
    """A call of the compiled plain loops; TypeError if fastconv.naive has no such layer."""
    call = plain_loops(graph_of(layer, zeros).nodes[0])
    if call is None:
        raise TypeError(f"{layer.label}: no plain loops for a {type(layer).__name__}")
    return call


class Meter:
    """Calls `measure` when it is called itself, but at most once in `every` seconds; `best` is the largest result."""

    def __init__(self, measure: Callable[[], float], every: float):
        self.measure, self.every = measure, every
        self.best, self.due = 0.0, 0.0

    def __call__(self) -> None:
        if time.perf_counter() >= self.due:
            self.take()

    def take(self) -> None:
        """Measure now."""
        self.best = max(self.best, self.measure())
        self.due = time.perf_counter() + self.every
