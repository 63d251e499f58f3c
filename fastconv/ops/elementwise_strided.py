"""Functions of one or two tensors on the kernel elementwise: on the blocked layout, or row-major with any broadcasting."""

from __future__ import annotations

import numpy as np

from ..graph import Node, Value
from ..plan.bind import Binder, Step, activation_fields, empty_aligned, epilogue_of
from ..plan.select import BLOCKED, NCHW, Target
from ..plan.strided import AXES, Strides, collapse, contiguous, item_size, pad_axes
from .base import Implementation, Op

#: what the kernel computes, in the order of `Function` in pyx/isa/elementwise.pyx: of two operands, then of one
BINARY = ("add", "sub", "mul", "div", "min", "max", "prelu")
FUNCTIONS = (*BINARY, "copy", "abs", "neg", "reciprocal", "sqrt", "exp", "erf", "gelu", "gelu_tanh", "mish")


def strided(function: str) -> tuple[Implementation, ...]:
    """The implementations of an operator that is one of FUNCTIONS; "copy" is for those that are an activation."""
    return ElementwiseBlocked(function), ElementwisePlain(function)


class ElementwisePlain(Implementation):
    """Row-major tensors of any rank that broadcast together."""

    name = "plain"

    def __init__(self, function: str):
        self.function = function

    def function_of(self, op: Op) -> str:
        """Which of FUNCTIONS the operator is."""
        return "gelu_tanh" if getattr(op, "approximate", "none") == "tanh" else self.function

    def operands(self, node: Node) -> list[Value]:
        """The one or two tensors of the function."""
        count = 2 if self.function in BINARY else 1
        return [v for v in node.inputs[:count] if v is not None]

    def refuse(self, node: Node, target: Target) -> str | None:
        operands, y = self.operands(node), node.results[0]
        if self.function in BINARY and len([v for v in node.inputs if v is not None]) != 2:
            return f"{len(node.inputs)} operands"
        if self.function == "copy" and node.op.activation(node) is None:
            return "not an activation of the kernels"
        if all(v.constant is not None for v in operands):
            return "constant operands"
        for v in operands:
            if v.dtype != np.float32:
                return f"dtype {v.dtype}"
        if 0 in y.dims:
            return "empty result"
        return self.refuse_shapes(operands, y, target)

    def refuse_shapes(self, operands: list[Value], y: Value, target: Target) -> str | None:
        """Why the operands' shapes or layouts cannot be taken."""
        dims, _ = collapse(y.dims, *(broadcast_strides(v.dims, y.dims) for v in operands))
        return f"broadcasting over {len(dims)} axes" if len(dims) > AXES else None

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, str], str]:
        return {v: NCHW for v in self.operands(node) if v.constant is None}, NCHW

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        y = node.results[0]
        places = [(binder.operand(v), broadcast_strides(v.dims, y.dims)) for v in self.operands(node)]
        return [self.step(node, binder, y.dims, (binder.view(y).ref, contiguous(y.dims)), places)]

    def step(
        self, node: Node, binder: Binder, dims: Strides, dst: tuple[int, Strides], operands: list[tuple[int, Strides]]
    ) -> Step:
        """The step over elements `dims`; dst and the operands as (reference, strides)."""
        own = node.op.activation(node)
        act = epilogue_of(node)[1] if own is None else own
        (a, a_strides), (b, b_strides) = operands[0], operands[-1]
        dims, (dst_strides, a_strides, b_strides) = collapse(dims, dst[1], a_strides, b_strides)
        rows, chunk = item_size(1, dims[-1])
        return binder.step(
            binder.kernels.elementwise,
            dst=dst[0],
            a=a,
            b=b,
            function=FUNCTIONS.index(self.function_of(node.op)),
            rows=rows,
            chunk=chunk,
            dims=pad_axes(dims, 1),
            dst_strides=pad_axes(dst_strides, 0),
            a_strides=pad_axes(a_strides, 0),
            b_strides=pad_axes(b_strides, 0),
            act=activation_fields(act),
        )


class ElementwiseBlocked(ElementwisePlain):
    """Blocked tensors; an operand may have one value for each channel, image or pixel, or for all."""

    name = "blocked"

    def refuse_shapes(self, operands: list[Value], y: Value, target: Target) -> str | None:
        if len(y.dims) != 4:
            return f"rank {len(y.dims)}"
        if not any(v.dims == y.dims and target.layout(v) == BLOCKED for v in operands):
            return "no operand of the result's shape is blocked"
        for v in operands:
            if v.constant is None and channels(v.dims) not in (1, y.dims[1]):
                return f"operand of shape {v.dims}"
            if v.constant is None and len(v.dims) < 4 and channels(v.dims) > 1:
                return f"channels in an operand of rank {len(v.dims)}"
        return None

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, str], str]:
        y = node.results[0]
        return {v: BLOCKED if by_channel(v.dims, y.dims) else NCHW for v in self.operands(node) if v.constant is None}, BLOCKED

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        y, V = node.results[0], binder.target.V
        N, C, H, W = y.dims
        CB = -(-C // V)
        dst = binder.view(y)
        places = []
        for v in self.operands(node):
            blocked = by_channel(v.dims, y.dims)
            n, _, h, w = shape = full_rank(v.dims)
            if v.constant is None:
                view = binder.view(v)
                ref, steps = view.ref, tuple(view.strides("").values())
            elif blocked:
                ref, steps = binder.pack("elementwise", pack_blocked, v.constant, V=V), contiguous((n, CB, h, w, V))[:4]
            else:
                ref, steps = binder.operand(v), contiguous(shape)
            there = (n > 1, blocked, h > 1, w > 1)
            places.append((ref, (*(s if t else 0 for s, t in zip(steps, there, strict=True)), int(blocked))))
        return [self.step(node, binder, (N, CB, H, W, V), (dst.ref, (dst.n, dst.c, dst.h, dst.w, 1)), places)]


def full_rank(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape of rank 4, with ones in front."""
    return (1,) * (4 - len(shape)) + shape


def channels(shape: tuple[int, ...]) -> int:
    """The size of the channel axis, for an operand of a tensor of rank 4."""
    return full_rank(shape)[1]


def by_channel(shape: tuple[int, ...], result: tuple[int, ...]) -> bool:
    """Whether an operand of this shape has the result's channels, and not one value for all of them."""
    return channels(shape) > 1 or (len(shape) == 4 and result[1] == 1)


def broadcast_strides(shape: tuple[int, ...], result: tuple[int, ...]) -> Strides:
    """The strides, 0 where it is repeated, of a row-major tensor of this shape that broadcasts to the result's."""
    steps = [s if d > 1 else 0 for d, s in zip(shape, contiguous(shape), strict=True)]
    return (0,) * (len(result) - len(shape)) + tuple(steps)


def pack_blocked(x: np.ndarray, V: int) -> np.ndarray:
    """A constant N C H W (or of lower rank) in the blocked layout; lanes without a channel are 1, which any function takes."""
    n, c, h, w = shape = full_rank(x.shape)
    dst = empty_aligned((n, -(-c // V), h, w, V))
    dst[...] = 1
    src = x.reshape(shape).transpose(0, 2, 3, 1)
    for block in range(dst.shape[1]):
        part = src[..., block * V : (block + 1) * V]
        dst[:, block, :, :, : part.shape[-1]] = part
    return dst


__all__ = ["BINARY", "FUNCTIONS", "ElementwiseBlocked", "ElementwisePlain", "broadcast_strides", "pack_blocked", "strided"]
