"""The layers of well-known networks, read from shapes/*.txt: one shape a line, the columns named above each kind.

    for layer in load("resnet50"):
        print(layer.label, layer.flops, layer.elements, layer.count)

`flops` counts a multiply-add as two and no bias; for a pool it is the comparisons or additions. `elements` is the least that a
call can move: every input, weight, bias and output once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from pathlib import Path

SHAPES = Path(__file__).parent / "shapes"
NETWORKS = ("alexnet", "vgg16", "googlenet", "squeezenet", "resnet18", "resnet50", "mobilenetv2", "unet")

Shape = tuple[int, ...]


def size(pixels: int, kernel: int, stride: int, pad: int, dilation: int = 1, ceil: int = 0) -> int:
    """Output pixels along one axis."""
    room = pixels + 2 * pad - dilation * (kernel - 1) - 1
    out = (room + (stride - 1) * ceil) // stride + 1
    return min(out, (pixels + pad - 1) // stride + 1) if ceil else out


@dataclass(frozen=True)
class Layer:
    """The base of all kinds of layers; the fields from N on are the columns of its lines, in order."""

    network: str
    name: str
    count: int
    N: int

    @property
    def label(self) -> str:
        """network/name, unique over all files."""
        return f"{self.network}/{self.name}"

    @property
    def x_shape(self) -> Shape:
        raise NotImplementedError

    @property
    def weights(self) -> tuple[Shape, ...]:
        """The shapes of weight and bias, where the layer has them."""
        return ()

    @property
    def y_shape(self) -> Shape:
        raise NotImplementedError

    @property
    def flops(self) -> int:
        raise NotImplementedError

    @property
    def elements(self) -> int:
        return sum(map(math.prod, (self.x_shape, *self.weights, self.y_shape)))


@dataclass(frozen=True)
class Conv(Layer):
    IC: int
    IH: int
    IW: int
    OC: int
    KH: int
    KW: int
    stride: int
    pad: int
    dilation: int
    groups: int

    @property
    def x_shape(self) -> Shape:
        return self.N, self.IC, self.IH, self.IW

    @property
    def weights(self) -> tuple[Shape, ...]:
        return (self.OC, self.IC // self.groups, self.KH, self.KW), (self.OC,)

    @property
    def y_shape(self) -> Shape:
        OH = size(self.IH, self.KH, self.stride, self.pad, self.dilation)
        OW = size(self.IW, self.KW, self.stride, self.pad, self.dilation)
        return self.N, self.OC, OH, OW

    @property
    def flops(self) -> int:
        return 2 * math.prod(self.y_shape) * math.prod(self.weights[0][1:])


@dataclass(frozen=True)
class ConvTranspose(Layer):
    IC: int
    IH: int
    IW: int
    OC: int
    KH: int
    KW: int
    stride: int

    @property
    def x_shape(self) -> Shape:
        return self.N, self.IC, self.IH, self.IW

    @property
    def weights(self) -> tuple[Shape, ...]:
        return (self.IC, self.OC, self.KH, self.KW), (self.OC,)

    @property
    def y_shape(self) -> Shape:
        return self.N, self.OC, (self.IH - 1) * self.stride + self.KH, (self.IW - 1) * self.stride + self.KW

    @property
    def flops(self) -> int:
        return 2 * math.prod(self.x_shape) * math.prod(self.weights[0][1:])


@dataclass(frozen=True)
class Pool(Layer):
    C: int
    IH: int
    IW: int
    KH: int
    KW: int
    stride: int
    pad: int
    ceil: int

    @property
    def x_shape(self) -> Shape:
        return self.N, self.C, self.IH, self.IW

    @property
    def y_shape(self) -> Shape:
        OH = size(self.IH, self.KH, self.stride, self.pad, ceil=self.ceil)
        OW = size(self.IW, self.KW, self.stride, self.pad, ceil=self.ceil)
        return self.N, self.C, OH, OW

    @property
    def flops(self) -> int:
        return math.prod(self.y_shape) * self.KH * self.KW


class MaxPool(Pool):
    pass


class AveragePool(Pool):
    pass


@dataclass(frozen=True)
class Linear(Layer):
    K: int
    OC: int

    @property
    def x_shape(self) -> Shape:
        return self.N, self.K

    @property
    def weights(self) -> tuple[Shape, ...]:
        return (self.OC, self.K), (self.OC,)

    @property
    def y_shape(self) -> Shape:
        return self.N, self.OC

    @property
    def flops(self) -> int:
        return 2 * self.N * self.K * self.OC


KINDS: dict[str, type[Layer]] = {
    "conv": Conv,
    "conv_transpose": ConvTranspose,
    "max_pool": MaxPool,
    "average_pool": AveragePool,
    "linear": Linear,
}


def parse(line: str, network: str) -> Layer:
    """The layer of one line; ValueError where it does not have the columns of its kind."""
    kind, *columns = line.split()
    if kind not in KINDS:
        raise ValueError(f"{network}: unknown kind {kind!r} in {line!r}; known: {', '.join(KINDS)}")
    names = [f.name for f in fields(KINDS[kind]) if f.name not in ("network", "name", "count")]
    if len(columns) != len(names) + 2:
        raise ValueError(f"{network}: expected {' '.join([kind, *names, 'count', 'name'])}, got {line!r}")
    *numbers, count, name = columns
    return KINDS[kind](network, name, int(count), *map(int, numbers))


def load(network: str, *kinds: type[Layer]) -> list[Layer]:
    """The layers of shapes/<network>.txt; with `kinds`, only those."""
    lines = (SHAPES / f"{network}.txt").read_text().splitlines()
    layers = [parse(line, network) for line in lines if line and not line.startswith("#")]
    return [layer for layer in layers if not kinds or isinstance(layer, kinds)]


def with_batch(layer: Layer, N: int) -> Layer:
    """The layer for `N` images, with N in its name."""
    return layer if layer.N == N else replace(layer, N=N, name=f"{layer.name}-n{N}")
