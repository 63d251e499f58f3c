"""The pools on bytes with channels last, by the kernels max_pool_int8 and average_pool_int8."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ..graph import Node, Value
from ..ops.average_pool import AveragePool
from ..ops.max_pool import MaxPool
from ..ops.quantized import operand_of, store_of
from ..ops.reduce import Reduce
from ..plan.binder import Binder, Step
from ..plan.layout import CHANNELS_LAST, ROW_MAJOR, Layout
from ..plan.select import Selection, Target
from .int8 import Int8Implementation, filled_up, one_scale, rounding_fields
from .pool import AveragePoolBlocked, GlobalPoolBlocked, MaxPoolBlocked, P, PoolBlocked, ReducePlanesBlocked, inner_columns


class PoolInt8(PoolBlocked[P]):
    """A reduction of each window; a subclass of PoolBlocked says what the windows are."""

    name = "int8"
    dtypes = frozenset({"uint8"})
    ranks: ClassVar[Sequence[int] | None] = (4,)

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, Layout], Layout]:
        return {self.operands(node)[0]: CHANNELS_LAST}, CHANNELS_LAST

    def mean_fields(self, node: Node) -> dict[str, Any]:
        """The fields that only means need."""
        return {"scale": 0.0, "dst_scale": 0.0, "zero": 0, "rounding": {"zero": 0, "low": 0, "high": 0}}

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        src, dst, w = binder.view(self.operands(node)[0]), binder.view(node.results[0]), self.windows(node)
        heights, widths = (binder.constant(c.astype(np.float32)) for c in self.counts(node, w))
        (N, C, H, W), (OH, OW), (KH, KW) = src.shape, w.out, w.kernel
        inner_begin, inner_end = inner_columns(w)
        channels = filled_up(C)
        if not dst.layout.channels_last:  # a matrix N C
            dst, channels = dst._replace(n=C), C
        return [
            binder.step(
                getattr(binder.kernels, f"{self.kernel}_int8"),
                src=src.fields, dst=dst.fields, heights=heights, widths=widths, **self.mean_fields(node),
                N=N, channels=channels, H=H, W=W, OH=OH, OW=OW, KH=KH, KW=KW,
                stride_h=w.strides[0], stride_w=w.strides[1], dilation_h=w.dilations[0], dilation_w=w.dilations[1],
                top=w.begin[0], left=w.begin[1], inner_begin=inner_begin, inner_end=inner_end,
            )
        ]  # fmt: skip


class MaxPoolInt8(PoolInt8[MaxPool], MaxPoolBlocked):
    """The largest byte of each window, whatever bytes mean."""


class MeanInt8(PoolInt8[P], Int8Implementation[P]):
    """The mean of each window of a quantized tensor."""

    def refuse(self, node: Node, selection: Selection) -> str | None:
        store = store_of(node)
        if store is None or store.residual is not None:
            return "another store than kernels of bytes have"
        return one_scale(node, node.input(0)) or super().refuse(node, selection)

    def mean_fields(self, node: Node) -> dict[str, Any]:
        x, store = operand_of(node, node.input(0)), store_of(node)
        assert x is not None and store is not None, "refuse takes no others"
        return {
            "scale": float(x.scale), "dst_scale": float(store.last.scale), "zero": int(x.zero),
            "rounding": rounding_fields(store.last),
        }  # fmt: skip


class AveragePoolInt8(MeanInt8[AveragePool], AveragePoolBlocked):
    """The mean of each window."""


class GlobalAveragePoolInt8(MeanInt8[P], GlobalPoolBlocked[P]):
    """The mean of each plane."""


class ReducePlanesInt8(MeanInt8[Reduce], ReducePlanesBlocked):
    """The same as a reduction: N C 1 1 or, without keepdims, a matrix N C."""

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, Layout], Layout]:
        wants, layout = super().layouts(node, target)
        return wants, layout if self.op(node).keepdims else ROW_MAJOR
