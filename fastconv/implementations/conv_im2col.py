"""Convolution by im2col and a matrix product: for any convolution, without a halo."""

from __future__ import annotations

import math

from ..graph import Node
from ..ops.conv import Conv
from ..ops.windows import Windows
from ..plan.binder import Binder, Step
from ..plan.layout import Halo
from ..plan.select import Target
from .conv import ConvImplementation, bias_of, pack_bias
from .panels import K_BLOCK, pack_weights

#: bytes of windows copied out at once: enough pixels to use the weights well, few enough to stay in L2
CHUNK_BYTES = 256 * 1024
CHUNK_PIXELS = 48


class ConvIm2col(ConvImplementation[Conv]):
    """Any convolution of a blocked source: the windows of a chunk of pixels are copied out, then multiplied by the weights."""

    name = "im2col"

    def halo(self, node: Node) -> Halo:
        return ()

    def workspace(self, node: Node, target: Target) -> int:
        windows = self.windows(node)
        K = self.groups(node, target.V).IC * math.prod(windows.kernel)
        return target.threads * self.chunk(windows, K) * K * 4

    def chunk(self, windows: Windows, K: int) -> int:
        """Output pixels whose windows are copied out at once."""
        pixels: int = math.prod(windows.out)
        chunk = min(max(CHUNK_BYTES // (4 * K), CHUNK_PIXELS), pixels)
        return -(-pixels // -(-pixels // chunk))

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, w, V, windows = node.input(0), node.input(1), binder.target.V, self.windows(node)
        G, merge, IC, OC = self.groups(node, V)
        src, dst = binder.view(x), binder.view(node.results[0])
        (KH, KW), (OH, OW) = windows.kernel, windows.out
        step = binder.step(
            binder.kernels.conv_im2col,
            src=src.fields, dst=dst.fields,
            wei=binder.pack("direct", pack_weights, w.constant, groups=self.op(node).group, merge=merge, block=V, V=V),
            bia=binder.pack("bias", pack_bias, bias_of(node), OC=w.dims[0], groups=G, V=V),
            workspace=binder.workspace(),
            N=x.dims[0], G=G, IC=IC, IH=x.dims[2], IW=x.dims[3], OCB=-(-OC // V), OH=OH, OW=OW, KH=KH, KW=KW,
            stride_h=windows.strides[0], stride_w=windows.strides[1],
            dilation_h=windows.dilations[0], dilation_w=windows.dilations[1],
            pad_h=windows.begin[0], pad_w=windows.begin[1],
            chunk=self.chunk(windows, IC * KH * KW), k_block=K_BLOCK,
            **binder.epilogue(node),
        )  # fmt: skip
        return [step]
