"""The pool of processes: the same answers for any number of workers, and none lost when a worker is killed."""

import os
import signal

import pyarrow as pa
import pytest

from fastconv.predict import local, parts
from fastconv.predict.pictures import list_pictures
from fastconv.predict.work import Work


class Poisoned(Work):
    """Work that no process survives on the picture 007."""

    def answers(self, pictures):
        pictures = list(pictures)
        if any("007" in p.name for p in pictures):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().answers(pictures)


class Unlucky(Work):
    """Work whose process is killed on the picture 009, the first time."""

    def answers(self, pictures):
        pictures = list(pictures)
        mark = os.environ["FASTCONV_TEST_MARK"]
        if any("009" in p.name for p in pictures) and not os.path.exists(mark):
            open(mark, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().answers(pictures)


@pytest.fixture
def run(digits, tmp_path):
    return parts.Parts(str(tmp_path), 4, list_pictures([str(digits)]))


def answers(work, run, workers):
    """All answers in order; each part comes once."""
    tables = list(local.answer_parts(work, run, range(len(run)), workers))
    assert sorted(i for i, _ in tables) == list(range(len(run)))
    return pa.concat_tables(table for _, table in sorted(tables, key=lambda t: t[0]))


@pytest.mark.slow
def test_the_same_answers_for_any_number_of_workers(work, run):
    table = work.answers(run.pictures)
    assert [bool(error) for error in table["error"].to_pylist()] == [i == 10 for i in range(21)]
    assert answers(work, run, 1) == answers(work, run, 2) == table


@pytest.mark.slow
def test_a_worker_that_is_killed_loses_no_answer(work, run, tmp_path, monkeypatch):
    monkeypatch.setenv("FASTCONV_TEST_MARK", str(tmp_path / "killed"))
    assert answers(Unlucky(*work), run, 2) == work.answers(run.pictures)
    assert (tmp_path / "killed").exists()


@pytest.mark.slow
def test_a_picture_that_kills_its_worker_is_a_row_with_that_error(work, run):
    got, wanted = answers(Poisoned(*work), run, 2).to_pylist(), work.answers(run.pictures).to_pylist()
    assert got[7] == {"picture": run.pictures[7].name, "error": local.DIED, "classes": None}
    del got[7], wanted[7]
    assert got == wanted
