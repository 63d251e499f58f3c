"""A process that is killed in the middle of `save` or `convert` leaves the old model or the new one."""

import itertools
import os
import signal
import sys

import numpy as np
import pytest

import fastconv
from fastconv import external_data
from fastconv.convert import convert
from fastconv.write_files import write_files

from .support import save

#: The audit events of steps on the way to new files.
EVENTS = {"open", "os.listdir", "os.remove", "os.rename"}


class Steps:
    """Counts steps, and kills the process at one of them. A step is one of EVENTS in a folder, or a half-written tensor or
    model."""

    def __init__(self, last, folder):
        self._left = last
        self._folder = str(folder)
        sys.addaudithook(self._audit)
        external_data.write_files = lambda files: write_files({path: self._halves(write) for path, write in files.items()})

    def _audit(self, event, arguments):
        if event in EVENTS and str(arguments[0]).startswith(self._folder):
            self._step()

    def _step(self):
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def _halves(self, write):
        class File:
            def write(_, data):
                half = len(data) // 2
                file.write(data[:half])
                if half > 500:
                    file.flush()
                    self._step()
                file.write(data[half:])

            def tell(_):
                return file.tell()

        def write_halves(opened):
            nonlocal file
            file = opened
            write(File())

        file = None
        return write_halves


def is_killed(function, last, folder):
    """Whether a child that calls the function is killed at a step, or comes to its end."""
    process = os.fork()
    if process == 0:
        try:
            Steps(last, folder)
            function()
            os._exit(0)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    assert code in (0, -signal.SIGKILL)
    return code != 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize(("action", "before"), [("save", "nothing"), ("save", "a model"), ("convert", "a model")])
def test_a_kill_at_any_step(tmp_path, action, before):
    if action == "convert":
        pytest.importorskip("onnx")
    x = np.ones((1, 16, 12, 12), np.float32)
    target, old, new = (
        tmp_path / "m" / "net.json",
        save(tmp_path, seed=1),
        fastconv.load(save(tmp_path / "new", seed=2), threads=1),
    )
    results = [next(iter(fastconv.load(old, threads=1).run(x).values())), next(iter(new.run(x).values()))]

    def write():
        if action == "save":
            new.save(target)
        else:
            convert(tmp_path / "new" / "net.json", target)

    seen = []
    for last in itertools.count(1):
        target.parent.mkdir()
        if before == "a model":
            fastconv.load(old).save(target)
        killed = is_killed(write, last, target.parent)
        if target.exists():
            y = next(iter(fastconv.load(target, threads=1).run(x).values()))
            seen.append([np.array_equal(y, result) for result in results].index(True))
        else:
            assert before == "nothing"
        for file in target.parent.iterdir():
            file.unlink()
        target.parent.rmdir()
        if not killed:
            break
    assert last > 8
    assert seen == sorted(seen), "once the new model is there, it stays"
    assert seen[-1] == 1
