"""`fastconv run --image`: pictures and folders of them, tasks, and what is wrong with either."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

import fastconv
from fastconv import vision
from fastconv.cli import main
from fastconv.cli.pictures import TASKS
from fastconv.data import DIGITS, DIGITS_IMAGES

from .test_cli import model_file

MODEL = str(DIGITS)
FOLDER = os.environ.get("FASTCONV_MODELS")
networks = pytest.mark.skipif(
    not FOLDER or not list(Path(FOLDER).glob("*.onnx")), reason="FASTCONV_MODELS names no folder of trained networks"
)
GUESS = "preprocess: 0..1 (guessed: one channel); change it with --preprocess\n"


@pytest.fixture
def digits(tmp_path):
    """A folder with three digits as pictures."""
    folder = tmp_path / "digits"
    folder.mkdir()
    with np.load(DIGITS_IMAGES, allow_pickle=False) as file:
        for name, image in zip("abc", file["images"], strict=False):
            grey = np.rint(image * (255 / 16)).astype(np.uint8)
            vision.write(folder / f"{name}.png", np.stack([grey] * 3, axis=-1))
    return folder


def test_one_picture(digits, tmp_path, capsys):
    assert main(["run", MODEL, "--image", f"{digits}/a.png", "--top", "2", "-o", f"{tmp_path}/out.png"]) == 0
    out, err = capsys.readouterr()
    first, second, wrote = out.splitlines()
    assert first.split() == ["100.0%", "class", "6"]
    assert second.startswith("  0.0%  class ")
    assert wrote == f"wrote {tmp_path}/out.png"
    assert err == GUESS
    assert vision.read(tmp_path / "out.png").shape[1] == 240


def test_what_is_given_is_not_guessed(digits, tmp_path, capsys):
    (tmp_path / "labels.txt").write_text("".join(f"digit {i}\n" for i in range(10)))
    command = ["run", MODEL, "--image", f"{digits}/a.png", "--preprocess", "-1..1", "--labels", f"{tmp_path}/labels.txt"]
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert "digit 6" in out
    assert err == ""


def test_a_folder(fastconv_, digits, tmp_path):
    out = fastconv_("run", MODEL, "--image", digits, "--top", 1, "-o", tmp_path / "out")
    header, _, *rows, wrote = out.splitlines()
    assert header.split() == ["picture", "answer"]
    assert rows[0].split() == [f"{digits}/a.png", "class", "6", "100.0%"]
    assert len(rows) == 3
    assert wrote == f"wrote {tmp_path}/out"
    assert sorted(os.listdir(tmp_path / "out")) == ["a.png", "b.png", "c.png"]


def test_a_broken_picture_is_named_and_the_rest_goes_on(digits, tmp_path, capsys):
    (digits / "b.png").write_text("no picture")
    assert main(["run", MODEL, "--image", str(digits), "--image", f"{tmp_path}/d.png", "-o", str(tmp_path / "out")]) == 1
    out, err = capsys.readouterr()
    assert [line for line in err.splitlines() if "error" in line] == [
        f"fastconv: error: {digits}/b.png: not a picture that can be read: its format is unknown",
        f"fastconv: error: {tmp_path}/d.png: No such file or directory",
    ]
    assert [Path(line.split()[0]).name for line in out.splitlines()[2:-1]] == ["a.png", "c.png"]
    assert sorted(os.listdir(tmp_path / "out")) == ["a.png", "c.png"]


def test_pictures_as_json(digits, capsys):
    assert main(["run", MODEL, "--image", f"{digits}/a.png", "--image", f"{digits}/c.png", "--top", "1", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["model"], report["task"], report["preprocess"], report["saved"]) == (MODEL, "classify", "0..1", None)
    a, c = report["pictures"]
    assert (a["file"], c["file"]) == (f"{digits}/a.png", f"{digits}/c.png")
    assert [(k["index"], k["name"]) for k in a["classes"]] == [(6, "class 6")]


def test_vectors_of_pictures(fastconv_, digits, tmp_path):
    out = fastconv_("run", MODEL, "--embed", "--image", digits, "-o", tmp_path / "y.npz")
    assert "most like " in out
    with np.load(tmp_path / "y.npz", allow_pickle=False) as file:
        assert file.files == [f"{digits}/{name}.png/vector" for name in "abc"]
        (image,) = fastconv.load(MODEL).inputs
        x = vision.preprocess(vision.read(digits / "b.png"), image, "0..1")
        np.testing.assert_array_equal(file[f"{digits}/b.png/vector"], fastconv.load(MODEL)(x)[0])


def test_values_of_a_picture(fastconv_, digits, tmp_path):
    out = fastconv_("run", MODEL, "--image", digits / "a.png", "--value", "pool1", "-o", tmp_path / "y.npz")
    assert out.startswith("pool1 float32 1×16×4×4  min ")
    with np.load(tmp_path / "y.npz", allow_pickle=False) as file:
        assert file.files == ["pool1"]


def test_outputs_that_fit_no_task_are_printed(digits, tmp_path, capsys):
    model = model_file(tmp_path / "m.json", "Relu", {"x": [1, 3, "H", "W"]}, "y")
    command = ["run", str(model), "--image", f"{digits}/a.png"]
    assert main([*command, "--shape", "1x3x16x24"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("y float32 1×3×16×24  min 0  ")
    assert err.startswith("task: none, since the outputs fit no task\npreprocess: 0..1 (guessed: ")
    assert main([*command, "-o", f"{tmp_path}/y.png"]) == 2
    expected = f"{tmp_path}/y.png: nothing to draw, since the outputs fit no task; a .npz file takes values"
    assert capsys.readouterr().err == f"fastconv: error: {expected}\n"


def test_the_options_are_those_of_the_tasks():
    assert list(TASKS) == list(vision.tasks.TASKS)


@pytest.mark.parametrize(
    "args, message",
    [
        (["--image", "no.png"], "no.png: No such file or directory"),
        (["--image", "text.png"], "text.png: not a picture that can be read: its format is unknown"),
        (["--image", "x.npy"], "x.npy: an array, not a picture: give it with --input"),
        (["--image", "empty"], "empty: a folder without pictures (.png, .jpg, "),
        (["--image", "digits/a.png", "--labels", "text.png"], "labels: expected 10, one for each class of the model, got 1"),
        (["--image", "digits/a.png", "--labels", "x.npy"], "x.npy: not a text of names, one a line"),
        (["--image", "digits/a.png", "--labels", "no.txt"], "no.txt: No such file or directory"),
        (["--image", "digits/a.png", "--embed", "--labels", "text.png"], "--labels is for classes: embed has none"),
        (["--image", "digits/a.png", "--embed", "--top", "3"], "--top is for classes: embed has none"),
        (["--image", "digits/a.png", "--segment"], "segment: expected one output, N×1×h×w; the model has 'logits' N×10"),
        (["--image", "digits/a.png", "--detect"], "(CenterNet's); the model has 'logits' N×10"),
        (["--image", "digits/a.png", "--pose", "--embed"], "argument --embed: not allowed with argument --pose"),
        (["--image", "digits/a.png", "--preprocess", "imagnet"], "did you mean 'imagenet'?"),
        (["--image", "digits/a.png", "--random"], "--image gives the model's input: leave out --input and --random"),
        (["--image", "digits/a.png", "--shape", "1x1x9x9"], "size: input 'image' takes N×1×8×8, got 9×9"),
        (["--image", "digits/a.png", "-o", "out.xyz"], "out.xyz: unknown file extension '.xyz': name it .png or .jpg"),
        (["--image", "digits/a.png", "-o", "no/out.png"], "there is no folder 'no'"),
        (["--image", "digits/a.png", "-o", "digits/a.png"], "the drawing of digits/a.png would replace a picture"),
        (["--image", "digits", "-o", "digits"], "the drawing of digits/a.png would replace a picture"),
        (["--image", "digits/a.png", "--image", "other/a.png", "-o", "out"], "of other/a.png would replace a picture"),
        (["--image", "digits", "-o", "out.png"], "out.png: there are several pictures: expected a folder for the drawings"),
        (["--image", "digits", "--value", "pool1"], "several pictures need a task, but --value is given"),
        (["--image", "digits/a.png", "--value", "pool1", "--embed"], "--value prints values as they are: leave out --embed"),
        (["--image", "digits/a.png", "--shape", "10"], "size: expected a number of pixels or (height, width), got tuple ()"),
        (["--random", "--top", "3"], "--top is for pictures: give one with --image FILE"),
        (["--random", "--pose"], "--pose is for pictures: give one with --image FILE"),
    ],
    ids=lambda a: " ".join(a) if isinstance(a, list) else "",
)
def test_nonsense_is_one_line(fastconv_, digits, tmp_path, monkeypatch, args, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.png").write_text("no picture")
    np.save(tmp_path / "x.npy", np.zeros((8, 8)))
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.png").write_bytes((digits / "a.png").read_bytes())
    before = sorted(map(str, tmp_path.rglob("*")))
    err = fastconv_("run", MODEL, *args, code=2)
    assert message in err
    assert err.startswith("fastconv")
    assert err.count("\n") == 1
    assert sorted(map(str, tmp_path.rglob("*"))) == before


@pytest.mark.parametrize(
    "shapes, message",
    [
        ({"x": [1, 10]}, "input 'x' takes no picture: expected N×3×H×W, or N×H×W×3, or 1 channel for grey, got x 1×10 float32"),
        (
            {"a": [1, 3, 8, 8], "b": [1, 3, 8, 8]},
            "a network that takes pictures has one input; the model has a 1×3×8×8 float32, b ",
        ),
    ],
)
def test_a_network_without_pictures(fastconv_, digits, tmp_path, shapes, message):
    model = model_file(tmp_path / "m.json", "Add" if len(shapes) > 1 else "Relu", shapes, "y")
    assert message in fastconv_("run", model, "--image", digits / "a.png", code=2)


def test_without_pillow_the_extra_is_named(fastconv_, digits, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    err = fastconv_("run", MODEL, "--image", digits, code=2)
    assert err == "fastconv: error: pictures need the Pillow package: pip install 'fastconv[vision]'\n"


@networks
@pytest.mark.slow
@pytest.mark.parametrize(
    "network, picture, how, answer",
    [
        ("squeezenet1_1_imagenet", "chelsea", "caffe", "% Egyptian cat"),
        ("mobilenet_v2_imagenet", "coffee", "imagenet", "% espresso"),
        ("centernet_mbv3_coco_512_heads", "coffee", "raw", "cup 59%"),
        ("movenet_lightning_192_heads", "astronaut", "-1..1", "nose 222 121"),
        ("selfie_segmentation_256_nchw", "astronaut", "0..1", "55% of the picture"),
        ("mobilenet_v2_embed1280", "chelsea", "imagenet", "1280 numbers, norm "),
    ],
)
def test_trained_networks_are_recognised(network, picture, how, answer, tmp_path, capsys):
    import skimage.data

    vision.write(tmp_path / "in.png", getattr(skimage.data, picture)())
    command = ["run", f"{FOLDER}/{network}.onnx", "--image", f"{tmp_path}/in.png", "-o", f"{tmp_path}/out.png"]
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert answer in " ".join(out.split())
    assert err.startswith(f"preprocess: {how} (guessed: ")
    assert vision.read(tmp_path / "out.png").any()
