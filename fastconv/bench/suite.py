"""The pytest plugin of the benchmarks: options, parameters, fixtures, the header and the report.

`pytest --pyargs fastconv.bench` loads it by fastconv/pytest_plugin.py, and bench/conftest.py does in a checkout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias, TypeVar

import pytest

from .. import kernels
from ..implementations import IMPLEMENTATIONS
from ..model import WEIGHTS_TYPES
from ..threads import cpu_limit
from . import limits, machine, plain_loops, tables, timing
from .layers import NETWORKS, Layer
from .tables import NAIVE

#: measure(run, info, cold=False), the fixture
Measure: TypeAlias = Callable[..., None]
F = TypeVar("F", bound=Callable[..., None])

#: the networks that are measured if none is named
DEFAULT = ["resnet18"]
#: seconds between two measurements of the machine's peak while a benchmark runs, and the length of each
EVERY, LOOK = 0.15, 0.04
#: the most measurements more if a benchmark was faster than the peak: another process had the CPU while that was measured
MORE_LOOKS = 10
#: most and least seconds of a burst of multiply-adds; in between it is as long as a call of the kernel: both are as likely to
#: run undisturbed
BURST, LEAST_BURST = 0.02, 0.001
MOST_ROUNDS, MOST_COLD_ROUNDS = 2000, 20

SAVED = pytest.StashKey[list[dict[str, Any]]]()
TABLES = pytest.StashKey[dict[tuple[str, str], list[Iterable[str]]]]()
BANDWIDTH = pytest.StashKey[dict[int, float]]()


def of_kinds(*kinds: type[Layer]) -> Callable[[F], F]:
    """Say which kinds of layers a benchmark's cases have."""

    def mark(function: F) -> F:
        function.kinds = kinds  # type: ignore[attr-defined]
        return function

    return mark


# ---- options


def _names(option: str, known: Sequence[str]) -> Callable[[str], list[str]]:
    """A function that reads a list of names, each one of `known`; "all" is all of them."""

    def read(text: str) -> list[str]:
        names = list(known) if text == "all" else text.split(",")
        if unknown := [n for n in names if n not in known]:
            raise pytest.UsageError(f"--{option}: {unknown[0]!r} is none of {', '.join(known)}")
        return names

    return read


def _counts(text: str) -> list[int]:
    counts = [int(t) if t.isdecimal() else 0 for t in text.split(",")]
    if min(counts) < 1:
        raise pytest.UsageError(f"expected numbers of 1 or more, got {text!r}")
    return counts


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Benchmarks run one after the other, in this process."""
    return 0


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options, a group of their own in --help."""
    group = parser.getgroup("fastconv benchmarks")
    algorithms = ["auto", NAIVE, *dict.fromkeys(i.name for ways in IMPLEMENTATIONS.values() for i in ways)]
    cores = ",".join(map(str, dict.fromkeys((1, cpu_limit().count))))
    add = group.addoption
    add(
        "--network",
        type=_names("network", NETWORKS),
        default=DEFAULT,
        help=f"all, or of {', '.join(NETWORKS)}; default: resnet18",
    )
    add("--isa", type=_names("isa", kernels.available()), default=[kernels.load().isa], help="avx2,baseline; default: the best")
    add("--threads", type=_counts, default=_counts(cores), help=f"default: {cores}")
    add("--batch", type=_counts, help="images a call, 1,8; default: 1, and both for the selection")
    add(
        "--algorithm",
        type=_names("algorithm", algorithms),
        help=f"of {', '.join(algorithms)}; default: every one that can run the layer. auto is the selection's choice, naive "
        "the compiled plain loops, on one thread",
    )
    add(
        "--weights-type",
        type=_names("weights-type", WEIGHTS_TYPES),
        default=["float32"],
        help=f"of fully connected layers: all, or of {', '.join(WEIGHTS_TYPES)}; default: float32",
    )
    add("--seconds", type=float, default=0.2, help="how long each benchmark but naive runs; default: %(default)s")


def pytest_configure(config: pytest.Config) -> None:
    """Run the benchmarks, whatever the ini file says of others: whoever names them wants them."""
    if not hasattr(config.option, "benchmark_skip"):
        raise pytest.UsageError("the benchmarks need pytest-benchmark: pip install 'fastconv[bench]'")
    config.option.benchmark_skip = False
    config.option.benchmark_quiet = True  # the report replaces the plugin's table
    config.addinivalue_line("python_files", "bench_*.py")
    config.addinivalue_line("python_functions", "bench_*")
    config.stash[SAVED], config.stash[TABLES], config.stash[BANDWIDTH] = [], {}, {}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a benchmark of layers its cases."""
    option, kinds = metafunc.config.option, getattr(metafunc.function, "kinds", ())
    if kinds:
        # every algorithm and number of threads of a layer side by side: they are compared with each other
        algorithms = getattr(metafunc.module, "ALGORITHMS", option.algorithm)
        batches = option.batch or getattr(metafunc.module, "BATCHES", [1])
        types = option.weights_type
        cases = list(timing.cases(option.network, kinds, option.isa, algorithms, option.threads, batches, types))
        metafunc.parametrize("case", cases, ids=lambda c: c.id)


# ---- fixtures


@pytest.fixture
def measure(benchmark: Any, request: pytest.FixtureRequest) -> Measure:
    """measure(run, info): times `run` for --seconds, and the machine's peak in between.

    With `cold`, the caches are flushed before each round, and memory bandwidth is measured just before and after. Plain loops
    (info["algorithm"] is "naive") get few rounds and no peak. `info` is what tables.py reads, except peak and bandwidth.
    """
    config = request.config

    def measure(run: Callable[[], object], info: dict[str, Any], cold: bool = False) -> None:
        benchmark.group = info["layer"]
        if info["algorithm"] == NAIVE:
            benchmark.pedantic(run, rounds=plain_loops.ROUNDS)
            found = {}
        else:
            found = beside_peak(run, info, cold)
        if benchmark.stats is None:  # --benchmark-disable: only to see that everything runs
            return
        stats = {"min": benchmark.stats.stats.min, "median": benchmark.stats.stats.median}
        benchmark.extra_info.update(info, gflops=info["flops"] / stats["min"] / 1e9, **found)
        config.stash[SAVED].append({"name": benchmark.name, "stats": stats, "extra_info": dict(benchmark.extra_info)})

    def beside_peak(run: Callable[[], object], info: dict[str, Any], cold: bool) -> dict[str, float]:
        isa, threads, products = info["isa"], info["threads"], info.get("products", "floats")
        once = min(timing.seconds(run) for _ in range(3))
        rounds = min(max(round(config.option.seconds / once), 5), MOST_COLD_ROUNDS if cold else MOST_ROUNDS)
        burst = min(max(once, LEAST_BURST), BURST)
        flops = timing.Meter(lambda: max(limits.product_bursts(isa, threads, round(LOOK / burst), burst, products)), EVERY)
        reading, known = timing.Meter(lambda: max(limits.read_bursts(threads)), EVERY), config.stash[BANDWIDTH]
        if cold or threads not in known:
            reading.take()
        between: list[Callable[[], None]] = [flops, timing.Cool(threads)] if cold else [flops]

        def setup() -> None:
            for f in between:
                f()

        benchmark.pedantic(run, setup=setup, rounds=rounds)
        flops.take()
        for _ in range(0 if info["fewer_products"] or benchmark.stats is None else MORE_LOOKS):
            if info["flops"] / benchmark.stats.stats.min > 1e9 * flops.best:
                flops.take()
        if cold:
            reading.take()
        bandwidth = reading.best or known[threads]
        known.setdefault(threads, bandwidth)
        return {"peak_gflops": flops.best, "bandwidth_gbs": bandwidth}

    return measure


@pytest.fixture
def row(request: pytest.FixtureRequest) -> Callable[[str, str, Iterable[str]], None]:
    """row(title, heading, cells): adds a row to a table at the end of the run."""

    def row(title: str, heading: str, cells: Iterable[str]) -> None:
        request.config.stash[TABLES].setdefault((title, heading), []).append(cells)

    return row


# ---- the header, saved files and the report


def pytest_report_header(config: pytest.Config) -> list[str]:
    """The build, the machine, and how long the slow ones take."""
    threads = " and ".join(map(str, config.option.threads))
    naive = f"naive is the compiled plain loops, on one thread, {plain_loops.ROUNDS} rounds each, as they are slow"
    return [machine.header(config.option.isa), f"threads: {threads}; {naive}"]


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_commit_info(commit_info: dict[str, Any]) -> None:
    """The commit of the measured build, in place of that of the folder that pytest runs in."""
    commit_info.clear()
    commit_info.update(machine.commit_info())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the tables."""
    write = terminalreporter.write_line
    if saved := config.stash[SAVED]:
        terminalreporter.section("fastconv")
        write("\n\n".join(tables.sections(tables.layer_rows(saved, "min"))))
    for (title, heading), lines in config.stash[TABLES].items():
        terminalreporter.section(title)
        write(tables.table(heading, lines))
