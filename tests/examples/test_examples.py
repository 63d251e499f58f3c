"""The programs of examples/ on trained networks and scikit-image's pictures: what they find is what a person sees there.

FASTCONV_MODELS names the folder of the networks; see tests/networks/test_trained.py. Expected boxes and points were marked by
hand.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import common
import numpy as np
import pytest
import skimage.data

import fastconv
from fastconv import vision

FOLDER = os.environ.get("FASTCONV_MODELS")
EXAMPLES = Path(__file__).parents[2] / "examples"

networks = pytest.mark.skipif(
    not FOLDER or not list(Path(FOLDER).glob("*.onnx")), reason="FASTCONV_MODELS names no folder of trained networks"
)


def example(name):
    """An example as a module."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load(name):
    return fastconv.load(Path(FOLDER, f"{name}.onnx"))


@pytest.fixture
def run(tmp_path, capsys):
    """What an example prints, and the picture that it writes."""

    def run(name, *arguments):
        target = tmp_path / "out.png"
        example(name).main(["--models", FOLDER, *map(str, arguments), "-o", str(target)])
        return capsys.readouterr().out, vision.read(target)

    return run


def rgb(grey):
    return np.stack([grey] * 3, axis=-1)


# ---- each as a command


@networks
def test_classify(run):
    printed, picture = run("classify")
    lines = printed.splitlines()
    assert len(lines) == 5
    assert lines[0].split(maxsplit=1) == ["71.4%", "Egyptian cat"]
    np.testing.assert_array_equal(picture[: skimage.data.chelsea().shape[0]], skimage.data.chelsea())


@networks
def test_classify_a_picture_of_ones_own(run, tmp_path):
    vision.write(tmp_path / "coffee.png", skimage.data.coffee())
    printed, _ = run("classify", tmp_path / "coffee.png")
    assert printed.splitlines()[0].split() == ["99.2%", "espresso"]


@networks
def test_detect(run):
    printed, picture = run("detect")
    assert [line.split()[0] for line in printed.splitlines()] == ["cup"]
    changed = (picture != skimage.data.coffee()).any(axis=-1)
    assert 0 < changed.mean() < 0.05  # a frame and a label


@networks
def test_segment(run):
    printed, picture = run("segment")
    assert printed == "a person on 55% of the picture\n"
    assert (picture[:100, :100] > 240).all()  # the flag is gone
    np.testing.assert_allclose(picture[350:450, 100:200], skimage.data.astronaut()[350:450, 100:200], atol=2)


@networks
def test_segment_text(run):
    printed, picture = run("segment", "--text")
    assert printed == "7 lines of text\n"
    assert (picture != rgb(skimage.data.page())).any()


@networks
def test_pose(run):
    printed, picture = run("pose")
    named = {line[:15].rstrip() for line in printed.splitlines()}
    assert {"nose", "left eye", "right eye", "left shoulder", "right shoulder"} <= named
    assert not {name for name in named if "knee" in name or "ankle" in name}  # they are not in the picture
    assert (picture != skimage.data.astronaut()).any()


@networks
def test_retrieve(run):
    printed, _ = run("retrieve")
    nearest = {line.split(": ")[0]: line.split(": ")[1].split()[0] for line in printed.splitlines()}
    assert nearest == {"mirrored": "chelsea", "turned": "astronaut", "cropped": "rocket", "grey": "coffee"}


@networks
def test_retrieve_from_a_gallery_of_ones_own(run, tmp_path):
    gallery = tmp_path / "gallery"
    gallery.mkdir()
    for name in ("coffee", "rocket"):
        vision.write(gallery / f"{name}.png", getattr(skimage.data, name)())
    vision.write(tmp_path / "upside down.png", skimage.data.rocket()[::-1])
    printed, _ = run("retrieve", "--gallery", gallery, tmp_path / "upside down.png")
    assert [word for word in printed.split() if word in ("coffee", "rocket")] == ["rocket", "coffee"]


@networks
def test_a_command_line(tmp_path):
    command = [sys.executable, EXAMPLES / "classify.py", "-o", tmp_path / "out.png"]
    env = os.environ | {"FASTCONV_MODELS": FOLDER, "PYTHONSAFEPATH": ""}  # a program finds common.py beside it
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert "Egyptian cat" in done.stdout
    assert vision.read(tmp_path / "out.png").size


NAMES = ["classify", "detect", "pose", "retrieve", "segment"]


@pytest.mark.parametrize("name", NAMES)
def test_without_a_folder_of_models_it_says_so(name, monkeypatch, capsys):
    monkeypatch.delenv("FASTCONV_MODELS", raising=False)
    with pytest.raises(SystemExit) as e:
        example(name).main([])
    assert e.value.code == 2
    assert "the following arguments are required: --models" in capsys.readouterr().err


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_without_the_network_says_where_to_get_it(name, tmp_path):
    picture = tmp_path / "picture.png"
    vision.write(picture, np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(SystemExit, match=r"there is no .*\.onnx: docs/models\.md says where"):
        example(name).main(["--models", str(tmp_path), str(picture)])


@pytest.mark.parametrize("name", NAMES)
def test_without_scikit_image_it_names_the_extra(name, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.data", None)
    monkeypatch.setattr(common, "load", lambda folder, name: None)
    with pytest.raises(SystemExit, match=r"pip install 'fastconv\[examples\]'"):
        example(name).main(["--models", str(tmp_path)])


@pytest.mark.parametrize("name", NAMES)
def test_it_fits_on_a_page(name):
    assert len((EXAMPLES / f"{name}.py").read_text("utf-8").splitlines()) <= 80


# ---- what they find


@networks
@pytest.mark.parametrize(
    "picture, name, box",
    [
        ("coffee", "cup", (172, 15, 412, 300)),
        ("astronaut", "person", (22, 14, 368, 512)),
        ("camera", "person", (5, 62, 330, 512)),
        ("chelsea", "cat", (0, 0, 405, 300)),
    ],
)
def test_detected_boxes_are_those_marked_by_hand(picture, name, box):
    pixels = getattr(skimage.data, picture)()
    found = vision.detect(load("centernet_mbv3_coco_512_heads"), pixels if pixels.ndim == 3 else rgb(pixels))
    assert found.names == [name]
    assert vision.iou(found.boxes, [box])[0, 0] > 0.75  # of COCO's measures the strict one
    assert found.boxes.min() >= 0


@networks
def test_detected_boxes_move_and_grow_with_the_picture():
    model, picture = load("centernet_mbv3_coco_512_heads"), skimage.data.coffee()
    h, w = picture.shape[:2]
    box = vision.detect(model, picture).boxes[0]
    large = vision.detect(model, vision.resize(picture, (2 * h, 2 * w))).boxes[0]
    assert vision.iou([large / 2], [box])[0, 0] > 0.9
    margin = 40
    framed = np.zeros((h + 2 * margin, w + 2 * margin, 3), np.uint8)
    framed[margin:-margin, margin:-margin] = picture
    found = vision.detect(model, framed)
    cup = found.boxes[found.names.index("cup")]
    assert vision.iou([cup - margin], [box])[0, 0] > 0.75


# x, y of joints that can be seen
JOINTS = {
    "astronaut": {
        "nose": (222, 121), "left eye": (244, 102), "right eye": (204, 102), "left ear": (277, 113), "right ear": (178, 112),
        "left shoulder": (315, 262), "right shoulder": (105, 255), "right elbow": (55, 410),
    },
    "camera": {
        "nose": (252, 168), "right eye": (236, 148), "right ear": (188, 141), "right shoulder": (92, 172),
        "left elbow": (255, 290), "left wrist": (285, 235),
    },
}  # fmt: skip


@networks
@pytest.mark.parametrize("picture", JOINTS)
def test_keypoints_are_on_the_joints(picture):
    pixels = getattr(skimage.data, picture)()
    person = vision.pose(load("movenet_lightning_192_heads"), pixels if pixels.ndim == 3 else rgb(pixels))
    assert (person.points.shape, person.scores.shape) == ((17, 2), (17,))
    for name, place in JOINTS[picture].items():
        k = vision.COCO_KEYPOINTS.index(name)
        assert person.scores[k] > 0.3, name
        assert np.hypot(*(person.points[k] - place)) < 16, name  # pixels of 512: 6 of the network's 192


@networks
def test_keypoints_move_with_the_picture():
    """A picture that is not square is letterboxed, and the points are mapped back to it."""
    model, picture = load("movenet_lightning_192_heads"), skimage.data.astronaut()
    points = vision.pose(model, picture).points
    wide = np.concatenate([np.zeros((512, 100, 3), np.uint8), picture, np.zeros((512, 100, 3), np.uint8)], axis=1)
    moved = vision.pose(model, wide).points
    head = slice(0, 5)  # shoulders in a space suit are less sure
    assert np.hypot(*(moved - (100, 0) - points)[head].T).max() < 16


@networks
def test_the_lines_of_text_are_those_of_the_page():
    page = skimage.data.page()
    mask = vision.segment(load("ppocrv4_det"), rgb(page), preprocess="-1..1").mask
    assert mask.shape == page.shape
    boxes = example("segment").text_boxes(mask)
    boxes = boxes[np.argsort(boxes[:, 1])]
    middles = (boxes[:, 1] + boxes[:, 3]) / 2
    np.testing.assert_allclose(middles, [23, 57, 75, 92, 109, 127, 179], atol=4)
    np.testing.assert_allclose(boxes[0], [5, 12, 293, 34], atol=6)  # the heading


@networks
def test_no_person_and_no_text():
    empty = np.full((50, 70, 3), 128, np.uint8)
    assert vision.segment(load("selfie_segmentation_256_nchw"), empty).mask.shape == (50, 70)
    text = vision.segment(load("ppocrv4_det"), empty)
    assert text.mask.shape == (50, 70)
    assert example("segment").text_boxes(text.mask).shape == (0, 4)
    found = vision.detect(load("centernet_mbv3_coco_512_heads"), empty)
    assert [a.shape for a in found.arrays().values()] == [(0, 4), (0,), (0,)]
    assert found.lines() == ["nothing found"]


@networks
@pytest.mark.parametrize(
    "network, picture, by",
    [
        ("mobilenet_v2_imagenet", "chelsea", "crop"),
        ("selfie_segmentation_256_nchw", "astronaut", "stretch"),
        ("movenet_lightning_192_heads", "astronaut", "letterbox"),
        ("centernet_mbv3_coco_512_heads", "coffee", "stretch"),
    ],
)
def test_a_guess_gives_networks_what_they_were_trained_on(network, picture, by):
    """The inputs that come with the networks were made without this package; preprocessing by the guess gives the same."""
    model = load(network)
    how, _ = vision.guess_preprocess(model)
    with np.load(Path(FOLDER, f"{network}.npz"), allow_pickle=False) as file:
        expected = next(file[key] for key in file.files if key.startswith("in:"))[:1]
    given = vision.preprocess(getattr(skimage.data, picture)(), model.inputs[0], how, by)
    np.testing.assert_allclose(given, expected, atol=1e-6)  # float32, rounded in another order


@networks
def test_text_is_looked_for_in_what_the_network_was_trained_on():
    model, page = load("ppocrv4_det"), rgb(skimage.data.page())
    with np.load(Path(FOLDER, "ppocrv4_det.npz"), allow_pickle=False) as file:
        expected = next(file[key] for key in file.files if key.startswith("in:"))[:1]
    given = vision.preprocess(page, model.inputs[0], "-1..1", "stretch")
    np.testing.assert_allclose(given, expected, atol=1e-6)
