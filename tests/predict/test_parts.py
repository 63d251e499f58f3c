"""The folder of answers: parts are whole or absent, and a run goes on only as it was begun."""

import errno
import os

import pytest

from fastconv import InputError
from fastconv.predict import parts
from fastconv.predict.pictures import list_pictures

FACTS = {"task": "classify", "options": {"top": 2}}


@pytest.fixture
def run(digits, tmp_path):
    return parts.create(str(tmp_path / "a.parquet"), 8, list_pictures([str(digits)]), FACTS)


def test_parts_cover_all_pictures(run):
    assert [len(run[i]) for i in range(len(run))] == [8, 8, 5]
    assert run.missing() == [0, 1, 2]


def test_a_part_that_is_not_whole_is_missing(run, work):
    for i in range(3):
        run.write(i, work.answers(run[i]))
    assert run.missing() == []
    with open(run.path(1), "r+b") as file:
        file.truncate(os.path.getsize(run.path(1)) - 1)
    os.unlink(run.path(2))
    again = parts.resume(run.folder, FACTS)
    assert again.pictures == run.pictures
    assert again.missing() == [1, 2]


def test_a_full_disk_leaves_no_part(run, work, monkeypatch):
    def full(fd):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    table = work.answers(run[0])
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        run.write(0, table)
    assert sorted(os.listdir(run.folder)) == ["_pictures.arrow", "_run.json"]


def test_a_folder_that_is_there_needs_resume(run, digits):
    with pytest.raises(InputError, match="is there: go on with --resume"):
        parts.create(run.folder, 8, run.pictures, FACTS)


def test_a_run_goes_on_as_it_was_begun(run, tmp_path):
    with pytest.raises(InputError, match="begun with task 'classify', not 'embed'"):
        parts.resume(run.folder, FACTS | {"task": "embed"})
    with pytest.raises(InputError, match="nothing to go on with"):
        parts.resume(str(tmp_path / "none"), FACTS)
    (tmp_path / "a.parquet" / "_run.json").write_text("{}")
    with pytest.raises(InputError, match="not a folder of fastconv predict"):
        parts.resume(run.folder, FACTS)


def test_one_process_writes_at_a_time(run):
    leftover = os.path.join(run.folder, ".0123.tmp")
    open(leftover, "w").close()
    with parts.locked(run):
        assert not os.path.exists(leftover)
        with pytest.raises(InputError, match="another fastconv predict is writing to it"), parts.locked(run):
            pass
