"""`fastconv activations`: a figure for each kind, and one line for what cannot be drawn."""

import numpy as np
import pytest

import fastconv
from fastconv import vision

from ..support.onnx_dicts import info, model, node, text

pytest.importorskip("matplotlib")
MODEL = fastconv.data.DIGITS


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "digit.png"
    vision.write(path, np.random.default_rng(0).integers(0, 256, (20, 16, 3), np.uint8))
    return path


@pytest.mark.parametrize("options", [["--layers", "conv1,conv2", "--maps", "2"], ["--hierarchy", "--layers", "relu1"]])
def test_figures_of_a_picture(fastconv_, picture, tmp_path, options):
    target = tmp_path / "maps.png"
    out = fastconv_("activations", MODEL, "--image", picture, *options, "-o", target)
    assert out.endswith(f"wrote {target}\n")
    assert vision.read(target).std() > 0


@pytest.mark.parametrize(
    "options, message",
    [
        (["--image", "none.png"], "none.png: No such file or directory"),
        (["--image", MODEL], "not a picture that can be read"),
        (["--image", "PICTURE", "--image", MODEL.parent], "a folder without pictures"),
        (["--image", "PICTURE", "--layers", "conv9"], "the model has no layer or value 'conv9'; did you mean 'conv2'?"),
        (["--image", "PICTURE", "--layers", "fc1"], "layer 'fc1' is 1×64: it has no spatial axes"),
        ([], "expected one picture, with --image FILE, got 0"),
        (["--filters", "--maps", "3"], "leave out --image, --layers and --maps"),
    ],
)
def test_bad_input(fastconv_, picture, tmp_path, options, message):
    options = [picture if o == "PICTURE" else o for o in options]
    *_, line = fastconv_("activations", MODEL, *options, "-o", tmp_path / "maps.png", code=2).splitlines()
    assert line.startswith("fastconv: error: ")
    assert message in line


def test_a_network_without_images(fastconv_, picture, tmp_path):
    path = tmp_path / "vector.json"
    path.write_bytes(text(model([node("Relu", ["x"], ["y"])], [], [info("x", 1, 5)], [info("y", 1, 5)])))
    error = fastconv_("activations", path, "--image", picture, "-o", tmp_path / "maps.png", code=2)
    assert error.startswith("fastconv: error: input 'x' takes no picture: ")
    assert error.count("\n") == 1
