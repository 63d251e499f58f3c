"""Options, parameters and the report of the benchmarks: see bench/README.md."""

import peak
import pytest
import report
import timing
from layers import NETWORKS

from fastconv import kernels
from fastconv.implementations import IMPLEMENTATIONS
from fastconv.threads import cpu_limit

#: seconds between two measurements of the machine's peak while a benchmark runs, and the length of each
EVERY, LOOK = 0.15, 0.04
#: most seconds of a burst of multiply-adds, and the least on one thread and on several, which do not start at once; in between
#: it is as long as a call of the kernel: both are as likely to run undisturbed
BURST, LEAST_BURST = 0.02, (0.001, 0.005)
MOST_ROUNDS, MOST_COLD_ROUNDS = 2000, 20

SAVED = pytest.StashKey[list]()
TABLES = pytest.StashKey[dict]()
BANDWIDTH = pytest.StashKey[dict]()


def _names(option, known):
    """A function that reads a list of names, each one of `known`."""

    def read(text):
        names = text.split(",")
        if unknown := [n for n in names if n not in known]:
            raise pytest.UsageError(f"--{option}: {unknown[0]!r} is none of {', '.join(known)}")
        return names

    return read


def _counts(text):
    counts = [int(t) if t.isdecimal() else 0 for t in text.split(",")]
    if min(counts) < 1:
        raise pytest.UsageError(f"expected numbers of 1 or more, got {text!r}")
    return counts


def pytest_xdist_auto_num_workers():
    """Benchmarks run one after the other, in this process."""
    return 0


def pytest_addoption(parser):
    group = parser.getgroup("fastconv benchmarks")
    algorithms = ["auto", *dict.fromkeys(i.name for ways in IMPLEMENTATIONS.values() for i in ways)]
    cores = ",".join(map(str, dict.fromkeys((1, cpu_limit().count))))
    add = group.addoption
    add("--network", type=_names("network", NETWORKS), default=list(NETWORKS), help="resnet50,vgg16; default: all eight")
    add("--isa", type=_names("isa", kernels.available()), default=[kernels.load().isa], help="avx2,baseline; default: the best")
    add("--threads", type=_counts, default=_counts(cores), help=f"default: {cores}")
    add("--batch", type=_counts, help="images a call, 1,8; default: 1, and both for the selection")
    add(
        "--algorithm",
        type=_names("algorithm", algorithms),
        help=f"of {', '.join(algorithms)}; default: every one that can run the layer. auto is the selection's choice",
    )
    add("--naive", action="store_true", help="time the compiled plain loops too, once a layer")
    add("--seconds", type=float, default=0.4, help="how long each benchmark runs; default: %(default)s")


def pytest_configure(config):
    # pyproject.toml lets pytest skip benchmarks: whoever names this folder wants them. The report replaces the plugin's table.
    config.option.benchmark_skip = False
    config.option.benchmark_quiet = True
    config.addinivalue_line("python_files", "bench_*.py")
    config.addinivalue_line("python_functions", "bench_*")
    config.stash[SAVED], config.stash[TABLES], config.stash[BANDWIDTH] = [], {}, {}


def pytest_generate_tests(metafunc):
    option = metafunc.config.option
    if "case" in metafunc.fixturenames:
        # every algorithm and number of threads of a layer side by side: they are compared with each other
        algorithms = getattr(metafunc.module, "ALGORITHMS", option.algorithm)
        batches = option.batch or getattr(metafunc.module, "BATCHES", [1])
        cases = list(timing.cases(option.network, metafunc.module.KINDS, option.isa, algorithms, option.threads, batches))
        metafunc.parametrize("case", cases, ids=lambda c: c.id)
    for name, values, prefix in (("network", option.network, ""), ("isa", option.isa, ""), ("threads", option.threads, "t")):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, values, ids=[f"{prefix}{v}" for v in values], scope="module")


@pytest.fixture
def measure(benchmark, request):
    """measure(run, info): times `run` for --seconds, and the machine's peak in between.

    With `cold`, the caches are flushed before each round, and memory bandwidth is measured just before and after.
    `info` is what bench/report.py reads, except peak and bandwidth.
    """
    config = request.config

    def measure(run, info, cold=False):
        isa, threads = info["isa"], info["threads"]
        once = min(timing.seconds(run) for _ in range(3))
        rounds = min(max(round(config.option.seconds / once), 5), MOST_COLD_ROUNDS if cold else MOST_ROUNDS)
        burst = min(max(once, LEAST_BURST[threads > 1]), BURST)
        flops = timing.Meter(lambda: max(peak.fma_bursts(isa, threads, round(LOOK / burst), burst)), EVERY)
        reading, known = timing.Meter(lambda: max(peak.read_bursts(threads)), EVERY), config.stash[BANDWIDTH]
        if cold or threads not in known:
            reading.take()
        between = [flops, timing.Cool(threads)] if cold else [flops]

        def setup():
            for f in between:
                f()

        benchmark.pedantic(run, setup=setup, rounds=rounds)
        flops.take()
        if cold:
            reading.take()
        bandwidth = reading.best or known[threads]
        known.setdefault(threads, bandwidth)
        if benchmark.stats is None:  # --benchmark-disable: only to see that everything runs
            return
        benchmark.extra_info.update(info, peak_gflops=flops.best, bandwidth_gbs=bandwidth)
        stats = {"min": benchmark.stats.stats.min, "median": benchmark.stats.stats.median}
        config.stash[SAVED].append({"name": benchmark.name, "stats": stats, "extra_info": dict(benchmark.extra_info)})

    return measure


@pytest.fixture
def naive(request):
    """naive(layer): milliseconds of the compiled plain loops; None without --naive, or where fastconv.naive has none."""
    return timing.naive_ms if request.config.option.naive else lambda layer: None


@pytest.fixture
def row(request):
    """row(title, heading, cells): adds a row to a table at the end of the run."""

    def row(title, heading, cells):
        request.config.stash[TABLES].setdefault((title, heading), []).append(cells)

    return row


def pytest_terminal_summary(terminalreporter, config):
    write = terminalreporter.write_line
    if saved := config.stash[SAVED]:
        terminalreporter.section("fastconv")
        write("\n\n".join(report.sections([report.read(b, "min") for b in saved])))
    for (title, heading), lines in config.stash[TABLES].items():
        terminalreporter.section(title)
        write(report.table(heading, lines))
