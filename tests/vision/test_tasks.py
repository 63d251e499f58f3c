"""The tasks of fastconv.vision on networks with known outputs, and what is guessed about them; trained ones: tests/examples."""

import json
from dataclasses import dataclass, field

import numpy as np
import pytest

from fastconv import InputError, TensorInfo, vision
from fastconv.outputs import Outputs
from fastconv.pixels import PIXELS
from fastconv.vision.tasks import TASKS

from ..support.rng import generator

RNG = generator(__name__)


def info(name, *shape, dtype=np.float32):
    return TensorInfo(name, shape, np.dtype(dtype))


RGB = info("x", "N", 3, 32, 32)


@dataclass
class Network:
    """A network that gives these outputs for any picture, and keeps what it was given."""

    arrays: dict
    image: TensorInfo = RGB
    metadata: dict = field(default_factory=dict)
    open_sizes: bool = False

    @property
    def inputs(self):
        return (self.image,)

    @property
    def outputs(self):
        shapes = {name: (None,) * (a.ndim - 1) if self.open_sizes else a.shape[1:] for name, a in self.arrays.items()}
        return tuple(info(name, "N", *shape) for name, shape in shapes.items())

    def run(self, x):
        self.given = x
        return Outputs(self.arrays)


def vector(*values, name="y"):
    return {name: np.float32([values])}


def noise(h=40, w=60):
    return RNG.integers(0, 256, (h, w, 3), np.uint8)


# ---- input


@pytest.mark.parametrize("how", PIXELS)
def test_preprocess_by_its_definition(how):
    picture = noise(32, 32)
    given = vision.preprocess(picture, RGB, how, "stretch")
    p = picture.astype(np.float64)
    expected = {
        "imagenet": (p / 255 - vision.IMAGENET_MEAN) / vision.IMAGENET_STD,
        "caffe": p[..., ::-1] - (104, 117, 123),
        "0..1": p / 255,
        "-1..1": p / 127.5 - 1,
        "raw": p,
    }[how]
    assert given.dtype == np.float32
    np.testing.assert_allclose(given[0], expected.transpose(2, 0, 1), rtol=1e-5, atol=1e-5)  # a few roundings of float32


def test_preprocess_for_other_layouts_and_dtypes():
    picture = noise(32, 32)
    last = vision.preprocess(picture, info("x", 1, 32, 32, 3, dtype=np.uint8), "raw")
    assert last.dtype == np.uint8
    assert last.flags.c_contiguous
    np.testing.assert_array_equal(last[0], picture)
    half = vision.preprocess(picture, info("x", 1, 3, 32, 32, dtype=np.float16), "raw")
    np.testing.assert_array_equal(half[0], picture.transpose(2, 0, 1))
    grey = vision.preprocess(picture, info("x", "N", 1, 32, 32), "raw")
    assert grey.shape == (1, 1, 32, 32)
    np.testing.assert_allclose(grey[0, 0], picture @ [0.299, 0.587, 0.114], atol=0.5)  # to whole greys


def test_the_middle_of_a_picture_is_what_crop_gives():
    picture = noise(300, 400)
    for how, short in (("imagenet", 256), ("raw", 224)):
        canvas, placement = vision.fit(picture, info("x", "N", 3, 224, 224), how)
        np.testing.assert_array_equal(canvas, vision.crop(picture, 224, short=short))
        np.testing.assert_allclose(placement.back([112, 112]), [200, 150], atol=1)  # cut between whole pixels


@pytest.mark.parametrize(
    "by, size, expected", [("crop", None, (224, 224)), ("stretch", None, (64, 96)), ("letterbox", (40, 50), (40, 50))]
)
def test_open_sizes(by, size, expected):
    canvas, placement = vision.fit(noise(70, 100), info("x", "N", 3, "H", None), by=by, size=size)
    assert canvas.shape == (*expected, 3)
    assert placement.canvas == expected


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"how": "imagnet"}, "preprocess: expected one of 'imagenet', .*got 'imagnet'; did you mean 'imagenet'"),
        ({"by": "squash"}, "by: expected one of 'crop', 'letterbox', 'stretch', got 'squash'"),
        ({"size": 64}, "size: input 'x' takes N×3×32×32, got 64×64"),
        ({"model_input": info("x", "N", 10)}, "input 'x' takes no picture: expected .*, got x N×10 float32"),
        ({"model_input": info("x", "N", 4, 32, 32)}, "input 'x' takes no picture"),
        ({"model_input": info("x", 1, 3, 8, 8, dtype=np.int8)}, "input 'x' takes no picture"),
        (
            {"model_input": info("x", 1, 3, 8, 8, dtype=np.uint8)},
            "input 'x' is uint8: expected preprocess 'raw', got 'imagenet'",
        ),
        ({"picture": np.zeros((4, 4), np.uint8)}, "picture: expected a picture, uint8 H×W×3"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        vision.preprocess(**{"picture": noise(), "model_input": RGB} | arguments)


def test_a_picture_needs_one_input():
    with pytest.raises(InputError, match="has one input; the model has x N×3×32×32 float32, x N×3×32×32 float32"):
        vision.picture_input([RGB, RGB])


# ---- what is guessed


@pytest.mark.parametrize(
    "network, how",
    [
        (Network(vector(*range(1000)), info("x", "N", 3, 224, 224)), "imagenet"),
        (Network(vector(*range(1000)), info("x", "N", 3, 227, 227)), "caffe"),
        (Network(vector(*range(5)), info("x", "N", 3, 224, 224)), "imagenet"),
        (Network(vector(*range(5)), info("x", "N", 224, 224, 3)), "-1..1"),
        (Network(vector(*range(1000)), info("x", "N", 224, 224, 3)), "-1..1"),
        (Network(vector(*range(5)), info("x", "N", 64, 64, 1)), "0..1"),
        (Network(vector(*range(5)), info("x", 1, 3, 32, 32, dtype=np.uint8)), "raw"),
        (Network(vector(*range(5))), "0..1"),
        (Network(vector(*range(5)), metadata={"preprocess": "caffe"}), "caffe"),
        (Network(vector(*range(5)), metadata={"preprocess": "magic"}), "0..1"),
    ],
)
def test_the_guess_of_pixels(network, how):
    guess, reason = vision.guess_preprocess(network)
    assert guess == how
    assert reason
    picture = noise()
    vision.classify(network, picture)
    np.testing.assert_array_equal(network.given, vision.preprocess(picture, network.image, how))


@pytest.mark.parametrize(
    "arrays, metadata, tasks",
    [
        (vector(*range(1000)), {}, ["classify"]),
        (vector(1, 2, name="probabilities"), {}, ["classify"]),
        (vector(1, 2, name="embedding"), {}, ["embed"]),
        (vector(1, 2), {}, ["classify", "embed"]),
        (vector(1, 2), {"names": "{0: 'cat', 1: 'dog'}"}, ["classify"]),
        (vector(1, 2, name="class_embedding"), {}, ["classify", "embed"]),
        ({"m": np.zeros((1, 1, 8, 8), np.float32)}, {}, ["segment"]),
        ({"heatmap": np.zeros((1, 5, 8, 8), np.float32), "wh": np.zeros((1, 4, 8, 8), np.float32)}, {}, ["detect"]),
        ({"heatmap": np.zeros((1, 5, 8, 8), np.float32), "wh": np.zeros((1, 4, 8, 9), np.float32)}, {}, []),
        ({"heatmap": np.zeros((1, 5, 8, 8), np.float32)}, {}, []),
        ({"a": np.zeros((1, 2), np.float32), "b": np.zeros((1, 2), np.float32)}, {}, []),
    ],
)
def test_the_tasks_that_outputs_may_be_for(arrays, metadata, tasks):
    assert vision.possible_tasks(Network(arrays, metadata=metadata)) == tasks


@pytest.mark.parametrize("task", TASKS)
def test_a_network_that_does_not_fit_is_named(task):
    network = Network({"a": np.zeros((1, 2, 3), np.float32), "b": np.zeros((1, 2), np.float32)})
    with pytest.raises(InputError, match=rf"^{task}: expected .*; the model has 'a' N×2×3, 'b' N×2$"):
        TASKS[task].decode(network, noise())


def test_sizes_that_only_a_run_shows_are_checked_too():
    network = Network({"m": np.zeros((1, 2, 8, 8), np.float32)}, open_sizes=True)
    assert vision.possible_tasks(network) == ["segment"]
    with pytest.raises(InputError, match="segment: expected one output, N×1×h×w; the model has 'm' 1×2×8×8"):
        vision.segment(network, noise())


# ---- names of classes


@pytest.mark.parametrize(
    "metadata",
    [
        {"names": "{0: 'cat', 1: 'dog', 2: 'owl'}"},
        {"labels": '["cat", "dog", "owl"]'},
        {"classes": "cat, dog, owl"},
        {"labels": "cat\ndog\nowl\n", "names": "['ignored']"},
    ],
)
def test_names_in_the_metadata(metadata):
    assert vision.classify(Network(vector(1, 3, 2), metadata=metadata), noise()).names == ["dog", "owl", "cat"]


@pytest.mark.parametrize("text", ["", "(", "3", "cat, dog", "[" * 1000, "{'a': "])
def test_metadata_that_name_no_classes(text):
    assert vision.labels_of(Network({}, metadata={"names": text}), 3) == ["class 0", "class 1", "class 2"]


def test_names_of_others():
    assert vision.labels_of(Network({}), 1000) is vision.IMAGENET_CLASSES
    assert vision.labels_of(Network({}), 80) == [f"class {i}" for i in range(80)]
    assert vision.labels_of(Network({}, metadata={"names": "['a']"}), 1, ["b"]) == ["b"]
    with pytest.raises(InputError, match="labels: expected 3, one for each class of the model, got 2"):
        vision.classify(Network(vector(1, 2, 3)), noise(), labels=["a", "b"])


# ---- answers


def test_classify_takes_the_softmax_of_logits_alone():
    logits, shares = [1.0, -2.0, 0.5], [0.2, 0.5, 0.3]
    of_logits = vision.classify(Network(vector(*logits)), noise(), top=2)
    assert of_logits.indices.tolist() == [0, 2]
    np.testing.assert_allclose(of_logits.scores, vision.softmax(logits)[[0, 2]], rtol=1e-6)
    answer = vision.classify(Network(vector(*shares)), noise(), labels=["a", "b", "c"])
    assert str(answer) == " 50.0%  b\n 30.0%  c\n 20.0%  a"
    assert answer.brief() == "b 50.0%, c 30.0%, a 20.0%"
    json.dumps(answer.as_dict(), allow_nan=False)
    drawn = answer.draw(noise(40, 60))
    assert drawn.shape[1] == 240  # enlarged, so that the names can be read
    assert drawn.shape[0] > 160


@pytest.mark.parametrize("size, scale", [((32, 64), 0.5), ((64, 128), 1)])
def test_detect_finds_the_box_that_was_drawn(size, scale):
    """A picture twice as wide as high, letterboxed to 32×32; cells of 4 pixels."""
    heat, extent = np.zeros((1, 3, 8, 8), np.float32), np.zeros((1, 4, 8, 8), np.float32)
    heat[0, 1, 4, 2], extent[0, :, 4, 2] = 0.9, (2, 4, 6, 3)  # left, up, right, down of (8, 16)
    heat[0, 1, 4, 6], extent[0, :, 4, 6] = 0.3, 1  # below the threshold
    heat[0, 2, 3, 3], extent[0, :, 3, 3] = 0.6, 100  # larger than the picture
    answer = vision.detect(Network({"heatmap": heat, "wh": extent}), noise(*size), labels=["a", "b", "c"])
    assert (answer.names, answer.classes.tolist()) == (["b", "c"], [1, 2])
    box = np.array([6, 12, 14, 19])  # of the canvas, on which the picture begins 8 pixels below the top
    np.testing.assert_allclose(answer.boxes[0], (box - (0, 8, 0, 8)) * 4 * scale)
    np.testing.assert_array_equal(answer.boxes[1], (0, 0, size[1], size[0]))
    assert answer.brief() == "b 90%, c 60%"
    json.dumps(answer.as_dict(), allow_nan=False)
    assert answer.draw(noise(*size)).shape == (*size, 3)


def test_detect_takes_the_file_s_names_before_coco_s():
    heat, extent = np.zeros((1, 80, 8, 8), np.float32), np.ones((1, 4, 8, 8), np.float32)
    heat[0, 41, 4, 4] = 0.9
    arrays = {"heatmap": heat, "wh": extent}
    assert vision.detect(Network(arrays), noise()).names == ["cup"]
    assert vision.detect(Network(arrays, metadata={"names": str([f"k{i}" for i in range(80)])}), noise()).names == ["k41"]


def test_segment_covers_the_picture():
    mask = np.zeros((1, 1, 8, 8), np.float32)
    mask[..., :4] = 1
    picture = noise(32, 64)
    answer = vision.segment(Network({"m": mask}), picture)
    assert answer.mask.shape == (32, 64)
    assert str(answer) == answer.brief() == "50% of the picture"
    assert answer.as_dict() == {"share": 0.5}
    drawn = answer.draw(picture)
    np.testing.assert_array_equal(drawn[:, :24], picture[:, :24])
    assert (drawn[:, 40:] == 255).all()


def test_segment_takes_the_sigmoid_of_logits_alone():
    logits = np.full((1, 1, 8, 8), -100, np.float32)
    logits[..., :4] = 2
    answer = vision.segment(Network({"m": logits}), noise(8, 8))
    np.testing.assert_allclose(answer.mask[:, 0], 1 / (1 + np.exp(-2)), rtol=1e-6)
    assert not answer.mask[:, 4:].any()


def test_pose_finds_the_points_that_were_drawn():
    """Each keypoint in a cell of its own, with an offset, beside a stronger one far away that belongs to somebody else."""
    rows, columns = np.arange(17) % 8, np.arange(17) // 3 + 1
    k = np.arange(17)
    heat, regress, offset = (np.zeros((1, n, 8, 8), np.float32) for n in (17, 34, 34))
    center = np.zeros((1, 1, 8, 8), np.float32)
    center[0, 0, 3, 4] = 1
    regress[0, 0::2, 3, 4], regress[0, 1::2, 3, 4] = rows - 3, columns - 4  # y, x of each keypoint from the centre
    heat[0, k, rows, columns] = 0.6
    heat[0, k, (rows + 4) % 8, (columns + 4) % 8] = 0.7
    offset[0, 0::2], offset[0, 1::2] = 0.25, 0.75
    heat[0, 16] *= 0.1
    answer = vision.pose(Network({"heatmap": heat, "center": center, "regress": regress, "offset": offset}), noise(64, 64))
    np.testing.assert_allclose(answer.points, 8 * np.stack([columns + 0.75, rows + 0.25], axis=1))
    np.testing.assert_allclose(answer.scores, [0.6] * 16 + [0.06], rtol=1e-6)
    assert answer.brief() == "16 of 17 keypoints"
    assert [line.split("  ")[0].rstrip() for line in answer.lines()] == list(vision.COCO_KEYPOINTS[:16])
    json.dumps(answer.as_dict(), allow_nan=False)
    assert answer.draw(noise(64, 64)).shape == (64, 64, 3)


def test_embed():
    answer = vision.embed(Network(vector(3, 0, 4)), noise())
    np.testing.assert_array_equal(answer.vector, [3, 0, 4])
    assert answer.brief() == "3 numbers, norm 5: 3 0 4"
    assert answer.as_dict() == {"vector": [3.0, 0.0, 4.0]}
    picture = noise(100, 60)
    drawn = answer.draw(picture)
    np.testing.assert_array_equal(drawn[:100], picture)
    assert drawn[-1, 0, 0] < 100
    assert (drawn[-1, 30] > 240).all()


def test_an_answer_is_shown_by_its_text():
    answer = vision.embed(Network(vector(3, 0, 4)), noise())
    assert repr(answer) == str(answer)
    assert answer._repr_html_().startswith("<pre")
    assert list(answer.arrays()) == ["vector"]
