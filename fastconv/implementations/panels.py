"""Weights for the register tile (pyx/tile.pxd): packed in panels, and summed in K blocks."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .. import _pack
from .._constants import FLOAT32_WEIGHTS
from ..plan.packing import FLOAT32, Job, Packing, factors, ranges
from ..weights import Weights
from .conv import block_diagonal

#: products of an output that are summed in one K block: the rounding of long sums grows with it, and a panel's weights for it
#: are 12 KB. A 1x1 kernel's sums are shorter, and each K block begins and ends with a sweep over the tile
K_BLOCK, POINTWISE_K_BLOCK = 192, 512


def k_block(taps: int) -> int:
    """About how many products are summed in one K block, for a kernel of `taps` taps."""
    return K_BLOCK if taps > 1 else POINTWISE_K_BLOCK


def pack_panels(
    read: Callable[[int, int], np.ndarray],
    scale: np.ndarray,
    size: tuple[int, int, int, int, int],
    block: int,
    V: int,
    by_input: bool = False,
    whole: bool = False,
    stored: int = FLOAT32_WEIGHTS,
) -> Packing:
    """Weights of `size` G OC IC KH KW in the order the register tile reads them, group by group; see pyx/pack.pyx.

    `read(begin, end)` gives OC IC KH KW of some output channels, or `by_input` of some input channels, numbered through the
    groups; `whole` says that it reads a whole group at once. `scale` has a factor for each output channel. `block` is V for a
    blocked source, 1 for a planar one. `stored` is a kind of packed weights, in 16 bits but for the default.
    """
    G, OC, IC, KH, KW = size
    taps = KH * KW
    room = -(-OC // V) * V * IC * taps
    dtype = FLOAT32 if stored == FLOAT32_WEIGHTS else np.dtype(np.uint16)

    def job(g: int, begin: int, end: int) -> Job:
        """Some output channels, or all of them and some input channels, of group g."""
        first, a, b = (begin, 0, OC) if by_input else (0, begin, end)
        start, own = g * (IC if by_input else OC), slice(g * OC + a, g * OC + b)

        def fill(dst: np.ndarray) -> None:
            part = dst[g * room + a * IC * taps :].view(np.uint8)
            _pack.pack(read(start + begin, start + end), scale[own], IC, first, block, V, part, stored)

        return fill

    if by_input:
        spans = ranges(IC, IC if whole else block, OC * taps * 4)
    else:  # the last panel may have three blocks
        spans = ranges(OC, OC if whole else 2 * V, IC * taps * 4, least=V + 1)
    return Packing(G * room, [job(g, begin, end) for g in range(G) for begin, end in spans], dtype)


def pack_weights(w: np.ndarray | Weights, groups: int, merge: int, block: int, V: int) -> Packing:
    """Weights OC IC/groups [KD] KH KW in panels, `merge` groups as one."""
    OC, IC, *planes, KH, KW = w.shape
    KH *= math.prod(planes)
    G = groups // merge
    source, scale = factors(w, axis=0)
    size = (G, OC // G, IC * merge, KH, KW)
    matrix = source.columns_of if isinstance(source, Weights) else None
    if matrix is not None and G == 1:
        return pack_panels(lambda a, b: matrix[a:b].T[:, :, None, None], scale, size, block, V, by_input=True)

    def read(begin: int, end: int) -> np.ndarray:
        return block_diagonal(source[begin:end].reshape(end - begin, IC, KH, KW), merge)

    return pack_panels(read, scale, size, block, V, whole=merge > 1)
