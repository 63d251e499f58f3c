"""Convolution of bytes by the kernel conv_int8: any kernel size, 1x1, and the first layer's few input channels."""

from __future__ import annotations

import math

import numpy as np

from ..graph import Node, Value, shape_text
from ..ops.conv import Conv
from ..ops.quantized import Quantized, store_of
from ..ops.windows import Windows
from ..plan.binder import Binder, Step
from ..plan.layout import CHANNELS_LAST, CHANNELS_LAST_4, Halo, Layout
from ..plan.select import Selection, Target
from ..plan.view import NO_VIEW, View
from .conv import Groups, first_refusal, first_taps, halo_of, halo_refusal, merge_groups
from .conv_taps import grid_offsets, tap_axes
from .int8 import GROUP, SEGMENT, Channels, Order, SumsInt8, weights_form

#: bytes of a chunk's source: it stays in L1 while the panels of weights pass. Many weights come from beyond L2 for each chunk:
#: then it stays in L2
CHUNK_BYTES, LARGE_CHUNK_BYTES, MANY_WEIGHTS = 32 * 1024, 256 * 1024, 512 * 1024
#: bytes of weights beyond which a panel's come from L2 or memory, and are prefetched
FEW_WEIGHTS = 100_000
#: the most pixels that AMX multiplies at a time
MOST_PIXELS = 16


class ConvInt8(SumsInt8[Conv]):
    """Any convolution of a source with its channels last."""

    name = "direct-int8"
    ranks = (4,)

    def channels_axis(self, node: Node) -> int:
        return 0

    def refuse(self, node: Node, selection: Selection) -> str | None:
        return super().refuse(node, selection) or halo_refusal(node.input(0).dims, self.layout, 1, self.halo(node))

    def windows(self, node: Node) -> Windows:
        """The windows over the source."""
        return self.op(node).geometry(node.input(0).dims, node.input(1).dims[2:])

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, Layout], Layout]:
        (x,), store = self.operands(node), store_of(node)
        wants = {x: self.layout}
        if store and store.residual:
            wants[store.residual.integers] = CHANNELS_LAST
        return wants, CHANNELS_LAST

    layout: Layout = CHANNELS_LAST

    def halo(self, node: Node) -> Halo:
        return halo_of(self.windows(node))

    def halo_value(self, node: Node) -> int:
        return int(self.sums(node).x.zero)

    def groups(self, node: Node) -> Groups:
        """How the convolution's groups are computed."""
        return merge_groups(self.op(node).group, node.input(0).dims[1], node.results[0].dims[1], CHANNELS_LAST.block)

    def channels(self, node: Node, w: Quantized) -> Channels:
        groups = self.groups(node)
        return super().channels(node, w)._replace(G=groups.G, merge=groups.merge)

    def order(self, windows: Windows, IC: int, src: View, form: str) -> Order:
        """The order in which the bytes of a window are read: for AMX, a row of the kernel is one run if that takes less."""
        KW = windows.kernel[-1]
        if windows.dilations[-1] == 1 and -(-KW * src.w // SEGMENT) < KW * -(-IC // SEGMENT):
            return Order(form, KW, src.w)
        return Order(form, 1, IC)

    def offsets(self, windows: Windows, IC: int, src: View, order: Order, reads: int) -> tuple[np.ndarray, dict[str, int]]:
        """The table of offsets, `reads` times, and how many of them are segments and single groups."""
        block, taps = CHANNELS_LAST.block, tap_axes(windows, src)
        if order.form == "tiles":
            runs = taps[:-1] if order.run > 1 else taps
            full, tail = grid_offsets(*runs, (-(-order.run * order.width // SEGMENT), SEGMENT)), np.zeros(0, np.int64)
        else:
            full = grid_offsets(*taps, (IC // block, block))
            tail = grid_offsets(*taps, (-(-(IC % block) // GROUP), GROUP)) + IC // block * block
        return np.concatenate([full] * reads + [tail] * reads), {"segments": len(full) * reads, "groups": len(tail) * reads}

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        kernel, sums, windows, groups = binder.kernels.conv_int8, self.sums(node), self.windows(node), self.groups(node)
        (x,) = self.operands(node)
        src, dst, residual = binder.view(x), binder.view(node.results[0]), sums.store.residual
        add = NO_VIEW if residual is None else binder.view(residual.integers)
        taps = math.prod(windows.kernel)
        order = self.order(windows, groups.IC, src, weights_form(kernel, taps * groups.IC))
        table, counts = self.offsets(windows, groups.IC, src, order, self.channels(node, sums.w).parts)
        read = first_taps(src, windows)._replace(c=groups.IC)
        N, OH, OW = (src.shape[0], *windows.out)
        views = (read, dst) if residual is None else (read, dst, add)
        if all(v.h == OW * v.w for v in views):  # rows without gaps are one long row
            OH, OW = 1, OH * OW
        fields = self.sums_fields(node, binder, sums, order)
        M = -(-OW // -(-OW // MOST_PIXELS))
        most = M if order.form == "tiles" else kernel.tile_rows()[1]
        weights = groups.IC * taps * groups.OC
        rows, cols = chunk(OH, OW, groups.IC, windows, most, chunk_bytes(weights))
        return [
            binder.step(
                kernel, src=read.fields, dst=dst.fields, add=add.fields, offsets=binder.table(table), **counts, **fields,
                N=N, OH=OH, OW=OW, rows=rows, cols=cols, M=M, panels=1, fetch=weights > FEW_WEIGHTS,
            )
        ]  # fmt: skip


def chunk(OH: int, OW: int, IC: int, windows: Windows, most: int, size: int) -> tuple[int, int]:
    """Output rows and columns of a chunk, whose source has about `size` bytes; `most` pixels are a tile."""
    if OH == 1:
        return 1, chunk_pixels(OW, IC, most, size)
    row = IC * windows.size[-1] * min(windows.strides[0], windows.kernel[0])
    return min(max(size // row, 2), OH), OW


def chunk_pixels(count: int, IC: int, most: int, size: int) -> int:
    """How many of a row's pixels are a chunk: whole tiles of `most` pixels, and no chunk has less than a tile."""
    cols = max(size // IC // most, 1) * most
    while cols < count and 0 < count % cols < most:
        cols += most
    return min(cols, count)


def chunk_bytes(weights: int) -> int:
    """How many bytes of source are a chunk, for a layer with so many weights."""
    return LARGE_CHUNK_BYTES if weights > MANY_WEIGHTS else CHUNK_BYTES


class ConvPointwiseInt8(ConvInt8):
    """A 1x1 convolution: one tap, no halo."""

    name = "pointwise-int8"

    def refuse(self, node: Node, selection: Selection) -> str | None:
        kernel = self.windows(node).kernel
        return super().refuse(node, selection) if set(kernel) == {1} else f"kernel {shape_text(kernel)}"


class ConvFirstInt8(ConvInt8):
    """The first layer: few input channels, which fill one group."""

    name = "first-int8"
    layout = CHANNELS_LAST_4

    def refuse(self, node: Node, selection: Selection) -> str | None:
        return super().refuse(node, selection) or first_refusal(node.input(0).dims[1], self.op(node).group)
