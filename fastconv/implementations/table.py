"""Functions of the bytes of one tensor by the kernel table: the reference computes them for all 256 bytes."""

from __future__ import annotations

import numpy as np

from ..evaluate import evaluate
from ..graph import Node, Value
from ..ops.base import Op
from ..plan.binder import Binder, Step
from ..plan.implementation import Implementation
from ..plan.layout import CHANNELS_LAST, RANKS, ROW_MAJOR, Layout, Strides, contiguous
from ..plan.select import Selection, Target
from ..plan.strided import axes_fields, collapse, item_size
from ..plan.view import View
from .int8 import filled_up


class TableRowMajor(Implementation[Op]):
    """Row-major tensors."""

    name = "table-row-major"
    quantized = True
    dtypes = frozenset({"uint8", "int8"})

    def operands(self, node: Node) -> list[Value]:
        return list(dict.fromkeys(v for v in node.operands if v.constant is None))

    def refusal(self, node: Node, selection: Selection) -> str | None:
        if len(self.operands(node)) != 1:
            return f"{len(self.operands(node))} operands"
        return super().refusal(node, selection)

    def refuse(self, node: Node, selection: Selection) -> str | None:
        (x,), (y,) = self.operands(node), node.results
        if str(y.dtype) not in self.dtypes:
            return f"dtype {y.dtype}"
        if y.dims != x.dims or any(v.constant is not None and v.constant.size > 1 for v in node.operands):
            return "elements have functions of their own"
        return None

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, Layout], Layout]:
        return {self.operands(node)[0]: ROW_MAJOR}, ROW_MAJOR

    def elements(self, view: View) -> tuple[Strides, Strides]:
        """The sizes and strides of a tensor's elements, as they lie."""
        return view.shape, contiguous(view.shape)

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        (x,), (y,) = self.operands(node), node.results
        arrays = {x: np.arange(256, dtype=np.uint8).view(str(x.dtype))}
        evaluate(node, arrays)
        src, dst = binder.view(x), binder.view(y)
        (dims, src_strides), (_, dst_strides) = self.elements(src), self.elements(dst)
        dims, (src_strides, dst_strides) = collapse(dims, src_strides, dst_strides)
        rows, chunk = item_size(*(1, *dims)[-2:])
        return [
            binder.step(
                binder.kernels.table,
                src=src.address, dst=dst.address, table=binder.constant(np.ascontiguousarray(arrays[y]).view(np.uint8)),
                rows=rows, chunk=chunk, **axes_fields(dims, src=src_strides, dst=dst_strides),
            )
        ]  # fmt: skip


class Table(TableRowMajor):
    """Tensors with channels last."""

    name = "table"
    ranks = RANKS

    def refuse(self, node: Node, selection: Selection) -> str | None:
        if not selection.layout(self.operands(node)[0]).channels_last:
            return "the input is row-major"
        return super().refuse(node, selection)

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, Layout], Layout]:
        return {self.operands(node)[0]: CHANNELS_LAST}, CHANNELS_LAST

    def elements(self, view: View) -> tuple[Strides, Strides]:
        N, C, *size = view.shape
        return (N, *size, filled_up(C)), (view.n, *view.spatial, 1)
