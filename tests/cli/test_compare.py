"""`fastconv compare`: text, JSON, pictures, exit codes, errors. What it finds is tested in tests/model/test_comparison.py."""

import json

import numpy as np
import pytest

import fastconv
from fastconv import onnx_json, vision
from fastconv.cli import main

from ..support.graphs import Net

MODEL = str(fastconv.data.DIGITS)


@pytest.fixture
def compare(capsys):
    """Run the command; what it printed to stdout and stderr."""

    def compare(*arguments, code=0):
        assert main(["compare", *map(str, arguments), "--seconds", "0"]) == code
        return capsys.readouterr()

    return compare


def test_text(compare):
    lines = compare(MODEL, "--shape", "8x1x8x8").out.splitlines()
    assert lines[0].startswith(f"fastconv {fastconv.__version__} against reference, ")
    assert lines[1].split()[-1] == "top-1"
    assert lines[3].split()[:3] == ["logits", "output", "8×10"]
    assert lines[3].endswith("8 of 8")
    assert lines[-1].startswith("no output departs; furthest off is logits (output), by ")


def test_json(compare):
    report = json.loads(compare(MODEL, "--layers", "--json").out)
    assert report["model"] == MODEL
    assert report["against"] == "reference"
    assert report["first"] is None
    assert report["top1"] == {"logits": {"same": 1, "of": 1}}
    assert [layer["name"] for layer in report["layers"]][-1] == "fc2"
    [output] = report["outputs"]
    assert output["max_error"] < 1e-4 * output["largest"]


def test_what_departs_is_the_exit_code_and_text_in_json(compare, tmp_path):
    net = Net()
    net.graph(net("Exp", net.input("x", 3), name="y"))  # exp(100) is no infinity in float64
    onnx_json.write(net.graph(net.nodes[0].outputs[0]), tmp_path / "net.json")
    np.save(tmp_path / "x.npy", np.float32([0, 1, 100]))
    arguments = tmp_path / "net.json", "-i", tmp_path / "x.npy"
    assert "the first output that departs is y (output), by inf of" in compare(*arguments, code=1).out
    report = json.loads(compare(*arguments, "--json", code=1).out)
    assert (report["first"], report["outputs"][0]["max_error"]) == ("y", "inf")


def test_pictures_are_a_batch(compare, tmp_path):
    for name in "ab":
        vision.write(tmp_path / f"{name}.png", np.zeros((9, 9, 3), np.uint8))
    found = compare(MODEL, "--image", tmp_path)
    assert "2 of 2" in found.out
    assert "guessed" in found.err


def test_a_picture_has_the_size_of_the_shape(compare, tmp_path):
    net = Net()
    onnx_json.write(net.graph(net("Relu", net.input("x", "N", 3, "H", "W"), name="y")), tmp_path / "net.json")
    vision.write(tmp_path / "a.png", np.zeros((9, 9, 3), np.uint8))
    arguments = "--image", tmp_path / "a.png", "--shape", "1x3x5x7", "--preprocess", "0..1"
    assert "1×3×5×7" in compare(tmp_path / "net.json", *arguments).out


def test_the_other_file_is_named_in_an_error(compare, tmp_path):
    (tmp_path / "other.json").write_text("{}")
    error = compare(MODEL, "--other", tmp_path / "other.json", code=2).err
    assert error.startswith(f"fastconv: error: {tmp_path}/other.json: ")
    assert error.count("\n") == 1
    error = compare(MODEL, "--other", tmp_path / "missing.json", code=2).err
    assert error == f"fastconv: error: {tmp_path}/missing.json: No such file or directory\n"
