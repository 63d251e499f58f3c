"""A pool of processes on this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .parts import Parts
from .pictures import Picture
from .work import Work, arrow

if TYPE_CHECKING:
    import pyarrow as pa

#: what the row of a picture says that no worker survives
DIED = "the worker died with this picture"
_work: Work


def answer_parts(work: Work, parts: Parts, missing: Iterable[int], workers: int) -> Generator[tuple[int, pa.Table], None, None]:
    """The answers of the missing parts, as they are done.

    At most two parts for each worker are under way, so that memory does not grow with their number. If a worker dies, so does
    the pool; a new one does what was under way again. A part that was under way twice as a worker died is done picture by
    picture, and a picture with which a worker dies then has that as its error.
    """
    waiting, deaths = deque(missing), dict.fromkeys(missing, 0)
    while waiting:
        running: dict[Future[pa.Table], int] = {}
        try:
            with _pool(work, workers) as pool:
                while waiting or running:
                    while waiting and len(running) < 2 * workers:
                        running[pool.submit(_answers, parts[waiting[0]])] = waiting[0]
                        waiting.popleft()
                    for done in wait(running, return_when=FIRST_COMPLETED).done:
                        table = done.result()
                        yield running.pop(done), table
        except BrokenProcessPool:
            for i in sorted(running.values(), reverse=True):
                deaths[i] += 1
                waiting.appendleft(i)
        while waiting and deaths[waiting[0]] == 2:
            yield waiting[0], arrow().concat_tables(_alone(work, parts[waiting.popleft()]))


def _alone(work: Work, pictures: Iterable[Picture]) -> Iterator[pa.Table]:
    """The row of each picture, with no other under way."""
    waiting = deque(pictures)
    while waiting:
        try:
            with _pool(work, 1) as pool:
                while waiting:
                    yield pool.submit(_answers, [waiting[0]]).result()
                    waiting.popleft()
        except BrokenProcessPool:
            yield work.failed(waiting.popleft(), DIED)


@contextmanager
def _pool(work: Work, workers: int) -> Iterator[ProcessPoolExecutor]:
    """A pool; if what it is used for ends early, its workers are ended too."""
    # new processes, not forks: this one may have threads
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin, (work,))
    try:
        yield pool
    except BaseException:
        for worker in multiprocessing.active_children():
            worker.terminate()
        raise
    finally:
        pool.shutdown()


def _begin(work: Work) -> None:
    """Prepare a worker. It ends with its parent, even with one that is killed, and leaves Ctrl-C to it."""
    global _work
    _work = work
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _answers(pictures: Iterable[Picture]) -> pa.Table:
    return _work.answers(pictures)


__all__ = ["answer_parts"]
