"""Where each buffer lies in the arena: lifetimes in, offsets out."""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from operator import itemgetter
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
    occupied = _Occupied(max((x.last for x in lifetimes), default=0) + 1)
    top = 0
    for i in sorted(range(len(lifetimes)), key=lambda i: (-lifetimes[i].size, lifetimes[i].first)):
        size, first, last = lifetimes[i]
        offsets[i] = occupied.place(-(-size // ALIGN) * ALIGN, first, last)
        top = max(top, offsets[i] + size)
    return offsets, -(-top // ALIGN) * ALIGN


#: ranges of bytes in order, none of which touches another
_Ranges = list[tuple[int, int]]


class _Occupied:
    """The bytes that are occupied during steps 0 to `steps` - 1: a segment tree over the steps.

    Node 1 is the root, and node i has the steps of nodes 2i and 2i + 1, its two halves. Buffers are packed without gaps, so
    the bytes of many are few ranges.
    """

    def __init__(self, steps: int):
        #: the node of step 0
        self._leaf = 1 << (steps - 1).bit_length()
        #: the bytes that are occupied during all steps of a node, and during some of them
        self._all: dict[int, _Ranges] = {}
        self._some: dict[int, _Ranges] = {}

    def place(self, size: int, first: int, last: int) -> int:
        """Occupy the lowest `size` bytes that are free from step `first` to step `last`; returns their offset."""
        if not size:
            return 0
        whole, above = self._nodes(first, last)
        ranges = [self._some[i] for i in whole if i in self._some] + [self._all[i] for i in above if i in self._all]
        offset = 0
        for start, end in sorted(itertools.chain.from_iterable(ranges)):
            if offset + size <= start:
                break
            offset = max(offset, end)
        for i in whole:
            _join(self._all.setdefault(i, []), offset, offset + size)
            while i and _join(self._some.setdefault(i, []), offset, offset + size):  # the nodes above have what a node has
                i >>= 1
        return offset

    def _nodes(self, first: int, last: int) -> tuple[list[int], set[int]]:
        """The fewest nodes whose steps are these; and the leaves of the first and the last, with all nodes above them."""
        low, high = first + self._leaf, last + self._leaf
        left, right = low, high + 1
        whole, above = [], set()
        while high:
            if left < right and left & 1:
                whole.append(left)
                left += 1
            if left < right and right & 1:
                right -= 1
                whole.append(right)
            above |= {low, high}
            left, right, low, high = left >> 1, right >> 1, low >> 1, high >> 1
        return whole, above


def _join(ranges: _Ranges, start: int, end: int) -> bool:
    """Add a range, joined with those that it touches; False if it was there."""
    i = bisect_left(ranges, start, key=itemgetter(1))
    if i < len(ranges) and ranges[i][0] <= start and end <= ranges[i][1]:
        return False
    j = bisect_right(ranges, end, i, key=itemgetter(0))
    if i < j:
        start, end = min(start, ranges[i][0]), max(end, ranges[j - 1][1])
    ranges[i:j] = [(start, end)]
    return True
