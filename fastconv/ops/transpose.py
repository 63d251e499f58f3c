"""Transpose: axis i of the result is axis perm[i] of the input."""

from __future__ import annotations

from ..graph import Node
from .base import Op, only_first_varies
from .dims import check, unknown


class Transpose(Op):
    #: None reverses the axes
    perm: tuple[int, ...] | None = None

    def by_image(self, node):
        return only_first_varies(node) and self.perm is not None and self.perm[0] == 0

    def flops(self, node):
        return 0

    def is_identity(self, node: Node) -> bool:
        return self.perm is not None and self.perm == tuple(range(len(self.perm)))

    def selects_elements(self, node: Node) -> bool:
        return True

    def infer(self, x):
        perm = self.perm
        check(perm is None or sorted(perm) == list(range(len(perm))), f"perm: expected each axis once, got {perm}")
        if x.shape is None:
            return [(unknown(None if perm is None else len(perm)), x.dtype)]
        check(perm is None or len(perm) == len(x.shape), f"perm: expected {len(x.shape)} axes, got {perm}")
        return [(x.shape[::-1] if perm is None else tuple(x.shape[i] for i in perm), x.dtype)]

    def reference(self, x):
        return x.transpose(self.perm)
