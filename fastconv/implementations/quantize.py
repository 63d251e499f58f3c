"""QuantizeLinear and DequantizeLinear on the kernel quantize."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..graph import Node, Value
from ..ops.dims import axis_index
from ..plan.bind import Binder, Step
from ..plan.implementation import Implementation
from ..plan.select import NCHW, Target

#: the integers that the kernel knows, in the order of `Dtype` in pyx/isa/quantize.pyx; it quantizes to those of 8 bits
DTYPES = ("uint8", "int8", "int32")
#: ONNX's number of float32
FLOAT = 1


class QuantizePlain(Implementation):
    """Row-major tensors, with one scale for all elements or one for each index of an axis."""

    name = "integers"

    def refuse(self, node: Node, target: Target) -> str | None:
        (x, scale, zero), y = (*node.inputs, None)[:3], node.results[0]
        assert x is not None and scale is not None
        if x.constant is not None:
            return "constant input"
        if node.epilogue:
            return "fused with a DequantizeLinear"
        quantizes = type(node.op).__name__ == "QuantizeLinear"
        floats, integers = (x, y) if quantizes else (y, x)
        if floats.dtype != np.float32 or scale.dtype != np.float32:
            return f"dtype {scale.dtype if floats.dtype == np.float32 else floats.dtype}"
        if str(integers.dtype) not in DTYPES[: 2 if quantizes else None]:
            return f"dtype {integers.dtype}"
        op: Any = node.op
        if op.block_size:
            return "scales for blocks"
        if quantizes and op.precision not in (0, FLOAT):
            return "another precision than float32"
        if zero is not None and (zero.dims != scale.dims or zero.dtype != integers.dtype):
            return "a zero point of another shape or dtype than the scale's and the integers'"
        return "empty tensor" if 0 in x.dims else None

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, str], str]:
        return {v: NCHW for v in node.operands if v.constant is None}, NCHW

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        (x, scale, zero), y = (*node.inputs, None)[:3], node.results[0]
        assert x is not None and scale is not None
        quantizes = type(node.op).__name__ == "QuantizeLinear"
        axis = axis_index(node.op.axis, len(x.dims)) if math.prod(scale.dims) > 1 else -1  # type: ignore[attr-defined]
        return [
            binder.step(
                binder.kernels.quantize,
                src=binder.view(x).ref,
                dst=binder.view(y).ref,
                scale=binder.operand(scale),
                zero=0 if zero is None else binder.operand(zero),
                quantizes=quantizes,
                dtype=DTYPES.index(str(y.dtype if quantizes else x.dtype)),
                rows=math.prod(x.dims[: axis + 1]),
                L=math.prod(x.dims[axis + 1 :]),
                C=math.prod(scale.dims),
            )
        ]
