"""MaxPool of any element type on the kernel max_pool_row_major."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..graph import Node, Value
from ..ops.max_pool import MaxPool
from ..plan.binder import Binder, Step
from ..plan.implementation import Implementation
from ..plan.layout import ROW_MAJOR, Layout
from ..plan.select import Selection, Target


class MaxPoolRowMajor(Implementation[MaxPool]):
    """The largest element of each window of a row-major tensor; bools are the bytes 0 and 1."""

    name = "row-major"
    dtypes = frozenset({"bool", "float16", "float32", "uint8", "int8", "int32", "int64"})
    ranks = (3, 4, 5)

    def refuse(self, node: Node, selection: Selection) -> str | None:
        return "indices output" if any(v is not None for v in node.outputs[1:]) else None

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, Layout], Layout]:
        return {node.input(0): ROW_MAJOR}, ROW_MAJOR

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, kernel = node.input(0), binder.kernels.max_pool_row_major
        w, name = self.op(node).geometry(x.dims), str(x.dtype)

        def axes(values: Sequence[int], fill: int) -> list[int]:
            return [fill] * (kernel.AXES - len(values)) + list(values)

        return [
            binder.step(
                kernel,
                src=binder.view(x).address,
                dst=binder.view(node.results[0]).address,
                type=kernel.UINT8 if name == "bool" else getattr(kernel, name.upper()),
                planes=math.prod(x.dims[:2]),
                size=axes(w.size, 1),
                out=axes(w.out, 1),
                window=axes(w.kernel, 1),
                strides=axes(w.strides, 1),
                dilations=axes(w.dilations, 1),
                begin=axes(w.begin, 0),
            )
        ]
