"""Instance and group normalization on the kernel group_norm: the channels of blocked tensors, or of row-major ones.

Instance normalization has groups of one channel.
"""

from __future__ import annotations

import math

from ..graph import Node, Value
from ..ops.normalization import GroupNormalization, InstanceNormalization
from ..plan.binder import Binder, Step
from ..plan.epilogue import epilogue_of
from ..plan.implementation import Implementation
from ..plan.layout import RANKS, ROW_MAJOR, Layout
from ..plan.select import Selection, Target
from ..plan.strided import item_size
from .conv import pack_bias

#: what the kernel does one after the other, in the order of `Stage` in pyx/isa/group_norm.pyx
STAGES = ("moments", "join", "normalize")


class GroupNormRowMajor(Implementation[InstanceNormalization | GroupNormalization]):
    """Row-major tensors."""

    name = "row-major"

    def refuse(self, node: Node, selection: Selection) -> str | None:
        if any(v is None or v.constant is None for v in node.inputs[1:]):
            return "scale or bias is not constant"
        return None

    def layout(self, target: Target) -> Layout:
        """The layout of the input, the residual and the result."""
        return ROW_MAJOR

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, Layout], Layout]:
        residual, _ = epilogue_of(node)
        layout = self.layout(target)
        return {v: layout for v in (node.input(0), residual) if v is not None}, layout

    def workspace(self, node: Node, target: Target) -> int:
        """Room for what the first two stages give: of each channel 3 floats for every item, and 3 more."""
        N, channels, items = self._sizes(node, target.V)
        return 4 * N * 3 * channels * (items + 1)

    def _sizes(self, node: Node, V: int) -> tuple[int, int, int]:
        """Images, channels with those that fill the last block, and items of a channel."""
        f = self.rows(node, V)
        items = f["D"] * -(-f["H"] // f["rows"]) * -(-f["L"] // f["chunk"])
        return f["N"], f["CB"] * (1 if f["row_major"] else V), items

    def rows(self, node: Node, V: int) -> dict[str, int]:
        """What a channel or a block of them is made of, as the kernel's fields."""
        N, C, *size = node.input(0).dims
        return fields(N, C, 1, 1, math.prod(size), row_major=True)

    def strides(self, value: Value, binder: Binder, prefix: str) -> dict[str, int]:
        """Where a tensor's rows lie, as the kernel's fields."""
        _, C, *size = value.dims
        K = math.prod(size)
        return {f"{prefix}_{axis}": stride for axis, stride in zip("ncdh", (C * K, K, K, K), strict=True)}

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, y, op = node.input(0), node.results[0], self.op(node)
        C, V = x.dims[1], binder.target.V
        N, channels, items = self._sizes(node, V)
        scale, bias = (binder.pack("bias", pack_bias, node.input(i).constant, OC=C, groups=1, V=V) for i in (1, 2))
        residual, _ = epilogue_of(node)
        shared = {
            **self.rows(node, V),
            "src": binder.view(x).address, **self.strides(x, binder, "src"),
            "dst": binder.view(y).address, **self.strides(y, binder, "dst"),
            **binder.row_epilogue(node), **self.strides(y if residual is None else residual, binder, "add"),
            "scale": scale, "bias": bias, "C": C, "G": op.groups(C), "epsilon": op.epsilon,
            "moments": binder.workspace(), "params": binder.workspace() + 4 * N * 3 * channels * items,
        }  # fmt: skip
        return [binder.step(binder.kernels.group_norm, stage=stage, **shared) for stage in range(len(STAGES))]


class GroupNormBlocked(GroupNormRowMajor):
    """Blocked tensors."""

    name = "blocked"
    ranks = RANKS

    def layout(self, target: Target) -> Layout:
        return target.blocked

    def rows(self, node: Node, V: int) -> dict[str, int]:
        N, C, *size = node.input(0).dims
        D, H, W = (1, *size)[-3:]
        return fields(N, -(-C // V), D, H, W * V, row_major=False)

    def strides(self, value: Value, binder: Binder, prefix: str) -> dict[str, int]:
        view = binder.view(value)
        return {f"{prefix}_{axis}": stride for axis, stride in zip("ncdh", (view.n, view.c, view.d, view.h), strict=True)}


def fields(N: int, CB: int, D: int, H: int, L: int, row_major: bool) -> dict[str, int]:
    """The sizes as the kernel's fields."""
    rows, chunk = item_size(H, L)
    return {"N": N, "CB": CB, "D": D, "H": H, "L": L, "row_major": row_major, "rows": rows, "chunk": chunk}
