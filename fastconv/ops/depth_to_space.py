"""DepthToSpace and SpaceToDepth: channels become blocks of blocksize × blocksize elements, and back."""

from __future__ import annotations

from ..errors import ModelError
from ..graph import Dim, Node, Value
from .base import Array, Inferred, Op, Results
from .dims import check, check_rank
from .span import WHOLE, Spans


class Blocks(Op, abstract=True):
    blocksize: int
    #: the parts of the input's channel index, slowest first: DCR = place in the block, channel; CRD = channel, place
    mode: str = "DCR"

    def __post_init__(self) -> None:
        check(self.blocksize > 0, f"blocksize: expected 1 or more, got {self.blocksize}")
        check(self.mode in ("DCR", "CRD"), f"mode: expected DCR or CRD, got {self.mode!r}")

    def selects_elements(self, node: Node) -> bool:
        return True

    def divided(self, d: Dim, by: int, name: str) -> Dim:
        """d / by, or None if unknown; ModelError if there is a remainder."""
        if not isinstance(d, int):
            return d if by == 1 else None
        if d % by:
            raise ModelError(f"{name}: expected a multiple of {by}, got {d}")
        return d // by

    def times(self, d: Dim) -> Dim:
        """d · blocksize, or None if unknown."""
        return d * self.blocksize if isinstance(d, int) else d if self.blocksize == 1 else None


class DepthToSpace(Blocks):
    def reads(self, node: Node, i: int, result: Value, spans: Spans) -> Spans:
        b = self.blocksize
        return [spans[0], WHOLE, *(s.mapped(lambda o: o // b, lambda o: o // b, 1 / b) for s in spans[2:])]

    def infer(self, x: Value) -> Inferred:
        check_rank(x, "input", 4)
        if x.shape is None:
            return [((None,) * 4, x.dtype)]
        N, C, H, W = x.shape
        return [((N, self.divided(C, self.blocksize**2, "channels"), self.times(H), self.times(W)), x.dtype)]

    def reference(self, x: Array) -> Results:
        (N, C, H, W), b = x.shape, self.blocksize
        if self.mode == "DCR":
            blocks = x.reshape(N, b, b, C // b**2, H, W).transpose(0, 3, 4, 1, 5, 2)
        else:
            blocks = x.reshape(N, C // b**2, b, b, H, W).transpose(0, 1, 4, 2, 5, 3)
        return blocks.reshape(N, C // b**2, H * b, W * b)


class SpaceToDepth(Blocks):
    def reads(self, node: Node, i: int, result: Value, spans: Spans) -> Spans:
        return [spans[0], WHOLE, *(s.windows(self.blocksize, 0, self.blocksize) for s in spans[2:])]

    def infer(self, x: Value) -> Inferred:
        check_rank(x, "input", 4)
        if x.shape is None:
            return [((None,) * 4, x.dtype)]
        N, C, H, W = x.shape
        sizes = (self.divided(d, self.blocksize, name) for d, name in ((H, "height"), (W, "width")))
        return [((N, C * self.blocksize**2 if isinstance(C, int) else None, *sizes), x.dtype)]

    def reference(self, x: Array) -> Results:
        (N, C, H, W), b = x.shape, self.blocksize
        blocks = x.reshape(N, C, H // b, b, W // b, b)
        order = (0, 3, 5, 1, 2, 4) if self.mode == "DCR" else (0, 1, 3, 5, 2, 4)
        return blocks.transpose(order).reshape(N, C * b**2, H // b, W // b)
