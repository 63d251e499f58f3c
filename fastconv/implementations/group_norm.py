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
from ..plan.view import View
from .conv import pack_bias


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
        """Room for what the first two steps give: of each channel 3 floats for every item, and 3 more."""
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

    def by_rows(self, view: View) -> View:
        """The view of a tensor's rows."""
        _, C, *size = view.shape
        K = math.prod(size)
        return view._replace(n=C * K, c=K, d=K, h=K)

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, y, op = node.input(0), node.results[0], self.op(node)
        C, V = x.dims[1], binder.target.V
        N, channels, items = self._sizes(node, V)
        scale, bias = (binder.pack("bias", pack_bias, node.input(i).constant, OC=C, groups=1, V=V) for i in (1, 2))
        shared = {
            **self.rows(node, V),
            "src": self.by_rows(binder.view(x)).fields, "dst": self.by_rows(binder.view(y)).fields,
            **binder.epilogue(node, self.by_rows),
            "scale": scale, "bias": bias, "C": C, "G": op.groups(C), "epsilon": op.epsilon,
            "moments": binder.workspace(), "params": binder.workspace() + 4 * N * 3 * channels * items,
        }  # fmt: skip
        kernel = binder.kernels.group_norm
        return [binder.step(kernel, stage=stage, **shared) for stage in (kernel.MOMENTS, kernel.JOIN, kernel.NORMALIZE)]


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

    def by_rows(self, view: View) -> View:
        return view


def fields(N: int, CB: int, D: int, H: int, L: int, row_major: bool) -> dict[str, int]:
    """The sizes as the kernel's fields."""
    rows, chunk = item_size(H, L)
    return {"N": N, "CB": CB, "D": D, "H": H, "L": L, "row_major": row_major, "rows": rows, "chunk": chunk}
