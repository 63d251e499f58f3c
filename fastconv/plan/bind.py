"""Packs weights once and makes the steps: every size, stride and address settled before the first run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _pack
from ..activation import NO_ACTIVATION, Activation
from ..graph import Node, Value
from ..threads import share_out
from ..weights import Weights, key_of
from .layouts import Halo, Task, Tensor
from .packing import Packing, Piece, Slabs, empty_aligned
from .select import BLOCKED, NCHW, PLANAR, RANKS, Target

if TYPE_CHECKING:
    from ..kernels import Kernels

#: what a kernel's store can apply, in the order of `Kind` in pyx/activation.pxd
KINDS = ("clip", "leaky_relu", "sigmoid", "silu", "tanh", "hard_sigmoid", "hard_swish", "elu", "softplus", "fake_quantize")
#: places in the table of addresses of a call: base 0 is address 0, then the arena, the inputs, the outputs
ABSOLUTE, ARENA, FIRST_INPUT = 0, 1, 2


def reference_to(base: int, offset: int) -> int:
    """An operand's reference as kernels take it, see pyx/step.pxd."""
    return base << 48 | offset


@dataclass(frozen=True)
class View:
    """Where a float32 tensor lies: the reference of its first element and the strides in floats.

    `c` is the stride from one block of channels to the next for a blocked tensor, else from one channel to the next, `w` from
    one pixel to the next (V or 1), and `d` from one plane of a volume to the next: N C D H W.
    """

    ref: int
    shape: tuple[int, ...]
    layout: str
    n: int
    c: int
    h: int
    w: int
    d: int = 0

    @property
    def spatial(self) -> tuple[int, ...]:
        """The strides of the spatial axes."""
        return (self.h, self.w) if len(self.shape) < 5 else (self.d, self.h, self.w)

    def planes(self, image: int) -> View:
        """The planes of one volume as images."""
        _, C, *size = self.shape
        return View(self.ref + 4 * image * self.n, (size[0], C, *size[1:]), self.layout, self.d, self.c, self.h, self.w)

    def strides(self, prefix: str) -> dict[str, int]:
        """The strides as a kernel's fields: `src_n`, `src_c`, `src_h`, `src_w`."""
        return {f"{prefix}_n": self.n, f"{prefix}_c": self.c, f"{prefix}_h": self.h, f"{prefix}_w": self.w}

    def every(self, start: Sequence[int], steps: Sequence[int]) -> View:
        """Every so many rows and pixels (before them images, for three steps) from a place on; `shape` stays the tensor's."""
        (first, top, left), (sn, sh, sw) = (0, *start)[-3:], (1, *steps)[-3:]
        ref = self.ref + 4 * (first * self.n + top * self.h + left * self.w)
        return replace(self, ref=ref, n=self.n * sn, h=self.h * sh, w=self.w * sw)


@dataclass(frozen=True)
class Step:
    """One call of a compiled kernel, for pyx/executor.pyx. `pieces` is how many of it each thread has; 0: it runs whole."""

    run: int
    args: bytes
    pieces: int


@dataclass(frozen=True)
class Memory:
    """The memory of a root tensor: sizes with the halo, and strides in floats."""

    depth: int
    rows: int
    pitch: int
    plane: int
    channel: int
    image: int
    size: int


def memory(tensor: Tensor, V: int) -> Memory:
    """The geometry of a root tensor's memory; `size` is in bytes."""
    value = tensor.value
    dims = value.dims
    if tensor.layout == NCHW or len(dims) not in RANKS:
        return Memory(0, 0, 0, 0, 0, 0, math.prod(dims) * (value.dtype.itemsize if value.dtype else 4))
    N, C, *size = dims
    with_halo = [d + before + after for d, before, after in zip(size, *halo_sides(tensor), strict=True)]
    depth, rows, columns = (1, *with_halo)[-3:]
    lanes = V if tensor.layout == BLOCKED else 1
    pitch = columns * lanes
    plane = rows * pitch
    channel = depth * plane
    image = -(-C // lanes) * channel
    return Memory(depth, rows, pitch, plane, channel, image, N * image * 4)


def halo_sides(tensor: Tensor) -> tuple[Halo, Halo]:
    """The zeros before and behind a tensor with spatial axes, along each of them."""
    rank = len(tensor.value.dims) - 2
    halo = tensor.halo or (0,) * 2 * rank
    return halo[:rank], halo[rank:]


@dataclass(frozen=True, eq=False)
class Packed:
    """Packed weights, which live as long as a plan has them; and what they were made of, so that its key stays taken."""

    array: np.ndarray
    sources: tuple[np.ndarray | Weights | None, ...]


class Binder:
    """What an implementation binds with: its operands' views, packed weights, and the steps' making."""

    def __init__(self, target: Target, packed: MutableMapping[Any, Packed], places: Mapping[Tensor, tuple[int, int]]):
        self.target = target
        self.kernels: Kernels = target.kernels
        self._packed = packed
        self._places = places
        self._made: dict[Any, Packed] = {}
        self._slabs = Slabs()
        self._pieces: list[tuple[Piece, np.ndarray]] = []
        self.task: Task | None = None
        self.keep: list[Any] = []

    # ---- operands

    def tensor(self, value: Value) -> Tensor:
        """The tensor of an operand or a result of the node being bound."""
        assert self.task is not None
        return self.task.writes.get(value) or self.task.reads[value]

    def view(self, value: Value) -> View:
        """Where an operand or a result of the node being bound lies."""
        return self.view_of(self.tensor(value))

    def view_of(self, tensor: Tensor) -> View:
        """Where a tensor lies."""
        root, dims, V = tensor.root, tensor.value.dims, self.target.V
        base, offset = self._places[root]
        if tensor.layout == NCHW:
            shape = (1,) * (4 - len(dims)) + dims if len(dims) < 4 else dims
            n, c, *inner = (math.prod(shape[i + 1 :]) for i in range(len(shape)))
            d, h, w = (0, *inner)[-3:]
            return View(reference_to(base, offset), dims, NCHW, n, c, h, w, d)
        m = memory(root, V)
        lanes = V if tensor.layout == BLOCKED else 1
        front, top, left = (0, *halo_sides(root)[0])[-3:]
        start = tensor.channel // lanes * m.channel + front * m.plane + top * m.pitch + left * lanes
        return View(reference_to(base, offset + start * 4), dims, tensor.layout, m.image, m.channel, m.pitch, lanes, m.plane)

    def place(self, tensor: Tensor) -> tuple[int, int]:
        """(base, offset) of a root tensor's memory."""
        return self._places[tensor]

    def workspace(self) -> int:
        """The reference of the node's scratch memory."""
        assert self.task is not None
        return reference_to(*self.task.place)

    # ---- constants

    def constant(self, array: np.ndarray) -> int:
        """The reference of an array that lives as long as the plan."""
        self.keep.append(array)
        return reference_to(ABSOLUTE, array.ctypes.data)

    def operand(self, value: Value) -> int:
        """The reference of a row-major operand, which may be a constant."""
        if value.constant is None:
            return self.view(value).ref
        return self.constant(np.ascontiguousarray(self.array(value.constant)))

    def table(self, offsets: Any) -> int:
        """The reference of a table of int64."""
        return self.constant(np.ascontiguousarray(offsets, np.int64))

    def pack(
        self, kind: str, pack: Callable[..., np.ndarray | Packing], *arrays: np.ndarray | Weights | None, **options: Any
    ) -> int:
        """The reference of what pack(*arrays, **options) makes, once for all plans of the model; `finish` fills it."""
        return reference_to(ABSOLUTE, self._pack(kind, pack, *arrays, **options).ctypes.data)

    def array(self, constant: np.ndarray | Weights) -> np.ndarray:
        """A constant as an array, for a node that runs its reference."""
        return self._pack("array", np.asarray, constant) if isinstance(constant, Weights) else constant

    def _pack(self, kind: str, pack: Callable[..., Any], *arrays: np.ndarray | Weights | None, **options: Any) -> np.ndarray:
        key = (kind, self.target.V, *map(key_of, arrays), *sorted(options.items()))
        packed = self._packed.get(key) or self._made.get(key)
        if packed is None:
            made = pack(*arrays, **options)
            if isinstance(made, Packing):
                array = self._slabs.take(made.size)
                self._pieces += [(piece, array) for piece in made.pieces]
            else:
                array = made
            packed = self._made[key] = Packed(array, arrays)
        self.keep.append(packed)
        return packed.array

    def finish(self) -> None:
        """Fill what is still to be packed, on all threads; only then may other plans find it."""
        share_out([partial(piece, array) for piece, array in self._pieces], self.target.threads)
        if self._pieces:
            _pack.trim()  # what they were read into
        self._packed.update(self._made)
        self._pieces, self._made = [], {}

    # ---- steps

    def step(self, kernel: ModuleType, **fields: Any) -> Step:
        """A step that runs `kernel` with these fields of its argument struct."""
        run, args = kernel.step(fields)
        return Step(run, args, pieces=1)

    def epilogue(self, node: Node, part: Callable[[View], View] = lambda view: view) -> dict[str, Any]:
        """The fields of a kernel's store: the residual (or this part of it) to add, and the activation."""
        residual, activation = epilogue_of(node)
        fields: dict[str, Any] = {"act": activation_fields(activation), "has_add": residual is not None, "add": 0}
        fields |= {f"add_{d}": 0 for d in "nchw"}
        if residual is not None:
            view = part(self.view(residual))
            fields |= {"add": view.ref, **view.strides("add")}
        return fields


def activation_fields(activation: Activation) -> dict[str, Any]:
    """An Activation as the struct of pyx/activation.pxd."""
    return {"kind": KINDS.index(activation.kind), "a": activation.a, "b": activation.b, "c": activation.c}


def epilogue_of(node: Node) -> tuple[Value | None, Activation]:
    """What a node's epilogue is to a kernel's store: the value to add to the sums, then the activation."""
    residual, activation = None, NO_ACTIVATION
    before = node.outputs[0]
    for n in node.epilogue:
        if (a := n.op.activation(n)) is None:
            residual = next(v for v in n.inputs if v is not before)
        else:
            joined = activation.then(a)
            assert joined is not None, "fuse takes no others"
            activation = joined
        before = n.results[0]
    return residual, activation


__all__ = [
    "BLOCKED",
    "NCHW",
    "PLANAR",
    "Binder",
    "Step",
    "View",
    "activation_fields",
    "empty_aligned",
    "epilogue_of",
    "halo_sides",
    "memory",
]
