"""Ctrl-C ends what is running, and the model is as good as before.

The handlers of signals run between two instructions of Python. So these tests raise at one line after another, as a handler
might; compiled code has tests with the executor, and one here for a step that takes a second or more. `python -m
tests.faults.delays` measures how soon a signal is seen.
"""

import subprocess
import sys

import numpy as np
import pytest

import fastconv
from fastconv import onnx_json
from fastconv.threads import RUNNING

from ..support.graphs import Net
from .support import save


class Interrupted(BaseException):
    """As KeyboardInterrupt, which would end the tests."""


def interrupted_at(n, function):
    """Whether Interrupted came at the n-th line of fastconv that the function runs; False if there are fewer."""
    left = n

    def trace(frame, event, argument):
        nonlocal left
        if not frame.f_globals.get("__name__", "").startswith("fastconv"):
            return None
        if event == "line":
            left -= 1
            if left == 0:
                sys.settrace(None)
                raise Interrupted
        return trace

    sys.settrace(trace)
    try:
        function()
    except Interrupted:
        return True
    finally:
        sys.settrace(None)
    return False


#: what is interrupted, with a model that has been called or with a new one
ACTIONS = {
    "first_call": (True, lambda model, x, path: model.run(x)),
    "call": (False, lambda model, x, path: model.run(x)),
    "save": (False, lambda model, x, path: model.save(path)),
    "reference": (False, lambda model, x, path: model.reference(x)),
}


@pytest.mark.parametrize(("new", "act"), ACTIONS.values(), ids=ACTIONS)
def test_an_interrupt_anywhere_in_python(tmp_path, new, act):
    path, x = save(tmp_path), np.ones((1, 16, 12, 12), np.float32)
    model = fastconv.load(path, threads=1)
    expected = model.run(x)

    def interrupted(n):
        nonlocal model
        if new:
            model = fastconv.load(path, threads=1)
        return interrupted_at(n, lambda: act(model, x, tmp_path / "saved.json"))

    last = 1
    while interrupted(last):
        last *= 4
    for n in range(1, last, max(1, last // 12)):
        interrupted(n)
        assert not RUNNING
        assert not list(tmp_path.glob(".*")), "temporary files"
        for name, y in model.run(x).items():
            np.testing.assert_array_equal(y, expected[name])


#: a process that gets SIGINT once the first element of the result is there
IN_A_STEP = """
import _thread, os, signal, sys, time
import numpy as np, fastconv
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job in the background ignores it
model = fastconv.load(sys.argv[1], threads=int(sys.argv[2]))
x, y = np.ones((1, 4096, 4096), np.float32), np.full((1, 4096, 4096), np.nan, np.float32)
(entry,) = model.plan().entries
assert len(entry.steps) == 1

def interrupt():
    while np.isnan(y[0, 0, 0]):
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGINT)

_thread.start_new_thread(interrupt, ())
try:
    model(x, out=y)
except KeyboardInterrupt:
    print(np.isnan(y).any())
"""


@pytest.mark.slow
@pytest.mark.parametrize("threads", ["1", "2"])
def test_an_interrupt_in_a_long_step(tmp_path, threads):
    net = Net()
    x = net.input("x", 1, 4096, 4096)
    onnx_json.write(net.graph(net("MatMul", x, x)), tmp_path / "long.json")
    command = [sys.executable, "-c", IN_A_STEP, tmp_path / "long.json", threads]
    assert subprocess.check_output(command, text=True) == "True\n", "some of it was not computed"
