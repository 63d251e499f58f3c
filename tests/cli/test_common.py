"""What commands share: bars, tables, tracebacks, completion."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest

import fastconv
from fastconv.cli import common, main
from fastconv.data import DIGITS

MODEL = str(DIGITS)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Make stdout and stderr one terminal. The test calls it: pytest replaces both after the fixtures."""

    def terminal():
        there = Terminal()
        for name in ("stdout", "stderr"):
            monkeypatch.setattr(sys, name, there)
        return there

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return terminal


@pytest.fixture
def without_rich(monkeypatch):
    for name in ("rich.console", "rich.progress"):
        monkeypatch.setitem(sys.modules, name, None)


# ---- bars


def test_a_bar_is_for_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(common, "PATIENCE", 0)
    assert list(common.progress([1, 2, 3], "pictures")) == [1, 2, 3]
    assert capsys.readouterr() == ("", "")


def test_a_bar_is_for_what_takes_long(terminal):
    there = terminal()
    assert list(common.progress([1, 2, 3], "pictures")) == [1, 2, 3]
    assert there.getvalue() == ""


def test_a_bar_comes_and_goes(terminal, monkeypatch):
    there = terminal()
    monkeypatch.setattr(common, "PATIENCE", 0)
    assert list(common.progress([1, 2], "pictures")) == [1, 2]
    shown = there.getvalue()
    assert "pictures" in shown
    assert " 50%" in shown
    assert shown.endswith("\x1b[2K")  # the line is empty again


def test_a_bar_without_rich(terminal, monkeypatch, without_rich):
    there = terminal()
    monkeypatch.setattr(common, "PATIENCE", 0)
    monkeypatch.setattr(common, "PAUSE", 0)
    with common.progress_bar(10.0, "bench") as advance:
        advance(2.5)
        advance(5)
    assert there.getvalue() == "bench  25%\rbench  75%\r          \r"


def test_a_bar_goes_if_the_work_ends_early(terminal, monkeypatch, without_rich):
    there = terminal()
    monkeypatch.setattr(common, "PATIENCE", 0)
    items = common.progress([1, 2], "x")
    next(items), next(items)
    items.close()
    assert there.getvalue() == "x  50%\r      \r"


# ---- tables

HEADER, ROWS = ("layer", "by", "ms"), [("a" * 150, "[red]gemm[/red]", "1.00"), ("b", "direct", "10.00")]


def words(text):
    return [line.split() for line in text.splitlines() if not set(line) & set("-─")]


def test_a_table_is_plain_in_a_pipe(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert words(common.terminal_table(HEADER, ROWS, 2)) == [[*HEADER], *map(list, ROWS)]


def test_a_table_on_a_terminal_has_all_words(terminal, monkeypatch):
    """Cells are never cut, nor taken for markup."""
    terminal()
    monkeypatch.setenv("COLUMNS", "40")
    shown = common.terminal_table(HEADER, ROWS, 2)
    assert "\x1b[1m" in shown
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    assert words(common.terminal_table(HEADER, ROWS, 2)) == [[*HEADER], *map(list, ROWS)]


def test_a_table_on_a_terminal_without_rich(terminal, without_rich):
    terminal()
    assert words(common.terminal_table(HEADER, ROWS, 2)) == [[*HEADER], *map(list, ROWS)]


def test_the_summary_on_a_terminal_says_what_it_says_in_a_pipe(terminal, monkeypatch):
    there = terminal()
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    assert main(["summary", MODEL]) == 0
    assert words(there.getvalue()) == words(str(fastconv.load(MODEL).summary()))


# ---- errors


@pytest.mark.parametrize("args", [["--debug", "run", "no.json"], ["run", "no.json", "--debug"]])
def test_debug_prints_the_traceback_too(args, capsys):
    assert main(args) == 2
    err = capsys.readouterr().err
    assert err.startswith("Traceback (most recent call last):\n")
    assert err.splitlines()[-1] == "fastconv: error: no.json: No such file or directory"


@pytest.mark.parametrize("command", ["demo", "run", "summary", "profile", "convert", "dump", "bench", "config"])
def test_every_command_takes_debug(command, fastconv_):
    assert "--debug" in fastconv_(command, "--help")


# ---- completion


@pytest.mark.slow
@pytest.mark.parametrize(
    "line, words",
    [
        ("fastconv ru", ["run "]),
        ("fastconv run m.json --preprocess im", ["imagenet "]),
        ("fastconv run m.json --image pi", ["picture.png "]),
    ],
)
def test_completion(line, words, tmp_path):
    """As a shell asks for it."""
    (tmp_path / "picture.png").touch()
    asked = {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_STDOUT_FILENAME": "out"}
    env = os.environ | asked | {"_ARGCOMPLETE_IFS": "\n"}
    subprocess.run([sys.executable, "-m", "fastconv"], cwd=tmp_path, env=env, check=True)
    assert (tmp_path / "out").read_text().split("\n") == words


@pytest.mark.parametrize("name", ["__main__.py", "cli/__init__.py"])
def test_shells_find_the_mark_of_completion(name):
    path = os.path.join(os.path.dirname(fastconv.__file__), name)
    with open(path, encoding="utf-8") as file:
        assert "PYTHON_ARGCOMPLETE_OK" in file.read(1024)


# ---- what is imported


@pytest.mark.slow
@pytest.mark.parametrize("args", [["--help"], ["run", MODEL, "--random"], ["summary", MODEL]])
def test_extras_are_imported_where_they_are_used(args):
    code = f"""
import sys
from fastconv.cli import main
try:
    main({args})
except SystemExit:
    pass
print(*sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = set(done.stdout.splitlines()[-1].split())
    assert not imported & {"PIL", "rich", "argcomplete", "matplotlib", "fastconv.vision", "fastconv.viz"}


def test_save_takes_any_names(tmp_path):
    common.save_arrays(tmp_path / "y.npz", {"file": np.zeros(2), "a/b": np.ones(1)})
    with np.load(tmp_path / "y.npz") as file:
        assert file.files == ["file", "a/b"]
