"""Settings before any test imports the library, the quick tests, seeds, and the summary at the end."""

import os
import sys
from pathlib import Path

import hypothesis
import pytest

from .support.rng import reseed

CHECKOUT = Path(__file__).parents[1]

# `python -m pytest` looks for packages in the checkout first: where that is not compiled, the installed package is meant
if not any(CHECKOUT.glob("fastconv/_executor.*.so")):
    sys.path[:] = [p for p in sys.path if Path(p).resolve() != CHECKOUT]

# tests have more threads than cores, and one that waits must not spin
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# a deadline would fail a test for the load of the machine
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

# folders whose cases all take milliseconds
ALL_QUICK = ("graph", "ops", "passes")

# Python processes that tests start take the installed package, not the checkout they may stand in
os.environ["PYTHONSAFEPATH"] = "1"


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items):
    """Mark as quick, but for slow tests, all cases in some folders and elsewhere a test's first case of each implementation."""
    seen = set()
    for item in items:
        values = item.callspec.params if hasattr(item, "callspec") else {}
        case = item.nodeid.partition("[")[0], values.get("implementation")
        if not item.get_closest_marker("slow") and (item.path.parent.name in ALL_QUICK or case not in seen):
            seen.add(case)
            item.add_marker("quick")


def pytest_runtest_setup(item):
    """Give each test random numbers of its own."""
    reseed(item.nodeid)


def pytest_terminal_summary(terminalreporter):
    """Print how many of ONNX's cases passed, where all of them ran."""
    of_suite = {
        outcome: [r.nodeid for r in terminalreporter.stats.get(outcome, ()) if "onnx_suite/test_suite.py" in r.nodeid]
        for outcome in ("passed", "xfailed", "failed", "error")
    }
    if not of_suite["passed"]:
        return
    from .onnx_suite.cases import cases, table

    names = {
        outcome: [name for i in ids if (name := i.rpartition("::")[2].removesuffix("_cpu")) in cases()]
        for outcome, ids in of_suite.items()
    }
    if sum(map(len, names.values())) == len(cases()):
        terminalreporter.write_line(table(names["passed"]))


@pytest.fixture
def fastconv_(capsys):
    """Run the command `fastconv` in this process and return what it printed, after checking its exit code."""
    from fastconv.cli import main  # after the settings above

    def run(*args, code=0):
        try:
            got = main([str(a) for a in args])
        except SystemExit as e:  # argparse
            got = e.code
        out, err = capsys.readouterr()
        assert got == code, out + err
        assert "Traceback" not in err
        return err if code else out

    return run
