"""Many threads, many runs, and what is left of them."""

import ast
import os
import subprocess
import sys
import sysconfig
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest

import fastconv
from fastconv import _executor
from fastconv.plan_cache import MOST_PLANS
from fastconv.threads import RUNNING

from ..support.rng import generator
from .soak import SHAPES, load, malloc_bytes

ROOT = Path(__file__).parents[2]
RNG = generator(__name__)
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
openmp = pytest.mark.skipif(not _executor.openmp, reason="built without OpenMP")


def python(code, **environment):
    """What a fresh interpreter prints. It finds the tests last of all packages, and OpenMP waits as it does by default."""
    code = f"import sys; sys.path.append({str(ROOT)!r})\n" + textwrap.dedent(code)
    env = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"} | environment
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


# ---- many threads


@pytest.mark.slow
@pytest.mark.parametrize("threads", [None, 2])
def test_sixteen_threads_get_the_bits_of_serial_calls(threads):
    """Of two models, with more shapes than they keep plans for, and errors in between."""
    assert len(SHAPES) > MOST_PLANS
    inputs = [RNG.standard_normal(shape, np.float32) for shape in SHAPES]
    expected = [[model.run(x) for x in inputs] for model in load(1)]
    models, start, failures = load(threads), threading.Barrier(16), []

    def work(k):
        start.wait()
        for i in range(6):
            m, s = (k + i) % 2, (4 * k + i) % len(SHAPES)
            answer = models[m].run(inputs[s])
            failures.extend((k, i, n) for n, y in expected[m][s].items() if answer[n].tobytes() != y.tobytes())
            with pytest.raises(fastconv.InputError, match="input 'x'"):
                models[m](inputs[s][:, :2])

    workers = [threading.Thread(target=work, args=(k,)) for k in range(16)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert failures == []
    assert not RUNNING
    assert max(len(model._plans) for model in models) <= MOST_PLANS


#: f() is right if it is True, and runs on two threads
RUN = """
    import os, threading, time
    import numpy as np, fastconv
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((1, 32, 48, 48), np.float32), rng.standard_normal((32, 32, 3, 3), np.float32)
    y = fastconv.conv2d(x, w, padding=1, threads=2).tobytes()
    f = lambda: fastconv.conv2d(x, w, padding=1, threads=2).tobytes() == y

    def at_once(count, then=lambda: None):
        start, right = threading.Barrier(max(count, 1)), []
        def work():
            start.wait()
            right.append(f())
            then()
        workers = [threading.Thread(target=work) for _ in range(count)]
        for worker in workers:
            worker.start()
        return workers, right
"""


@pytest.mark.slow
@linux
@openmp
def test_threads_that_end_take_their_teams_along():
    code = """
    def tasks():
        for _ in range(100):  # a thread leaves /proc shortly after it was joined
            if (count := len(os.listdir("/proc/self/task"))) <= before:
                break
            time.sleep(0.05)
        return count

    before = len(os.listdir("/proc/self/task"))
    for _ in range(5):
        workers, right = at_once(8)
        for worker in workers:
            worker.join()
        assert right == [True] * 8
    print(tasks() - before)
    """
    assert python(textwrap.dedent(RUN) + textwrap.dedent(code)) == "0\n"


@pytest.mark.slow
@linux
@openmp
@pytest.mark.parametrize("teams", [1, 9])
def test_an_idle_process_takes_no_time(teams):
    """Teams have run and wait. Counted is the CPU's time, which other processes do not change: under 1 % of a second."""
    code = f"""
    done, end = threading.Semaphore(0), threading.Event()
    workers, right = at_once({teams - 1}, lambda: (done.release(), end.wait()))
    for _ in workers:
        done.acquire()
    right.append(f())
    time.sleep(0.3)  # OpenMP spins for some milliseconds
    began = time.process_time()
    time.sleep(1)
    print(right == [True] * {teams}, len(os.listdir("/proc/self/task")) >= 2 * {teams}, time.process_time() - began)
    end.set()
    """
    right, all_there, seconds = python(textwrap.dedent(RUN) + textwrap.dedent(code)).split()
    assert (right, all_there) == ("True", "True")
    assert float(seconds) < 0.01


# ---- many runs


@pytest.mark.slow
@linux
@pytest.mark.skipif(not malloc_bytes(), reason="malloc does not say what it has given")
@pytest.mark.skipif(
    bool(sysconfig.get_config_var("Py_GIL_DISABLED")), reason="Python without the GIL has no PYTHONMALLOC=malloc"
)
def test_a_run_leaves_nothing_and_what_it_would_leave_is_seen():
    """`python -m tests.lives` is the long form."""
    code = """
    from tests.lives.soak import WARM_UP, Soak
    soak = Soak()
    for _ in range(WARM_UP + 2):
        soak.round()
    print(soak.slopes())
    kept = []
    soak.each = lambda: kept.append([bytearray(1024)])
    soak.round()
    print(soak.slopes(since=WARM_UP + 1))
    """
    clean, leaky = map(ast.literal_eval, python(code, PYTHONMALLOC="malloc").splitlines())
    assert clean["allocated"] < 512
    assert clean["objects"] < 0.1
    assert {what: clean[what] for what in ("references", "threads", "files")} == pytest.approx(
        {"references": 0, "threads": 0, "files": 0}, abs=1e-9
    )
    assert leaky["allocated"] > 1024
    assert leaky["objects"] >= 1
