"""Winograd's F(4x4, 3x3) and F(2x2, 5x5): convolutions of stride 1 with a quarter (36 %) of the products."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..graph import Node
from ..plan.bind import Binder, Step
from ..plan.layouts import Halo
from ..plan.packing import Packing, Piece, factors, ranges
from ..plan.select import Target
from ..weights import Weights
from .conv_direct import ConvDirect, bias_of, conv_refusal, pack_bias, windows_of
from .windows import Windows

if TYPE_CHECKING:
    from ..kernels import Kernels

#: `Phase` of pyx/isa/conv_winograd.pyx
FUSED, WINDOWS, PRODUCTS = range(3)
#: bytes that the transformed windows of a block should fill, and the least tiles of a block: they share a read of the weights
BLOCK_BYTES, BLOCK_TILES = 160 * 1024, 18
#: the kernel sizes whose tiles have windows of 6x6
KERNELS = [(3, 3), (5, 5)]
#: with fewer blocks than this, windows and products are two steps
FEW_BLOCKS = 8


def pack_winograd(w: np.ndarray | Weights, kernels: Kernels) -> Packing:
    """Transformed weights, see the kernel."""
    V = kernels.V
    OC, IC, K, _ = w.shape
    source, scale = factors(w, axis=0)

    def piece(begin: int, end: int) -> Piece:
        def fill(dst: np.ndarray) -> None:
            rows = np.ascontiguousarray(source[begin:end])  # as a folded Transpose leaves it, it need not be
            own, to = scale[begin:end].ctypes.data, dst[36 * IC * begin :].ctypes.data
            kernels.conv_winograd.pack(rows.ctypes.data, own, end - begin, IC, K, to)

        return fill

    return Packing(-(-OC // V) * V * 36 * IC, [piece(*part) for part in ranges(OC, 2 * V, IC * K * K * 4, least=V + 1)])


def tile_pixels(windows: Windows) -> int:
    """M, the rows and columns of an output tile, whose window is 6x6."""
    return 7 - windows.kernel[0]


def sizes(node: Node) -> tuple[int, int, int, int, int]:
    """N, IC, OC, and tiles down and across."""
    x, w = node.inputs[0], node.inputs[1]
    assert x is not None and w is not None
    windows = windows_of(node)
    M, (OH, OW) = tile_pixels(windows), windows.out
    return x.dims[0], x.dims[1], w.dims[0], -(-OH // M), -(-OW // M)


class ConvWinograd(ConvDirect):
    """A 3x3 or 5x5 convolution of stride 1, with tiles enough to pay for the transforms and the larger weights."""

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
            ("dilation", windows.dilations, [(1, 1)]),
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
        _, IC, OC, TH, TW = sizes(node)
        T = TH * TW
        windows = windows_of(node)
        (KH, KW), (OH, OW) = windows.kernel, windows.out
        products = 36 * IC * OC * T / (2 * V) * max(1.0, 4 / T)
        transforms = T * (IC * 150 + OC * 130) / V
        stream = 36 * IC * OC * 4 / 6
        return max(1.1 * products, stream) + transforms, KH * KW * IC * OC * OH * OW / (2 * V)

    def halo(self, node: Node) -> Halo:
        x = node.inputs[0]
        assert x is not None
        windows = windows_of(node)
        M = tile_pixels(windows)
        ends = [-(-o // M) * M + 6 - M - b - d for o, b, d in zip(windows.out, windows.begin, x.dims[2:], strict=True)]
        return (windows.begin[0], windows.begin[1], max(ends[0], 0), max(ends[1], 0))

    def block(self, node: Node, V: int) -> tuple[int, int]:
        """Tiles of a block, and how many blocks there are: of equal size, as large as fits."""
        N, IC, _, TH, TW = sizes(node)
        T = N * TH * TW
        most = max(BLOCK_BYTES // (36 * 4 * -(-IC // V) * V), BLOCK_TILES)
        blocks = -(-T // most)
        return -(-T // blocks), blocks

    def workspace(self, node: Node, target: Target) -> int:
        windows, products = self.scratch(node, target)
        return windows + products

    def scratch(self, node: Node, target: Target) -> tuple[int, int]:
        """Bytes for transformed windows and for products."""
        V = target.V
        TB, blocks = self.block(node, V)
        one = 36 * (-(-sizes(node)[1] // V) * TB * V + 16) * 4
        return one * (target.threads if blocks >= FEW_BLOCKS else blocks), target.threads * 36 * TB * 3 * V * 4

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, w = node.inputs[0], node.inputs[1]
        assert x is not None and w is not None and w.constant is not None
        V = binder.target.V
        N, IC, OC, *_ = sizes(node)
        OH, OW = windows_of(node).out
        TB, blocks = self.block(node, V)
        windows = windows_of(node)
        src, dst = binder.view(x), binder.view(node.results[0])
        fields = {
            "src": src.ref - 4 * (windows.begin[0] * src.h + windows.begin[1] * src.w),
            "dst": dst.ref,
            "wei": binder.pack("winograd", pack_winograd, w.constant, kernels=binder.kernels),
            "bia": binder.pack("bias", pack_bias, bias_of(node), OC=OC, groups=1, V=V),
            "taps": binder.table([cb * TB * V for cb in range(-(-IC // V))]),
            "zeros": binder.constant(np.zeros(3 * V, np.float32)),
            "windows": binder.workspace(),
            "products": binder.workspace() + self.scratch(node, binder.target)[0],
            "M": tile_pixels(windows),
            "N": N,
            "IC": IC,
            "OCB": -(-OC // V),
            "OH": OH,
            "OW": OW,
            "TB": TB,
            "src_n": src.n,
            "src_c": src.c,
            "src_h": src.h,
            **dst.strides("dst"),
            **binder.epilogue(node),
        }
        phases = (FUSED,) if blocks >= FEW_BLOCKS else (WINDOWS, PRODUCTS)
        return [binder.step(binder.kernels.conv_winograd, phase=phase, **fields) for phase in phases]
