"""QuantizeLinear and DequantizeLinear on the kernel quantize."""

from __future__ import annotations

import math

import numpy as np

from ..graph import Node, Value
from ..ops.dims import axis_index
from ..ops.quantize import FLOAT, DequantizeLinear, QuantizeLinear
from ..plan.binder import Binder, Step
from ..plan.implementation import Implementation
from ..plan.layout import CHANNELS_LAST_4, ROW_MAJOR, Layout, Strides
from ..plan.select import Selection, Target
from ..plan.strided import axes_fields, collapse, item_size

#: the integers that the kernel dequantizes; it quantizes to the first two
DTYPES = ("uint8", "int8", "int32")


class QuantizeRowMajor(Implementation[QuantizeLinear | DequantizeLinear]):
    """Row-major tensors, with one scale for all elements or one for each index of an axis."""

    name = "integers"
    dtypes = frozenset({"float32", *DTYPES})

    def refuse(self, node: Node, selection: Selection) -> str | None:
        x, scale, zero, y, op = node.input(0), node.input(1), node.optional(2), node.results[0], self.op(node)
        if node.epilogue:
            return "fused with a DequantizeLinear"
        quantizes = isinstance(op, QuantizeLinear)
        floats, integers = (x, y) if quantizes else (y, x)
        if floats.dtype != np.float32 or scale.dtype != np.float32:
            return f"dtype {scale.dtype if floats.dtype == np.float32 else floats.dtype}"
        if str(integers.dtype) not in DTYPES[: 2 if quantizes else None]:
            return f"dtype {integers.dtype}"
        if op.block_size:
            return "scales for blocks"
        if isinstance(op, QuantizeLinear) and op.precision not in (0, FLOAT):
            return "another precision than float32"
        if zero is not None and (zero.dims != scale.dims or zero.dtype != integers.dtype):
            return "a zero point of another shape or dtype than the scale's and the integers'"
        return None

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, Layout], Layout]:
        return {v: ROW_MAJOR for v in node.operands if v.constant is None}, ROW_MAJOR

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, y = node.input(0), node.results[0]
        rows, L, C = 1, math.prod(x.dims), math.prod(node.input(1).dims)
        if C > 1:
            axis = axis_index(self.op(node).axis, len(x.dims))
            rows, L = math.prod(x.dims[:axis]), math.prod(x.dims[axis + 1 :])
        strides = (C * L, L, 1)
        return [self.step(node, binder, (rows, C, L), (binder.view(x).address, strides), (binder.view(y).address, strides))]

    def step(
        self,
        node: Node,
        binder: Binder,
        dims: Strides,
        src: tuple[int, Strides],
        dst: tuple[int, Strides],
        channels: int = 0,
        plane: int = 0,
    ) -> Step:
        """The step over elements `dims`; src and dst as (address, strides). A scale for each index belongs to the axis -2.

        With `channels`, planes that lie `plane` floats apart become pixels, which are the elements of dst.
        """
        scale, zero, op, kernel = node.input(1), node.optional(2), self.op(node), binder.kernels.quantize
        quantizes = isinstance(op, QuantizeLinear)
        (src_address, src_strides), (dst_address, dst_strides) = src, dst
        scale_strides = tuple(int(i == len(dims) - 2 and math.prod(scale.dims) > 1) for i in range(len(dims)))
        if not any(scale_strides):
            dims, (src_strides, dst_strides, scale_strides) = collapse(dims, src_strides, dst_strides, scale_strides)
        rows, chunk = item_size(*(1, *dims)[-2:])
        return binder.step(
            kernel,
            src=src_address,
            dst=dst_address,
            scale=binder.operand(scale),
            zero=0 if zero is None else binder.operand(zero),
            quantizes=quantizes,
            channels=channels,
            plane=plane,
            dtype=getattr(kernel, str((node.results[0] if quantizes else node.input(0)).dtype).upper()),
            rows=rows,
            chunk=chunk,
            **axes_fields(dims, src=src_strides, dst=dst_strides, scale=scale_strides),
        )


class QuantizeImages(QuantizeRowMajor):
    """Images with one scale, of floats or bytes; a subclass says in which layouts."""

    dtypes = frozenset({"float32", "uint8"})
    ranks = (4,)

    def refuse(self, node: Node, selection: Selection) -> str | None:
        if reason := super().refuse(node, selection):
            return reason
        if node.results[0].dtype == np.int8:
            return "dtype int8"
        return "more than one scale" if math.prod(node.input(1).dims) > 1 else self.refuse_layout(node, selection)

    def refuse_layout(self, node: Node, selection: Selection) -> str | None:
        """Why the layout of the input, or its channels, cannot be taken."""
        raise NotImplementedError


class QuantizeFirst(QuantizeImages):
    """Planes of floats to the source of a first layer, whose pixels have 4 bytes."""

    name = "integers-first"

    def refuse_layout(self, node: Node, selection: Selection) -> str | None:
        if isinstance(node.op, DequantizeLinear) or selection.layout(node.input(0)) != ROW_MAJOR:
            return "not from planes of floats"
        C = node.input(0).dims[1]
        return None if 1 < C <= CHANNELS_LAST_4.block else f"{C} channels"  # a single plane is no sooner there as pixels

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, Layout], Layout]:
        return super().layouts(node, target)[0], CHANNELS_LAST_4

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        src, dst = binder.view(node.input(0)), binder.view(node.results[0])
        N, C, H, W = src.shape
        pixels = [(v.address, (v.n // v.w, v.h // v.w, 1)) for v in (src, dst)]
        return [self.step(node, binder, (N, H, W), pixels[0], pixels[1], channels=C, plane=src.c)]


class QuantizeBlocked(QuantizeImages):
    """Blocked floats, and bytes with channels last."""

    name = "integers-blocked"

    def refuse_layout(self, node: Node, selection: Selection) -> str | None:
        return None if selection.layout(node.input(0)).is_blocked else "the input is row-major"

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, Layout], Layout]:
        parameters = {v: ROW_MAJOR for v in node.operands if v.constant is None}
        return parameters | {node.input(0): target.blocked_of(node.input(0))}, target.blocked_of(node.results[0])

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        src, dst = binder.view(node.input(0)), binder.view(node.results[0])
        (N, C, H, W), V = src.shape, binder.target.V
        dims = (N, -(-C // V), H, W, V)
        places = [(v.address, (v.n, V if v.layout.channels_last else v.c, v.h, v.w, 1)) for v in (src, dst)]
        return [self.step(node, binder, dims, places[0], places[1])]
