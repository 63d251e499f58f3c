"""Transposed convolution as convolutions: one for each phase of the output.

With stride s, the output rows o that have the same (o + padding) mod s meet the same taps, s / gcd(s, dilation) apart, at
neighbouring input rows: that is an ordinary convolution of stride 1 whose result lies s rows apart in the output. Likewise for
columns. (Dumoulin and Visin, A guide to convolution arithmetic for deep learning, 2016, section 4.)
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..graph import Node
from ..ops.conv_transpose import ConvTranspose
from ..ops.windows import Windows
from ..plan.binder import Binder, Step
from ..plan.layout import RANKS, Halo
from ..plan.packing import Packing, factors
from ..plan.select import Selection
from ..plan.view import View
from ..weights import Weights
from .conv import bias_of, block_diagonal, halo_of, pack_bias
from .conv_taps import ConvTaps, image_views
from .panels import pack_panels

#: each has a step and weights of its own
MOST_PHASES = 4096


class Taps(NamedTuple):
    """Taps along an axis: first, first + stride, … (`size` of them)."""

    first: int
    stride: int
    size: int


class Phase(NamedTuple):
    """One phase along one axis: the taps that give every stride-th output from `start`."""

    taps: Taps
    dilation: int
    begin: int
    start: int
    out: int


def phases(windows: Windows, axis: int) -> list[Phase]:
    """The phases along an axis that have outputs."""
    s, d, K = windows.strides[axis], windows.dilations[axis], windows.kernel[axis]
    pad, out = windows.begin[axis], windows.out[axis]
    stride, found = s // math.gcd(s, d), []
    for start in range(min(s, out)):
        r = (start + pad) % s
        first = next((k for k in range(min(stride, K)) if k * d % s == r), K)
        taps = len(range(first, K, stride))
        # output start + s·q meets, by its last tap, the input row (start + pad)//s + q - reach
        reach = ((first + (taps - 1) * stride) * d - r) // s if taps else 0
        begin, size = reach - (start + pad) // s, -(-(out - start) // s)
        found.append(Phase(Taps(first, stride, taps), stride * d // s, begin, start, size))
    return found


def all_phases(windows: Windows) -> list[tuple[Phase, ...]]:
    """The phases of the output: one along each axis."""
    return list(itertools.product(*(phases(windows, axis) for axis in range(len(windows.kernel)))))


def phase_windows(windows: Windows, phase: Sequence[Phase]) -> Windows:
    """The windows of the convolution that a phase along each axis is."""
    taps, dilations, begin, _, out = zip(*phase, strict=True)
    none, one = (0,) * len(phase), (1,) * len(phase)
    return Windows(tuple(t.size for t in taps), one, dilations, begin, none, windows.size, out)


def pack_phase(w: np.ndarray | Weights, groups: int, merge: int, V: int, taps: tuple[Taps, ...]) -> Packing:
    """The taps of a phase of weights IC OC/groups *kernel, turned round, packed as those of a convolution."""
    source, scale = factors(w, axis=1)
    IC, OC = len(w) // groups, w.shape[1]
    kept: Any = (..., *(slice(t.first, None, t.stride) for t in taps))
    turned: Any = (..., *(slice(None, None, -1) for _ in taps))
    *planes, KH, KW = (t.size for t in taps)
    KH *= math.prod(planes)

    def read(begin: int, end: int) -> np.ndarray:
        rows: np.ndarray = source[begin:end][kept][turned].reshape(end - begin, OC, KH, KW)
        if merge == 1:
            return rows.swapaxes(0, 1)
        return block_diagonal(np.concatenate([own.swapaxes(0, 1) for own in np.split(rows, merge)]), merge)

    size = (groups // merge, merge * OC, merge * IC, KH, KW)
    return pack_panels(read, np.tile(scale, groups), size, V, V, by_input=True, whole=merge > 1)


class ConvPhases(ConvTaps[ConvTranspose]):
    """Any transposed convolution of a blocked source."""

    name = "phases"
    ranks = RANKS

    def refuse(self, node: Node, selection: Selection) -> str | None:
        if reason := super().refuse(node, selection):
            return reason
        windows = self.windows(node)
        count = math.prod(map(min, windows.strides, windows.out))
        if count > MOST_PHASES:
            return f"{count:,} phases, more than {MOST_PHASES:,}"
        return "zeros behind the last window" if min(end or 0 for end in windows.end) < 0 else None

    def halo(self, node: Node) -> Halo:
        windows = self.windows(node)
        halos = [halo_of(phase_windows(windows, phase)) for phase in all_phases(windows)]
        return tuple(max(0, *side) for side in zip(*halos, strict=True))

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, w, V, groups = node.input(0), node.input(1), binder.target.V, self.op(node).group
        OC = w.dims[1] * groups
        merged = self.groups(node, V)
        bia = binder.pack("bias", pack_bias, bias_of(node), OC=OC, groups=merged.G, V=V)
        windows, src, dst = self.windows(node), binder.view(x), binder.view(node.results[0])
        steps = []
        for phase in all_phases(windows):
            taps, start = tuple(p.taps for p in phase), [p.start for p in phase]
            wei = binder.pack("phase", pack_phase, w.constant, groups=groups, merge=merged.merge, V=V, taps=taps)
            for images in image_views(x):

                def own(view: View, images: Callable[[View], View] = images, start: Sequence[int] = start) -> View:
                    return images(view).every(start, windows.strides)

                epilogue, own_windows = binder.epilogue(node, own), phase_windows(windows, phase)
                steps.append(self.step(binder, own_windows, merged, wei, bia, images(src), own(dst), epilogue))
        return steps
