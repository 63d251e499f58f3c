"""QuantizeLinear and DequantizeLinear on the kernel quantize."""

from __future__ import annotations

import math

import numpy as np

from ..graph import Node, Value
from ..ops.dims import axis_index
from ..ops.quantize import FLOAT, DequantizeLinear, QuantizeLinear
from ..plan.binder import Binder, Step
from ..plan.implementation import Implementation
from ..plan.layout import ROW_MAJOR, Layout
from ..plan.select import Selection, Target

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
        x, scale, zero, y, op = node.input(0), node.input(1), node.optional(2), node.results[0], self.op(node)
        quantizes, kernel = isinstance(op, QuantizeLinear), binder.kernels.quantize
        axis = axis_index(op.axis, len(x.dims)) if math.prod(scale.dims) > 1 else -1
        return [
            binder.step(
                kernel,
                src=binder.view(x).address,
                dst=binder.view(y).address,
                scale=binder.operand(scale),
                zero=0 if zero is None else binder.operand(zero),
                quantizes=quantizes,
                dtype=getattr(kernel, str(y.dtype if quantizes else x.dtype).upper()),
                rows=math.prod(x.dims[: axis + 1]),
                L=math.prod(x.dims[axis + 1 :]),
                C=math.prod(scale.dims),
            )
        ]
