"""Instance and group normalization on the kernel group_norm: the channels of blocked tensors, or of row-major ones.

Instance normalization is groups of one channel.
"""

from __future__ import annotations

import math
from typing import Any

from ..graph import Node, Value
from ..plan.bind import Binder, Step, epilogue_of
from ..plan.implementation import Implementation, blocked_refusal, input_refusal
from ..plan.select import BLOCKED, NCHW, RANKS, Target
from ..plan.strided import item_size
from .conv_direct import pack_bias

#: what the kernel does one after the other, in the order of `Stage` in pyx/isa/group_norm.pyx
STAGES = ("moments", "join", "normalize")


class GroupNormPlain(Implementation):
    """Row-major tensors."""

    name = "plain"
    layout = NCHW

    def refuse(self, node: Node, target: Target) -> str | None:
        if (reason := input_refusal(node.inputs[0])) is not None:
            return reason
        if any(v is None or v.constant is None for v in node.inputs[1:]):
            return "scale or bias is not constant"
        return None

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, str], str]:
        residual, _ = epilogue_of(node)
        return {v: self.layout for v in (node.inputs[0], residual) if v is not None}, self.layout

    def workspace(self, node: Node, target: Target) -> int:
        """Room for what the first two stages give: of each channel 3 floats for every item, and 3 more."""
        N, channels, items = self._sizes(node, target.V)
        return 4 * N * 3 * channels * (items + 1)

    def _sizes(self, node: Node, V: int) -> tuple[int, int, int]:
        """Images, channels with those that fill the last block, and items of a channel."""
        f = self.rows(node, V)
        items = f["D"] * -(-f["H"] // f["rows"]) * -(-f["L"] // f["chunk"])
        return f["N"], f["CB"] * (1 if f["plain"] else V), items

    def rows(self, node: Node, V: int) -> dict[str, int]:
        """What a channel or a block of them is made of, as the kernel's fields."""
        x = node.inputs[0]
        assert x is not None
        N, C, *size = x.dims
        return fields(N, C, 1, 1, math.prod(size), plain=1)

    def strides(self, value: Value, binder: Binder, prefix: str) -> dict[str, int]:
        """Where a tensor's rows lie, as the kernel's fields."""
        _, C, *size = value.dims
        K = math.prod(size)
        return {f"{prefix}_{axis}": step for axis, step in zip("ncdh", (C * K, K, K, K), strict=True)}

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, y = node.inputs[0], node.results[0]
        assert x is not None
        op: Any = node.op
        C, V = x.dims[1], binder.target.V
        N, channels, items = self._sizes(node, V)
        scale, bias = (
            binder.pack("bias", pack_bias, None if v is None else v.constant, OC=C, groups=1, V=V) for v in node.inputs[1:3]
        )
        residual, _ = epilogue_of(node)
        epilogue = binder.epilogue(node)
        shared = {
            **self.rows(node, V),
            "src": binder.view(x).ref, **self.strides(x, binder, "src"),
            "dst": binder.view(y).ref, **self.strides(y, binder, "dst"),
            "add": epilogue["add"], **self.strides(y if residual is None else residual, binder, "add"),
            "has_add": epilogue["has_add"], "act": epilogue["act"],
            "scale": scale, "bias": bias, "C": C, "G": op.groups(C), "epsilon": op.epsilon,
            "moments": binder.workspace(), "params": binder.workspace() + 4 * N * 3 * channels * items,
        }  # fmt: skip
        return [binder.step(binder.kernels.group_norm, stage=stage, **shared) for stage in range(len(STAGES))]


class GroupNormBlocked(GroupNormPlain):
    """Blocked tensors."""

    name = "blocked"
    layout = BLOCKED

    def refuse(self, node: Node, target: Target) -> str | None:
        return blocked_refusal(node.inputs[0], ranks=RANKS) or super().refuse(node, target)

    def rows(self, node: Node, V: int) -> dict[str, int]:
        x = node.inputs[0]
        assert x is not None
        N, C, *size = x.dims
        D, H, W = (1, *size)[-3:]
        return fields(N, -(-C // V), D, H, W * V, plain=0)

    def strides(self, value: Value, binder: Binder, prefix: str) -> dict[str, int]:
        view = binder.view(value)
        return {f"{prefix}_{axis}": step for axis, step in zip("ncdh", (view.n, view.c, view.d, view.h), strict=True)}


def fields(N: int, CB: int, D: int, H: int, L: int, plain: int) -> dict[str, int]:
    """The sizes as the kernel's fields."""
    rows, chunk = item_size(H, L)
    return {"N": N, "CB": CB, "D": D, "H": H, "L": L, "plain": plain, "rows": rows, "chunk": chunk}


__all__ = ["STAGES", "GroupNormBlocked", "GroupNormPlain"]
