"""DepthToSpace and SpaceToDepth: channels to blocks of blocksize × blocksize elements, and back."""

from __future__ import annotations

from ..errors import ModelError
from ..graph import Node
from .base import Op
from .dims import check, check_rank


class Blocks(Op, abstract=True):
    blocksize: int
    #: which of the channel's parts runs fastest: DCR = the channel itself, CRD = the place in the block
    mode: str = "DCR"

    def __post_init__(self):
        check(self.blocksize > 0, f"blocksize: expected 1 or more, got {self.blocksize}")
        check(self.mode in ("DCR", "CRD"), f"mode: expected DCR or CRD, got {self.mode!r}")

    def selects_elements(self, node: Node) -> bool:
        return True

    def divided(self, d, by, name):
        """d // by, where it is known and there is no remainder."""
        if not isinstance(d, int):
            return d if by == 1 else None
        if d % by:
            raise ModelError(f"{name}: expected a multiple of {by}, got {d}")
        return d // by

    def times(self, d):
        """d · blocksize, where it is known."""
        return d * self.blocksize if isinstance(d, int) else d if self.blocksize == 1 else None


class DepthToSpace(Blocks):
    def infer(self, x):
        check_rank(x, "input", 4)
        if x.shape is None:
            return [((None,) * 4, x.dtype)]
        N, C, H, W = x.shape
        return [((N, self.divided(C, self.blocksize**2, "channels"), self.times(H), self.times(W)), x.dtype)]

    def reference(self, x):
        (N, C, H, W), b = x.shape, self.blocksize
        if self.mode == "DCR":
            blocks = x.reshape(N, b, b, C // b**2, H, W).transpose(0, 3, 4, 1, 5, 2)
        else:
            blocks = x.reshape(N, C // b**2, b, b, H, W).transpose(0, 1, 4, 2, 5, 3)
        return blocks.reshape(N, C // b**2, H * b, W * b)


class SpaceToDepth(Blocks):
    def infer(self, x):
        check_rank(x, "input", 4)
        if x.shape is None:
            return [((None,) * 4, x.dtype)]
        N, C, H, W = x.shape
        sizes = (self.divided(d, self.blocksize, name) for d, name in ((H, "height"), (W, "width")))
        return [((N, C * self.blocksize**2 if isinstance(C, int) else None, *sizes), x.dtype)]

    def reference(self, x):
        (N, C, H, W), b = x.shape, self.blocksize
        blocks = x.reshape(N, C, H // b, b, W // b, b)
        order = (0, 3, 5, 1, 2, 4) if self.mode == "DCR" else (0, 1, 3, 5, 2, 4)
        return blocks.transpose(order).reshape(N, C * b**2, H // b, W // b)
