"""View: where a tensor lies, as the steps of a plan address it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .._constants import OFFSET_BITS
from .layout import ROW_MAJOR, Layout

#: places in the table of base addresses of a call: base 0 is address 0, then come the arena, the faults (`Binder.fault`), the
#: inputs, the outputs
ABSOLUTE, ARENA, FAULTS, FIRST_INPUT = 0, 1, 2, 3


def address(base: int, offset: int) -> int:
    """An operand's address in the arguments of a step, see pyx/step.pxd; `offset` is in bytes."""
    return base << OFFSET_BITS | offset


class View(NamedTuple):
    """The address of a tensor's first element, and the strides in elements.

    `c` is the stride from one block of channels to the next for a blocked tensor, else from one channel to the next; `w` is
    that from one pixel to the next, and `d` that from one plane of a volume (N C D H W) to the next.
    """

    address: int
    shape: tuple[int, ...]
    layout: Layout
    itemsize: int
    n: int
    c: int
    h: int
    w: int
    d: int = 0

    @property
    def spatial(self) -> tuple[int, ...]:
        """The strides of the spatial axes."""
        return (self.h, self.w) if len(self.shape) < 5 else (self.d, self.h, self.w)

    def at(self, n: int = 0, c: int = 0, d: int = 0, h: int = 0, w: int = 0) -> int:
        """The address of channel `c` of a pixel; the halo has negative places."""
        block, lane = divmod(c, self.layout.block)
        return self.address + self.itemsize * (n * self.n + block * self.c + lane + d * self.d + h * self.h + w * self.w)

    def planes(self, n: int) -> View:
        """The planes of volume n as images."""
        _, C, D, *size = self.shape
        return self._replace(address=self.at(n=n), shape=(D, C, *size), n=self.d, d=0)

    def block_planes(self, n: int) -> View:
        """The planes of volume n, with blocks of channels as images and the depth as blocks of channels."""
        return self._replace(address=self.at(n=n), n=self.c, c=self.d)

    def depth_columns(self, n: int) -> View:
        """Volume n with each row of its planes as an image, whose rows lie along the depth."""
        return self._replace(address=self.at(n=n), n=self.h, h=self.d)

    @property
    def fields(self) -> dict[str, int]:
        """The view as a field of a kernel: the struct of pyx/view.pxd."""
        return {"address": self.address, "n": self.n, "c": self.c, "d": self.d, "h": self.h, "w": self.w}

    def every(self, start: Sequence[int], strides: Sequence[int]) -> View:
        """Every strides-th row and pixel (for three strides: image, row and pixel) from `start` on; `shape` is not changed."""
        (n, h, w), (sn, sh, sw) = (0, *start)[-3:], (1, *strides)[-3:]
        return self._replace(address=self.at(n=n, h=h, w=w), n=self.n * sn, h=self.h * sh, w=self.w * sw)


#: the view of an operand that is left out
NO_VIEW = View(0, (), ROW_MAJOR, 4, 0, 0, 0, 0)
