"""How the elements of a tensor lie in memory: the layouts, and the strides and size that follow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

#: rows and columns of zeros (of bytes: of the zero point) around a tensor, for each spatial axis: those before it, then those
#: behind it (top, left, bottom, right); empty for none
Halo = tuple[int, ...]
Strides = tuple[int, ...]

#: the ranks of tensors that can be planar or blocked: images N C H W, and volumes N C D H W
RANKS = (4, 5)


class Layout(NamedTuple):
    """An order of elements.

    `block` is how many channels lie side by side at each pixel; 1 for layouts in which each channel has planes of its own. With
    `channels_last` the blocks of a pixel lie side by side too: all channels, filled up to whole blocks.
    """

    name: str
    block: int = 1
    channels_last: bool = False

    @property
    def is_blocked(self) -> bool:
        """Whether channels lie in blocks."""
        return self.block > 1

    def __str__(self) -> str:
        return self.name


#: the order of NumPy's arrays, of any rank
ROW_MAJOR = Layout("row-major")
#: the same, for tensors whose planes may have a halo
PLANAR = Layout("planar")


def blocked(block: int) -> Layout:
    """The layout with channels in blocks: n, c / block, h, w, block for an image."""
    return Layout(f"nChw{block}c", block)


#: the layout of bytes, with channels filled up to a multiple of 16
CHANNELS_LAST = Layout("nhwc", 16, channels_last=True)
#: that of a first layer's source, of up to 4 channels
CHANNELS_LAST_4 = Layout("nhwc4", 4, channels_last=True)
#: bytes behind a tensor with channels last that kernels may read
TAIL = 64


class Geometry(NamedTuple):
    """The memory of a tensor with its halo. Strides and `start` count elements.

    `c` is the stride from one block of channels to the next (without blocks, from one channel to the next), `d` from one plane
    of a volume to the next, `start` the place of the first element behind the halo.
    """

    n: int
    c: int
    d: int
    h: int
    w: int
    start: int
    nbytes: int


def geometry(dims: tuple[int, ...], layout: Layout, itemsize: int, halo: Halo = ()) -> Geometry:
    """The geometry of a tensor of these sizes, with elements of `itemsize` bytes.

    >>> geometry((1, 20, 5, 5), blocked(16), 4, halo=(1, 1, 1, 1))
    Geometry(n=1568, c=784, d=784, h=112, w=16, start=128, nbytes=6272)
    """
    if layout == ROW_MAJOR or len(dims) not in RANKS:
        n, c, *inner = contiguous((1,) * (4 - len(dims)) + dims)
        d, h, w = (0, *inner)[-3:]
        return Geometry(n, c, d, h, w, 0, math.prod(dims) * itemsize)
    N, C, *size = dims
    before, behind = halo_sides(len(dims), halo)
    D, H, W = (1, *(b + s + a for b, s, a in zip(before, size, behind, strict=True)))[-3:]
    blocks = -(-C // layout.block)
    w = layout.block * (blocks if layout.channels_last else 1)
    h = W * w
    d = H * h
    c = layout.block if layout.channels_last else D * d
    n = blocks * layout.block * D * H * W
    front, top, left = (0, *before)[-3:]
    tail = TAIL if layout.channels_last else 0
    return Geometry(n, c, d, h, w, front * d + top * h + left * w, N * n * itemsize + tail)


def halo_sides(rank: int, halo: Halo) -> tuple[Halo, Halo]:
    """The zeros before and behind a tensor of this rank, along each spatial axis."""
    halo = halo or (0,) * 2 * (rank - 2)
    return halo[: rank - 2], halo[rank - 2 :]


def contiguous(dims: Sequence[int]) -> Strides:
    """The strides of a row-major array, in elements."""
    return tuple(math.prod(dims[i + 1 :]) for i in range(len(dims)))
