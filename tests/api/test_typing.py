"""mypy --strict on a user's program and on wrong uses, where it is installed (the extra dev); .ci/run has pyright for both.

They are checked in a folder of their own, against the package that the tests import.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fastconv

CHECKOUT = Path(__file__).parents[2]
PACKAGES = Path(fastconv.__file__).parents[1]
PROGRAMS = ("user_script.py", "wrong_uses.py")


@pytest.mark.slow
def test_right_uses_pass_and_wrong_ones_fail(tmp_path):
    pytest.importorskip("mypy")
    for name in PROGRAMS:
        shutil.copy(Path(__file__).with_name(name), tmp_path)
    options = ["--strict", "--follow-imports=silent", "--cache-dir", CHECKOUT / ".mypy_cache" / "programs"]
    env = os.environ | ({"MYPYPATH": str(CHECKOUT)} if PACKAGES.samefile(CHECKOUT) else {})  # else it is in site-packages
    command = [sys.executable, "-m", "mypy", *options, *PROGRAMS]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert (done.stderr, done.returncode) == ("", 0), done.stdout


@pytest.mark.slow
def test_the_right_uses_run(tmp_path):
    shutil.copy(Path(__file__).with_name("user_script.py"), tmp_path)
    done = subprocess.run([sys.executable, "user_script.py"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.stderr, done.returncode) == ("", 0)
    assert {p.name for p in tmp_path.iterdir()} == {"report.html", "trace.json", "user_script.py"}
