"""Where each buffer lies in the arena: lifetimes in, offsets out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

ALIGN = 64


class Lifetime(NamedTuple):
    """A buffer of `size` bytes that must keep its content from step `first` to step `last`, both included."""

    size: int
    first: int
    last: int

    def shifted(self, steps: int) -> Lifetime:
        """The same, later by this many steps."""
        return self._replace(first=self.first + steps, last=self.last + steps)


class Tenant(NamedTuple):
    """A buffer at its place in the arena: a tensor by its value's name, or the workspace of a step."""

    name: str
    offset: int
    lifetime: Lifetime


def assign(lifetimes: Sequence[Lifetime]) -> tuple[list[int], int]:
    """An offset for each buffer, and the arena's size: the largest first, each at the lowest place free in its lifetime.

    >>> assign([Lifetime(64, 0, 1), Lifetime(64, 1, 2), Lifetime(64, 2, 3)])
    ([0, 64, 0], 128)
    """
    offsets = [0] * len(lifetimes)
    placed: list[int] = []
    top = 0
    for i in sorted(range(len(lifetimes)), key=lambda i: (-lifetimes[i].size, lifetimes[i].first)):
        size, first, last = lifetimes[i]
        offset = 0
        for j in sorted(placed, key=offsets.__getitem__):
            other = lifetimes[j]
            if other.first <= last and first <= other.last:
                if offset + size <= offsets[j]:
                    break
                offset = max(offset, -(-(offsets[j] + other.size) // ALIGN) * ALIGN)
        offsets[i] = offset
        placed.append(i)
        top = max(top, offset + size)
    return offsets, -(-top // ALIGN) * ALIGN
