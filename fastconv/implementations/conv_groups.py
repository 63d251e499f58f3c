"""Grouped convolution with its groups apart, whose channels need not fill blocks.

The other implementations merge groups, with zero weights between them: an infinity or NaN reaches the groups merged with
its own. Here each group reads its own channels, from planes, and writes blocks of its own to scratch memory, from which its
channels are copied to the result. The copies take time, so it is for accuracy="exact".
"""

from __future__ import annotations

import math

from ..graph import Node
from ..plan.binder import Binder, Step
from ..plan.epilogue import epilogue_of
from ..plan.layout import geometry
from ..plan.select import Selection, Target
from ..plan.strided import copy
from ..plan.view import View
from .conv import Groups, bias_of, pack_bias
from .conv_direct import ConvPlanar
from .conv_taps import image_views
from .panels import pack_weights


class ConvGroups(ConvPlanar):
    """A grouped convolution whose groups would be merged."""

    name = "groups"

    def refuse(self, node: Node, selection: Selection) -> str | None:
        if reason := super().refuse(node, selection):
            return reason
        if selection.target.algorithm == self.name:
            return None
        if selection.target.accuracy != "exact":
            return f"accuracy={selection.target.accuracy!r}"
        return None if self.groups(node, selection.target.V).merge > 1 else "groups fill blocks"

    def mixes(self, node: Node, selection: Selection) -> bool:
        return False

    def apart(self, node: Node, V: int) -> tuple[int, ...]:
        """The shape of the result in which each group has blocks of its own."""
        N, OC, *out = node.results[0].dims
        groups = self.op(node).group
        return (N, groups * -(-OC // groups // V) * V, *out)

    def workspace(self, node: Node, target: Target) -> int:
        residual, _ = epilogue_of(node)
        return (1 + (residual is not None)) * geometry(self.apart(node, target.V), target.blocked, itemsize=4).nbytes

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, w, V, groups = node.input(0), node.input(1), binder.target.V, self.op(node).group
        own = Groups(groups, 1, x.dims[1] // groups, w.dims[0] // groups)
        windows, src, dst = self.windows(node), binder.view(x), binder.view(node.results[0])
        wei = binder.pack("direct", pack_weights, w.constant, groups=groups, merge=1, block=1, V=V)
        bia = binder.pack("bias", pack_bias, bias_of(node), OC=w.dims[0], groups=groups, V=V)
        sums = binder.workspace_view(self.apart(node, V), binder.target.blocked)
        add = sums._replace(address=sums.address + geometry(sums.shape, sums.layout, itemsize=4).nbytes)
        residual, _ = epilogue_of(node)
        steps = [] if residual is None else copy_groups(binder, own, add, binder.view(residual), gather=True)
        for images in image_views(x):
            epilogue = binder.epilogue(node, lambda _, images=images: images(add))  # type: ignore[misc]
            steps.append(self.step(binder, windows, own, wei, bia, images(src), images(sums), epilogue))
        return steps + copy_groups(binder, own, sums, dst, gather=False)


def copy_groups(binder: Binder, groups: Groups, apart: View, whole: View, gather: bool) -> list[Step]:
    """Steps that copy the channels of groups from blocks of their own to their places in `whole`, or (`gather`) from there."""
    V, OC = whole.layout.block, groups.OC
    blocks = -(-OC // V)
    period = V // math.gcd(OC, V)  # every period-th group lies alike in the blocks
    steps = []
    for g in range(min(period, groups.G)):
        c = 0
        while c < OC:
            n = min(V - c % V, V - (g * OC + c) % V, OC - c)
            dims = (whole.shape[0], len(range(g, groups.G, period)), *whole.shape[2:], n)
            ends = [
                (apart.at(c=g * blocks * V + c), (apart.n, period * blocks * apart.c, *apart.spatial, 1)),
                (whole.at(c=g * OC + c), (whole.n, period * OC // V * whole.c, *whole.spatial, 1)),
            ]
            (src, src_strides), (dst, dst_strides) = reversed(ends) if gather else ends
            steps.append(copy(binder, whole.itemsize, src, src_strides, dst, dst_strides, dims))
            c += n
    return steps
