"""How far work that may take seconds has come, as the functions that do it tell whoever shows it."""

from __future__ import annotations

from collections.abc import Callable

#: called with the share of the work that was done since the last call; the shares add up to 1
Advance = Callable[[float], None]


def nobody(share: float) -> None:
    """The Advance of work that nobody watches."""


def part(advance: Advance, share: float) -> Advance:
    """The Advance of work that is this share of another."""
    return lambda done: advance(share * done)


__all__ = ["Advance", "nobody", "part"]
