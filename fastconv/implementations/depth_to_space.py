"""DepthToSpace and SpaceToDepth as one copy."""

from __future__ import annotations

from ..graph import Node
from ..plan.bind import Binder, Step
from ..plan.strided import contiguous, copy
from .move import Move, first_input


class BlocksPlain(Move):
    """Row-major: the reshapes and the transpose of the definition in one copy."""

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, y, b = first_input(node), node.results[0], node.op.blocksize  # type: ignore[attr-defined]
        deep, (N, C, H, W) = (x, y.dims) if x.dims[1] >= y.dims[1] else (y, x.dims)
        h, w = H // b, W // b
        dims = (N, C, h, b, w, b)
        flat = contiguous(dims)
        # the strides of these axes in the tensor that has the blocks in its channels
        n, c, row, column = contiguous(deep.dims)
        part, channel = (C, 1) if node.op.mode == "DCR" else (1, b * b)  # type: ignore[attr-defined]
        inside = (n, channel * c, row, b * part * c, column, part * c)
        src_strides, dst_strides = (inside, flat) if deep is x else (flat, inside)
        return [copy(binder, binder.view(x).ref, src_strides, binder.view(y).ref, dst_strides, dims)]
