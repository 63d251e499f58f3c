"""The pytest plugin that an installation registers: the fixture `fastconv_benchmark`, and the suite of `fastconv.bench`.

Every run of pytest in the environment imports this file, so it imports neither NumPy nor the engine: `fastconv.bench` does,
when it is first asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import fastconv

MISSING = "pytest-benchmark is missing: pip install 'fastconv[bench]'"
LINES = pytest.StashKey[list[str]]()


def _has_benchmark(options: object) -> bool:
    """Whether pytest-benchmark has added its options; its name as a plugin depends on how it was loaded."""
    return hasattr(options, "benchmark_skip")


def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Load the suite for `--pyargs fastconv.bench` before the command line is parsed, as it has options."""
    asked = early_config.known_args_namespace
    if asked.pyargs and any(name.partition("::")[0].startswith("fastconv.bench") for name in asked.file_or_dir):
        if not _has_benchmark(asked):
            raise pytest.UsageError(f"fastconv.bench: {MISSING}")
        early_config.pluginmanager.import_plugin("fastconv.bench.suite")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Say what is missing before pytest says that there is no fixture `benchmark`."""
    if "fastconv_benchmark" in getattr(item, "fixturenames", ()) and not _has_benchmark(item.config.option):
        pytest.fail(f"fastconv_benchmark: {MISSING}", pytrace=False)


@pytest.fixture
def fastconv_benchmark(benchmark: Any, request: pytest.FixtureRequest) -> Iterator[Callable[..., fastconv.Outputs]]:
    """fastconv_benchmark("net.onnx"): time a model; `fastconv.bench.ModelBenchmark` has the arguments."""
    measure = fastconv.bench.ModelBenchmark(benchmark)

    def run(*args: Any, **options: Any) -> fastconv.Outputs:
        try:
            return measure(*args, **options)
        except (fastconv.FastconvError, OSError) as error:
            raise pytest.fail.Exception(str(error), pytrace=False) from None

    yield run
    if measure.line:
        request.config.stash.setdefault(LINES, []).append(measure.line)


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    """Add what pytest-benchmark does not know of the machine, if fastconv was measured."""
    if "fastconv.bench" in sys.modules:
        machine_info["fastconv"] = fastconv.bench.machine_info()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print a line about each model that was measured."""
    if lines := config.stash.get(LINES, []):
        terminalreporter.section("fastconv")
        for line in lines:
            terminalreporter.write_line(line)
