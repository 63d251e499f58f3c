"""Depthwise convolution: as many groups as channels."""

from __future__ import annotations

import numpy as np

from ..graph import Node
from ..plan.bind import Binder, Step
from ..plan.packing import empty_aligned
from ..plan.select import Target
from ..weights import Weights
from .conv_direct import ConvBase, bias_of, conv_refusal, pack_bias, steps, windows_of

#: widths of kernels whose rows are runs of taps to pyx/isa/conv_depthwise.pyx
RUNS = (3, 5)


def pack_depthwise(w: np.ndarray | Weights, V: int) -> np.ndarray:
    """Weights C 1 KH KW as [channel block][KH KW][V], with zeros in the lanes left over."""
    C, taps = len(w), w.size // len(w)
    blocks = -(-C // V)
    dst = empty_aligned((blocks, taps, V))
    padded = np.zeros((blocks * V, taps), np.float32)
    padded[:C] = np.asarray(w).reshape(C, taps)
    dst[...] = padded.reshape(blocks, V, taps).transpose(0, 2, 1)
    return dst


class ConvDepthwise(ConvBase):
    """One filter a channel."""

    name = "depthwise"

    def refuse(self, node: Node, target: Target) -> str | None:
        if reason := conv_refusal(node):
            return reason
        x, w = node.inputs[0], node.inputs[1]
        assert x is not None and w is not None
        if w.dims[0] != x.dims[1] or w.dims[1] != 1:
            return f"{w.dims[0]} filters over {w.dims[1]} of {x.dims[1]} channels"
        return None

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, w = node.inputs[0], node.inputs[1]
        assert x is not None and w is not None and w.constant is not None
        windows, V = windows_of(node), binder.target.V
        (KH, KW), (dh, dw) = windows.kernel, windows.dilations
        run = KW if KW in RUNS and dw == 1 else 1
        src, dst = binder.view(x), binder.view(node.results[0])
        begin = windows.begin[0] * src.h + windows.begin[1] * src.w
        N, C = x.dims[:2]
        step = binder.step(
            binder.kernels.conv_depthwise,
            src=src.ref, dst=dst.ref,
            wei=binder.pack("depthwise", pack_depthwise, w.constant, V=V),
            bia=binder.pack("bias", pack_bias, bias_of(node), OC=C, groups=1, V=V),
            taps=binder.table(steps((KH, dh * src.h), (KW // run, dw * src.w)) - begin),
            RUNS=KH * KW // run, KW=run, N=N, CB=-(-C // V), OH=windows.out[0], OW=windows.out[1],
            src_n=src.n, src_c=src.c, src_h=windows.strides[0] * src.h, src_w=windows.strides[1] * src.w,
            **dst.strides("dst"),
            **binder.epilogue(node),
        )  # fmt: skip
        return [step]
