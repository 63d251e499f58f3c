"""What is no ordinary file, cannot be written or changes: one error that names it, and never a hang."""

import errno
import os
import resource
import shutil
import signal

import numpy as np
import pytest

import fastconv
from fastconv import vision
from fastconv.cli.entry import main
from fastconv.convert import convert, read_weights

from .support import save


@pytest.fixture
def model(tmp_path):
    """The path of a network with a data file, alone in a folder."""
    (tmp_path / "models").mkdir()
    return save(tmp_path / "models")


def files(path):
    return {p.name: p.read_bytes() for p in path.parent.iterdir() if p.is_file()}


def readers(path):
    """What reads a file that the caller names."""
    yield fastconv.load, path
    yield convert, path, path.with_suffix(".onnx")
    yield read_weights, path
    yield vision.read, path


def make(kind, path):
    """Put something that is no whole file at the path."""
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    elif kind == "short":
        path.write_bytes(bytes(100))


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "absent"])
def test_what_is_no_file_to_read(tmp_path, kind, capsys):
    path = tmp_path / "x.json"
    make(kind, path)
    for function, *arguments in readers(path):
        if kind == "folder" and function is fastconv.load:
            continue  # it has an error of its own
        with pytest.raises(OSError, match=r"x\.json") as caught:
            function(*arguments)
        assert caught.value.errno == {"folder": errno.EISDIR, "absent": errno.ENOENT}.get(kind, errno.EINVAL)
    assert main(["run", str(fastconv.data.DIGITS), "--input", str(path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "absent", "short"])
def test_data_files_that_are_none(model, kind):
    data = model.with_name("net.json.data")
    data.unlink()
    make(kind, data)
    for reader in (fastconv.load, lambda path: convert(path, path.with_suffix(".onnx"))):
        with pytest.raises(fastconv.ModelError, match=r"net\.json\.data"):
            reader(model)


@pytest.mark.parametrize("change", ["shrinks", "is_written_to"])
def test_a_data_file_that_changes_after_the_load(model, change):
    data, loaded = model.with_name("net.json.data"), fastconv.load(model)
    content = data.read_bytes()
    if change == "shrinks":
        os.truncate(data, 100)
    else:
        data.write_bytes(content[::-1])
        os.utime(data, ns=(0, 0))
    for _ in range(2):
        with pytest.raises(fastconv.ModelError, match=r"net\.json\.data"):
            loaded(np.zeros((1, 16, 12, 12), np.float32))


def test_data_files_that_are_replaced_or_vanish_after_the_load(model):
    x = np.ones((1, 16, 12, 12), np.float32)
    expected, loaded = fastconv.load(model).run(x), fastconv.load(model)
    shutil.rmtree(model.parent)
    for name, y in loaded.run(x).items():
        np.testing.assert_array_equal(y, expected[name])


@pytest.fixture
def full_disk():
    """No file can be larger than 20,000 bytes."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk(model, full_disk):
    loaded, before = fastconv.load(model), files(model)
    for path in (model, model.with_name("new.json")):
        with pytest.raises(OSError, match=rf"{path.name}(\.1)?\.data"):
            loaded.save(path)
    with pytest.raises(OSError, match=r"net\.onnx"):
        convert(model, model.with_suffix(".onnx"))
    assert files(model) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_read_only(model):
    loaded, before = fastconv.load(model), files(model)
    model.parent.chmod(0o500)
    try:
        for write in (loaded.save, lambda path: convert(model, path)):
            with pytest.raises(PermissionError, match=r"new\.json"):
                write(model.with_name("new.json"))
    finally:
        model.parent.chmod(0o700)
    assert files(model) == before


def test_a_save_replaces_a_pipe_or_a_link_to_a_device(model):
    loaded = fastconv.load(model)
    pipe, device = model.with_name("pipe.json"), model.with_name("device.json")
    os.mkfifo(pipe)
    device.symlink_to("/dev/full")
    for path in (pipe, device):
        loaded.save(path)
        assert fastconv.load(path).outputs == loaded.outputs
