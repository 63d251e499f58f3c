"""ConvLike: what operators share that are a Conv once their operands are prepared."""

from __future__ import annotations

from .conv import Conv
from .dims import check
from .windows import Windowed


class ConvLike(Windowed, abstract=True):
    """It has Conv's attributes and a Conv to compute with, but is none: what fits Conv need not fit it."""

    group: int = 1

    def __post_init__(self):
        super().__post_init__()
        check(self.group > 0, f"group: expected 1 or more, got {self.group}")

    @property
    def conv(self) -> Conv:
        """The Conv with the same attributes."""
        return Conv(
            auto_pad=self.auto_pad,
            dilations=self.dilations,
            group=self.group,
            kernel_shape=self.kernel_shape,
            pads=self.pads,
            strides=self.strides,
        )
