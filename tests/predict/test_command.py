"""The command `fastconv predict`: answers, errors in one line, and a run that is stopped again and again."""

import json
import os
import signal
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from fastconv.cli import main
from fastconv.data import DIGITS

from .conftest import write_digits


def command(digits, folder, *more):
    return ["predict", str(digits), "--model", str(DIGITS), "-o", str(folder), "--part-size", "8", *more]


@pytest.fixture
def predict(fastconv_):
    """Run the command, and return what it printed without the guess of the preprocessing."""

    def run(*arguments, code):
        lines = fastconv_(*arguments, code=code).splitlines(True)
        return "".join(line for line in lines if not line.startswith("preprocess: "))

    return run


@pytest.mark.slow
def test_a_folder_of_pictures(digits, tmp_path, predict, capsys):
    assert predict(*command(digits, tmp_path / "a.parquet", "--top", "1"), code=1) == ""
    rows = pq.read_table(tmp_path / "a.parquet").to_pylist()
    assert [row["picture"] for row in rows] == [str(p) for p in sorted(digits.iterdir())]
    assert [row["picture"] for row in rows if row["error"]] == [str(digits / "010.png")]
    main(["run", str(DIGITS), "--image", str(digits / "000.png"), "--json", "--top", "1"])
    (wanted,) = json.loads(capsys.readouterr().out)["pictures"]
    assert rows[0]["classes"] == wanted["classes"]


#: the command, which gets a signal when it has written two parts
STOPPED = """
import os, signal, sys
from fastconv.cli import main
from fastconv.predict.parts import Parts

write, written = Parts.write, []

def stop(parts, i, table):
    write(parts, i, table)
    written.append(i)
    if len(written) == 2:
        os.kill(os.getpid(), int(os.environ["FASTCONV_TEST_SIGNAL"]))

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a program in the background of a script ignores it
    Parts.write = stop
    sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_a_run_that_is_stopped_three_times_gives_every_picture_one_row(tmp_path, predict):
    digits, folder, program = write_digits(tmp_path / "digits", 80), tmp_path / "a.parquet", tmp_path / "stopped.py"
    program.write_text(STOPPED)
    for n, stop in enumerate((signal.SIGINT, signal.SIGTERM, signal.SIGKILL)):
        resume = ["--resume"] if n else []
        process = subprocess.run(
            [sys.executable, program, *command(digits, folder, "--workers", "1", *resume)],
            env=os.environ | {"FASTCONV_TEST_SIGNAL": str(int(stop))},
        )
        assert process.returncode == (130 if stop == signal.SIGINT else -stop)
        assert len([name for name in os.listdir(folder) if name.startswith("part")]) == 2 * (n + 1)
    predict(*command(digits, folder, "--resume"), code=1)
    rows = pq.read_table(folder).to_pylist()
    assert [row["picture"] for row in rows] == [str(p) for p in sorted(digits.iterdir())]
    assert [row["picture"] for row in rows if row["error"]] == [str(digits / "040.png")]


@pytest.mark.parametrize("arguments, message", [
    (["nowhere", "--model", DIGITS, "-o", "a.parquet"], "fastconv: error: nowhere: No such file or directory\n"),
    ([".", "--model", "nowhere.json", "-o", "a.parquet"], "fastconv: error: nowhere.json: No such file or directory\n"),
    ([".", "--model", DIGITS, "-o", "a.parquet"], "fastconv: error: .: no pictures there (.png, .jpg, "),
    ([".", "--model", DIGITS, "-o", "a.parquet", "--pose"], "fastconv: error: pose: expected outputs "),
    ([".", "--model", DIGITS, "-o", "a.parquet", "--resume"], "fastconv: error: a.parquet: nothing to go on with"),
    ([".", "--model", DIGITS], "fastconv predict: error: the following arguments are required: -o/--output"),
])  # fmt: skip
def test_errors_are_one_line_and_leave_nothing(arguments, message, predict, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert predict("predict", *arguments, code=2).startswith(message)
    assert os.listdir(tmp_path) == []
