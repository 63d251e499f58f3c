"""Transposed convolution as convolutions: one for each phase of the output.

With stride s, the output rows o that have the same (o + padding) mod s meet the same taps, s / gcd(s, dilation) apart, at
neighbouring input rows: that is an ordinary convolution of stride 1 whose result lies s rows apart in the output. Likewise for
columns. (Dumoulin and Visin, A guide to convolution arithmetic for deep learning, 2016, section 4.)
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..graph import Node
from ..plan.bind import Binder, Step
from ..plan.layouts import Halo
from ..plan.packing import Packing, factors
from ..plan.select import Target
from ..weights import Weights
from .conv_direct import ConvBase, bias_of, block_diagonal, conv_refusal, halo_of, merge_groups, pack_bias, tiles, windows_of
from .windows import Windows


class Taps(NamedTuple):
    """Taps along an axis: first, first + step, … (`size` of them)."""

    first: int
    step: int
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
    step, found = s // math.gcd(s, d), []
    for start in range(min(s, out)):
        r = (start + pad) % s
        first = next((k for k in range(min(step, K)) if k * d % s == r), K)
        taps = len(range(first, K, step))
        # output start + s·q meets, by its last tap, the input row (start + pad)//s + q - reach
        reach = ((first + (taps - 1) * step) * d - r) // s if taps else 0
        found.append(Phase(Taps(first, step, taps), step * d // s, reach - (start + pad) // s, start, -(-(out - start) // s)))
    return found


def phase_windows(windows: Windows, v: Phase, h: Phase) -> Windows:
    """The windows of the convolution that a pair of phases is."""
    kernel = (v.taps.size, h.taps.size)
    return Windows(kernel, (1, 1), (v.dilation, h.dilation), (v.begin, h.begin), (0, 0), windows.size, (v.out, h.out))


def pack_phase(w: np.ndarray | Weights, groups: int, merge: int, V: int, v: Taps, h: Taps) -> Packing:
    """The taps of a pair of phases of weights IC OC/groups KH KW, turned round, packed as those of a convolution."""
    source, scale = factors(w, axis=1)
    IC, OC = len(w) // groups, w.shape[1]

    def read(begin: int, end: int) -> np.ndarray:
        rows = source[begin:end][:, :, v.first :: v.step, h.first :: h.step][:, :, ::-1, ::-1]
        if merge == 1:
            return rows.swapaxes(0, 1)
        return block_diagonal(np.concatenate([own.swapaxes(0, 1) for own in np.split(rows, merge)]), merge)

    size = (groups // merge, merge * OC, merge * IC, v.size, h.size)
    return tiles(read, np.tile(scale, groups), size, V, V, by_input=True, whole=merge > 1)


class ConvPhases(ConvBase):
    """Any transposed convolution of a blocked source."""

    name = "phases"

    def refuse(self, node: Node, target: Target) -> str | None:
        if reason := conv_refusal(node):
            return reason
        return "zeros behind the last window" if min(windows_of(node).end) < 0 else None

    def halo(self, node: Node) -> Halo:
        windows = windows_of(node)
        halos = [halo_of(phase_windows(windows, v, h)) for v in phases(windows, 0) for h in phases(windows, 1)]
        top, left, bottom, right = (max(0, *side) for side in zip((0, 0, 0, 0), *halos, strict=True))
        return (top, left, bottom, right)

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, w = node.inputs[0], node.inputs[1]
        assert x is not None and w is not None
        V, groups = binder.target.V, node.op.group  # type: ignore[attr-defined]
        OC = w.dims[1] * groups
        merged = merge_groups(groups, x.dims[1], OC, V)
        bia = binder.pack("bias", pack_bias, bias_of(node), OC=OC, groups=merged.G, V=V)
        windows, src, dst = windows_of(node), binder.view(x), binder.view(node.results[0])
        sh, sw = windows.strides
        steps = []
        for v in phases(windows, 0):
            for h in phases(windows, 1):
                wei = binder.pack("phase", pack_phase, w.constant, groups=groups, merge=merged.merge, V=V, v=v.taps, h=h.taps)
                epilogue = binder.epilogue(node)
                epilogue |= {
                    "add": epilogue["add"] + 4 * (v.start * epilogue["add_h"] + h.start * epilogue["add_w"]),
                    "add_h": epilogue["add_h"] * sh,
                    "add_w": epilogue["add_w"] * sw,
                }
                part = phase_windows(windows, v, h)
                own = dst.every((v.start, h.start), windows.strides)
                steps.append(self.step(binder, part, merged, wei, bia, src, own, epilogue))
        return steps
