"""The models in models/, one file for each case: an error in load or in the first call, or a right answer.

A file's metadata_props say what is expected: "error" is a part of the message, "result" the first output. "given" has inputs by
name; others are ones, of size 1 where the file has no size. An array is its elements, or {"shape": ...} if it is ones or empty.
"""

import json
from pathlib import Path

import numpy as np
import pytest

import fastconv
from fastconv.errors import InputError, ModelError

from .harness import message_of, onnx_bytes

FILES = sorted((Path(__file__).parent / "models").glob("*.json"))


def array(value, dtype):
    """The array that a file describes."""
    return np.ones(value["shape"], dtype) if isinstance(value, dict) else np.array(value, dtype)


def attempt(source, given):
    """The first output by kernels and by references, or the error."""
    try:
        network = fastconv.load(source, threads=1)
        ones = {v.name: {"shape": [n if isinstance(n, int) else 1 for n in v.shape]} for v in network.inputs}
        xs = {v.name: array(given.get(v.name, ones[v.name]), v.dtype) for v in network.inputs}
        name = network.outputs[0].name
        return [run(xs, outputs=[name])[name] for run in (network.run, network.reference)]
    except (ModelError, InputError) as e:
        return e


@pytest.mark.filterwarnings("ignore::fastconv.ModelWarning", "error::RuntimeWarning")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_reader(path, tmp_path):
    m = json.loads(path.read_bytes())
    expected = {entry["key"]: entry["value"] for entry in m["metadata_props"]}
    given = json.loads(expected.get("given", "{}"))
    files = [path, tmp_path / "m.onnx"]
    files[1].write_bytes(onnx_bytes(m))
    for source in (*files, *(file.read_bytes() for file in files)):
        got = attempt(source, given)
        if "error" in expected:
            message = message_of(got)
            assert "node '" in message or "graph" in message or "input '" in message, message
            assert expected["error"] in message
        else:
            assert isinstance(got, list), got
            for y in got:
                result = array(json.loads(expected["result"]), y.dtype)
                assert y.shape == result.shape
                np.testing.assert_allclose(y, result, rtol=1e-6, atol=1e-12)
