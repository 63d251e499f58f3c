"""Convolution by im2col and a matrix product: for any convolution, without a halo."""

from __future__ import annotations

import math

from ..graph import Node
from ..ops.windows import Windows
from ..plan.bind import Binder, Step
from ..plan.layouts import Halo
from ..plan.select import Target
from .conv_direct import RUN, ConvBase, Groups, bias_of, merge_groups, pack_bias, pack_weights, windows_of

#: bytes of windows copied out at once: enough pixels to use the weights well, little enough to stay in L2
CHUNK_BYTES = 256 * 1024
CHUNK_PIXELS = 48


class ConvIm2col(ConvBase):
    """Any convolution of a blocked source."""

    name = "im2col"

    def halo(self, node: Node) -> Halo:
        return (0, 0, 0, 0)

    def workspace(self, node: Node, target: Target) -> int:
        windows = windows_of(node)
        K = self.groups(node, target.V).IC * math.prod(windows.kernel)
        return target.threads * self.chunk(windows, K) * K * 4

    def chunk(self, windows: Windows, K: int) -> int:
        """Output pixels whose windows are copied out at once."""
        pixels = math.prod(windows.out)
        chunk = min(max(CHUNK_BYTES // (4 * K), CHUNK_PIXELS), pixels)
        return -(-pixels // -(-pixels // chunk))

    def groups(self, node: Node, V: int) -> Groups:
        """How the convolution's groups are computed."""
        x, w = node.inputs[0], node.inputs[1]
        assert x is not None and w is not None
        return merge_groups(node.op.group, x.dims[1], w.dims[0], V)  # type: ignore[attr-defined]

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, w = node.inputs[0], node.inputs[1]
        assert x is not None and w is not None and w.constant is not None
        V, groups = binder.target.V, node.op.group  # type: ignore[attr-defined]
        windows, (G, merge, IC, OC) = windows_of(node), self.groups(node, V)
        src, dst = binder.view(x), binder.view(node.results[0])
        (KH, KW), (OH, OW) = windows.kernel, windows.out
        step = binder.step(
            binder.kernels.conv_im2col,
            src=src.ref, dst=dst.ref,
            wei=binder.pack("direct", pack_weights, w.constant, groups=groups, merge=merge, block=V, V=V),
            bia=binder.pack("bias", pack_bias, bias_of(node), OC=w.dims[0], groups=G, V=V),
            workspace=binder.workspace(),
            N=x.dims[0], G=G, IC=IC, IH=x.dims[2], IW=x.dims[3], OCB=-(-OC // V), OH=OH, OW=OW, KH=KH, KW=KW,
            stride_h=windows.strides[0], stride_w=windows.strides[1],
            dilation_h=windows.dilations[0], dilation_w=windows.dilations[1],
            pad_h=windows.begin[0], pad_w=windows.begin[1],
            chunk=self.chunk(windows, IC * KH * KW), run=RUN,
            **src.strides("src"), **dst.strides("dst"),
            **binder.epilogue(node),
        )  # fmt: skip
        return [step]
