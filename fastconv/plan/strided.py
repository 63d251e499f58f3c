"""Strided arrangements of up to six axes, as the kernels copy and elementwise take them."""

from __future__ import annotations

from collections.abc import Sequence

from .._constants import AXES
from .binder import Binder, Step
from .layout import Strides, contiguous
from .view import View

#: elements of a kernel's item: its source and its result stay in L1
ITEM = 4096
#: bytes of the largest element that the kernel copy takes, and of rows that are moved by such elements: longer ones are anyway
LARGEST_ELEMENT, SHORT_ROW = 16, 512
#: least rows of an item whose neighbouring elements lie apart in the source: the elements between may be the next row's
ROWS = 16


def collapse(dims: Sequence[int], *strides: Sequence[int]) -> tuple[Strides, list[Strides]]:
    """The same elements in as few axes as all the arrangements (`strides`, for each its own) allow.

    Axes of size 1 go, and an axis is joined to the one behind it where every arrangement steps over it evenly. At least one
    axis is left, of size 1 and stride 1 where there is but one element.

    >>> collapse((2, 1, 3, 4), (12, 12, 4, 1), (0, 5, 4, 1))
    ((2, 12), [(12, 1), (0, 1)])
    """
    axes: list[list[int]] = []
    for d, *own in zip(dims, *strides, strict=True):
        if d == 1:
            continue
        if axes and all(outer == inner * d for outer, inner in zip(axes[-1][1:], own, strict=True)):
            axes[-1] = [axes[-1][0] * d, *own]
        else:
            axes.append([d, *own])
    out, *rest = zip(*(axes or [[1] * (1 + len(strides))]), strict=True)
    return out, rest


def broadcast_strides(shape: tuple[int, ...], result: tuple[int, ...]) -> Strides:
    """The strides of a row-major tensor of this shape that broadcasts to the result's: 0 where it is repeated."""
    strides = tuple(s if d > 1 else 0 for d, s in zip(shape, contiguous(shape), strict=True))
    return (0,) * (len(result) - len(shape)) + strides


def axes_fields(dims: Sequence[int], **strides: Sequence[int]) -> dict[str, list[int]]:
    """The sizes of `AXES` axes and the strides of each operand as a kernel's fields; missing axes stand in front.

    >>> axes_fields((3, 4), src=(4, 1))
    {'dims': [1, 1, 1, 1, 3, 4], 'src_strides': [0, 0, 0, 0, 4, 1]}
    """
    missing = AXES - len(dims)
    return {"dims": [1] * missing + [*dims]} | {f"{name}_strides": [0] * missing + [*s] for name, s in strides.items()}


def item_size(M: int, L: int, least: int = 1) -> tuple[int, int]:
    """How many rows of how many elements an item takes of the last two axes, M × L: long rows, but `least` of them or more."""
    chunk = max(min(L, ITEM // max(min(M, least), 1)), 1)
    return ITEM // chunk, chunk


def copy(binder: Binder, itemsize: int, src: int, src_strides: Strides, dst: int, dst_strides: Strides, dims: Strides) -> Step:
    """A step that copies dims elements of `itemsize` bytes between two arrangements (addresses, and strides in elements).

    Short rows, as the channels of a pixel are, are moved by the largest elements that they are made of.
    """
    axes = sorted(range(len(dims)), key=lambda i: (-dst_strides[i], i))
    dims, (src_strides, dst_strides) = collapse(*([values[i] for i in axes] for values in (dims, src_strides, dst_strides)))
    together = LARGEST_ELEMENT // itemsize
    if src_strides[-1] == dst_strides[-1] == 1 < together and dims[-1] * itemsize <= SHORT_ROW:
        *outer, length = dims
        strides = [[*s[:-1], together] for s in (src_strides, dst_strides)]
        if all(n % together == 0 for n in (length, *strides[0], *strides[1])):
            itemsize = LARGEST_ELEMENT
            dims, (src_strides, dst_strides) = collapse(
                (*outer, length // together), *([n // together for n in s] for s in strides)
            )
    M, L = (1, *dims)[-2:]
    rows, chunk = item_size(M, L, 1 if src_strides[-1] == 1 else ROWS)
    return binder.step(
        binder.kernels.copy,
        src=src,
        dst=dst,
        itemsize=itemsize,
        rows=rows,
        chunk=chunk,
        **axes_fields(dims, src=src_strides, dst=dst_strides),
    )


def reorder(binder: Binder, src: View, dst: View) -> list[Step]:
    """Steps that copy a tensor of rank 4 or 5 from one layout to another: full channel blocks, then the channels left over."""
    N, C, *size = dst.shape
    block = max(1 if v.layout.channels_last else v.layout.block for v in (src, dst))
    steps = []
    for first, blocks, channels in ((0, C // block, block), (C // block * block, 1, C % block)):
        if not blocks or not channels:
            continue
        (src_block, src_lane), (dst_block, dst_lane) = (_channel_strides(v, block) for v in (src, dst))
        src_strides, dst_strides = (src.n, src_block, *src.spatial, src_lane), (dst.n, dst_block, *dst.spatial, dst_lane)
        dims = (N, blocks, *size, channels)
        steps.append(copy(binder, dst.itemsize, src.at(c=first), src_strides, dst.at(c=first), dst_strides, dims))
    return steps


def _channel_strides(v: View, block: int) -> tuple[int, int]:
    """The strides from one block of channels to the next, and from one channel to the next."""
    if v.layout.channels_last:
        return block, 1
    return (v.c, 1) if v.layout.is_blocked else (v.c * block, v.c)


def copy_channels(binder: Binder, src: View, begin: int, dst: View, channel: int, count: int) -> list[Step]:
    """Steps that copy `count` channels of a blocked tensor, from `begin` on, into another from `channel` on.

    There is one for each way in which neighbouring channels lie in the blocks of both.
    """
    N, _, *size = dst.shape
    if src.layout.channels_last:
        strides = [(v.n, *v.spatial, 1) for v in (src, dst)]
        return [copy(binder, 1, src.at(c=begin), strides[0], dst.at(c=channel), strides[1], (N, *size, count))]
    block = src.layout.block
    # (lanes before the channels in src and in dst, how many) -> (first channel in src and in dst, blocks)
    alike: dict[tuple[int, int, int], tuple[int, int, int]] = {}
    c = 0
    while c < count:
        src_lane, dst_lane = (begin + c) % block, (channel + c) % block
        n = min(block - src_lane, block - dst_lane, count - c)
        first = alike.get((src_lane, dst_lane, n), (begin + c, channel + c, 0))
        alike[src_lane, dst_lane, n] = (*first[:2], first[2] + 1)  # those that lie alike follow each other block by block
        c += n
    return [
        copy(
            binder,
            dst.itemsize,
            src.at(c=src_first),
            (src.n, src.c, *src.spatial, 1),
            dst.at(c=dst_first),
            (dst.n, dst.c, *dst.spatial, 1),
            (N, blocks, *size, n),
        )
        for (_, _, n), (src_first, dst_first, blocks) in alike.items()
    ]
