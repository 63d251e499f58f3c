"""Cast on the kernel cast, or in place."""

from __future__ import annotations

import math

import numpy as np

from ..graph import Node, Value
from ..plan.bind import Binder, Step
from ..plan.implementation import Implementation
from ..plan.select import NCHW, Target
from .move import first_input
from .same_memory import SameMemory

#: the types that the kernel converts float32 from and to, in the order of `Type` in pyx/isa/cast.pyx
TYPES = ("float16", "bfloat16", "float64", "uint8", "int8", "int32", "int64", "bool")


class CastInPlace(SameMemory):
    """To the type that the elements have."""

    def refuse_how(self, node: Node, target: Target) -> str | None:
        x, y = first_input(node), node.results[0]
        return None if x.dtype == y.dtype else f"dtype {x.dtype} to {y.dtype}"


class CastPlain(Implementation):
    """Between float32 and one of TYPES, row-major."""

    name = "plain"

    def refuse(self, node: Node, target: Target) -> str | None:
        x, y = first_input(node), node.results[0]
        if x.constant is not None:
            return "constant input"
        if not any(a.dtype == np.float32 and str(b.dtype) in TYPES for a, b in ((x, y), (y, x))):
            return f"dtype {x.dtype} to {y.dtype}"
        return None

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, str], str]:
        return {first_input(node): NCHW}, NCHW

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, y = first_input(node), node.results[0]
        floats, others = (y, x) if y.dtype == np.float32 else (x, y)
        return [
            binder.step(
                binder.kernels.cast,
                floats=binder.view(floats).ref,
                others=binder.view(others).ref,
                type=TYPES.index(str(others.dtype)),
                widens=floats is y,
                count=math.prod(y.dims),
            )
        ]
