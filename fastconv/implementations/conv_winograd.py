"""Winograd's F(4x4, 3x3), F(2x2, 5x5) and F(2x2, 3x3): convolutions of stride 1 with 25, 36 and 44 % of the products."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .._constants import WIDEST_PANEL
from ..graph import Node, shape_text
from ..ops.conv import Conv
from ..ops.windows import Windows
from ..plan.binder import Binder, Step
from ..plan.cost import direct_cycles, prefer_small_tiles, winograd_cycles
from ..plan.layout import Halo
from ..plan.packing import Job, Packing, factors, ranges
from ..plan.select import Selection, Target
from ..weights import Weights
from .conv import ConvImplementation, bias_of, first_taps, pack_bias

if TYPE_CHECKING:
    from ..kernels import Kernels

#: bytes that the transformed windows and products of a block should fill for each thread that works on it, where it goes whole
#: and in steps; and the least tiles that are worth a read of the weights
WHOLE_BYTES, STEPS_BYTES, BLOCK_TILES = 1 << 20, 2 << 20, 18
#: with fewer products of channels than this, each thread reads all weights for blocks of its own
FEW_PRODUCTS = 128 * 128
KERNELS = [(3, 3), (5, 5)]


class OutputTiles(NamedTuple):
    """Output tiles: of MxM pixels, computed from windows of WxW; how many there are down and across.

    Pixels of a tile are as far apart as the taps, see the kernel.
    """

    M: int
    W: int
    TH: int
    TW: int


def output_tiles(windows: Windows) -> OutputTiles:
    """The tiles of an image."""
    K, D = windows.kernel[0], windows.dilations[0]

    def tiles(M: int) -> OutputTiles:
        TH, TW = (size // (M * D) * D + min(size % (M * D), D) for size in windows.out)
        return OutputTiles(M, M + K - 1, TH, TW)

    small = tiles(2)
    if K != 3:
        return small
    large = tiles(4)
    return small if prefer_small_tiles(large.TH * large.TW, small.TH * small.TW) else large


def pack_winograd(w: np.ndarray | Weights, kernels: Kernels, W: int) -> Packing:
    """Weights transformed for windows of WxW, see the kernel."""
    V = kernels.V
    OC, IC, K, _ = w.shape
    source, scale = factors(w, axis=0)

    def job(begin: int, end: int) -> Job:
        def fill(dst: np.ndarray) -> None:
            rows = np.ascontiguousarray(source[begin:end])  # as a folded Transpose leaves it, it need not be
            own, to = scale[begin:end].ctypes.data, dst[W * W * IC * begin :].ctypes.data
            kernels.conv_winograd.pack(rows.ctypes.data, own, end - begin, IC, K, W, to)

        return fill

    return Packing(-(-OC // V) * V * W * W * IC, [job(*span) for span in ranges(OC, 2 * V, IC * K * K * 4, least=V + 1)])


class ConvWinograd(ConvImplementation[Conv]):
    """3x3 or 5x5 taps of stride 1 and dilation DxD."""

    name = "winograd"
    fewer_products = True

    def refuse(self, node: Node, selection: Selection) -> str | None:
        if reason := super().refuse(node, selection):
            return reason
        windows, group = self.windows(node), self.op(node).group
        if selection.target.accuracy == "exact":
            return "accuracy='exact'"
        for name, given, wanted in (
            ("kernel", windows.kernel, KERNELS),
            ("stride", windows.strides, [(1, 1)]),
            ("dilation", windows.dilations, [windows.dilations[:1] * 2]),
        ):
            if given not in wanted:
                return f"{name} {shape_text(given)}"
        return f"group {group}" if group > 1 else None

    def time_share(self, node: Node, target: Target) -> float:
        """By direct convolution; for one image, so that an image in a batch is computed as it is alone."""
        (OC, IC), windows = node.input(1).dims[:2], self.windows(node)
        _, W, TH, TW = output_tiles(windows)
        direct = direct_cycles(math.prod((*windows.kernel, *windows.out, IC, OC)), target.V)
        return winograd_cycles(W, TH * TW, IC, OC, target.V) / direct

    def halo(self, node: Node) -> Halo:
        windows = self.windows(node)
        M, W, *tiles = output_tiles(windows)
        D = windows.dilations[0]
        last = [(t - 1) // D * M * D + (t - 1) % D for t in tiles]  # the first pixel of the last tile
        ends = [t + (W - 1) * D + 1 - b - d for t, b, d in zip(last, windows.begin, windows.size, strict=True)]
        return (windows.begin[0], windows.begin[1], max(ends[0], 0), max(ends[1], 0))

    def block(self, node: Node, target: Target) -> tuple[bool, int, int]:
        """Whether blocks go whole, the tiles of a block, and how many blocks there are: of equal size, as large as fits."""
        _, W, TH, TW = output_tiles(self.windows(node))
        N, (OC, IC) = node.input(0).dims[0], node.input(1).dims[:2]
        count = N * TH * TW
        whole = count >= BLOCK_TILES * target.threads and IC * OC < FEW_PRODUCTS
        times, size = (target.threads, WHOLE_BYTES) if whole else (1, STEPS_BYTES * target.threads)
        blocks = -(-count // max(size // (W * W * 4 * (IC + OC)), BLOCK_TILES))
        blocks = -(-blocks // times) * times
        return whole, -(-count // blocks), blocks

    def workspace(self, node: Node, target: Target) -> int:
        return sum(self.scratch(node, target))

    def scratch(self, node: Node, target: Target) -> tuple[int, int]:
        """Bytes for transformed windows and for products."""
        V, W, gap = target.V, output_tiles(self.windows(node)).W, target.kernels.conv_winograd.GAP
        whole, TB, _ = self.block(node, target)
        copies = target.threads if whole else 1
        OC, IC = node.input(1).dims[:2]
        windows, products = (copies * W * W * (-(-C // V) * TB * V + gap) * 4 for C in (IC, OC))
        return windows, products

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, w, V, windows = node.input(0), node.input(1), binder.target.V, self.windows(node)
        OC, IC = w.dims[:2]
        M, W, *_ = output_tiles(windows)
        whole, TB, blocks = self.block(node, binder.target)
        src, dst = binder.view(x), binder.view(node.results[0])
        fields = {
            "src": first_taps(src, windows).fields,
            "dst": dst.fields,
            "wei": binder.pack("winograd", pack_winograd, w.constant, kernels=binder.kernels, W=W),
            "bia": binder.pack("bias", pack_bias, bias_of(node), OC=OC, groups=1, V=V),
            "taps": binder.table([cb * TB * V for cb in range(-(-IC // V))]),
            "zeros": binder.constant(np.zeros(WIDEST_PANEL * V, np.float32)),
            "windows": binder.workspace(),
            "products": binder.workspace() + self.scratch(node, binder.target)[0],
            "M": M,
            "W": W,
            "D": windows.dilations[0],
            "N": x.dims[0],
            "IC": IC,
            "OCB": -(-OC // V),
            "OH": windows.out[0],
            "OW": windows.out[1],
            "TB": TB,
            **binder.epilogue(node),
        }
        kernel = binder.kernels.conv_winograd
        in_turn = (kernel.WINDOWS, kernel.PRODUCTS, kernel.OUTPUTS)
        phases = [(kernel.WHOLE, 0)] if whole else [(p, b * TB) for b in range(blocks) for p in in_turn]
        return [binder.step(kernel, phase=p, first=first, **fields) for p, first in phases]
