"""DeformConv: a convolution whose taps are shifted by offsets and weighted by a mask."""

from __future__ import annotations

import math

import numpy as np

from ..graph import Node, Value
from .base import Array, Inferred, Results
from .conv_like import ConvLike
from .dims import check, check_rank, product, unify
from .interpolation import linear, sample, zeros
from .span import Spans, everything


class DeformConv(ConvLike):
    """inputs: data, weights, offsets (N OG·KH·KW·2 OH OW), bias, mask (N OG·KH·KW OH OW), where OG is offset_group."""

    arity = (3, 5)
    parameter_inputs = (1, 3)

    offset_group: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.offset_group > 0, f"offset_group: expected 1 or more, got {self.offset_group}")

    def infer(self, x: Value, w: Value, offset: Value, b: Value | None = None, mask: Value | None = None) -> Inferred:
        for name, operand in (("input", x), ("weights", w), ("offset", offset)):
            check_rank(operand, name, 4)
        ((shape, dtype),) = self.conv.infer(x, w, b)
        if x.shape is not None and isinstance(C := x.shape[1], int):
            check(C % self.offset_group == 0, f"offset_group: expected a divisor of the {C} channels, got {self.offset_group}")
        taps = None if w.shape is None else product(w.shape[2:])
        for name, v, each in (("offset", offset, 2), ("mask", mask, 1)):
            if v is not None and v.shape is not None and taps is not None:
                check_rank(v, name, 4)
                unify(self.offset_group * taps * each, v.shape[1], f"{name}: channels")
                if shape is not None:
                    shape = (*shape[:2], *(unify(d, e, f"{name}: size") for d, e in zip(shape[2:], v.shape[2:], strict=True)))
        return [(shape, dtype)]

    def reads(self, node: Node, i: int, result: Value, spans: Spans) -> Spans:
        """The offsets may lead anywhere."""
        return everything(node.input(i))

    def reference(self, x: Array, w: Array, offset: Array, b: Array | None = None, mask: Array | None = None) -> Results:
        windows = self.conv.geometry(x.shape, w.shape[2:])
        N, C, OG, OC, G = len(x), x.shape[1], self.offset_group, len(w), self.group
        offset = offset.reshape(N, OG, *windows.kernel, 2, *windows.out)
        mask = np.ones((), x.dtype) if mask is None else mask.reshape(N, OG, *windows.kernel, *windows.out)
        mask = np.broadcast_to(mask, (N, OG, *windows.kernel, *windows.out))
        wei = w.reshape(G, OC // G, *w.shape[1:])
        y = np.zeros((N, G, OC // G, math.prod(windows.out)), x.dtype)
        for tap in np.ndindex(*windows.kernel):
            geometry = zip(tap, windows.begin, windows.strides, windows.dilations, windows.out, strict=True)
            starts = np.meshgrid(*(np.arange(o) * s - p + t * d for t, p, s, d, o in geometry), indexing="ij")
            elements = np.zeros((N, OG, C // OG, *windows.out), x.dtype)
            for n, g in np.ndindex(N, OG):
                channels = x[n].reshape(OG, C // OG, *x.shape[2:])[g]
                elements[n, g] = sample(channels, starts + offset[n, g, *tap], zeros, linear) * mask[n, g, *tap]
            y += wei[:, :, :, *tap] @ elements.reshape(N, G, C // G, -1)
        if b is not None:
            y += b.reshape(G, OC // G, 1)
        return y.reshape(N, OC, *windows.out)
