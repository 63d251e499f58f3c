"""Depthwise convolution: as many groups as channels."""

from __future__ import annotations

import numpy as np

from ..graph import Node
from ..ops.conv import Conv
from ..plan.binder import Binder, Step
from ..plan.packing import empty_aligned
from ..plan.select import Selection
from ..weights import Weights
from .conv import ConvImplementation, bias_of, first_taps, pack_bias
from .conv_taps import grid_offsets


def pack_depthwise(w: np.ndarray | Weights, V: int) -> np.ndarray:
    """Weights C 1 KH KW as [channel block][KH KW][V], with zeros in the lanes left over."""
    C, taps = len(w), w.size // len(w)
    blocks = -(-C // V)
    dst = empty_aligned((blocks, taps, V))
    padded = np.zeros((blocks * V, taps), np.float32)
    padded[:C] = np.asarray(w).reshape(C, taps)
    dst[...] = padded.reshape(blocks, V, taps).transpose(0, 2, 1)
    return dst


class ConvDepthwise(ConvImplementation[Conv]):
    """One filter for each channel."""

    name = "depthwise"

    def refuse(self, node: Node, selection: Selection) -> str | None:
        if reason := super().refuse(node, selection):
            return reason
        x, w = node.input(0).dims, node.input(1).dims
        return f"{w[0]} filters over {w[1]} of {x[1]} channels" if (w[0], w[1]) != (x[1], 1) else None

    def mixes(self, node: Node, selection: Selection) -> bool:
        return False

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, w, windows, V = node.input(0), node.input(1), self.windows(node), binder.target.V
        (KH, KW), (dh, dw) = windows.kernel, windows.dilations
        kernel = binder.kernels.conv_depthwise
        width = KW if KW in kernel.ROW_WIDTHS and dw == 1 else 1
        src, dst = binder.view(x), binder.view(node.results[0])
        N, C = x.dims[:2]
        step = binder.step(
            kernel,
            src=first_taps(src, windows).fields, dst=dst.fields,
            wei=binder.pack("depthwise", pack_depthwise, w.constant, V=V),
            bia=binder.pack("bias", pack_bias, bias_of(node), OC=C, groups=1, V=V),
            taps=binder.table(grid_offsets((KH, dh * src.h), (KW // width, dw * src.w))),
            segments=KH * KW // width, KW=width, N=N, CB=-(-C // V), OH=windows.out[0], OW=windows.out[1],
            **binder.epilogue(node),
        )  # fmt: skip
        return [step]
