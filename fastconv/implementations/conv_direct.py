"""Direct convolution, in three forms that share one kernel: any kernel size, 1x1, and the first layer's few input channels.

The kernel (pyx/isa/conv_direct.pyx) walks a table of taps; what differs is the table, the layout of the source and which
shapes each form is for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from operator import methodcaller
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import _pack
from ..graph import Node, Value, shape_text
from ..ops.windows import Windows
from ..plan.bind import Binder, Step, View, epilogue_of
from ..plan.implementation import Implementation
from ..plan.packing import Packing, Piece, empty_aligned, factors, ranges
from ..plan.select import BLOCKED, PLANAR, RANKS, Target
from ..plan.strided import reorder
from ..weights import Weights

if TYPE_CHECKING:
    from ..plan.layouts import Halo

#: bytes of source that a chunk of output pixels should read: with a part of the weights it stays in L2
CHUNK_BYTES = 96 * 1024
#: least pixels of a chunk (each streams a part of the weights past it) and least items to share between threads
CHUNK_PIXELS, ITEMS = 48, 16
#: products of an output that are summed in one run: the rounding of long sums grows with it; a part's weights for it are 12 KB.
#: A 1x1 kernel's sums are shorter, and each run begins and ends with passes over the tile
RUN, POINTWISE_RUN = 192, 512
#: the least output channels for which it pays to put strided pixels side by side first (on Zen 3, and a Xeon with AVX-512)
GATHER_CHANNELS = 256


def conv_refusal(node: Node, ranks: Sequence[int] = (4,)) -> str | None:
    """What no kernel for convolutions over tensors of these ranks takes."""
    x, w = node.inputs[0], node.inputs[1]
    assert x is not None and w is not None
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if w.constant is None or (bias is not None and bias.constant is None):
        return "weights are not constant"
    if x.dtype != np.float32:
        return f"dtype {x.dtype}"
    if len(x.dims) not in ranks:
        return f"rank {len(x.dims)}"
    if 0 in x.dims:
        return "empty input"
    return None


def windows_of(node: Node) -> Windows:
    """The windows of a convolution whose shapes are known."""
    x, w = node.inputs[0], node.inputs[1]
    assert x is not None and w is not None
    return node.op.geometry(x.dims, w.dims[2:])  # type: ignore[attr-defined]


def bias_of(node: Node) -> np.ndarray | Weights | None:
    """The constant bias, where there is one."""
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    return bias.constant if bias is not None else None


def halo_of(windows: Windows) -> Halo:
    """The zeros that taps meet around the input."""
    after = [
        max((o - 1) * s + e - b - d, 0)
        for o, s, e, b, d in zip(windows.out, windows.strides, windows.extent, windows.begin, windows.size, strict=True)
    ]
    return (*windows.begin, *after)


class Groups(NamedTuple):
    """How a convolution's groups are computed: `merge` neighbouring ones as one, G in all, each of IC to OC channels."""

    G: int
    merge: int
    IC: int
    OC: int


def merge_groups(groups: int, IC: int, OC: int, V: int) -> Groups:
    """The fewest neighbouring groups to merge (with zero weights between them) so that their channels fill blocks of V.

    An infinity or NaN in one group reaches the groups merged with it.
    """
    ic, oc = IC // groups, OC // groups
    fits = (m for m in range(1, groups) if groups % m == 0 and m * ic % V == 0 and m * oc % V == 0)
    merge = next(fits, groups)
    return Groups(groups // merge, merge, merge * ic, merge * oc)


def block_diagonal(w: np.ndarray, merge: int) -> np.ndarray:
    """Weights OC IC/merge KH KW of neighbouring groups as OC IC KH KW, with zeros between them."""
    if merge == 1:
        return w
    OC, IC, KH, KW = w.shape
    out = np.zeros((merge, OC // merge, merge, IC, KH, KW), w.dtype)
    for m, own in enumerate(w.reshape(merge, OC // merge, IC, KH, KW)):
        out[m, :, m] = own
    return out.reshape(OC, merge * IC, KH, KW)


def tiles(
    read: Callable[[int, int], np.ndarray],
    scale: np.ndarray,
    size: tuple[int, int, int, int, int],
    block: int,
    V: int,
    by_input: bool = False,
    whole: bool = False,
) -> Packing:
    """Weights of `size` G OC IC KH KW in the order the tile reads them, group by group; see pyx/pack.pyx.

    `read(begin, end)` gives OC IC KH KW of some output channels, or `by_input` of some input channels, numbered through the
    groups, and the `whole` of a group at once where it must be. scale: a factor for each output channel. `block` is V for a
    blocked source, 1 for a planar one.
    """
    G, OC, IC, KH, KW = size
    taps = KH * KW
    room = -(-OC // V) * V * IC * taps

    def piece(g: int, begin: int, end: int) -> Piece:
        """Some output channels, or all of them and some input channels, of group g."""
        first, a, b = (begin, 0, OC) if by_input else (0, begin, end)
        start, own = g * (IC if by_input else OC), slice(g * OC + a, g * OC + b)

        def fill(dst: np.ndarray) -> None:
            _pack.pack(read(start + begin, start + end), scale[own], IC, first, block, V, dst[g * room + a * IC * taps :])

        return fill

    if by_input:
        parts = ranges(IC, IC if whole else block, OC * taps * 4)
    else:  # a last part of three blocks stays whole
        parts = ranges(OC, OC if whole else 2 * V, IC * taps * 4, least=V + 1)
    return Packing(G * room, [piece(g, begin, end) for g in range(G) for begin, end in parts])


def pack_weights(w: np.ndarray | Weights, groups: int, merge: int, block: int, V: int) -> Packing:
    """Weights OC IC/groups [KD] KH KW, `merge` groups as one, in the order the tile reads them."""
    OC, IC, *planes, KH, KW = w.shape
    KH *= math.prod(planes)
    G = groups // merge
    source, scale = factors(w, axis=0)
    size = (G, OC // G, IC * merge, KH, KW)
    matrix = source.columns_of if isinstance(source, Weights) else None
    if matrix is not None and G == 1:
        return tiles(lambda a, b: matrix[a:b].T[:, :, None, None], scale, size, block, V, by_input=True)

    def read(begin: int, end: int) -> np.ndarray:
        return block_diagonal(source[begin:end].reshape(end - begin, IC, KH, KW), merge)

    return tiles(read, scale, size, block, V, whole=merge > 1)


def pack_bias(b: np.ndarray | None, OC: int, groups: int, V: int) -> np.ndarray:
    """One bias for each lane of each group's channel blocks; zero where there is none."""
    oc = OC // groups
    dst = empty_aligned((groups, -(-oc // V) * V))
    dst[...] = 0
    if b is not None:
        dst[:, :oc] = b.reshape(groups, oc)
    return dst


def steps(*axes: tuple[int, int]) -> np.ndarray:
    """Offsets (int64) of the elements of axes that have so many, so far apart: the last axis runs fastest."""
    offsets = np.zeros(1, np.int64)
    for count, step in axes:
        offsets = np.add.outer(offsets, np.arange(count) * step).reshape(-1)
    return offsets


def run_products(taps: int) -> int:
    """About how many products of a kernel with so many taps are summed in one run."""
    return RUN if taps > 1 else POINTWISE_RUN


def run_segments(products: int, segments: int, taps: int, block: int) -> int:
    """How many of the segments are summed before the next pixels' turn, for outputs of so many products.

    Runs are equal, and of whole channel blocks, each of `block` segments, where a block is shorter than a run.
    """
    if segments == 0:
        return 0
    runs = max(round(products / run_products(taps)), 1)
    run = -(-segments // runs)
    return run if run <= block else -(-run // block) * block


def chunk_pixels(windows: Windows, IC: int, parts: int, images: int) -> int:
    """How many output pixels an item takes: their source fits in L2, and there are items enough for every thread."""
    pixels = math.prod(windows.out[-2:])
    stride = math.prod(max(min(s, k), 1) for s, k in zip(windows.strides, windows.kernel, strict=True))
    taps = math.prod(windows.kernel)
    IC = min(IC, max(run_products(taps) // max(taps, 1), 1))
    chunk = max(CHUNK_BYTES // (4 * IC * stride), CHUNK_PIXELS)
    wanted = -(-ITEMS // (parts * images))
    chunk = min(chunk, max(pixels // wanted, CHUNK_PIXELS), pixels)
    return -(-pixels // -(-pixels // chunk))


class ConvBase(Implementation):
    """What implementations of convolution share: layouts, the zeros around the source, a pass of the kernel over taps.

    To the kernel the planes of a volume are images, and taps along its depth lie in other images: there is a pass for each.
    """

    source = BLOCKED

    def refuse(self, node: Node, target: Target) -> str | None:
        return conv_refusal(node)

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, str], str]:
        x = node.inputs[0]
        assert x is not None
        residual, _ = epilogue_of(node)
        wants = {x: self.source}
        if residual is not None:
            wants[residual] = BLOCKED
        return wants, BLOCKED

    def halo(self, node: Node) -> Halo:
        return halo_of(windows_of(node))

    def taps(self, windows: Windows, channels: int, src: View, V: int) -> tuple[np.ndarray, dict[str, int]]:
        """The table of taps for `channels` input channels, and its lengths as the kernel's fields."""
        blocks = -(-channels // V)
        table = steps((blocks, src.c), *tap_axes(windows, src))
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
        """One pass of the kernel with packed weights and bias, from the images src to the images dst."""
        V, taps = binder.target.V, math.prod(windows.kernel)
        OCB = -(-groups.OC // V)
        table, lengths = self.taps(windows, groups.IC, src, V)
        begin = sum(b * s for b, s in zip(windows.begin, tap_strides(windows, src), strict=True))
        deep, sh, sw = (1, *windows.strides)[-3:]
        N, OH, OW = (src.shape[0], *windows.out)[-3:]
        return binder.step(
            binder.kernels.conv_direct,
            src=src.ref, dst=dst.ref, wei=wei, bia=bia,
            taps=binder.table(table - begin), **lengths,
            N=N, G=groups.G, OCB=OCB, OH=OH, OW=OW,
            chunk=chunk_pixels(windows, groups.IC, max(OCB // 2, 1), N * groups.G),
            src_n=deep * src.n, src_g=groups.IC // (V if self.source == BLOCKED else 1) * src.c,
            src_h=sh * src.h, src_w=sw * src.w,
            run=run_segments(groups.IC * taps, lengths["segments"], taps, taps if self.source == BLOCKED else 1),
            **dst.strides("dst"),
            **epilogue,
        )  # fmt: skip


def tap_strides(windows: Windows, src: View) -> tuple[int, ...]:
    """The strides of the axes that windows slide over: with three of them, the images are the planes of a volume."""
    return (src.n, src.h, src.w)[-len(windows.kernel) :]


def tap_axes(windows: Windows, src: View) -> list[tuple[int, int]]:
    """How many taps there are along each axis, and how far apart in floats."""
    return [(k, d * s) for k, d, s in zip(windows.kernel, windows.dilations, tap_strides(windows, src), strict=True)]


def passes(x: Value) -> list[Callable[[View], View]]:
    """For each pass of the kernel over a source, or a result of the same images, which part of a view has its images."""
    if len(x.dims) == 4:
        return [lambda view: view]
    return [methodcaller("planes", image) for image in range(x.dims[0])]


class ConvDirect(ConvBase):
    """Any convolution of a blocked source."""

    name = "direct"

    def refuse(self, node: Node, target: Target) -> str | None:
        return conv_refusal(node, ranks=RANKS)

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, w = node.inputs[0], node.inputs[1]
        assert x is not None and w is not None
        V, groups = binder.target.V, node.op.group  # type: ignore[attr-defined]
        block = V if self.source == BLOCKED else 1
        merged = merge_groups(groups, x.dims[1], w.dims[0], V)
        wei = binder.pack("direct", pack_weights, w.constant, groups=groups, merge=merged.merge, block=block, V=V)
        bia = binder.pack("bias", pack_bias, bias_of(node), OC=w.dims[0], groups=merged.G, V=V)
        windows, src, dst = windows_of(node), binder.view(x), binder.view(node.results[0])
        gather: list[Step] = []
        if self.workspace(node, binder.target):
            (N, C, _, _), (H, W) = src.shape, windows.out
            read, plane = src.every((-windows.begin[0], -windows.begin[1]), windows.strides), H * W * V
            src = View(binder.workspace(), (N, C, H, W), BLOCKED, -(-C // V) * plane, plane, W * V, V)
            gather, windows = reorder(binder, read, src), replace(windows, strides=(1, 1), begin=(0, 0))
        return [
            *gather,
            *(
                self.step(binder, windows, merged, wei, bia, part(src), part(dst), binder.epilogue(node, part))
                for part in passes(x)
            ),
        ]

    def workspace(self, node: Node, target: Target) -> int:
        """Room for the pixels that a strided 1x1 kernel reads, side by side.

        Where they lie, they share cache lines or pages with others, all of which each part of the output channels would read.
        """
        x, w = node.inputs[0], node.inputs[1]
        assert x is not None and w is not None
        windows, V = windows_of(node), target.V
        strided = self.source == BLOCKED and windows.kernel == (1, 1) and windows.strides[1] > 1
        if not strided or w.dims[0] < GATHER_CHANNELS:
            return 0
        return x.dims[0] * -(-x.dims[1] // V) * V * math.prod(windows.out) * 4


class ConvPointwise(ConvDirect):
    """A 1x1 convolution: one tap, no halo."""

    name = "pointwise"

    def refuse(self, node: Node, target: Target) -> str | None:
        if reason := conv_refusal(node, ranks=RANKS):
            return reason
        kernel = windows_of(node).kernel
        return None if set(kernel) == {1} else f"kernel {shape_text(kernel)}"


class ConvFirst(ConvDirect):
    """The first layer: up to four input channels, read from planes as the image has them."""

    name = "first"
    source = PLANAR

    def refuse(self, node: Node, target: Target) -> str | None:
        if reason := conv_refusal(node, ranks=RANKS):
            return reason
        x = node.inputs[0]
        assert x is not None
        if x.dims[1] > 4:
            return f"{x.dims[1]} input channels"
        if node.op.group > 1:  # type: ignore[attr-defined]
            return f"group {node.op.group}"  # type: ignore[attr-defined]
        if epilogue_of(node)[0] is x:
            return "the source is the residual too"  # which is read blocked
        if target.layout(x) == BLOCKED:
            return "the source is blocked"
        return None

    def taps(self, windows: Windows, channels: int, src: View, V: int) -> tuple[np.ndarray, dict[str, int]]:
        axes = tap_axes(windows, src)
        if windows.dilations[-1] == 1:
            rows = steps((channels, src.c), *axes[:-1])
            return rows, {"segments": len(rows), "length": windows.kernel[-1], "tail_segments": 0, "tail_length": 0}
        table = steps((channels, src.c), *axes)
        return table, {"segments": len(table), "length": 1, "tail_segments": 0, "tail_length": 0}
