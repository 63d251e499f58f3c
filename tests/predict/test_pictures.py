"""Which pictures the arguments name: folders, patterns, lists, shards."""

import os

import numpy as np
import pytest

from fastconv import InputError
from fastconv.predict.pictures import list_pictures


def names(*arguments):
    return [os.path.basename(p.name) for p in list_pictures(map(str, arguments))]


def test_folders_patterns_lists_and_files_give_each_picture_once(digits, tmp_path):
    whole = [f"{i:03}.png" for i in range(21)]
    assert names(digits) == names(digits.parent) == names(f"{digits}/*.png") == names(f"{digits.parent}/**/*.png") == whole
    assert names(digits / "003.png", digits) == ["003.png", *(n for n in whole if n != "003.png")]
    (digits.parent / "list.txt").write_text("digits/002.png\n\n" + f"{digits}/001.png\n")
    assert names(digits.parent / "list.txt") == ["002.png", "001.png"]


def test_paths_are_absolute(digits, monkeypatch):
    monkeypatch.chdir(digits)
    assert [p.path for p in list_pictures(["001.png"])] == [str(digits / "001.png")]


def test_pictures_in_a_shard(digits, shard):
    pictures = list_pictures([str(shard)])
    assert [p.name for p in pictures] == [f"{shard}/{i:03}.png" for i in range(21)]
    np.testing.assert_array_equal(pictures[3].read(), list_pictures([f"{digits}/003.png"])[0].read())


@pytest.mark.parametrize("make, message", [
    (lambda f: f / "empty", "no pictures there"),
    (lambda f: f"{f}/*.jpeg", "no pictures there"),
    (lambda f: f / "broken.tar", "not an uncompressed tar file"),
    (lambda f: f / "latin.txt", "not a list of paths in UTF-8"),
])  # fmt: skip
def test_what_names_no_pictures_is_an_error(make, message, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.tar").write_bytes(b"x" * 1000)
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9.png\n")
    with pytest.raises(InputError, match=f"{make(tmp_path)}: {message}".replace("*", r"\*")):
        list_pictures([str(make(tmp_path))])


def test_a_path_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        list_pictures([str(tmp_path / "no.png")])
