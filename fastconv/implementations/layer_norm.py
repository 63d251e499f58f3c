"""LayerNormalization on the kernel layer_norm: the last axes of a row-major tensor, or the channels of a blocked one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..graph import Node, Value
from ..ops.normalization import LayerNormalization
from ..plan.binder import Binder, Step
from ..plan.implementation import Implementation
from ..plan.layout import ROW_MAJOR, Layout
from ..plan.select import Selection, Target
from .conv import pack_bias


class LayerNormRowMajor(Implementation[LayerNormalization]):
    """The last axes of a row-major tensor."""

    name = "row-major"

    def refuse(self, node: Node, selection: Selection) -> str | None:
        if any(v is not None for v in node.outputs[1:]):
            return "the statistics are asked for"
        for v in node.inputs[1:]:
            if v is not None and v.constant is None:
                return "scale or bias is not constant"
            if v is not None and math.prod(v.dims) not in (1, self.elements(node)):
                return f"scale or bias of shape {v.dims}"
        return self.refuse_axes(node)

    def axes(self, node: Node) -> tuple[int, ...]:
        """The axes normalized together."""
        return self.op(node).axes(len(node.input(0).dims))

    def elements(self, node: Node) -> int:
        """How many elements are normalized together."""
        return math.prod(node.input(0).dims[i] for i in self.axes(node))

    def refuse_axes(self, node: Node) -> str | None:
        """Why these axes are out of reach."""
        axes = self.axes(node)
        return None if math.prod(node.input(0).dims[axes[-1] + 1 :]) == 1 else f"axes {axes}"

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, Layout], Layout]:
        return {node.input(0): ROW_MAJOR}, ROW_MAJOR

    def rows(self, node: Node, binder: Binder) -> dict[str, Any]:
        """The rows of the source and the result, as the kernel's fields."""
        K = self.elements(node)
        src, dst = (binder.view(v)._replace(n=0, c=binder.target.V, h=0, w=K) for v in (node.input(0), node.results[0]))
        return {"src": src.fields, "dst": dst.fields, "N": 1, "H": 1, "W": math.prod(node.input(0).dims) // K}

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        K, V = self.elements(node), binder.target.V
        scale, bias = (
            binder.pack("layer_norm", pack_row, None if v is None else v.constant, K=K, V=V)
            for v in (node.input(1), node.optional(2))
        )
        return [
            binder.step(
                binder.kernels.layer_norm,
                scale=scale,
                bias=bias,
                K=K,
                epsilon=self.op(node).epsilon,
                **self.rows(node, binder),
            )
        ]


class LayerNormBlocked(LayerNormRowMajor):
    """The channels of each pixel of a blocked tensor."""

    name = "blocked"
    ranks = (4,)

    def refuse_axes(self, node: Node) -> str | None:
        return None if self.axes(node) == (1,) else f"axes {self.axes(node)}"

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, Layout], Layout]:
        return {node.input(0): target.blocked}, target.blocked

    def rows(self, node: Node, binder: Binder) -> dict[str, Any]:
        src, dst = binder.view(node.input(0)), binder.view(node.results[0])
        N, _, H, W = src.shape
        if src.h == W * src.w and dst.h == W * dst.w:  # rows without gaps are one long row
            H, W = 1, H * W
        return {"src": src.fields, "dst": dst.fields, "N": N, "H": H, "W": W}


def pack_row(a: np.ndarray | None, K: int, V: int) -> np.ndarray:
    """A scale or bias of K elements, or of one for all, in whole vectors; zeros where there is none."""
    return pack_bias(None if a is None else np.broadcast_to(a.reshape(-1), (K,)), K, 1, V)
