"""The executor: distribution of pieces over threads, signals during a run, and the floating-point mode."""

import contextlib
import ctypes
import ctypes.util
import math
import platform
import signal
import threading
import time

import numpy as np
import pytest

import fastconv
from fastconv import _executor, kernels, onnx_json
from fastconv.errors import ModelError
from fastconv.implementations import IMPLEMENTATIONS
from fastconv.peak import KINDS
from fastconv.plan import Target, build, cost
from fastconv.plan.view import address
from fastconv.threads import RUNNING

from ..support.graphs import Net, normal
from ..support.harness import ISAS, same_bits
from ..support.rng import generator

EVERY_ISA = pytest.mark.parametrize("isa", ISAS)
RNG = generator(__name__)
THREADS = pytest.mark.parametrize("threads", [1, 2, 3])


# ---- pieces


class Steps:
    """Steps that do nothing but call run(step, bases, piece, pieces, thread)."""

    def __init__(self, run):
        kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(ctypes.c_size_t), *[ctypes.c_ssize_t] * 3)
        self.function = kind(lambda args, *rest: run(ctypes.string_at(args, 1)[0], *rest))

    def program(self, *pieces, alone=1):
        run = ctypes.cast(self.function, ctypes.c_void_p).value
        return _executor.Program([(run, bytes([i]), count, alone) for i, count in enumerate(pieces)])


@THREADS
def test_every_piece_runs_once_and_step_after_step(threads):
    calls, counts = [], [3, 1, 0, 0, 7, 0, 40, 2, 2]
    steps = Steps(lambda step, bases, *call: calls.append((step, *call)))
    for _ in range(20):
        calls.clear()
        steps.program(*counts, alone=4).run((), threads)
        assert [step for step, *_ in calls] == sorted(step for step, *_ in calls)
        for i, count in enumerate(counts):
            mine = [call[1:] for call in calls if call[0] == i]
            if threads == 1 or not _executor.openmp:
                assert mine == [(piece, 4, 0) for piece in range(4)]
            elif not count:
                assert mine == [(0, 1, 0)], "thread 0 runs it whole"
            else:
                pieces = count * threads
                assert sorted(piece for piece, _, _ in mine) == list(range(pieces))
                assert {(total, 0 <= thread < threads) for _, total, thread in mine} == {(pieces, True)}


@pytest.mark.skipif(not _executor.openmp, reason="built without OpenMP")
@pytest.mark.parametrize("held_up", [0, 1, 2])
def test_who_is_done_takes_the_pieces_of_the_others(held_up):
    """One thread is held up in its first piece of each step until all other pieces have been run."""
    threads, count, waited = 3, 5, []
    others = [threading.Semaphore(0) for _ in range(3)]

    def run(step, bases, piece, pieces, thread):
        if piece == held_up * count:
            waited.append(all(others[step].acquire(timeout=60) for _ in range(pieces - 1)))
        else:
            others[step].release()

    steps = Steps(run)  # it must live while they run
    steps.program(count, count, count).run((), threads)
    assert waited == [True] * 3


@pytest.mark.slow
@pytest.mark.skipif(not _executor.openmp, reason="built without OpenMP")
def test_no_step_begins_before_its_time():
    """Thread 0 may be late for a step whose pieces the others have done by then. The kernel notes when its pieces begin."""
    steps, threads = 2000, 3
    pieces, stamps = np.full((steps, threads, 3), np.inf), np.zeros(steps + 1)
    fields = (dict.fromkeys(KINDS, 0) | {"lines": 0, "src": 0, "dst": address(1, pieces[0].nbytes * i)} for i in range(steps))
    program = _executor.Program([(*kernels.load().peak.step(f), 1, 1) for f in fields])
    program.run((None, pieces), threads, stamps)
    assert (pieces[1:, :, 0].min(axis=1) >= stamps[1:-1]).all()
    assert (np.diff(stamps) > 0).all()


def test_who_is_done_takes_images_of_the_others_into_memory_of_its_own():
    threads, count, waited, calls = 3, 4, [], []
    others = threading.Semaphore(0)

    def run(step, bases, piece, pieces, thread):
        where, image = bases[1], bases[2]
        calls.append((step, image, where))
        if image == 4 and step == 0:
            waited.append(all(others.acquire(timeout=60) for _ in range(threads * count - 1)))
        elif step == 1 and image != 4:
            others.release()

    own = np.array([[0, 100 + t, 0] for t in range(threads)], np.uintp)
    steps = Steps(run)
    steps.program(1, 0).run_each(own, np.arange(threads * count, dtype=np.uintp)[:, None])
    assert waited == [True], "the other threads did all other images meanwhile"
    assert sorted((image, step) for step, image, _ in calls) == [(i, s) for i in range(threads * count) for s in (0, 1)]
    for i in range(threads * count):
        assert len({where for _, image, where in calls if image == i}) == 1, "both steps on one thread"


# ---- signals


class Interrupted(BaseException):
    """What the handler of a signal raises, as the one for Ctrl-C raises KeyboardInterrupt."""


@pytest.fixture
def alarm():
    """alarm(seconds, handler): the handler runs in the main thread after that time, and then every 60 ms."""
    before = signal.getsignal(signal.SIGALRM)

    def alarm(seconds, handler):
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, seconds, 0.06)

    yield alarm
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def interrupt(arenas):
    """A handler that raises Interrupted once a run has taken its arenas, of those that were kept from the run before; the timer
    brings it again until then."""

    def handler(number, frame):
        if not arenas.free:
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise Interrupted

    return handler


@pytest.fixture(scope="module")
def slow(tmp_path_factory):
    """(path of a model, an input): one call takes long, in many steps."""
    net = Net()
    x = y = net.input("x", 1, 64, 64, 64)
    w = normal(RNG, 64, 64, 5, 5) / 40
    for _ in range(60):
        y = net("Relu", net("Conv", y, w, pads=(2,) * 4))
    path = tmp_path_factory.mktemp("slow") / "slow.json"
    onnx_json.write(net.graph(y), path)
    return path, np.abs(normal(RNG, *x.shape))


@pytest.mark.slow
@THREADS
def test_what_a_signal_s_handler_raises_ends_a_run(slow, alarm, threads):
    path, x = slow
    model = fastconv.load(path, threads=threads)
    y, arenas = model(x), model.plan()._arenas
    out = np.full(y.shape, np.nan, np.float32)
    alarm(0.02, interrupt(arenas))
    with pytest.raises(Interrupted):
        model(x, out=out)
    assert np.isnan(out).all(), "the last step did not run"
    assert keeps_denormals(), "the caller's mode is back"
    assert not RUNNING
    assert not np.isnan(y).any()
    assert len(arenas.free) == 1
    assert same_bits(model(x), y), "and the model is as good as before"


@pytest.mark.slow
@THREADS
def test_it_ends_a_batch_that_goes_image_by_image(tmp_path, monkeypatch, alarm, threads):
    monkeypatch.setattr(cost, "CACHES", ((1 << 18, 1.0),))
    net = Net()
    x = y = net.input("x", 2000, 16, 32, 32)
    w = normal(RNG, 16, 16, 3, 3) / 12
    for _ in range(3):  # each image takes much less than the time between two looks for signals
        y = net("Relu", net("Conv", y, w, pads=(1,) * 4))
    onnx_json.write(net.graph(y), tmp_path / "small.json")
    model = fastconv.load(tmp_path / "small.json", threads=threads)
    assert model.plan().images == 2000
    x, out = normal(RNG, *x.shape), np.full(y.shape, np.nan, np.float32)
    y, arenas = model(x), model.plan()._arenas
    alarm(0.02, interrupt(arenas))
    with pytest.raises(Interrupted):
        model(x, out=out)
    threads = model.threads  # no more than the machine has
    per = 2000 // threads
    assert all(np.isnan(out[t * per : (t + 1) * per]).any() for t in range(threads)), "no thread came to its end"
    assert len(arenas.free) == threads
    assert not np.isnan(y).any()
    assert same_bits(model(x), y)


@pytest.mark.slow
@THREADS
def test_a_handler_that_raises_nothing_does_not_end_a_run(slow, alarm, threads):
    path, x = slow
    model = fastconv.load(path, threads=threads)
    y = model(x)
    times = []
    alarm(0.01, lambda number, frame: times.append(time.perf_counter()))
    began = time.perf_counter()
    again = model(x)
    ended = time.perf_counter()
    assert same_bits(again, y)
    assert sum(began < t < ended for t in times) >= 2, "they ran during the call, not after it"


@pytest.mark.slow
def test_signals_are_the_main_thread_s(slow, alarm):
    path, x = slow
    model = fastconv.load(path, threads=2)
    y, results, done = model(x), [], threading.Event()

    def call():
        results.append(model(x))
        done.set()

    threading.Thread(target=call).start()
    alarm(0.02, interrupt(model.plan()._arenas))
    with pytest.raises(Interrupted):
        done.wait()
    assert not results
    assert done.wait(60)
    assert same_bits(results[0], y)


# ---- arrays


def test_arrays_with_gaps_are_refused():
    program = _executor.Program([])
    program.run((None, np.ones(4, np.float32)), 1)
    with pytest.raises((BufferError, ValueError), match="contiguous"):
        program.run((None, np.ones(4, np.float32)[::2]), 1)


# ---- denormals

TINY = np.float32(1e-40)


def keeps_denormals():
    return math.nextafter(0.0, 1.0) * 1.0 > 0 and bool(np.float32(1e-40) * np.ones(4, np.float32) @ np.ones(4, np.float32) > 0)


def copies(isa, threads, accuracy, value, C=40):
    """A tensor full of a value times one, by a pointwise convolution that all threads share."""
    net = Net()
    x = net.input("x", 2, C, 30, 30)
    graph = net.graph(net("Conv", x, np.eye(C, dtype=np.float32).reshape(C, C, 1, 1)))
    plan = build(graph, Target(IMPLEMENTATIONS, kernels.load(isa), threads, accuracy, pieces=2), {})
    arrays, out = [np.full(x.dims, value, np.float32)], [np.empty(x.dims, np.float32)]
    plan.run(arrays, out, threads)
    return out[0]


@EVERY_ISA
@THREADS
def test_denormals_are_zero_unless_accuracy_is_exact(isa, threads):
    assert TINY > 0
    assert (copies(isa, threads, "default", TINY) == 0).all()
    assert (copies(isa, threads, "exact", TINY) == TINY).all()
    least = np.finfo(np.float32).smallest_normal
    for accuracy in ("default", "exact"):
        assert (copies(isa, threads, accuracy, least) == least).all()
        assert (copies(isa, threads, accuracy, -np.inf) != 0).all()


def test_the_caller_s_mode_is_as_it_was():
    kept = []
    for threads in (1, 2, 3):
        copies(ISAS[-1], threads, "default", TINY)
        kept.append(keeps_denormals())
        thread = threading.Thread(target=lambda: kept.append(keeps_denormals()))
        thread.start()
        thread.join()
    assert kept == [True] * 6


class Mode:
    """The calling thread's mode of SSE: rounding, denormals and traps, without the flags of exceptions."""

    libm = ctypes.CDLL(ctypes.util.find_library("m"))
    environment = ctypes.c_uint32 * 8  # fenv_t on x86-64, whose last field is MXCSR

    @classmethod
    def get(cls):
        env = cls.environment()
        cls.libm.fegetenv(env)
        return env[7] & ~0x3F

    @classmethod
    def set(cls, mode):
        env = cls.environment()
        cls.libm.fegetenv(env)
        env[7] = mode
        cls.libm.fesetenv(env)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="reads MXCSR")
@pytest.mark.parametrize("more", [0, 0x8040, 0x6000], ids=["usual", "flushes denormals", "rounds to zero"])
@pytest.mark.parametrize("accuracy", ["default", "exact"])
@THREADS
def test_a_mode_of_the_caller_s_own_stays(threads, accuracy, more):
    """On every thread, after runs, runs of many images and runs that raise."""
    net = Net()
    x, i = net.input("x", 1, 8, 40, 40), net.input("i", 1, dtype=np.int64)
    graph = net.graph(net("Relu", x), net("Gather", x, i, axis=1, name="pick"))
    target = Target(IMPLEMENTATIONS, kernels.load(), threads, accuracy, pieces=2)
    together, alone = build(graph, target, {}), build(graph, target, {}, images=5)
    after = {}

    def work(name):
        before = Mode.get()
        Mode.set(before | more)
        try:
            for plan, images in ((together, 1), (alone, 5)):
                inputs = [np.ones((images, *x.dims[1:]), np.float32), np.zeros(images, np.int64)]
                outputs = [np.empty((images, *v.dims[1:]), np.float32) for v in graph.outputs]
                for index in (0, 9, 0):
                    inputs[1][:] = index
                    with pytest.raises(ModelError, match="node 'pick'") if index else contextlib.nullcontext():
                        plan.run(inputs, outputs, threads)
                    after.setdefault(name, set()).add(Mode.get() == before | more)
        finally:
            Mode.set(before)

    workers = [threading.Thread(target=work, args=(k,)) for k in range(3)]
    for worker in workers:
        worker.start()
    work("main")
    for worker in workers:
        worker.join()
    assert after == {name: {True} for name in (*range(3), "main")}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="sets MXCSR")
@pytest.mark.parametrize("mode", [0x1F80 | 0x8040, 0x1F80 | 0x6000, 0x1000], ids=["flushes", "rounds to zero", "traps"])
@EVERY_ISA
@THREADS
def test_the_bits_do_not_depend_on_the_caller_s_mode(isa, threads, mode):
    net = Net()
    x = net.input("x", 1, 20, 30, 30)
    graph = net.graph(net("Conv", x, normal(RNG, 40, 20, 1, 1)))
    plan = build(graph, Target(IMPLEMENTATIONS, kernels.load(isa), threads, "exact", pieces=2), {})
    arrays, expected = [normal(RNG, *x.dims)], np.empty(graph.outputs[0].dims, np.float32)
    arrays[0][0, 0] = np.nan
    arrays[0][0, :, 0] = 1e-40
    out = np.empty_like(expected)
    plan.run(arrays, [expected], threads)
    before = Mode.get()
    try:
        Mode.set(mode)
        plan.run(arrays, [out], threads)
    finally:
        Mode.set(before)
    assert same_bits(out, expected)


@pytest.mark.slow
def test_handlers_of_signals_run_in_the_caller_s_mode(slow, alarm):
    path, x = slow
    model, kept = fastconv.load(path, threads=2), []
    model.plan()
    alarm(0.01, lambda number, frame: kept.append(keeps_denormals()))
    model(x)
    assert len(kept) >= 2
    assert all(kept)
