"""Odd arguments: each gets an InputError that names it, and what can be meant in one way only is accepted."""

import pickle

import numpy as np
import pytest

import fastconv
from fastconv.convert import convert
from fastconv.errors import InputError
from fastconv.onnx_json import read
from fastconv.threads import resolve

from ..support.onnx_dicts import text, tiny

X = np.ones((1, 3, 8, 8), np.float32)
NO_PATHS = ["a\0b", "\ud800.json", 5, None, ["a"]]


@pytest.fixture(scope="module")
def loaded():
    return fastconv.load(tiny())


class Raising:
    """An array of another library whose export fails."""

    def __dlpack__(self, **_):
        raise KeyError("no device")

    def __dlpack_device__(self):
        return 1, 0


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda m: m.run(X, outputs=5), "outputs: expected the names of values, got 5"),
        (lambda m: m.run(X, outputs=[[]]), r"outputs: expected the names of values, got \[\[\]\]"),
        (lambda m: m.reference(X, outputs=5), "outputs: expected the names of values"),
        (lambda m: m(Raising()), r"input 'x': expected an array of float32, got Raising \('no device'\)"),
        (lambda m: m(X, out=np.ma.zeros((1, 64), np.float32)), "out 'y': expected a writable array .* got MaskedArray"),
        (lambda m: m.plan({"x": (-1, 3, 8, 8)}), "input 'x': a size: expected an int of 0 or more, got -1"),
        (lambda m: m.plan({"x": (1.0, 3, 8, 8)}), "input 'x': a size: expected an int of 0 or more, got 1.0"),
        (lambda m: m.plan({"x": 5}), "input 'x': expected a shape, got 5"),
        (lambda m: m.plan(5), "shapes: expected a mapping"),
        (lambda m: m.profile(X, runs="1"), "runs: expected an int of 0 or more, got '1'"),
    ],
)
def test_of_a_model(loaded, call, message):
    with pytest.raises(InputError, match=message):
        call(loaded)


@pytest.mark.parametrize("wrong", ["1", 1.5, -1, True])
def test_max_bytes(wrong):
    with pytest.raises(InputError, match="max_bytes: expected an int of 0 or more, got"):
        read(text(tiny()), max_bytes=wrong)


@pytest.mark.parametrize("wrong", NO_PATHS)
def test_paths(loaded, wrong, tmp_path):
    for name, call in {
        "source": lambda: fastconv.load(wrong),
        "path": lambda: loaded.save(wrong),
        "target": lambda: convert(tmp_path / "m.json", wrong),
    }.items():
        with pytest.raises(InputError, match=f"{name}: expected a path, got"):
            call()
    if wrong is not None:
        with pytest.raises(InputError, match="external_dir: expected a path, got"):
            fastconv.load(tiny(), external_dir=wrong)


def test_a_path_as_the_system_may_have_it(loaded, tmp_path):
    """A name that is not UTF-8 comes to Python with lone surrogates, which stand for bytes."""
    path = tmp_path / "m\udcff.json"
    path.write_bytes(text(tiny()))
    np.testing.assert_array_equal(fastconv.load(path)(X), loaded(X))


@pytest.mark.parametrize("text", ["9" * 5000, "1" * 10, "1_0", "٣" * 10])
def test_a_number_of_threads_that_is_none(monkeypatch, text):
    monkeypatch.setenv("FASTCONV_NUM_THREADS", text)
    with pytest.raises(InputError, match=r"FASTCONV_NUM_THREADS: expected an int of 1 or more, got .{1,80}$"):
        resolve(None)


def test_numpy_s_integers(loaded):
    assert fastconv.load(tiny(), threads=np.int64(1), max_bytes=np.int32(1 << 20)).threads == 1
    assert str(loaded.plan({"x": np.array([2, 3, 8, 8])})) == str(loaded.plan({"x": (2, 3, 8, 8)}))
    assert pickle.loads(pickle.dumps(fastconv.load(tiny(), threads=np.int64(1)))).threads == 1
