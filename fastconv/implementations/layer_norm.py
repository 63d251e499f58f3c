"""LayerNormalization on the kernel layer_norm: the last axes of a row-major tensor, or the channels of a blocked one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..graph import Node, Value
from ..plan.bind import Binder, Step
from ..plan.implementation import Implementation, blocked_refusal, input_refusal
from ..plan.select import BLOCKED, NCHW, Target
from .conv_direct import pack_bias


class LayerNormPlain(Implementation):
    """The last axes of a row-major tensor."""

    name = "plain"
    layout = NCHW

    def refuse(self, node: Node, target: Target) -> str | None:
        if (reason := input_refusal(node.inputs[0])) is not None:
            return reason
        if any(v is not None for v in node.outputs[1:]):
            return "the statistics are asked for"
        for v in node.inputs[1:]:
            if v is not None and v.constant is None:
                return "scale or bias is not constant"
            if v is not None and v.constant is not None and v.constant.size not in (1, self.elements(node)):
                return f"scale or bias of shape {v.dims}"
        return self.refuse_axes(node)

    def axes(self, node: Node) -> tuple[int, ...]:
        """The axes normalized together."""
        x = node.inputs[0]
        assert x is not None
        return node.op.axes(len(x.dims))  # type: ignore[attr-defined]

    def elements(self, node: Node) -> int:
        """How many elements are normalized together."""
        x = node.inputs[0]
        assert x is not None
        return math.prod(x.dims[i] for i in self.axes(node))

    def refuse_axes(self, node: Node) -> str | None:
        """Why these axes are out of reach."""
        x, axes = node.inputs[0], self.axes(node)
        assert x is not None
        return None if math.prod(x.dims[axes[-1] + 1 :]) == 1 else f"axes {axes}"

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, str], str]:
        x = node.inputs[0]
        assert x is not None
        return {x: self.layout}, self.layout

    def rows(self, node: Node, binder: Binder) -> dict[str, int]:
        """How the rows lie, as the kernel's fields."""
        x, K = node.inputs[0], self.elements(node)
        assert x is not None
        strides = {
            f"{side}_{axis}": step
            for side in ("src", "dst")
            for axis, step in zip("nchw", (0, binder.target.V, 0, K), strict=True)
        }
        return {"N": 1, "H": 1, "W": math.prod(x.dims) // K, **strides}

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, scale, bias = (*node.inputs, None)[:3]
        assert x is not None and scale is not None
        op: Any = node.op
        K, V = self.elements(node), binder.target.V
        factors, shifts = (
            binder.pack("layer_norm", pack_row, None if v is None else v.constant, K=K, V=V) for v in (scale, bias)
        )
        return [
            binder.step(
                binder.kernels.layer_norm,
                src=binder.view(x).ref,
                dst=binder.view(node.results[0]).ref,
                scale=factors,
                bias=shifts,
                K=K,
                epsilon=op.epsilon,
                **self.rows(node, binder),
            )
        ]


class LayerNormBlocked(LayerNormPlain):
    """The channels of each pixel of a blocked tensor."""

    name = "blocked"
    layout = BLOCKED

    def refuse_axes(self, node: Node) -> str | None:
        if reason := blocked_refusal(node.inputs[0]):
            return reason
        return None if self.axes(node) == (1,) else f"axes {self.axes(node)}"

    def rows(self, node: Node, binder: Binder) -> dict[str, int]:
        x = node.inputs[0]
        assert x is not None
        src, dst = binder.view(x), binder.view(node.results[0])
        (N, _, H, W) = x.dims
        if src.h == W * src.w and dst.h == W * dst.w:  # rows without gaps are one long row
            H, W = 1, H * W
        return {"N": N, "H": H, "W": W, **src.strides("src"), **dst.strides("dst")}


def pack_row(a: np.ndarray | None, K: int, V: int) -> np.ndarray:
    """A scale or bias of K elements, or of one for all, in whole vectors; zeros where there is none."""
    return pack_bias(None if a is None else np.broadcast_to(a.reshape(-1), (K,)), K, 1, V)


__all__ = ["LayerNormBlocked", "LayerNormPlain"]
