"""Windows that slide over the spatial axes: the attributes and geometry that convolutions and pools share."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple, Self

import numpy as np

from ..errors import ModelError
from ..graph import Dim, Node, Value
from .base import Op, only_first_varies
from .dims import check, check_rank, product
from .span import WHOLE, Spans, everything

#: the largest window, stride and padding: with these, no place of a tap overflows in a kernel
MOST = 1 << 48

AUTO_PADS = ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")


class Windows(NamedTuple):
    """Windows over spatial axes, with every attribute resolved; each tuple has one element for each axis.

    `begin` and `end` are the padding before and after, None if auto_pad computes it from a size that is unknown;
    `size` and `out` are the dimensions of input and output. In ceil mode the last window may reach past `end`.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begin: tuple[Any, ...]
    end: tuple[Any, ...]
    size: tuple[Any, ...]
    out: tuple[Any, ...]
    auto_pad: str = "NOTSET"
    #: whether the input's elements write them into the output, of which `begin` and `end` are cut off
    transposed: bool = False

    @classmethod
    def whole(cls, size: tuple[int, ...]) -> Windows:
        """One window that is all of the spatial axes."""
        one, none = (1,) * len(size), (0,) * len(size)
        return cls(size, one, one, none, none, size, one)

    @property
    def extent(self) -> tuple[int, ...]:
        """The size of a window in the input, dilation included."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))

    def taps(self, x: np.ndarray, fill: Any) -> Iterator[tuple[tuple[Any, ...], np.ndarray]]:
        """For each tap: its index in the kernel, and the elements of x (…, *out), padded with `fill`, that it multiplies."""
        lead = x.ndim - len(self.kernel)
        borders = [
            (b, max((o - 1) * s + e - b - d, 0))
            for b, o, s, e, d in zip(self.begin, self.out, self.strides, self.extent, self.size, strict=True)
        ]
        x = np.pad(x, [(0, 0)] * lead + borders, constant_values=fill)
        for tap in np.ndindex(*self.kernel):
            starts = [t * d for t, d in zip(tap, self.dilations, strict=True)]
            places = [slice(a, a + (o - 1) * s + 1, s) for a, o, s in zip(starts, self.out, self.strides, strict=True)]
            yield tap, x[(slice(None),) * lead + tuple(places)]


class Windowed(Op, abstract=True):
    """An operator with the attributes of windows; None stands for the default of the standard."""

    auto_pad: str = "NOTSET"
    dilations: tuple[int, ...] | None = None
    kernel_shape: tuple[int, ...] | None = None
    pads: tuple[int, ...] | None = None
    strides: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        check(self.auto_pad in AUTO_PADS, f"auto_pad: expected one of {', '.join(AUTO_PADS)}, got {self.auto_pad!r}")
        for name in ("dilations", "kernel_shape", "strides"):
            values = getattr(self, name)
            check(values is None or all(v > 0 for v in values), f"{name}: expected values above 0, got {values}")
        check(self.pads is None or all(p >= 0 for p in self.pads), f"pads: expected values of 0 or more, got {self.pads}")

    def independent_images(self, node: Node) -> bool:
        return only_first_varies(node)

    def reads(self, node: Node, i: int, result: Value, spans: Spans) -> Spans:
        """The windows; only inputs[0] has them."""
        w = self.window(node)
        if i > 0 or w is None:
            return everything(node.input(i))
        axes = zip(spans[2:], w.strides, w.begin, w.extent, strict=True)
        return [spans[0], WHOLE, *(span.windows(s, b, e) for span, s, b, e in axes)]

    def padded(self, borders: Sequence[tuple[int, int]]) -> Self | None:
        """The operator with `borders` added to its pads, (before, after) each spatial axis; None if auto_pad computes them."""
        if self.auto_pad not in ("NOTSET", "VALID"):
            return None
        given = self.pads if self.pads and self.auto_pad == "NOTSET" else (0,) * 2 * len(borders)
        more = [before for before, _ in borders] + [after for _, after in borders]
        return replace(self, pads=tuple(p + m for p, m in zip(given, more, strict=True)), auto_pad="NOTSET")

    def known_kernel(self, kernel: Sequence[Dim]) -> tuple[Dim, ...]:
        """The kernel of weights (…, *kernel); kernel_shape gives sizes that their shape does not."""
        given = self.kernel_shape or kernel
        fits = len(given) == len(kernel) and all(not isinstance(k, int) or k == g for k, g in zip(kernel, given, strict=True))
        check(fits, f"kernel_shape: expected the weights' {tuple(kernel)}, got {self.kernel_shape}")
        return tuple(k if isinstance(k, int) else g for k, g in zip(kernel, given, strict=True))

    def check_lengths(self, rank: int, kernel: Sequence[int]) -> None:
        """Raise if an attribute does not have one value (pads: two) for each spatial axis."""
        for name, per_axis in (("kernel_shape", 1), ("strides", 1), ("dilations", 1), ("pads", 2)):
            given = getattr(self, name)
            if given is not None and len(given) != per_axis * rank:
                raise ModelError(f"{name}: expected {per_axis * rank} values for {rank} spatial axes, got {given}")
        if not len(kernel) == rank > 0:
            raise ModelError(f"kernel: expected {rank} values for {rank} spatial axes, got {tuple(kernel)}")

    def windows(self, size: Sequence[Dim], kernel: Sequence[int], ceil: bool = False) -> Windows:
        """The windows over spatial axes of these sizes; ModelError if an attribute or a size is invalid."""
        return _windows(self, tuple(size), tuple(kernel), ceil)


class Grouped(Windowed, abstract=True):
    """A convolution of `group` groups of channels."""

    group: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.group > 0, f"group: expected 1 or more, got {self.group}")


@lru_cache(maxsize=1024)  # a plan computes those of each node several times
def _windows(op: Windowed, size: tuple[Dim, ...], kernel: tuple[int, ...], ceil: bool) -> Windows:
    rank = len(size)
    op.check_lengths(rank, kernel)
    strides = op.strides or (1,) * rank
    dilations = tuple(d if k > 1 else 1 for d, k in zip(op.dilations or (1,) * rank, kernel, strict=True))
    pads = op.pads if op.pads and op.auto_pad == "NOTSET" else (0,) * (2 * rank)
    axes = [
        _axis(size[i], (kernel[i] - 1) * dilations[i] + 1, strides[i], op.auto_pad, (pads[i], pads[i + rank]), ceil, i)
        for i in range(rank)
    ]
    begin, end, out = zip(*axes, strict=True)
    return Windows(kernel, strides, dilations, begin, end, size, out, op.auto_pad)


def _axis(
    d: Dim, extent: int, stride: int, auto_pad: str, pads: tuple[int, int], ceil: bool, i: int
) -> tuple[int | None, int | None, Dim]:
    """(padding before, padding after, number of windows) along spatial axis i of size d."""
    if isinstance(d, int) and d <= 0:
        raise ModelError(f"spatial axis {i}: expected a size above 0, got {d}")
    if max(extent, stride, *pads) > MOST:
        raise ModelError(f"spatial axis {i}: a window of {extent} at stride {stride} with padding {pads} is too large")
    if auto_pad.startswith("SAME"):
        if not isinstance(d, int):
            return None, None, d if stride == 1 else None
        n = -(-d // stride)
        pad = max((n - 1) * stride + extent - d, 0)
        less, more = pad // 2, pad - pad // 2
        return (less, more, n) if auto_pad == "SAME_UPPER" else (more, less, n)
    begin, end = pads
    if not isinstance(d, int):
        return begin, end, d if stride == 1 and begin + end == extent - 1 else None
    room = d + begin + end - extent
    if room < 0:
        raise ModelError(f"spatial axis {i}: a window of {extent} does not fit into {d} with padding {begin} and {end}")
    n = room // stride + 1
    # the window that ceil_mode adds must begin in the input or in the padding before it
    if ceil and room % stride and n * stride < d + begin:
        n += 1
    return begin, end, n


class Pool(Windowed, abstract=True):
    """A pool: N C *size -> N C *out, each channel separately."""

    ceil_mode: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kernel_shape is None:
            raise ModelError("attribute 'kernel_shape' is missing")

    def geometry(self, shape: Sequence[Dim]) -> Windows:
        """The windows over an input of this shape (N C *size)."""
        assert self.kernel_shape is not None
        w = self.windows(shape[2:], self.kernel_shape, bool(self.ceil_mode))
        for i, (extent, begin, end) in enumerate(zip(w.extent, w.begin, w.end, strict=True)):
            pad = max(begin or 0, end or 0)
            check(pad < extent, f"pads: expected less than the window's {extent} on spatial axis {i}, got {pad}")
        return w

    def window(self, node: Node) -> Windows | None:
        x = node.input(0)
        return None if x.shape is None else self.geometry(x.shape)

    def flops(self, node: Node) -> int:
        return math.prod(node.results[0].dims) * math.prod(self.kernel_shape or ())

    def output_shape(self, x: Value) -> tuple[Dim, ...] | None:
        """The shape of the result for the input x."""
        rank = len(self.kernel_shape or ())
        check_rank(x, "input", rank + 2)
        if x.shape is None:
            return None
        check(product(x.shape[1:2]) != 0, "input: expected channels, got 0")
        return (*x.shape[:2], *self.geometry(x.shape).out)
