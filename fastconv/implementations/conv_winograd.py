"""Winograd's F(4x4, 3x3), F(2x2, 5x5) and F(2x2, 3x3): convolutions of stride 1 with 25, 36 and 44 % of the products."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..graph import Node
from ..ops.windows import Windows
from ..plan.bind import Binder, Step
from ..plan.layouts import Halo
from ..plan.packing import Packing, Piece, factors, ranges
from ..plan.select import Target
from ..weights import Weights
from .conv_direct import ConvBase, bias_of, conv_refusal, pack_bias, windows_of

if TYPE_CHECKING:
    from ..kernels import Kernels

#: `Phase` of pyx/isa/conv_winograd.pyx
WINDOWS, PRODUCTS, OUTPUTS, WHOLE = range(4)
#: bytes that the transformed windows and products of a block should fill for each thread that works on it, where it goes whole
#: and in steps; and the least tiles that are worth a read of the weights
WHOLE_BYTES, STEPS_BYTES, BLOCK_TILES = 1 << 20, 2 << 20, 18
#: with fewer products of channels than this, each thread reads all weights for blocks of its own
FEW_PRODUCTS = 128 * 128
KERNELS = [(3, 3), (5, 5)]
#: with fewer tiles of 4x4 than this in an image, to read their weights takes longer than their products
FEW_TILES = 6
#: the products of a tile of 4x4 by those of one of 2x2: where large tiles reach far past the image, small ones have fewer
LARGER = 36 / 16


class Tiles(NamedTuple):
    """Output tiles: of MxM pixels, computed from windows of WxW; how many there are down and across.

    Pixels of a tile are as far apart as the taps, see the kernel.
    """

    M: int
    W: int
    TH: int
    TW: int


def tiles_of(windows: Windows) -> Tiles:
    """The tiles of an image."""
    K, D = windows.kernel[0], windows.dilations[0]

    def tiles(M: int) -> Tiles:
        TH, TW = (size // (M * D) * D + min(size % (M * D), D) for size in windows.out)
        return Tiles(M, M + K - 1, TH, TW)

    small = tiles(2)
    if K != 3:
        return small
    large = tiles(4)
    few = large.TH * large.TW < FEW_TILES or large.TH * large.TW * LARGER > small.TH * small.TW
    return small if few else large


def pack_winograd(w: np.ndarray | Weights, kernels: Kernels, W: int) -> Packing:
    """Weights transformed for windows of WxW, see the kernel."""
    V = kernels.V
    OC, IC, K, _ = w.shape
    source, scale = factors(w, axis=0)

    def piece(begin: int, end: int) -> Piece:
        def fill(dst: np.ndarray) -> None:
            rows = np.ascontiguousarray(source[begin:end])  # as a folded Transpose leaves it, it need not be
            own, to = scale[begin:end].ctypes.data, dst[W * W * IC * begin :].ctypes.data
            kernels.conv_winograd.pack(rows.ctypes.data, own, end - begin, IC, K, W, to)

        return fill

    return Packing(-(-OC // V) * V * W * W * IC, [piece(*part) for part in ranges(OC, 2 * V, IC * K * K * 4, least=V + 1)])


class ConvWinograd(ConvBase):
    """3x3 or 5x5 taps of stride 1 and dilation DxD, with tiles enough to pay for the transforms and the larger weights."""

    name = "winograd"

    def refuse(self, node: Node, target: Target) -> str | None:
        if reason := conv_refusal(node):
            return reason
        windows = windows_of(node)
        if target.accuracy == "exact":
            return "accuracy='exact'"
        for name, given, wanted in (
            ("kernel", windows.kernel, KERNELS),
            ("stride", windows.strides, [(1, 1)]),
            ("dilation", windows.dilations, [windows.dilations[:1] * 2]),
        ):
            if given not in wanted:
                return f"{name} {given[0]}x{given[1]}"
        if node.op.group > 1:  # type: ignore[attr-defined]
            return f"group {node.op.group}"  # type: ignore[attr-defined]
        if target.algorithm is None:
            own, direct = self.cycles(node, target.V)
            if own > 0.85 * direct:
                return f"estimated {own / direct:.2f} of direct's time"
        return None

    def cycles(self, node: Node, V: int) -> tuple[float, float]:
        """Estimated cycles of this and of direct convolution: two FMAs of V floats a cycle, 6 bytes of weights from memory.

        For one image, so that an image in a batch is computed as it is alone.
        """
        x, w = node.inputs[0], node.inputs[1]
        assert x is not None and w is not None
        windows, IC, OC = windows_of(node), x.dims[1], w.dims[0]
        _, W, TH, TW = tiles_of(windows)
        T = TH * TW
        products = W * W * IC * OC * T / (2 * V) * max(1.0, 4 / T)
        transforms = W * W * T * (IC * 4.2 + OC * 3.6) / V
        stream = W * W * IC * OC * 4 / 6
        return max(1.1 * products, stream) + transforms, math.prod((*windows.kernel, *windows.out, IC, OC)) / (2 * V)

    def halo(self, node: Node) -> Halo:
        x = node.inputs[0]
        assert x is not None
        windows = windows_of(node)
        M, W, *tiles = tiles_of(windows)
        D = windows.dilations[0]
        last = [(t - 1) // D * M * D + (t - 1) % D for t in tiles]  # the first pixel of the last tile
        ends = [t + (W - 1) * D + 1 - b - d for t, b, d in zip(last, windows.begin, x.dims[2:], strict=True)]
        return (windows.begin[0], windows.begin[1], max(ends[0], 0), max(ends[1], 0))

    def block(self, node: Node, target: Target) -> tuple[bool, int, int]:
        """Whether blocks go whole, the tiles of a block, and how many blocks there are: of equal size, as large as fits."""
        x, w = node.inputs[0], node.inputs[1]
        assert x is not None and w is not None
        _, W, TH, TW = tiles_of(windows_of(node))
        (N, IC), OC = x.dims[:2], w.dims[0]
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
        x, w = node.inputs[0], node.inputs[1]
        assert x is not None and w is not None
        V, W = target.V, tiles_of(windows_of(node)).W
        whole, TB, _ = self.block(node, target)
        copies = target.threads if whole else 1
        windows, products = (copies * W * W * (-(-C // V) * TB * V + 16) * 4 for C in (x.dims[1], w.dims[0]))
        return windows, products

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, w = node.inputs[0], node.inputs[1]
        assert x is not None and w is not None and w.constant is not None
        V = binder.target.V
        (N, IC), OC = x.dims[:2], w.dims[0]
        windows = windows_of(node)
        M, W, *_ = tiles_of(windows)
        whole, TB, blocks = self.block(node, binder.target)
        src, dst = binder.view(x), binder.view(node.results[0])
        fields = {
            "src": src.ref - 4 * (windows.begin[0] * src.h + windows.begin[1] * src.w),
            "dst": dst.ref,
            "wei": binder.pack("winograd", pack_winograd, w.constant, kernels=binder.kernels, W=W),
            "bia": binder.pack("bias", pack_bias, bias_of(node), OC=OC, groups=1, V=V),
            "taps": binder.table([cb * TB * V for cb in range(-(-IC // V))]),
            "zeros": binder.constant(np.zeros(3 * V, np.float32)),
            "windows": binder.workspace(),
            "products": binder.workspace() + self.scratch(node, binder.target)[0],
            "M": M,
            "W": W,
            "D": windows.dilations[0],
            "N": N,
            "IC": IC,
            "OCB": -(-OC // V),
            "OH": windows.out[0],
            "OW": windows.out[1],
            "TB": TB,
            "src_n": src.n,
            "src_c": src.c,
            "src_h": src.h,
            **dst.strides("dst"),
            **binder.epilogue(node),
        }
        parts = [(WHOLE, 0)] if whole else [(p, b * TB) for b in range(blocks) for p in (WINDOWS, PRODUCTS, OUTPUTS)]
        return [binder.step(binder.kernels.conv_winograd, phase=p, first=first, **fields) for p, first in parts]
