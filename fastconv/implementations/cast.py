"""Cast on the kernel cast."""

from __future__ import annotations

import math

import numpy as np

from ..graph import Node, Value
from ..ops.cast import Cast
from ..plan.binder import Binder, Step
from ..plan.implementation import Implementation
from ..plan.layout import ROW_MAJOR, Layout
from ..plan.select import Selection, Target

#: the types that the kernel converts float32 from and to, in the order of `Type` in pyx/isa/cast.pyx
TYPES = ("float16", "bfloat16", "float64", "uint8", "int8", "int32", "int64", "bool")


class CastRowMajor(Implementation[Cast]):
    """Between float32 and one of TYPES, row-major."""

    name = "row-major"
    dtypes = frozenset({"float32", *TYPES})
    takes_empty = True

    def refuse(self, node: Node, selection: Selection) -> str | None:
        x, y = node.input(0), node.results[0]
        if any(a.dtype == np.float32 and str(b.dtype) in TYPES for a, b in ((x, y), (y, x))):
            return None
        return f"dtype {x.dtype} to {y.dtype}"

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, Layout], Layout]:
        return {node.input(0): ROW_MAJOR}, ROW_MAJOR

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, y = node.input(0), node.results[0]
        floats, others = (y, x) if y.dtype == np.float32 else (x, y)
        return [
            binder.step(
                binder.kernels.cast,
                floats=binder.view(floats).address,
                others=binder.view(others).address,
                type=TYPES.index(str(others.dtype)),
                widens=floats is y,
                count=math.prod(y.dims),
            )
        ]
