"""Depthwise convolution of bytes: as many groups as channels."""

from __future__ import annotations

import numpy as np

from ..graph import Node
from ..plan.binder import Binder, Step
from ..plan.packing import empty_aligned
from ..plan.select import Selection
from ..plan.view import NO_VIEW, View
from ..weights import Weights
from .conv import first_taps
from .conv_int8 import ConvInt8
from .conv_taps import grid_offsets
from .int8 import channels_of, filled_up, store_fields

#: the channels that the kernel interleaves at a time are QUADS × LANES
QUADS, LANES = 4, 4
#: bytes of a group, of which the kernel's rows fill the first
GROUP = 4


class ConvDepthwiseInt8(ConvInt8):
    """One filter for each channel."""

    name = "depthwise-int8"

    def refuse(self, node: Node, selection: Selection) -> str | None:
        x, w = node.input(0).dims, node.input(1).dims
        if (w[0], w[1]) != (x[1], 1):
            return f"{w[0]} filters over {w[1]} of {x[1]} channels"
        return super().refuse(node, selection)

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        kernel, sums, windows = binder.kernels.conv_depthwise_int8, self.sums(node), self.windows(node)
        (x,), residual, w = self.operands(node), sums.store.residual, sums.w.integers.constant
        assert w is not None, "refuse takes no others"
        src, dst = binder.view(x), binder.view(node.results[0])
        add = NO_VIEW if residual is None else binder.view(residual.integers)
        (KH, KW), (dh, dw) = windows.kernel, windows.dilations
        chunk, words, flip = kernel.packing()
        width = KW if KW in kernel.ROW_WIDTHS and dw == 1 else 1
        rows = grid_offsets((KH, dh * src.h), (KW // width, dw * src.w))
        channels, C = channels_of(sums.w, 0), src.shape[1]
        zero = channels.zero
        offsets = np.tile(np.pad(rows, (0, -len(rows) % kernel.SEGMENT_ROWS)), channels.parts)
        form = {"width": width, "rows": kernel.SEGMENT_ROWS, "chunk": chunk, "words": words}
        start = {"bias": sums.bias.astype(np.int32).tobytes(), "offset": flip - int(sums.x.zero)}
        factor = np.ascontiguousarray(by_quads(sums.factors, chunk))
        first = first_taps(src, windows)
        pixels = together(chunk, windows.out[1], first, dst, *([] if residual is None else [add]))
        first, dst, add = (v._replace(w=v.w * pixels) for v in (first, dst, add))
        return [
            binder.step(
                kernel,
                src=first.fields, dst=dst.fields, add=add.fields,
                wei=binder.pack("depthwise-int8", pack_depthwise, w, zero=zero, **form),
                start=binder.pack("depthwise-start", pack_start, w, chunk=chunk, zero=zero, **start),
                factor=binder.constant(factor), offsets=binder.table(offsets), segments=len(offsets) // kernel.SEGMENT_ROWS,
                KW=width, column=src.w, N=src.shape[0], channels=filled_up(C) * pixels,
                OH=windows.out[0], OW=windows.out[1] // pixels,
                **store_fields(sums.store),
            )
        ]  # fmt: skip


def together(chunk: int, OW: int, *views: View) -> int:
    """How many neighbouring pixels of all views are computed as the channels of one: those that fill a chunk, else 1."""
    channels = filled_up(views[0].shape[1])
    fit = chunk % channels == 0 and OW % (chunk // channels) == 0 and all(v.w == channels for v in views)
    return max(chunk // channels, 1) if fit else 1


def by_quads(values: np.ndarray, chunk: int) -> np.ndarray:
    """Values whose last axis is channels as chunks × quads × lanes, in the order of the kernel.

    Blocks that fill a part of a chunk are repeated, for neighbouring pixels; otherwise zeros fill the last chunk.
    """
    *outer, C = values.shape
    blocks, rest = filled_up(C), [(0, 0)] * len(outer)
    padded = np.pad(values, [*rest, (0, blocks - C)])
    padded = np.tile(padded, chunk // blocks) if chunk % blocks == 0 else np.pad(padded, [*rest, (0, -blocks % chunk)])
    lanes = padded.reshape(*outer, -1, chunk // (QUADS * LANES), QUADS, LANES).swapaxes(-3, -2)
    return lanes.reshape(*outer, -1, QUADS, chunk // QUADS)


def centred(w: np.ndarray | Weights, zero: tuple[int, ...]) -> np.ndarray:
    """Weights less their zero points, int16 of C taps."""
    wide = np.asarray(w).reshape(len(w), -1).astype(np.int16)
    wide -= np.array(zero, np.int16).reshape(-1, 1)
    return wide


def in_parts(w: np.ndarray) -> list[np.ndarray]:
    """Integers as the sum of as few arrays as int8 can hold."""
    parts = [w.clip(-128, 127)]
    while (rest := w - sum(parts)).any():
        parts.append(rest.clip(-128, 127))
    return parts


def pack_depthwise(
    w: np.ndarray | Weights, width: int, rows: int, chunk: int, zero: tuple[int, ...], words: bool
) -> np.ndarray:
    """Weights C 1 KH KW as [chunk][segment][width][quad][lane][GROUP] int8: the segments have `rows` rows of `width` taps.

    With `words`, quads have two halves, [lane][even ones of GROUP] and [lane][odd ones] int16.
    """
    taps = centred(w, zero).reshape(len(w), -1, width)
    taps = np.pad(taps, [(0, 0), (0, -taps.shape[1] % rows), (0, 0)])
    segments = np.concatenate([p.reshape(len(w), -1, rows, width) for p in in_parts(taps)], axis=1)
    packed = by_quads(np.moveaxis(segments, 0, -1), chunk).transpose(3, 0, 2, 4, 5, 1)
    dst = empty_aligned((*packed.shape[:-1], GROUP), np.int8)
    dst[...] = 0
    dst[..., :rows] = packed
    return np.stack([dst[..., 0::2], dst[..., 1::2]], axis=4).astype(np.int16) if words else dst


def pack_start(w: np.ndarray | Weights, chunk: int, zero: tuple[int, ...], bias: bytes, offset: int) -> np.ndarray:
    """Where the sums of each lane start: the bias, and `offset` times the sum of the weights."""
    total = centred(w, zero).sum(axis=1, dtype=np.int64) * offset
    return np.ascontiguousarray(by_quads((np.frombuffer(bias, np.int32) + total).astype(np.int32), chunk))
