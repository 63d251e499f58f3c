"""Cast on the kernel cast."""

from __future__ import annotations

import math

from ..graph import Node, Value
from ..ops.cast import Cast
from ..plan.binder import Binder, Step
from ..plan.implementation import Implementation
from ..plan.layout import ROW_MAJOR, Layout
from ..plan.select import Selection, Target

#: the types that the kernel converts to each other
INTEGERS = ("uint8", "int8", "int32", "int64", "bool")
#: those that it converts float32 from and to, and then float32
TYPES = ("float16", "bfloat16", "float64", *INTEGERS, "float32")


class CastRowMajor(Implementation[Cast]):
    """Between float32 and another of TYPES, or between integers, row-major."""

    name = "row-major"
    dtypes = frozenset(TYPES)
    takes_empty = True

    def refuse(self, node: Node, selection: Selection) -> str | None:
        x, y = node.input(0), node.results[0]
        types = {str(x.dtype), str(y.dtype)}
        known = types <= set(INTEGERS) or ("float32" in types and types <= set(TYPES))
        return None if known else f"dtype {x.dtype} to {y.dtype}"

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, Layout], Layout]:
        return {node.input(0): ROW_MAJOR}, ROW_MAJOR

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, y, kernel = node.input(0), node.results[0], binder.kernels.cast
        return [
            binder.step(
                kernel,
                src=binder.view(x).address,
                dst=binder.view(y).address,
                src_type=getattr(kernel, str(x.dtype).upper()),
                dst_type=getattr(kernel, str(y.dtype).upper()),
                count=math.prod(y.dims),
            )
        ]
