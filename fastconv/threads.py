"""The number of threads that a model uses and its source; a pool for jobs; a base class for objects with a lock.

Order: the argument, then FASTCONV_NUM_THREADS, then OpenMP's own setting (OMP_NUM_THREADS, threadpoolctl); all capped by the
affinity mask and the container's CPU quota.
"""

from __future__ import annotations

import _thread
import math
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from . import _executor
from .arguments import whole_number
from .cgroup import group_folders, text_of
from .errors import InputError
from .strict_json import brief


class Threads(NamedTuple):
    """A number of threads and its source."""

    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody calls here
    source: str


def cpu_limit(root: str | os.PathLike[str] = "/") -> Threads:
    """The CPUs this process may use: its affinity mask, or the control group's quota if that is less."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cgroup_quota(root)
    if quota is not None and math.ceil(quota) < available:
        return Threads(max(1, math.ceil(quota)), "cgroup quota")
    return Threads(available, "affinity mask")


def cgroup_quota(root: str | os.PathLike[str] = "/") -> float | None:
    """CPUs that the control group allows (version 2 along its path, or version 1), None if there is no limit."""
    quotas = [_quota(folder) for folder in group_folders(root)]
    try:
        limit = int(text_of(root, "sys/fs/cgroup/cpu/cpu.cfs_quota_us"))
        period = int(text_of(root, "sys/fs/cgroup/cpu/cpu.cfs_period_us"))
        quotas.append(limit / period if limit > 0 else None)
    except (OSError, ValueError, ZeroDivisionError):
        pass
    return min((q for q in quotas if q is not None), default=None)


def _quota(folder: str) -> float | None:
    try:
        limit, period = text_of(folder, "cpu.max").split()
        return None if limit == "max" else int(limit) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def resolve(threads: int | None) -> Threads:
    """The number of threads for the argument `threads`; InputError if it is invalid."""
    limit = cpu_limit()
    if not _executor.openmp:
        return Threads(1, "built without OpenMP")
    if threads is not None:
        return _capped(whole_number("threads", threads, least=1), "argument", limit)
    if text := os.environ.get("FASTCONV_NUM_THREADS"):
        count = int(text) if text.isdecimal() and len(text) < 10 else 0
        if count < 1:
            raise InputError(f"FASTCONV_NUM_THREADS: expected an int of 1 or more, got {brief(text)}")
        return _capped(count, "FASTCONV_NUM_THREADS", limit)
    return _capped(_executor.openmp_max_threads(), "OpenMP", limit)


def _capped(count: int, source: str, limit: Threads) -> Threads:
    return Threads(count, source) if count <= limit.count else Threads(limit.count, f"{source}, capped by {limit.source}")


def share_out(jobs: Sequence[Callable[[], object]], count: int) -> None:
    """Do all jobs on `count` threads, the caller's among them. After an exception no job is begun, and it is raised here.

    Memory may run out at any place, in any thread. Threads are not threading's: its `start` waits for ever for one that fails
    early. Each holds a lock while it works, and the caller waits for those locks: a thread that comes later finds no job.
    """
    left = deque(jobs)
    locks = [threading.Lock() for _ in range(min(count, len(jobs)) - 1)]
    error: BaseException | None = None

    def work(helpers: Sequence[threading.Lock] = ()) -> None:
        nonlocal error
        try:
            for lock in helpers:
                with suppress(RuntimeError, MemoryError):  # the system allows no more threads
                    _thread.start_new_thread(help_out, (lock,))
            while error is None:
                try:
                    job = left.popleft()
                except IndexError:
                    return
                job()
        except BaseException as e:
            error = e  # this takes no memory

    def help_out(lock: threading.Lock) -> None:
        with lock:
            work()

    work(locks)
    for lock in locks:
        while True:
            try:
                with lock:
                    break
            except BaseException as e:  # of a signal
                error = e
    try:
        if error is not None:
            raise error
    finally:
        error = None  # its traceback refers to this frame


#: A token for each call of a model that is running. A set's own operations are atomic: there is no lock.
RUNNING: set[object] = set()


class Locked:
    """An object with a lock, `_lock`, that is free again in a forked child: the thread that held it does not exist there."""

    def __init__(self) -> None:
        self._unlock()
        _LOCKED.add(self)

    def _unlock(self) -> None:
        self._lock = threading.Lock()


_LOCKED: weakref.WeakSet[Locked] = weakref.WeakSet()


def _after_fork() -> None:
    RUNNING.clear()  # those of other threads, which do not exist in the child
    for locked in _LOCKED:
        locked._unlock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
