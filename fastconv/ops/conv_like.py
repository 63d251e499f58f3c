"""ConvLike: what operators share that are a Conv once their operands are prepared."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from .conv import Conv, products
from .dims import check
from .windows import Windowed


class ConvLike(Windowed, abstract=True):
    """It has Conv's attributes and a Conv to compute with, but is none: what fits Conv need not fit it."""

    #: which input has the weights
    weights: ClassVar[int] = 1

    group: int = 1

    def __post_init__(self):
        super().__post_init__()
        check(self.group > 0, f"group: expected 1 or more, got {self.group}")

    def window(self, node):
        return self.conv.windows_of(node.inputs[0], node.inputs[self.weights])

    def multiply_adds(self, node):
        return products(node, node.inputs[self.weights])

    @property
    def conv(self) -> Conv:
        """The Conv with the same attributes."""
        return Conv(**{f.name: getattr(self, f.name) for f in dataclasses.fields(Conv)})
