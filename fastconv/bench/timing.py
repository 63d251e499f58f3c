"""One layer as a plan of its own, of which only the kernel is timed: its weights are packed and its input stands in the layout
that the kernel reads, as the layer before it would have left it.

    run = Kernel(case)      # case: a layer, an algorithm, an instruction set and a number of threads
    run()

The algorithm "naive" is the compiled plain loops of fastconv.naive, which have one thread and no instruction set.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from .. import _executor, kernels
from ..graph import Graph, Node, Value
from ..implementations import IMPLEMENTATIONS
from ..ops import REGISTRY, Op
from ..passes.infer_shapes import infer_shapes
from ..plan import Target, build
from ..plan.packing import empty_aligned
from ..plan.select import Selection, implementations_of
from .layers import Conv, ConvTranspose, Layer, Linear, MaxPool, Shape, load, with_batch
from .plain_loops import plain_loops, some
from .tables import NAIVE

#: the kinds of layers that fastconv.naive has
NAIVE_KINDS = (Conv, Linear, MaxPool)
#: up to so many channels a convolution's input is the image, whose copy to another layout is a part of the layer's cost
IMAGE_CHANNELS = 4


@dataclass(frozen=True)
class Case:
    """What one benchmark times."""

    layer: Layer
    algorithm: str
    isa: str
    threads: int

    @property
    def id(self) -> str:
        """resnet50-conv1-direct-t1-avx2, or resnet50-conv1-naive; the histogram of pytest-benchmark cuts off the end."""
        how = [self.algorithm] if self.algorithm == NAIVE else [self.algorithm, f"t{self.threads}", self.isa]
        return "-".join([self.layer.network, self.layer.name, *how])

    @property
    def info(self) -> dict[str, Any]:
        """The fields that tables.py reads, except the measured ones."""
        layer = self.layer
        return {
            "layer": layer.label,
            "count": layer.count,
            "algorithm": self.algorithm,
            "isa": self.isa,
            "threads": self.threads,
            "flops": layer.flops,
            "bytes": layer.bytes,
            "fewer_products": self.fewer_products,
        }

    @property
    def fewer_products(self) -> bool:
        """Whether the algorithm multiplies less than the definition, which `flops` counts."""
        return any(i.fewer_products for i in IMPLEMENTATIONS[type(op_of(self.layer))] if i.name == self.algorithm)

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


def graph_of(layer: Layer, array: Callable[[Shape], np.ndarray]) -> Graph:
    """A graph of one node; `array(shape)` makes weights and bias."""
    x, y = Value("x", layer.x_shape, np.dtype(np.float32)), Value("y")
    weights = [Value(name, constant=array(shape)) for name, shape in zip("wb", layer.weights, strict=False)]
    graph = Graph([x], [y], [Node(op_of(layer), [x, *weights], [y], layer.name)])
    infer_shapes(graph)
    return graph


def zeros(shape: Shape) -> np.ndarray:
    """Zeros that take no memory, for a graph that is not run."""
    return np.broadcast_to(np.float32(0), shape)


@lru_cache(maxsize=1)  # a layer's cases come one after the other; its weights may take hundreds of MB
def _graph_and_packed(layer: Layer) -> tuple[Graph, dict[Any, Any]]:
    return graph_of(layer, some), {}


def algorithms(layer: Layer, isa: str, threads: int = 1) -> list[str]:
    """The names of the implementations that can run the layer, also of those that the selection estimates to be slower."""
    node = graph_of(layer, zeros).nodes[0]
    target = Target(IMPLEMENTATIONS, kernels.load(isa), threads)
    return [i.name for i in implementations_of(node, target) if i.refusal(node, Selection(target)) is None]


def cases(
    networks: Iterable[str],
    kinds: tuple[type[Layer], ...],
    isas: list[str],
    algorithm: list[str] | None,
    threads: list[int],
    batches: list[int],
) -> Iterator[Case]:
    """The cases of all layers of these kinds; `algorithm` None is all that can run it, "auto" the selection's choice."""
    for network in networks:
        for layer, batch in itertools.product(load(network, *kinds), batches):
            layer = with_batch(layer, batch)
            if isinstance(layer, NAIVE_KINDS) and (algorithm is None or NAIVE in algorithm):
                yield Case(layer, NAIVE, "", 1)
            for isa in isas:
                possible = algorithms(layer, isa)
                for name in possible if algorithm is None else algorithm:
                    if name == "auto" or name in possible:
                        yield from (Case(layer, name, isa, t) for t in threads)


class Kernel:
    """Runs the kernel of a case when it is called; `with_copy` adds the copy of its input from NCHW, where there is one."""

    def __init__(self, case: Case, with_copy: bool = False):
        graph, packed = _graph_and_packed(case.layer)
        algorithm = None if case.algorithm == "auto" else case.algorithm
        plan = self.plan = build(
            graph, Target(IMPLEMENTATIONS, kernels.load(case.isa), case.threads, algorithm=algorithm), packed
        )
        if plan.python_steps:
            raise ValueError(f"{case.id}: no compiled kernel takes it\n{plan}")
        arena, y = empty_aligned((plan.arena_size // 4,)), empty_aligned(case.layer.y_shape)
        self.arrays = (None, arena, None, some(case.layer.x_shape), y)  # in the order of the bases in plan/view.py
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
