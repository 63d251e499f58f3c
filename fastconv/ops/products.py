"""Products: the multiply-adds of an operator as the factors of their number."""

from __future__ import annotations

import math
from typing import NamedTuple


class Products(NamedTuple):
    """At each place, a sum of products for each channel, and for each channel its own weights.

    A convolution has N·OH·OW places, OC channels, and KH·KW·IC/group weights for each of them.
    """

    #: the factors of their number, that of the images first
    places: tuple[int, ...]
    channels: int
    #: the factors of the number of weights of a channel, before the division by `groups`
    weights: tuple[int, ...]
    groups: int = 1

    @property
    def each(self) -> int:
        """The number of weights of a channel."""
        return math.prod(self.weights) // self.groups

    @property
    def total(self) -> int:
        """The number of multiply-adds."""
        return math.prod(self.places) * self.channels * self.each


__all__ = ["Products"]
