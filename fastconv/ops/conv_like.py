"""ConvLike: the base of operators that prepare their operands and then compute a Conv."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from ..graph import Node
from .conv import Conv
from .products import Products
from .windows import Grouped, Windows


class ConvLike(Grouped, abstract=True):
    """Delegates to a Conv, but passes must not treat it as one."""

    #: the index of the input with the weights
    weights: ClassVar[int] = 1

    def window(self, node: Node) -> Windows | None:
        return self.conv.windows_of(node.input(0), node.input(self.weights))

    def products(self, node: Node) -> Products | None:
        return self.conv.products_of(node.results[0], node.input(self.weights))

    @property
    def conv(self) -> Conv:
        """The Conv with the same attributes."""
        return Conv(**{f.name: getattr(self, f.name) for f in dataclasses.fields(Conv)})
