"""Functions of elements of other types than float32 on the kernel elementwise_typed: integers, comparisons, masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from .._constants import AXES
from ..graph import Node, Value
from ..ops.base import Op
from ..ops.binary import Mod
from ..plan.binder import Binder, Step
from ..plan.implementation import Implementation
from ..plan.layout import ROW_MAJOR, Layout, contiguous
from ..plan.select import Selection, Target
from ..plan.strided import axes_fields, broadcast_strides, collapse, item_size
from .move import MOVABLE


class IntegerArithmetic(Implementation[Op]):
    """A function of row-major tensors of integers, of any rank, that broadcast together.

    `positions` says which inputs are the kernel's operands a and b (and, for "where", its condition); None is the number 0.
    """

    name = "typed"
    dtypes: ClassVar[frozenset[str] | None] = frozenset({"int32", "int64"})

    def __init__(self, function: str, positions: Sequence[int | None] = (0, 1)):
        self.function = function
        self.positions = positions

    def operands(self, node: Node) -> list[Value]:
        given = (None if i is None else node.optional(i) for i in self.positions)
        return [v for v in given if v is not None]

    def type_of(self, dtype: np.dtype) -> str:
        """Which of the kernel's types it takes the operands a and b for."""
        return "uint8" if dtype.kind == "b" else str(dtype)

    def function_of(self, op: Op) -> str:
        """Which of the kernel's functions the operator is."""
        return self.function

    def fault(self, node: Node, binder: Binder) -> int:
        """The address for values that the function is not defined for; 0 if there are none."""
        return 0

    def refuse(self, node: Node, selection: Selection) -> str | None:
        operands, y = self.operands(node), node.results[0]
        if len(node.inputs) != len({i for i in self.positions if i is not None}):
            return f"{len(node.inputs)} operands"
        if node.epilogue:
            return "an activation"
        axes = len(collapse(y.dims, contiguous(y.dims), *(broadcast_strides(v.dims, y.dims) for v in operands))[0])
        return f"broadcasting over {axes} axes" if axes > AXES else None

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, Layout], Layout]:
        return {v: ROW_MAJOR for v in self.operands(node) if v.constant is None}, ROW_MAJOR

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        operands = [None if i is None else node.input(i) for i in self.positions]
        return [self.step(node, binder, self.function_of(node.op), operands)]

    def step(self, node: Node, binder: Binder, function: str, operands: Sequence[Value | None]) -> Step:
        """The step that computes a function of these operands, in the kernel's order."""
        y, kernel = node.results[0], binder.kernels.elementwise_typed
        dtype = self.operands(node)[0].dtype
        assert dtype is not None, "all dtypes are known"
        zero = binder.constant(np.zeros(1, dtype))
        addresses = [zero if v is None else binder.operand(v) for v in operands]
        strides = [broadcast_strides(() if v is None else v.dims, y.dims) for v in operands]
        dims, (dst_strides, *strides) = collapse(y.dims, contiguous(y.dims), *strides)
        a, b, condition = (*addresses, zero)[:3]
        a_strides, b_strides, condition_strides = (*strides, (0,) * len(dims))[:3]
        rows, chunk = item_size(1, min(dims[-1], kernel.CHUNK))
        return binder.step(
            kernel,
            dst=binder.view(y).address,
            condition=condition,
            a=a,
            b=b,
            fault=self.fault(node, binder),
            function=getattr(kernel, function.upper()),
            type=getattr(kernel, self.type_of(dtype).upper()),
            rows=rows,
            chunk=chunk,
            **axes_fields(dims, dst=dst_strides, condition=condition_strides, a=a_strides, b=b_strides),
        )


class IntegerDivision(IntegerArithmetic):
    """A quotient or a remainder, whose divisors must not be 0."""

    def function_of(self, op: Op) -> str:
        return "fmod" if isinstance(op, Mod) and op.fmod else self.function

    def fault(self, node: Node, binder: Binder) -> int:
        return binder.fault(node, "integer division by zero")


class IntegerClip(IntegerArithmetic):
    """The larger of each element and the lower bound, then the smaller of that and the upper one."""

    def __init__(self) -> None:
        super().__init__("max")

    def operands(self, node: Node) -> list[Value]:
        return [v for v in node.inputs if v is not None]

    def refuse(self, node: Node, selection: Selection) -> str | None:
        return "a scalar" if node.results[0].dims == () else "an activation" if node.epilogue else None

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, steps = node.input(0), []
        for function, bound in (("max", node.optional(1)), ("min", node.optional(2))):
            if bound is not None:
                steps.append(self.step(node, binder, function, (x, bound)))
                x = node.results[0]
        return steps or [self.step(node, binder, "max", (x, x))]


class Comparison(IntegerArithmetic):
    """A comparison of numbers, or of bools."""

    dtypes = frozenset({"bool", "uint8", "int32", "int64", "float32"})


class Logic(IntegerArithmetic):
    """A function of bools."""

    dtypes = frozenset({"bool"})


class WhereRowMajor(IntegerArithmetic):
    """Elements of one of two tensors of any type, by a condition: the kernel takes them for integers of their size."""

    dtypes = MOVABLE

    def __init__(self) -> None:
        super().__init__("where", (1, 2, 0))

    def type_of(self, dtype: np.dtype) -> str:
        return {1: "uint8", 2: "uint16", 4: "int32", 8: "int64"}[dtype.itemsize]


__all__ = ["Comparison", "IntegerArithmetic", "IntegerClip", "IntegerDivision", "Logic", "WhereRowMajor"]
