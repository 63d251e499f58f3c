"""What the implementations of convolution share: what they refuse, biases, groups, the halo of the source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple, TypeVar

import numpy as np

from ..graph import Node, Value
from ..ops.conv import Conv
from ..ops.conv_transpose import ConvTranspose
from ..ops.windows import Windows
from ..plan.epilogue import epilogue_of
from ..plan.implementation import Implementation
from ..plan.layout import Halo, Layout, geometry
from ..plan.packing import empty_aligned
from ..plan.select import Selection, Target
from ..plan.view import View

C = TypeVar("C", bound=Conv | ConvTranspose)


#: bytes of zeros around a source that are worth having: wide padding of a small source is computed without
MOST_HALO = 1 << 30
#: the most input channels of a first layer
FIRST_CHANNELS = 4


class ConvImplementation(Implementation[C]):
    """A convolution of a blocked or planar source with constant weights, with a blocked result."""

    ranks: ClassVar[Sequence[int] | None] = (4,)

    def refusal(self, node: Node, selection: Selection) -> str | None:
        if reason := super().refusal(node, selection):
            return reason
        return halo_refusal(node.input(0).dims, self.source(selection.target), 4, self.halo(node))

    def refuse(self, node: Node, selection: Selection) -> str | None:
        w, bias = node.input(1), node.optional(2)
        if w.constant is None or (bias is not None and bias.constant is None):
            return "weights are not constant"
        return "groups that do not fill blocks, and accuracy='exact'" if self.mixes(node, selection) else None

    def groups(self, node: Node, V: int) -> Groups:
        """How the convolution's groups are computed."""
        return merge_groups(self.op(node).group, node.input(0).dims[1], node.results[0].dims[1], V)

    def mixes(self, node: Node, selection: Selection) -> bool:
        """Whether an infinity or NaN in one group would reach others, which "exact" rules out."""
        return selection.target.accuracy == "exact" and self.groups(node, selection.target.V).merge > 1

    def source(self, target: Target) -> Layout:
        """The layout of the source."""
        return target.blocked

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, Layout], Layout]:
        residual, _ = epilogue_of(node)
        wants = {node.input(0): self.source(target)}
        if residual is not None:
            wants[residual] = target.blocked
        return wants, target.blocked

    def windows(self, node: Node) -> Windows:
        """The windows over the source."""
        return self.op(node).geometry(node.input(0).dims, node.input(1).dims[2:])

    def halo(self, node: Node) -> Halo:
        return halo_of(self.windows(node))


def bias_of(node: Node) -> np.ndarray | None:
    """The constant bias, where there is one."""
    bias = node.optional(2)
    return None if bias is None else np.asarray(bias.constant)


def pack_bias(b: np.ndarray | None, OC: int, groups: int, V: int) -> np.ndarray:
    """A bias for each lane of each group's channel blocks; zero where there is none."""
    oc = OC // groups
    dst = empty_aligned((groups, -(-oc // V) * V))
    dst[...] = 0
    if b is not None:
        dst[:, :oc] = b.reshape(groups, oc)
    return dst


def halo_refusal(dims: tuple[int, ...], layout: Layout, itemsize: int, halo: Halo) -> str | None:
    """Why a source does not get this halo; None if it does."""
    padded, own = (geometry(dims, layout, itemsize, h).nbytes for h in (halo, ()))
    return f"a halo of {padded - own:,} bytes" if padded - own > MOST_HALO else None


def halo_of(windows: Windows) -> Halo:
    """The zeros around a source that its windows reach."""
    behind = [
        max((o - 1) * s + e - b - d, 0)
        for o, s, e, b, d in zip(windows.out, windows.strides, windows.extent, windows.begin, windows.size, strict=True)
    ]
    return (*windows.begin, *behind)


def first_refusal(IC: int, group: int) -> str | None:
    """Why a convolution is not a first layer, which has few input channels and one group; None if it is one."""
    if IC > FIRST_CHANNELS:
        return f"{IC} input channels"
    return f"group {group}" if group > 1 else None


def first_taps(src: View, windows: Windows) -> View:
    """The view of the source's pixels at the first tap of each window."""
    return src.every([-b for b in windows.begin], windows.strides)


class Groups(NamedTuple):
    """How a convolution's groups are computed: `merge` neighbouring ones as one, G in all, each of IC to OC channels."""

    G: int
    merge: int
    IC: int
    OC: int


def merge_groups(groups: int, IC: int, OC: int, V: int) -> Groups:
    """The fewest neighbouring groups to merge (with zero weights between them) so that their channels fill blocks of V.

    An infinity or NaN in one group reaches the groups merged with it: see `ConvImplementation.mixes`.
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
