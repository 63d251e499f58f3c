"""`fastconv quantize`: pictures and arrays, labels, output formats, errors."""

import json

import numpy as np
import pytest

import fastconv
from fastconv import vision

MODEL = str(fastconv.data.DIGITS)


@pytest.fixture
def pictures(tmp_path):
    """A folder of eight digits, and their labels in a .csv file."""
    with np.load(fastconv.data.DIGITS_IMAGES) as file:
        images, labels = file["images"][:8], file["labels"][:8]
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i, image in enumerate(images):
        vision.write(folder / f"{i}.png", np.repeat((image * 15.9).astype(np.uint8)[..., None], 3, axis=2))
    (tmp_path / "labels.csv").write_text("picture,class\n" + "".join(f"{i}.png,{c}\n" for i, c in enumerate(labels)))
    return folder


def test_pictures_and_labels(fastconv_, pictures, tmp_path):
    target = tmp_path / "net.json"
    out = fastconv_("quantize", MODEL, "--calibrate", pictures, "--labels", tmp_path / "labels.csv", "-o", target)
    assert out.splitlines()[-2:] == ["top-1 100.0% in float, 100.0% quantized", f"wrote {target}"]
    assert fastconv.load(target).inputs == fastconv.load(MODEL).inputs


def test_arrays_and_json(fastconv_, tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((6, 1, 8, 8), np.float32))
    document = json.loads(
        fastconv_("quantize", MODEL, "--calibrate", tmp_path / "x.npy", "--images", 4, "-o", tmp_path / "net.json", "--json")
    )
    assert document["calls"] == 4
    assert [x["operator"] for x in document["layers"]] == ["Conv+Relu", "Conv+Relu", "Gemm+Relu", "Gemm"]


def test_onnx(fastconv_, pictures, tmp_path):
    pytest.importorskip("onnx")
    fastconv_("quantize", MODEL, "--calibrate", pictures, "--images", 2, "-o", tmp_path / "net.onnx")
    assert fastconv.load(tmp_path / "net.onnx")(np.zeros((1, 1, 8, 8), np.float32)).shape == (1, 10)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ("--calibrate nothing -o net.json", "nothing: No such file or directory"),
        ("--calibrate empty -o net.json", "empty: a folder without pictures"),
        ("--calibrate pictures -o net.pb", "net.pb: expected a name that ends in .json or .onnx"),
        ("--calibrate pictures --calibrate x.npy -o net.json", "--calibrate: expected pictures or arrays, not both"),
        ("--calibrate x.npy --labels labels.csv -o net.json", "--labels names pictures: give some with --calibrate"),
        ("--calibrate pictures --labels short.csv -o net.json", "short.csv: it has no line for 1.png"),
        ("--calibrate pictures --labels bad.csv -o net.json", "bad.csv: expected lines such as cat.jpg,281"),
    ],
)
def test_errors(fastconv_, pictures, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    np.save("x.npy", np.zeros((1, 1, 8, 8), np.float32))
    (tmp_path / "short.csv").write_text("0.png,0\n")
    (tmp_path / "bad.csv").write_text("what,ever\n")
    from fastconv.cli import main

    assert main(["quantize", MODEL, *arguments.split()]) == 2
    assert f"fastconv: error: {message}" in capsys.readouterr().err
