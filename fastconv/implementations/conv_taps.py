"""Steps of the kernel conv_direct with a table of taps, which direct and transposed convolution share."""

from __future__ import annotations

import math
from collections.abc import Callable
from operator import methodcaller
from typing import Any

import numpy as np

from ..graph import Value
from ..ops.windows import Windows
from ..plan.binder import Binder, Step
from ..plan.view import View
from .conv import C, ConvImplementation, Groups, first_taps
from .panels import k_block

#: bytes of source that a chunk of output pixels should read: with a panel of weights it stays in L2
CHUNK_BYTES = 96 * 1024
#: least pixels of a chunk (each streams a panel of weights past it) and least items to share between threads
CHUNK_PIXELS, ITEMS = 48, 16


class ConvTaps(ConvImplementation[C]):
    """A convolution by steps of the kernel conv_direct.

    To the kernel the planes of a volume are images, and taps along its depth lie in other images: each volume has a step.
    """

    def taps(self, windows: Windows, channels: int, src: View) -> tuple[np.ndarray, dict[str, int]]:
        """The table of taps for `channels` input channels, and the lengths of its segments as the kernel's fields."""
        V = src.layout.block
        blocks = -(-channels // V)
        table = grid_offsets((blocks, src.c), *tap_axes(windows, src))
        tail = channels % V
        full = (blocks - bool(tail)) * math.prod(windows.kernel)
        return table, {"segments": full, "length": V, "tail_segments": len(table) - full, "tail_length": tail}

    def step(
        self,
        binder: Binder,
        windows: Windows,
        groups: Groups,
        wei: int,
        bia: int,
        src: View,
        dst: View,
        epilogue: dict[str, Any],
    ) -> Step:
        """The step with packed weights and bias, from the images src to the images dst."""
        taps, panels = math.prod(windows.kernel), max(-(-groups.OC // binder.target.V) // 2, 1)
        table, lengths = self.taps(windows, groups.IC, src)
        N, OH, OW = (src.shape[0], *windows.out)[-3:]
        by_group = first_taps(src, windows)._replace(c=groups.IC // src.layout.block * src.c)
        return binder.step(
            binder.kernels.conv_direct,
            src=by_group.fields, dst=dst.fields, wei=wei, bia=bia, taps=binder.table(table), **lengths,
            N=N, G=groups.G, OCB=-(-groups.OC // binder.target.V), OH=OH, OW=OW,
            chunk=chunk_pixels(windows, groups.IC, panels, N * groups.G),
            k_block=k_block_segments(groups.IC * taps, lengths["segments"], taps, taps if src.layout.is_blocked else 1),
            **epilogue,
        )  # fmt: skip


def grid_offsets(*axes: tuple[int, int]) -> np.ndarray:
    """Offsets (int64) of the elements of axes, each (size, stride); the last axis runs fastest.

    >>> grid_offsets((2, 10), (3, 1)).tolist()
    [0, 1, 2, 10, 11, 12]
    """
    offsets = np.zeros(1, np.int64)
    for size, stride in axes:
        offsets = np.add.outer(offsets, np.arange(size) * stride).reshape(-1)
    return offsets


def tap_strides(windows: Windows, src: View) -> tuple[int, ...]:
    """The strides of the axes that windows slide over: with three of them, the images are the planes of a volume."""
    return (src.n, src.h, src.w)[-len(windows.kernel) :]


def tap_axes(windows: Windows, src: View) -> list[tuple[int, int]]:
    """How many taps there are along each axis, and their stride in elements."""
    return [(k, d * s) for k, d, s in zip(windows.kernel, windows.dilations, tap_strides(windows, src), strict=True)]


def image_views(x: Value) -> list[Callable[[View], View]]:
    """For each step of the kernel, a function that gives the view of its images: in x, or in a result of as many images."""
    if len(x.dims) == 4:
        return [lambda view: view]
    return [methodcaller("planes", n) for n in range(x.dims[0])]


def k_block_segments(products: int, segments: int, taps: int, block: int) -> int:
    """How many of the segments are one K block, if an output is the sum of `products` products.

    K blocks are equal, and of whole channel blocks, each of `block` segments, where these are shorter than a K block.
    """
    if segments == 0:
        return 0
    count = max(round(products / k_block(taps)), 1)
    size = -(-segments // count)
    return size if size <= block else -(-size // block) * block


def chunk_pixels(windows: Windows, IC: int, panels: int, images: int) -> int:
    """How many output pixels an item takes: their source fits in L2, and there are items enough for every thread."""
    pixels: int = math.prod(windows.out[-2:])
    stride = math.prod(max(min(s, k), 1) for s, k in zip(windows.strides, windows.kernel, strict=True))
    taps = math.prod(windows.kernel)
    IC = min(IC, max(k_block(taps) // max(taps, 1), 1))
    chunk = max(CHUNK_BYTES // (4 * IC * stride), CHUNK_PIXELS)
    wanted = -(-ITEMS // (panels * images))
    chunk = min(chunk, max(pixels // wanted, CHUNK_PIXELS), pixels)
    return -(-pixels // -(-pixels // chunk))
