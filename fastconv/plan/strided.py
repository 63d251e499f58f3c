"""Strided arrangements of up to six axes, as the kernels copy and elementwise take them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .bind import Binder, Step, View
from .select import BLOCKED

#: AXES in pyx/isa/copy.pyx and pyx/isa/elementwise.pyx
AXES = 6
#: elements of a kernel's item: its source and its result stay in L1
ITEM = 4096
#: rows of an item, where elements that follow each other lie apart in the source: what is between them may be the next row's
ROWS = 16

Strides = tuple[int, ...]


def contiguous(dims: Sequence[int]) -> Strides:
    """The strides of a row-major array, in elements."""
    return tuple(math.prod(dims[i + 1 :]) for i in range(len(dims)))


def collapse(dims: Sequence[int], *strides: Sequence[int]) -> tuple[Strides, list[Strides]]:
    """The same elements in as few axes as all the arrangements (`strides`, for each its own) allow.

    Axes of size 1 go, and an axis is joined to the one behind it where every arrangement steps over it evenly. At least one
    axis is left, of size 1 and stride 1 where there is but one element.

    >>> collapse((2, 1, 3, 4), (12, 12, 4, 1), (0, 5, 4, 1))
    ((2, 12), [(12, 1), (0, 1)])
    """
    axes: list[list[int]] = []
    for d, *steps in zip(dims, *strides, strict=True):
        if d == 1:
            continue
        if axes and all(outer == inner * d for outer, inner in zip(axes[-1][1:], steps, strict=True)):
            axes[-1] = [axes[-1][0] * d, *steps]
        else:
            axes.append([d, *steps])
    out, *rest = zip(*(axes or [[1] * (1 + len(strides))]), strict=True)
    return out, rest


def pad_axes(values: Sequence[int], fill: int) -> list[int]:
    """The entries for `AXES` axes: those missing stand in front."""
    return [fill] * (AXES - len(values)) + list(values)


def item_size(M: int, L: int, least: int = 1) -> tuple[int, int]:
    """How many rows of how many elements an item takes of the last two axes, M x L: rather long rows than more of them, but
    of these at least `least`."""
    chunk = max(min(L, ITEM // max(min(M, least), 1)), 1)
    return ITEM // chunk, chunk


def copy(binder: Binder, src: int, src_strides: Strides, dst: int, dst_strides: Strides, dims: Strides) -> Step:
    """A step that copies dims elements between two arrangements (references, and strides in floats)."""
    axes = sorted(range(len(dims)), key=lambda i: (-dst_strides[i], i))
    dims, (src_strides, dst_strides) = collapse(*([values[i] for i in axes] for values in (dims, src_strides, dst_strides)))
    M, L = (1, *dims)[-2:]
    rows, chunk = item_size(M, L, 1 if src_strides[-1] == 1 else ROWS)
    return binder.step(
        binder.kernels.copy,
        src=src,
        dst=dst,
        rows=rows,
        chunk=chunk,
        dims=pad_axes(dims, 1),
        src_strides=pad_axes(src_strides, 0),
        dst_strides=pad_axes(dst_strides, 0),
    )


def reorder(binder: Binder, src: View, dst: View) -> list[Step]:
    """Steps that copy a tensor of rank 4 or 5 from one layout to another: full channel blocks, then the channels left over."""
    N, C, *size = dst.shape
    V = binder.target.V
    lanes = V if BLOCKED in (src.layout, dst.layout) else 1
    steps = []
    for block, blocks, width in ((0, C // lanes, lanes), (C // lanes, 1, C % lanes)):
        if not blocks or not width:
            continue
        strides = []
        for view in (src, dst):
            lane, step = (1, view.c) if view.layout == BLOCKED else (view.c, view.c * lanes)
            strides.append((view.ref + block * step * 4, (view.n, step, *view.spatial, lane)))
        (src_ref, src_strides), (dst_ref, dst_strides) = strides
        steps.append(copy(binder, src_ref, src_strides, dst_ref, dst_strides, (N, blocks, *size, width)))
    return steps


def copy_channels(binder: Binder, src: View, begin: int, dst: View, channel: int, count: int) -> list[Step]:
    """Steps that copy `count` channels of a blocked tensor, from `begin` on, into another from `channel` on.

    There is one for each way in which runs of channels lie in the blocks of both.
    """
    N, _, *size = dst.shape
    V = binder.target.V
    runs: dict[tuple[int, int, int], tuple[int, int, int]] = {}
    c = 0
    while c < count:
        (sb, sl), (db, dl) = divmod(begin + c, V), divmod(channel + c, V)
        n = min(V - sl, V - dl, count - c)
        first = runs.get((sl, dl, n), (sb, db, 0))
        runs[sl, dl, n] = (*first[:2], first[2] + 1)  # runs that lie alike follow each other block by block
        c += n
    return [
        copy(
            binder,
            src.ref + (sb * src.c + sl) * 4,
            (src.n, src.c, *src.spatial, 1),
            dst.ref + (db * dst.c + dl) * 4,
            (dst.n, dst.c, *dst.spatial, 1),
            (N, blocks, *size, n),
        )
        for (sl, dl, n), (sb, db, blocks) in runs.items()
    ]
