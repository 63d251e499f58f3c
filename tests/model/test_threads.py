"""The number of threads that a model uses, and forks of processes that have run one."""

import os
import subprocess
import sys
import textwrap

import pytest

from fastconv import _executor, onnx_json, threads
from fastconv.errors import InputError
from fastconv.threads import Threads, cgroup_quota, cpu_limit, resolve

from ..support.graphs import Net, normal
from ..support.rng import generator

RNG = generator(__name__)
CPUS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
openmp = pytest.mark.skipif(not _executor.openmp, reason="built without OpenMP")
linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux's own")


def python(code, *, command=(), **environment):
    """What a fresh interpreter prints; it is killed, with a traceback, after a minute."""
    guarded = "import faulthandler; faulthandler.dump_traceback_later(60, exit=True)\n" + textwrap.dedent(code)
    env = {k: v for k, v in os.environ.items() if k not in ("FASTCONV_NUM_THREADS", "OMP_NUM_THREADS", "OMP_THREAD_LIMIT")}
    done = subprocess.run(
        [*command, sys.executable, "-c", guarded], env=env | environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# ---- how many


@pytest.fixture
def machine(monkeypatch):
    """Simulate a machine: machine(cpus, threads of OpenMP, FASTCONV_NUM_THREADS)."""

    def pretend(cpus=8, own=6, variable=None, source="affinity mask"):
        monkeypatch.setattr(threads, "cpu_limit", lambda: Threads(cpus, source))
        monkeypatch.setattr(_executor, "openmp", 201511)
        monkeypatch.setattr(_executor, "openmp_max_threads", lambda: own)
        if variable is None:
            monkeypatch.delenv("FASTCONV_NUM_THREADS", raising=False)
        else:
            monkeypatch.setenv("FASTCONV_NUM_THREADS", variable)

    return pretend


def test_the_argument_comes_first_then_the_variable_then_openmp(machine):
    machine(variable="4")
    assert resolve(2) == (2, "argument")
    assert resolve(None) == (4, "FASTCONV_NUM_THREADS")
    machine()
    assert resolve(None) == (6, "OpenMP")
    machine(variable="")
    assert resolve(None) == (6, "OpenMP")


def test_all_are_capped_by_what_the_process_may_use(machine):
    machine(cpus=3, own=64, variable="5", source="cgroup quota")
    assert resolve(1) == (1, "argument")
    assert resolve(3) == (3, "argument")
    assert resolve(9) == (3, "argument, capped by cgroup quota")
    assert resolve(None) == (3, "FASTCONV_NUM_THREADS, capped by cgroup quota")
    machine(cpus=3, own=64)
    assert resolve(None) == (3, "OpenMP, capped by affinity mask")


@pytest.mark.parametrize("wrong", [0, -1, 1.0, 2.5, "2", True, [2]])
def test_what_is_no_number_of_threads(machine, wrong):
    machine()
    with pytest.raises(InputError, match="threads: expected an int of 1 or more, got"):
        resolve(wrong)


@pytest.mark.parametrize("wrong", ["0", "-1", "many", "1.5", " ", "²"])
def test_a_variable_that_is_no_number_of_threads(machine, wrong):
    machine(variable=wrong)
    with pytest.raises(InputError, match="FASTCONV_NUM_THREADS: expected an int of 1 or more, got"):
        resolve(None)


def test_a_serial_build_has_one_thread(machine, monkeypatch):
    machine()
    monkeypatch.setattr(_executor, "openmp", 0)
    assert resolve(4) == resolve(None) == (1, "built without OpenMP")


# ---- control groups


def files(root, **texts):
    """A simulated root of the file system: files(root, proc_self_cgroup="0::/a", …), with _ for / in paths."""
    for path, text in texts.items():
        target = root / path.replace("__", "/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return root


def v2(root, group="/", **quotas):
    files(root, proc__self__cgroup=f"0::{group}\n")
    for folder, text in quotas.items():
        files(root, **{f"sys__fs__cgroup__{folder}__cpu.max" if folder != "top" else "sys__fs__cgroup__cpu.max": text})
    return root


@pytest.mark.parametrize(
    "quotas, cpus",
    [
        ({"top": "max 100000\n"}, None),
        ({"top": "200000 100000\n"}, 2.0),
        ({"top": "50000 100000\n"}, 0.5),
        ({"a__b": "300000 100000\n", "a": "150000 100000\n"}, 1.5),
        ({"a__b": "max 100000\n", "a": "max 100000\n", "top": "400000 100000\n"}, 4.0),
        ({"a__c": "100000 100000\n"}, None),  # another group's
        ({"a__b": "1\n"}, None),
        ({"a__b": "nonsense 100000\n"}, None),
        ({"a__b": "100000 0\n"}, None),
        ({}, None),
    ],
    ids=str,
)
def test_the_least_quota_along_the_group_s_path(tmp_path, quotas, cpus):
    assert cgroup_quota(v2(tmp_path, "/a/b", **quotas)) == cpus


@pytest.mark.parametrize(
    "quota, period, cpus", [("150000", "100000", 1.5), ("-1", "100000", None), ("100000", "0", None), ("", "", None)]
)
def test_the_quota_of_version_1(tmp_path, quota, period, cpus):
    files(tmp_path, proc__self__cgroup="4:cpu,cpuacct:/docker/abc\n1:name=systemd:/\n")
    files(tmp_path, **{"sys__fs__cgroup__cpu__cpu.cfs_quota_us": quota, "sys__fs__cgroup__cpu__cpu.cfs_period_us": period})
    assert cgroup_quota(tmp_path) == cpus


def test_no_control_groups(tmp_path):
    assert cgroup_quota(tmp_path) is None


@pytest.mark.parametrize(
    "text, expected",
    [
        ("max 100000", (8, "affinity mask")),
        ("150000 100000", (2, "cgroup quota")),
        ("10000 100000", (1, "cgroup quota")),
        ("800000 100000", (8, "affinity mask")),
        ("1600000 100000", (8, "affinity mask")),
    ],
)
def test_a_part_of_a_cpu_is_rounded_up(tmp_path, monkeypatch, text, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    assert cpu_limit(v2(tmp_path, top=text)) == expected


# ---- in processes of their own


@linux
@openmp
def test_an_affinity_mask_caps_the_threads():
    cpu = min(os.sched_getaffinity(0))
    code = "from fastconv.threads import resolve; print(*resolve(8)); print(*resolve(None))"
    assert python(code, command=["taskset", "-c", str(cpu)]) == "1 argument, capped by affinity mask\n1 OpenMP"


@openmp
@pytest.mark.parametrize(
    "environment, expected",
    [
        ({"OMP_NUM_THREADS": "1"}, "1 OpenMP"),
        ({"OMP_NUM_THREADS": "1", "FASTCONV_NUM_THREADS": "2"}, "2 FASTCONV_NUM_THREADS"),
    ],
)
def test_the_environment(environment, expected):
    if CPUS < 2 or cpu_limit().count < 2:
        pytest.skip("needs two CPUs")
    assert python("from fastconv.threads import resolve; print(*resolve(None))", **environment) == expected


#: a function f whose answer needs a team of threads (its steps are large enough to be shared), and a first call of it
RUNS = """
    import os, signal, sys, threading
    from concurrent.futures import ThreadPoolExecutor
    import numpy as np, fastconv
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((1, 32, 48, 48), np.float32), rng.standard_normal((32, 32, 3, 3), np.float32)
    f = lambda: fastconv.conv2d(x, w, padding=1, threads=2).tobytes()
    y = f()

    def in_child(check):
        pid = os.fork()
        if not pid:
            signal.alarm(30)  # a child that hangs is killed by it
            ok = False
            try:
                ok = check()
            finally:
                os._exit(0 if ok else 1)
        return os.waitpid(pid, 0)[1] == 0

    def in_threads(check, count=1):
        start = threading.Barrier(count)
        with ThreadPoolExecutor(count) as pool:
            return all(pool.map(lambda _: start.wait() >= 0 and check(), range(count)))
"""


@pytest.mark.slow
@linux
@openmp
@pytest.mark.parametrize(
    "check",
    [
        "in_child(lambda: f() == y)",
        "in_child(lambda: f() == y and f() == y) and f() == y",
        "in_child(lambda: f() == y and in_child(lambda: f() == y) and f() == y)",
        "in_child(lambda: in_child(lambda: f() == y))",
        "all(in_child(lambda: f() == y) for _ in range(3))",
        "in_threads(lambda: in_child(lambda: f() == y)) and f() == y",
        "in_threads(lambda: f() == y and in_child(lambda: f() == y) and f() == y)",
        "in_threads(lambda: f() == y and in_child(lambda: f() == y) and f() == y, 4)",
        "in_child(lambda: in_threads(lambda: f() == y and in_child(lambda: f() == y), 2) and f() == y)",
    ],
    ids=[
        "child",
        "child, then parent",
        "child of child",
        "grandchild alone",
        "three children",
        "child of a thread",
        "child of a thread that ran",
        "children of four threads at once",
        "children of a child's threads",
    ],
)
def test_a_process_that_ran_a_model_can_fork(check):
    assert python(textwrap.dedent(RUNS) + f"print({check})") == "True"


@pytest.mark.slow
@linux
@openmp
@pytest.mark.parametrize(
    "check",
    ["f() == y", "f() == y and in_child(lambda: f() == y)", "in_threads(lambda: f() == y, 4)"],
    ids=["child", "child of child", "threads"],
)
def test_a_process_can_fork_while_a_thread_runs(check):
    code = f"""
    stop = False
    def work():
        while not stop:
            assert f() == y
    worker = threading.Thread(target=work)
    worker.start()
    print([in_child(lambda: {check}) for _ in range(10)])
    stop = True
    worker.join()
    """
    assert python(textwrap.dedent(RUNS) + textwrap.dedent(code)) == str([True] * 10)


@pytest.mark.slow
@linux
@openmp
def test_the_handler_of_a_signal_can_fork_during_a_run(tmp_path):
    """The child is within the parallel region of its parent, without its threads. Later calls of both run as usual."""
    net = Net()
    x = net.input("x", 1, 32, 128, 128)
    w, y = normal(RNG, 32, 32, 3, 3) / 17, x
    for _ in range(40):
        y = net("Relu", net("Conv", y, w, pads=(1,) * 4))
    onnx_json.write(net.graph(y), tmp_path / "slow.json")
    code = f"""
    import time
    from fastconv.threads import RUNNING
    model, image = fastconv.load({str(tmp_path / "slow.json")!r}, threads=2), rng.standard_normal((1, 32, 128, 128), np.float32)
    expected, children = model(image).tobytes(), []

    def kick():
        while not children:
            if RUNNING:
                time.sleep(0.01)
                os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(0.1)

    signal.signal(signal.SIGUSR1, lambda *_: RUNNING and children.append(in_child(lambda: f() == y and not RUNNING)))
    kicker = threading.Thread(target=kick)
    kicker.start()
    right = []
    while not children:
        right.append(model(image).tobytes() == expected)
    kicker.join()
    print(all(right), all(children), f() == y, in_child(lambda: f() == y), len(RUNNING))
    """
    assert python(textwrap.dedent(RUNS) + textwrap.dedent(code)) == "True True True True 0"


@pytest.mark.slow
@linux
def test_a_child_does_not_wait_for_locks_of_threads_that_it_lacks():
    code = """
    import os, signal, threading
    import numpy as np, fastconv
    model, x = fastconv.load(fastconv.data.DIGITS), np.zeros((32, 1, 8, 8), np.float32)
    stop = False

    def make_plans():  # under the model's lock
        n = 0
        while not stop:
            n = n % 32 + 1
            model(x[:n])

    maker = threading.Thread(target=make_plans)
    maker.start()
    codes = []
    for _ in range(40):
        pid = os.fork()
        if not pid:
            signal.alarm(2)
            model(x[:1])
            os._exit(0)
        codes.append(os.waitpid(pid, 0)[1])
    stop = True
    maker.join()
    print(codes)
    """
    assert python(code) == str([0] * 40)


@linux
@openmp
@pytest.mark.parametrize("more", [0, 1, 2])
@pytest.mark.parametrize("images", [1, 7])
def test_a_run_has_the_threads_that_the_system_allows(more, images):
    """OpenMP itself would end the process."""
    code = f"""
    import os, resource
    import numpy as np
    from fastconv import kernels
    from fastconv.graph import Graph, Node, Value
    from fastconv.implementations import IMPLEMENTATIONS
    from fastconv.ops.elementwise import Relu
    from fastconv.plan import Target, build

    x, y = (Value(name, (1, 8, 64, 64), np.dtype(np.float32)) for name in "xy")
    target = Target(IMPLEMENTATIONS, kernels.load(), 4, pieces=2)
    plan = build(Graph([x], [y], [Node(Relu(), [x], [y])]), target, {{}}, images={images})
    given = np.random.default_rng(0).standard_normal(({images}, 8, 64, 64), np.float32)
    out = np.empty_like(given)
    if not os.getuid():  # for whom there is no limit
        os.setgid(54321)
        os.setuid(54321)
    before = len(os.listdir("/proc/self/task"))
    resource.setrlimit(resource.RLIMIT_NPROC, (before + {more}, before + {more}))
    plan.run([given], [out], 4)
    print((out == np.maximum(given, 0)).all(), len(os.listdir("/proc/self/task")) - before)
    """
    right, started = python(code).split()
    assert right == "True"
    assert int(started) == more or os.getuid()  # the limit counts all of a user's processes


@linux
@pytest.mark.parametrize("floats", [1 << 8, 1 << 20])
def test_a_child_has_memory_of_its_own(floats):
    code = f"""
    import os
    from fastconv.plan.packing import empty_aligned
    arena = empty_aligned(({floats},))
    arena[:] = 1
    pid = os.fork()
    if not pid:
        arena[:] = 2
        os._exit(0)
    os.waitpid(pid, 0)
    print((arena == 1).all())
    """
    assert python(code) == "True"


@pytest.mark.slow
@linux
@openmp
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(method, tmp_path):
    """Workers run a model, and so do children that they fork."""
    code = f"""
    import multiprocessing, os, signal
    import numpy as np, fastconv

    model = fastconv.load(fastconv.data.DIGITS)
    x = np.random.default_rng(0).standard_normal((64, 1, 8, 8), np.float32)

    def run(i):
        return model(x).tobytes()

    def fork(y):
        pid = os.fork()
        if not pid:
            signal.alarm(10)
            os._exit(run(0) != y)
        return os.waitpid(pid, 0)[1] == 0 and run(0) == y

    if __name__ == "__main__":
        y = run(0)
        with multiprocessing.get_context({method!r}).Pool(2) as pool:
            print(pool.map(run, range(4)) == [y] * 4, pool.map(fork, [y] * 4) == [True] * 4)
    """
    (tmp_path / "pool.py").write_text(textwrap.dedent(code))
    done = subprocess.run([sys.executable, tmp_path / "pool.py"], capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.returncode) == ("True True\n", 0), done.stderr
