"""Progress of work that may take seconds: functions report it, and the caller may show it."""

from __future__ import annotations

from collections.abc import Callable

#: called with the share of the work that was done since the last call; the shares add up to 1
Advance = Callable[[float], None]


def ignore(share: float) -> None:
    """Report to nobody."""


def part(advance: Advance, share: float) -> Advance:
    """Report progress of a part whose work is `share` of the whole."""
    return lambda done: advance(share * done)


__all__ = ["Advance", "ignore", "part"]
