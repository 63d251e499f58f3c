"""DepthToSpace and SpaceToDepth: the reshapes and the transpose of their definition in one copy."""

from __future__ import annotations

from ..graph import Node
from ..ops.depth_to_space import Blocks
from ..plan.binder import Binder, Step
from ..plan.layout import contiguous
from ..plan.strided import copy
from .move import Move


class DepthToSpaceRowMajor(Move[Blocks]):
    """Row-major tensors."""

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, y, op = binder.view(node.input(0)), binder.view(node.results[0]), self.op(node)
        b = op.blocksize
        deep, (N, C, H, W) = (x, y.shape) if x.shape[1] >= y.shape[1] else (y, x.shape)
        h, w = H // b, W // b
        dims = (N, C, h, b, w, b)
        flat = contiguous(dims)
        # the strides of these axes in the tensor that has the blocks in its channels
        n, c, row, column = contiguous(deep.shape)
        place, channel = (C, 1) if op.mode == "DCR" else (1, b * b)
        inside = (n, channel * c, row, b * place * c, column, place * c)
        src_strides, dst_strides = (inside, flat) if deep is x else (flat, inside)
        return [copy(binder, x.itemsize, x.address, src_strides, y.address, dst_strides, dims)]
