"""ConvTranspose: N IC *size, weights IC OC/group *kernel -> N OC *out.

Each input element adds the kernel, scaled by the element, to a window of the output.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..errors import ModelError
from ..graph import Dim, Node, Value, shape_text
from .base import Array, Inferred, Results
from .dims import check, check_rank, same_dtype, size_along, unify
from .products import Products
from .span import WHOLE, Spans
from .windows import Grouped, Windows


class ConvTranspose(Grouped):
    arity = (2, 3)
    control_inputs = (1, 2)
    parameter_inputs = (1, 2)
    takes_epilogue = True
    takes_residual = True
    output_padding: tuple[int, ...] | None = None
    output_shape: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        pads = self.output_padding
        check(pads is None or all(p >= 0 for p in pads), f"output_padding: expected values of 0 or more, got {pads}")

    def geometry(self, shape: Sequence[Dim], kernel: Sequence[int]) -> Windows:
        """The windows that an input of this shape (N IC *size) writes, for weights with this kernel.

        `begin` and `end` are what is cropped from the output; a negative `end` adds zeros after the last window.
        """
        size, rank = shape[2:], len(shape) - 2
        self.check_lengths(rank, kernel)
        for name in ("output_padding", "output_shape"):
            given = getattr(self, name)
            # output_shape may also name N and C
            fits = given is None or len(given) == rank or (name == "output_shape" and len(given) == rank + 2)
            check(fits, f"{name}: expected {rank} values for {rank} spatial axes, got {given}")
        strides, dilations = self.strides or (1,) * rank, self.dilations or (1,) * rank
        begin, end, out = [], [], []
        for i, d in enumerate(size):
            check(not isinstance(d, int) or d > 0, f"spatial axis {i}: expected a size above 0, got {d}")
            more = self.output_padding[i] if self.output_padding else 0
            check(more < max(strides[i], dilations[i]), f"output_padding: {more} is not below stride or dilation on axis {i}")
            n = (d - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 + more if isinstance(d, int) else None
            before, after, o = self._axis(i, d, n, strides[i], rank)
            begin.append(before)
            # output_padding comes after the last window
            end.append(None if after is None else after - more)
            out.append(o)
        axes = (tuple(begin), tuple(end), tuple(size), tuple(out))
        return Windows(tuple(kernel), strides, dilations, *axes, self.auto_pad, transposed=True)

    def _axis(self, i: int, d: Dim, full: int | None, stride: int, rank: int) -> tuple[int | None, int | None, Dim]:
        """(cropped before, cropped after, output size) along spatial axis i of `full` elements, output_padding among them."""
        wanted: Dim = self.output_shape[i - rank] if self.output_shape else None
        if wanted is None and self.auto_pad.startswith("SAME"):
            wanted = d * stride if isinstance(d, int) else d if stride == 1 else None
            if not isinstance(wanted, int):
                return None, None, wanted
        if isinstance(wanted, int):
            check(wanted > 0, f"output_shape: expected sizes above 0, got {self.output_shape}")
            if full is None:
                return None, None, wanted
            cut = max(full - wanted, 0)
            less, more = cut // 2, cut - cut // 2
            before, after = (less, more) if self.auto_pad == "SAME_UPPER" else (more, less)
            # a size beyond what the windows write: zeros after them
            return before, after - max(wanted - full, 0), wanted
        before, after = (self.pads[i], self.pads[i + rank]) if self.pads and self.auto_pad == "NOTSET" else (0, 0)
        if full is None:
            return before, after, None
        if full - before - after <= 0:
            raise ModelError(f"pads: nothing is left of {full} on spatial axis {i} without {before} and {after}")
        return before, after, full - before - after

    def window(self, node: Node) -> Windows | None:
        x, w = node.input(0), node.input(1)
        if x.shape is None or not w.known:
            return None
        windows, more = self.geometry(x.shape, w.dims[2:]), self.output_padding or (0,) * (len(x.shape) - 2)
        return windows._replace(end=tuple(e if e is None else e + m for e, m in zip(windows.end, more, strict=True)))

    def products(self, node: Node) -> Products | None:
        (IC, OCG, *kernel), (N, _, *size) = node.input(1).dims, node.input(0).dims
        return Products((N, *size), OCG * self.group, (*kernel, IC), self.group)

    def reads(self, node: Node, i: int, result: Value, spans: Spans) -> Spans:
        """The elements whose windows reach the spans."""
        w = self.geometry(node.input(0).dims, node.input(1).dims[2:])
        axes = zip(spans[2:], w.strides, w.begin, w.extent, strict=True)
        return [spans[0], WHOLE, *(span.writers(s, b, e) for span, s, b, e in axes)]

    def weight_axis(self, node: Node) -> int | None:
        return 1 if self.group == 1 else None

    def infer(self, x: Value, w: Value, b: Value | None = None) -> Inferred:
        check_rank(x, "input", 3, 5)
        check_rank(w, "weights", 3, 5)
        dtype = same_dtype(x, w, b)
        if w.shape is None:
            return [(x.shape and (x.shape[0],) + (None,) * (len(x.shape) - 1), dtype)]
        IC, woc, *given = w.shape
        check_rank(x, "input", len(w.shape))
        kernel = self.known_kernel(given)
        check(IC != 0 and woc != 0 and 0 not in kernel, f"weights: expected sizes above 0, got {shape_text(w.shape)}")
        if isinstance(IC, int):
            check(IC % self.group == 0, f"weights: expected input channels divisible by group {self.group}, got {IC}")
        OC: Dim = woc * self.group if isinstance(woc, int) else None
        if b is not None:
            check_rank(b, "bias", 1)
            OC = unify(OC, size_along(b.shape, 0), "bias: output channels")
        if x.shape is None:
            return [((None, OC) + (None,) * len(kernel), dtype)]
        unify(IC, x.shape[1], f"input channels (weights {shape_text(w.shape)})")
        sizes = [k for k in kernel if isinstance(k, int)]
        out = self.geometry(x.shape, sizes).out if len(sizes) == len(kernel) else (None,) * len(kernel)
        return [((x.shape[0], OC, *out), dtype)]

    def reference(self, x: Array, w: Array, b: Array | None = None) -> Results:
        N, G, ICG = len(x), self.group, len(w) // self.group
        windows = self.geometry(x.shape, w.shape[2:])
        src = x.reshape(N, G, ICG, math.prod(windows.size))
        wei = w.reshape(G, ICG, *w.shape[1:]).swapaxes(1, 2)
        full = [(d - 1) * s + e for d, s, e in zip(windows.size, windows.strides, windows.extent, strict=True)]
        y = np.zeros((N, G * w.shape[1], *full), x.dtype)
        for tap in np.ndindex(*windows.kernel):
            axes = zip(tap, windows.dilations, windows.size, windows.strides, strict=True)
            place = tuple(slice(t * d, t * d + (n - 1) * s + 1, s) for t, d, n, s in axes)
            y[:, :, *place] += (wei[:, :, :, *tap] @ src).reshape(N, y.shape[1], *windows.size)
        y = np.pad(y, [(0, 0), (0, 0), *((0, max(-e, 0)) for e in windows.end)])
        y = y[:, :, *(slice(a, a + o) for a, o in zip(windows.begin, windows.out, strict=True))]
        return y if b is None else y + b.reshape(-1, *(1,) * len(windows.out))
