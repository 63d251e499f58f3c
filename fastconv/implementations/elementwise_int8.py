"""Add and Mul of two quantized tensors by the kernel elementwise_int8."""

from __future__ import annotations

import numpy as np

from .._constants import AXES
from ..graph import Node, Value
from ..ops.binary import Add, Mul
from ..ops.quantized import operand_of, store_of
from ..plan.binder import Binder, Step
from ..plan.layout import CHANNELS_LAST, ROW_MAJOR, Layout, Strides, contiguous
from ..plan.select import Selection, Target
from ..plan.strided import axes_fields, broadcast_strides, collapse, item_size
from .elementwise import full_rank, pack_blocked
from .int8 import Int8Implementation, filled_up, one_scale, rounding_fields


class ElementwiseInt8RowMajor(Int8Implementation[Add | Mul]):
    """Row-major tensors that broadcast."""

    name = "int8-row-major"

    def operands(self, node: Node) -> list[Value]:
        return [q.integers for v in node.inputs if v is not None and (q := operand_of(node, v)) is not None]

    def refuse(self, node: Node, selection: Selection) -> str | None:
        store = store_of(node)
        if store is None or store.residual is not None:
            return "another store than kernels of bytes have"
        if reason := one_scale(node, node.input(0), node.input(1)):
            return reason
        return self.refuse_shapes(node, selection)

    def refuse_shapes(self, node: Node, selection: Selection) -> str | None:
        """Why the operands' shapes or layouts cannot be taken."""
        y = node.results[0].dims
        dims, _ = collapse(y, contiguous(y), *(broadcast_strides(v.dims, y) for v in self.operands(node)))
        return f"broadcasting over {len(dims)} axes" if len(dims) > AXES else None

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, Layout], Layout]:
        return {v: ROW_MAJOR for v in self.operands(node) if v.constant is None}, ROW_MAJOR

    def elements(self, node: Node, binder: Binder) -> tuple[Strides, list[tuple[int, Strides]]]:
        """The sizes of the result, and the address and strides of the result and of each operand."""
        y = node.results[0]
        operands = [(binder.operand(v), broadcast_strides(v.dims, y.dims)) for v in self.operands(node)]
        return y.dims, [(binder.view(y).address, contiguous(y.dims)), *operands]

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        a, b, store = operand_of(node, node.input(0)), operand_of(node, node.input(1)), store_of(node)
        assert a is not None and b is not None and store is not None, "refuse takes no others"
        dims, places = self.elements(node, binder)
        addresses, strides = zip(*places, strict=True)
        dims, (dst_strides, a_strides, b_strides) = collapse(dims, *strides)
        rows, chunk = item_size(*(1, *dims)[-2:])
        kernel, adds = binder.kernels.elementwise_int8, isinstance(node.op, Add)
        return [
            binder.step(
                kernel,
                **dict(zip(("dst", "a", "b"), addresses, strict=True)),
                function=kernel.ADD if adds else kernel.MUL, a_zero=int(a.zero), b_zero=int(b.zero),
                a_scale=float(a.scale / store.last.scale if adds else a.scale * b.scale / store.last.scale),
                b_scale=float(b.scale / store.last.scale),
                rounding=rounding_fields(store.last),
                rows=rows, chunk=chunk, **axes_fields(dims, dst=dst_strides, a=a_strides, b=b_strides),
            )
        ]  # fmt: skip


class ElementwiseInt8(ElementwiseInt8RowMajor):
    """Tensors with channels last; an operand may have one value for each channel, image or pixel, or for all."""

    name = "int8"

    def refuse_shapes(self, node: Node, selection: Selection) -> str | None:
        operands, rank = self.operands(node), len(node.results[0].dims)
        if rank != 4:
            return f"rank {rank}"
        if not any(selection.layout(v).channels_last for v in operands):
            return "no operand has channels last"
        other = next((v for v in operands if v.constant is None and len(v.dims) != rank), None)
        return None if other is None else f"an operand of rank {len(other.dims)}"

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, Layout], Layout]:
        return {v: CHANNELS_LAST for v in self.operands(node) if v.constant is None}, CHANNELS_LAST

    def elements(self, node: Node, binder: Binder) -> tuple[Strides, list[tuple[int, Strides]]]:
        y, dst = node.results[0], binder.view(node.results[0])
        N, C, H, W = y.dims
        places: list[tuple[int, Strides]] = [(dst.address, (dst.n, dst.h, dst.w, 1))]
        for v in self.operands(node):
            n, c, h, w = full_rank(v.dims, 4)
            if v.constant is None:
                view = binder.view(v)
                first, strides = view.address, (view.n, view.h, view.w, 1)
            else:
                first = binder.pack("elementwise", pack_blocked, np.asarray(v.constant), rank=4, layout=CHANNELS_LAST)
                strides = w * h * filled_up(c), w * filled_up(c), filled_up(c), 1
            varies = (n > 1, h > 1, w > 1, c > 1 or C == 1)
            places.append((first, tuple(s if t else 0 for s, t in zip(strides, varies, strict=True))))
        return (N, H, W, filled_up(C)), places
