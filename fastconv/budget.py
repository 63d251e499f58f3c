"""Bounds on the memory and the work that a model may ask for, whatever is in its file.

A model has one `Budget`, which its graphs carry. What has a size before it is made is compared with it: tensors, arenas, packed
weights (`Budget.excess`). What NumPy makes, in passes and in references, is metered as it is made (`Budget.scope`).
"""

from __future__ import annotations

import os
import sys
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any

from ._memory import Meter
from .arguments import whole_number
from .cgroup import group_folders, text_of
from .errors import ModelError

#: the most rounds of Loop, Scan and SequenceMap in one run of a node without a kernel, those of inner loops counted each
MOST_ROUNDS = 100_000
#: the most operations that folding spends on a graph, unless its weights are large: FOLDING_PER_WEIGHT for each of theirs.
#: The run computes the rest.
MOST_FOLDING, FOLDING_PER_WEIGHT = 1 << 24, 8
#: so many bytes are never compared with the memory that is available, as to ask for that takes time
UNASKED = 1 << 24


class Budget:
    """At most `max_bytes` for a tensor, an arena, or the arrays of a scope; None: the memory that is available then."""

    def __init__(self, max_bytes: int | None = None):
        self.max_bytes = None if max_bytes is None else whole_number("max_bytes", max_bytes)

    def limit(self) -> int:
        """The most bytes, now."""
        return available_memory() if self.max_bytes is None else self.max_bytes

    def excess(self, nbytes: int) -> str | None:
        """Why so many bytes are too many, in words; None if they are not."""
        if nbytes <= (UNASKED if self.max_bytes is None else self.max_bytes) or nbytes <= (limit := self.limit()):
            return None
        return f"{nbytes:,} bytes, {self.bound(limit)}"

    def bound(self, limit: int) -> str:
        """The limit in words, and how to raise it."""
        if self.max_bytes is not None:
            return f"more than max_bytes={limit} of load"
        return f"more than the {limit:,} that are available; load(..., max_bytes=n) sets another limit"

    def scope(self) -> Scope:
        """A `with` block that bounds the arrays which NumPy makes in it and which live, and the rounds of loops."""
        return Scope(self)


#: of graphs that no file made
DEFAULT = Budget()


class Scope:
    """See `Budget.scope`. A MemoryError that leaves the block becomes a ModelError, if an array was refused."""

    def __init__(self, budget: Budget):
        self._budget = budget
        self._limit = UNASKED if budget.max_bytes is None else budget.max_bytes
        self._meter = Meter(self._limit, self._ask)
        self._rounds = 0
        self._token: Token[Scope | None] | None = None

    def _ask(self) -> int:
        self._limit = self._budget.limit()
        return self._limit

    def __enter__(self) -> None:
        self._token = _SCOPE.set(self)
        self._meter.__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._meter.__exit__(kind, error, trace)
        _SCOPE.reset(self._token)  # type: ignore[arg-type]  # set by __enter__
        if isinstance(error, MemoryError) and (why := self.refusal):
            raise ModelError(why) from None

    @property
    def refusal(self) -> str | None:
        """Why an array was refused, in words; None if none was."""
        return f"its arrays take {self._budget.bound(self._limit)}" if self._meter.refused else None

    def count_round(self) -> None:
        """Count a round of a loop; ModelError if there are too many."""
        self._rounds += 1
        if self._rounds > MOST_ROUNDS:
            raise ModelError(f"more than {MOST_ROUNDS:,} rounds of loops: fastconv.budget.MOST_ROUNDS")


_SCOPE: ContextVar[Scope | None] = ContextVar("scope", default=None)


def refusal() -> str | None:
    """Why an array was refused in this scope, in words; None if none was, or if there is no scope."""
    scope = _SCOPE.get()
    return None if scope is None else scope.refusal


def count_round() -> None:
    """Count a round of a loop in this scope, if there is one."""
    if (scope := _SCOPE.get()) is not None:
        scope.count_round()


def available_memory(root: str | os.PathLike[str] = "/") -> int:
    """The bytes that this process can still take: of the machine's memory, and of what its control groups allow."""
    rooms = [_available(root)]
    places: list[tuple[Any, ...]] = [(folder, "memory.max", "memory.current") for folder in group_folders(root)]
    for folder, most, used in [
        *places,
        (os.path.join(root, "sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ]:
        try:
            cache = next(
                int(line.split()[1]) for line in text_of(folder, "memory.stat").splitlines() if "inactive_file" in line
            )
            rooms.append(int(text_of(folder, most)) - int(text_of(folder, used)) + cache)
        except (OSError, ValueError, StopIteration):  # there is no such group, or no limit
            pass
    return max(min(rooms), 0)


def _available(root: str | os.PathLike[str]) -> int:
    """The machine's memory that is available; all of it, where the system does not say."""
    try:
        for line in text_of(root, "proc/meminfo").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return sys.maxsize
