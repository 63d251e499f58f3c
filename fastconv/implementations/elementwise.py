"""Functions of one or two tensors on the kernel elementwise: on the blocked layout, or row-major with any broadcasting."""

from __future__ import annotations

import numpy as np

from .._constants import AXES
from ..activation import Activation
from ..graph import Node, Value
from ..ops.base import Op
from ..plan.binder import Binder, Step
from ..plan.epilogue import activation_fields, epilogue_of
from ..plan.implementation import Implementation
from ..plan.layout import RANKS, ROW_MAJOR, Layout, Strides, contiguous
from ..plan.packing import empty_aligned
from ..plan.select import Selection, Target
from ..plan.strided import axes_fields, broadcast_strides, collapse, item_size

#: the functions of two operands
BINARY = ("add", "sub", "mul", "div", "min", "max", "prelu")


class ElementwiseRowMajor(Implementation[Op]):
    """Row-major tensors of any rank that broadcast together."""

    name = "row-major"

    def __init__(self, function: str):
        self.function = function

    def function_of(self, op: Op) -> str:
        """Which of the kernel's functions the operator is."""
        return "gelu_tanh" if getattr(op, "approximate", "none") == "tanh" else self.function

    def activation(self, node: Node) -> Activation:
        """The activation of the kernel's store."""
        return epilogue_of(node)[1]

    def operands(self, node: Node) -> list[Value]:
        return [v for v in node.inputs[: 2 if self.function in BINARY else 1] if v is not None]

    def refuse(self, node: Node, selection: Selection) -> str | None:
        if self.function in BINARY and len([v for v in node.inputs if v is not None]) != 2:
            return f"{len(node.inputs)} operands"
        return self.refuse_shapes(self.operands(node), node.results[0], selection)

    def refuse_shapes(self, operands: list[Value], y: Value, selection: Selection) -> str | None:
        """Why the operands' shapes or layouts cannot be taken."""
        dims, _ = collapse(y.dims, *(broadcast_strides(v.dims, y.dims) for v in operands))
        return f"broadcasting over {len(dims)} axes" if len(dims) > AXES else None

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, Layout], Layout]:
        return {v: ROW_MAJOR for v in self.operands(node) if v.constant is None}, ROW_MAJOR

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        y = node.results[0]
        places = [(binder.operand(v), broadcast_strides(v.dims, y.dims)) for v in self.operands(node)]
        return [self.step(node, binder, y.dims, (binder.view(y).address, contiguous(y.dims)), places)]

    def step(
        self, node: Node, binder: Binder, dims: Strides, dst: tuple[int, Strides], operands: list[tuple[int, Strides]]
    ) -> Step:
        """The step over elements `dims`; dst and the operands as (address, strides)."""
        (a, a_strides), (b, b_strides) = operands[0], operands[-1]
        dims, (dst_strides, a_strides, b_strides) = collapse(dims, dst[1], a_strides, b_strides)
        rows, chunk = item_size(1, dims[-1])
        kernel = binder.kernels.elementwise
        return binder.step(
            kernel,
            dst=dst[0],
            a=a,
            b=b,
            function=getattr(kernel, self.function_of(node.op).upper()),
            rows=rows,
            chunk=chunk,
            **axes_fields(dims, dst=dst_strides, a=a_strides, b=b_strides),
            act=activation_fields(self.activation(node)),
        )


class ElementwiseBlocked(ElementwiseRowMajor):
    """Blocked tensors; an operand may have one value for each channel, image or pixel, or for all."""

    name = "blocked"

    def refuse_shapes(self, operands: list[Value], y: Value, selection: Selection) -> str | None:
        rank = len(y.dims)
        if rank not in RANKS:
            return f"rank {rank}"
        if not any(v.dims == y.dims and selection.layout(v).is_blocked for v in operands):
            return "no operand of the result's shape is blocked"
        for v in operands:
            if v.constant is None and channels(v.dims, rank) not in (1, y.dims[1]):
                return f"operand of shape {v.dims}"
            if v.constant is None and len(v.dims) < rank and channels(v.dims, rank) > 1:
                return f"channels in an operand of rank {len(v.dims)}"
        return None

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, Layout], Layout]:
        y, blocked = node.results[0], target.blocked
        operands = [v for v in self.operands(node) if v.constant is None]
        return {v: blocked if by_channel(v.dims, y.dims) else ROW_MAJOR for v in operands}, blocked

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        y, dst = node.results[0], binder.view(node.results[0])
        (N, C, *size), V, rank = y.dims, dst.layout.block, len(y.dims)
        places = []
        for v in self.operands(node):
            blocked = by_channel(v.dims, y.dims)
            n, c, *inner = shape = full_rank(v.dims, rank)
            if v.constant is None and len(v.dims) == rank:
                view = binder.view(v)
                first, strides = view.address, (view.n, view.c, *view.spatial)
            elif v.constant is not None and blocked:
                first = binder.pack("elementwise", pack_blocked, v.constant, rank=rank, layout=dst.layout)
                strides = contiguous((n, -(-c // V), *inner, V))[:-1]
            else:
                first, strides = binder.operand(v), contiguous(shape)
            varies = (n > 1, blocked, *(d > 1 for d in inner))
            places.append((first, (*(s if t else 0 for s, t in zip(strides, varies, strict=True)), int(blocked))))
        dims = (N, -(-C // V), *size, V)
        return [self.step(node, binder, dims, (dst.address, (dst.n, dst.c, *dst.spatial, 1)), places)]


class ActivationOfNode(ElementwiseRowMajor):
    """A copy whose store applies the operator, which is an activation: what the two implementations of it share."""

    def __init__(self) -> None:
        super().__init__("copy")

    def refuse(self, node: Node, selection: Selection) -> str | None:
        if node.op.activation(node) is None:
            return "not an activation of the kernels"
        return super().refuse(node, selection)

    def activation(self, node: Node) -> Activation:
        activation = node.op.activation(node)
        assert activation is not None, "refuse takes no others"
        return activation


class ActivationRowMajor(ActivationOfNode):
    """Row-major tensors."""


class ActivationBlocked(ActivationOfNode, ElementwiseBlocked):
    """Blocked tensors."""


def full_rank(shape: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """A shape of this rank, with ones in front."""
    return (1,) * (rank - len(shape)) + shape


def channels(shape: tuple[int, ...], rank: int) -> int:
    """The size of the channel axis, for an operand of a tensor of this rank."""
    return full_rank(shape, rank)[1]


def by_channel(shape: tuple[int, ...], result: tuple[int, ...]) -> bool:
    """Whether an operand of this shape has the result's channels, and not one value for all of them."""
    return channels(shape, len(result)) > 1 or (len(shape) == len(result) and result[1] == 1)


def pack_blocked(x: np.ndarray, rank: int, layout: Layout) -> np.ndarray:
    """A constant, for tensors of this rank, in blocks of channels; lanes without a channel are 1, which any function takes."""
    n, c, *size = shape = full_rank(x.shape, rank)
    blocks, V = -(-c // layout.block), layout.block
    dst = empty_aligned((n, *size, blocks, V) if layout.channels_last else (n, blocks, *size, V), x.dtype)
    dst[...] = 1
    by_block = np.moveaxis(dst, -2, 1) if layout.channels_last else dst
    src = np.moveaxis(x.reshape(shape), 1, -1)
    for block in range(blocks):
        lanes = src[..., block * V : (block + 1) * V]
        by_block[:, block, ..., : lanes.shape[-1]] = lanes
    return dst
