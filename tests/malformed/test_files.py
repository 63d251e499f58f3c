"""Files that change while they are read, code in files, and files from elsewhere."""

import io
import os
import pickle
import re
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import fastconv
from fastconv import external_data
from fastconv.errors import ModelError
from fastconv.external_data import LARGE

from ..support.onnx_dicts import info, model, node, tensor, text
from .harness import message_of, named

W = np.arange(LARGE, dtype=np.float32).reshape(4, -1)
X = np.ones((1, 4), np.float32)
SIZES = {"inputs": [info("x", 1, 4)], "outputs": [{"name": "y"}]}


@pytest.fixture
def folder(tmp_path):
    """A model's folder with a large weight in a data file, and other files to take its place."""
    (tmp_path / "w.bin").write_bytes(W.tobytes())
    (tmp_path / "other").write_bytes((W + 1).tobytes())
    (tmp_path.parent / f"{tmp_path.name}.secret").write_bytes((W + 2).tobytes())
    w = {"name": "w", "dims": [str(n) for n in W.shape], "data_type": 1, "data_location": "EXTERNAL"}
    w["external_data"] = [{"key": "location", "value": "w.bin"}]
    (tmp_path / "m.json").write_bytes(text(model([node("MatMul", ["x", "w"], ["y"])], [w], **SIZES)))
    return tmp_path


def replaced(folder):
    os.replace(folder / "other", folder / "w.bin")


def link(folder):
    (folder / "w.bin").unlink()
    (folder / "w.bin").symlink_to(f"../{folder.name}.secret")


def check_named(error, *parts):
    """Check an error's message, and that it has one of these parts."""
    assert any(part in message_of(error) for part in parts), error


CHANGES = {
    "T27-replaced": replaced,
    "T27-removed": lambda folder: (folder / "w.bin").unlink(),
    "T27-link-in-its-place": link,
    "T27-folder-in-its-place": lambda folder: ((folder / "w.bin").unlink(), (folder / "w.bin").mkdir()),
    "T27-pipe-in-its-place": lambda folder: ((folder / "w.bin").unlink(), os.mkfifo(folder / "w.bin")),
    "T27-shrunk": lambda folder: os.truncate(folder / "w.bin", 10),
    "T27-emptied": lambda folder: os.truncate(folder / "w.bin", 0),
    "T27-grown": lambda folder: os.truncate(folder / "w.bin", W.nbytes + 8),
    "T27-written-to": lambda folder: (folder / "w.bin").write_bytes((W + 3).tobytes()[: W.nbytes - 4]),
}


@pytest.mark.parametrize("change", named(CHANGES))
def test_a_data_file_that_changes_between_load_and_first_call(folder, change):
    """The file that was opened is read, or there is an error: never another file, and never a SIGBUS."""
    network = fastconv.load(folder / "m.json", threads=1)
    change(folder)
    try:
        y = network(X)
    except ModelError as e:
        check_named(e, "w.bin' was written to since the model was loaded", "w.bin' shrank while it was read")
    else:
        assert np.array_equal(y, X @ W)


@pytest.mark.parametrize("change", named({k.replace("T27-", "T27-while-read-"): v for k, v in CHANGES.items()}))
def test_a_data_file_that_changes_while_it_is_read(folder, change, monkeypatch):
    """Between the check of its name and size and the read of its bytes."""
    opened = external_data.open_data_file

    def open_then_change(*args):
        file = opened(*args)
        change(folder)
        return file

    monkeypatch.setattr(external_data, "open_data_file", open_then_change)
    try:
        y = fastconv.load(folder / "m.json", threads=1)(X)
    except ModelError as e:
        check_named(e, "'w.bin'")
    else:
        written_to = (folder / "w.bin").is_file() and os.stat(folder / "w.bin").st_size > W.nbytes
        assert np.array_equal(y, X @ W) or written_to


@pytest.mark.parametrize("name", named({"T27-text-of-the-model": "m.json"}))
def test_a_model_file_that_shrinks(tmp_path, name):
    """A large weight in the text is read again when it is packed."""
    path = tmp_path / name
    path.write_bytes(text(model([node("MatMul", ["x", "w"], ["y"])], [tensor("w", W)], **SIZES)))
    network = fastconv.load(path, threads=1)
    os.truncate(path, 100)
    try:
        y = network(X)
    except ModelError as e:
        check_named(e, "m.json' ")
    else:
        assert np.array_equal(y, X @ W)


CODE = re.compile(
    r"^\s*(import|from) (pickle|marshal|shelve|dill|joblib|runpy)|allow_pickle=True|(?<![\w.])(eval|exec)\((?!\))", re.M
)
NETWORK = re.compile(r"^\s*(import|from) (urllib|http|socket|ftplib|requests|httpx|huggingface_hub)\b|torch\.hub", re.M)
FOLDER = Path(fastconv.__file__).parent
#: the user's own program, named on the command line
RUNS_PROGRAMS = FOLDER / "compat" / "__main__.py"


@pytest.mark.parametrize("pattern", named({"T28-code": CODE, "T30-network": NETWORK}))
def test_the_package_has_no(pattern):
    """Nothing unpickles or evaluates what it reads, and nothing downloads."""
    sources = {path: path.read_text() for path in FOLDER.rglob("*.py") if path != RUNS_PROGRAMS}
    assert len(sources) > 10
    assert {str(path): m[0] for path, source in sources.items() if (m := pattern.search(source))} == {}


class Trap:
    """What a pickle that runs code is made of."""

    def __reduce__(self):
        return sys.exit, ("unpickled",)


@pytest.mark.parametrize("kind", ["T28-pickle", "T28-pickle-of-torch", "T28-array-of-objects"])
def test_pickles_are_no_models(tmp_path, kind):
    data = io.BytesIO()
    if kind == "T28-pickle":
        pickle.dump(Trap(), data)
    elif kind == "T28-pickle-of-torch":
        with zipfile.ZipFile(data, "w") as archive:
            archive.writestr("archive/data.pkl", pickle.dumps(Trap()))
    else:
        np.save(data, np.array([Trap()], object), allow_pickle=True)
    for name in ("m.json", "m.onnx", "m.pt"):
        (tmp_path / name).write_bytes(data.getvalue())
        for source in (tmp_path / name, data.getvalue()):
            with pytest.raises(ModelError) as e:
                fastconv.load(source)
            message_of(e.value)


URLS = {
    "T30-https": "https://example.org/m.onnx",
    "T30-file": "file:///etc/hostname",
    "T30-hub": "hf://owner/model",
    "T30-path-with-a-host": "//host/m.onnx",
}


@pytest.mark.parametrize("url", named(URLS))
def test_addresses_are_paths(url):
    with pytest.raises(OSError, match="No such file"):
        fastconv.load(url)


@pytest.mark.parametrize("url", named({f"{k}-of-data": v for k, v in URLS.items()}))
def test_addresses_of_data_files(tmp_path, url):
    w = {"name": "w", "dims": ["1"], "data_type": 1, "data_location": "EXTERNAL"}
    w["external_data"] = [{"key": "location", "value": url}]
    with pytest.raises(ModelError, match="external data") as e:
        fastconv.load(model([node("Identity", ["w"], ["y"])], [w]), external_dir=tmp_path)
    message_of(e.value)
