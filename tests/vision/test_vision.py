"""fastconv.vision against simple references (loops, painted pixels, scikit-image), and its errors for wrong arguments."""

import io
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

import fastconv
from fastconv import FastconvError, InputError, vision

from ..support.rng import generator

RNG = generator(__name__)


def noise(h, w):
    return RNG.integers(0, 256, (h, w, 3), np.uint8)


corner = st.integers(0, 12)
#: boxes of whole pixels in a picture of 12×12; some are empty, some turned inside out
some_boxes = st.lists(st.tuples(corner, corner, corner, corner), max_size=12)


def painted(box):
    """The pixels that a box of whole numbers covers."""
    x1, y1, x2, y2 = box
    pixels = np.zeros((12, 12), bool)
    pixels[y1:y2, x1:x2] = True
    return pixels


def painted_iou(a, b):
    union = (painted(a) | painted(b)).sum()
    return (painted(a) & painted(b)).sum() / union if union else 0


# ---- answers


def test_softmax():
    x = RNG.normal(size=(3, 5))
    np.testing.assert_allclose(vision.softmax(x), np.exp(x) / np.exp(x).sum(axis=1, keepdims=True))
    np.testing.assert_array_equal(vision.softmax([1e4, 1e4]), [0.5, 0.5])
    assert vision.softmax(x.astype(np.float32)).dtype == np.float32
    assert vision.softmax(np.zeros((0, 5))).shape == (0, 5)


@given(st.lists(st.integers(-3, 3), max_size=9), st.integers(1, 12))
def test_top_k_is_the_head_of_a_stable_sort(scores, k):
    indices, best = vision.top_k(scores, k)
    assert indices.shape == best.shape == (min(k, len(scores)),)
    assert indices.tolist() == sorted(range(len(scores)), key=lambda i: -scores[i])[:k]
    assert best.tolist() == [scores[i] for i in indices]


def test_top_k_of_a_batch():
    scores = RNG.normal(size=(2, 3, 7))
    indices, best = vision.top_k(scores, 2)
    assert indices.shape == best.shape == (2, 3, 2)
    np.testing.assert_array_equal(best[..., 0], scores.max(axis=-1))
    np.testing.assert_array_equal(indices[1, 2], vision.top_k(scores[1, 2], 2)[0])


@pytest.mark.slow
@given(some_boxes, some_boxes)
def test_iou_counts_pixels(a, b):
    expected = np.array([[painted_iou(p, q) for q in b] for p in a]).reshape(len(a), len(b))
    np.testing.assert_allclose(vision.iou(a, b), expected)


@pytest.mark.slow
@given(some_boxes, st.data(), st.sampled_from([0.0, 0.3, 0.5, 1.0]))
def test_nms_keeps_what_no_better_one_of_its_class_covers(boxes, data, threshold):
    each = st.lists(st.integers(0, 4), min_size=len(boxes), max_size=len(boxes))
    scores, classes = data.draw(each), data.draw(each)
    keep = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(classes[i] != classes[j] or painted_iou(boxes[i], boxes[j]) <= threshold for j in keep):
            keep.append(i)
    assert vision.nms(boxes, scores, threshold, classes).tolist() == keep
    assert vision.nms(boxes, scores, threshold, [f"class {c}" for c in classes]).tolist() == keep


def test_nms_without_classes_and_without_boxes():
    boxes = [[0, 0, 4, 4], [0, 0, 4, 4], [8, 8, 9, 9]]
    assert vision.nms(boxes, [0.5, 0.5, 0.1]).tolist() == [0, 2]  # the first of a tie stays
    assert vision.nms(boxes, [0.5, 0.5, 0.1], classes=[0, 1, 0]).tolist() == [0, 1, 2]
    nothing = vision.nms([], [])
    assert nothing.shape == (0,)
    assert np.zeros((0, 4))[nothing].shape == (0, 4)


@pytest.mark.slow
@given(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_peaks_are_those_of_scikit_image(c, h, w, seed):
    from skimage.feature import peak_local_max  # it imports SciPy, which no other test needs

    heat = np.random.default_rng(seed).permutation(c * h * w).reshape(c, h, w).astype(np.float32)  # no two alike
    threshold = c * h * w / 2
    expected = {
        (channel, *map(int, place))
        for channel in range(c)
        for place in peak_local_max(heat[channel], min_distance=1, threshold_abs=threshold - 0.5, exclude_border=False)
    }
    found = vision.peaks(heat, threshold)
    assert set(zip(*(a.tolist() for a in found[:3]), strict=True)) == expected
    np.testing.assert_array_equal(found.scores, heat[found[:3]])
    assert found.scores.tolist() == sorted(found.scores, reverse=True)


def test_peaks_on_a_plateau_at_the_threshold_and_none():
    heat = np.zeros((2, 4, 4), np.float32)
    heat[1, 0, 0:2] = 0.5
    found = vision.peaks(heat, 0.5)
    assert [a.tolist() for a in found] == [[1, 1], [0, 0], [0, 1], [0.5, 0.5]]
    assert len(vision.peaks(heat, 0.5, k=1).scores) == 1
    assert [a.shape for a in vision.peaks(heat, 0.6)] == [(0,)] * 4
    assert [a.shape for a in vision.peaks(np.zeros((0, 4, 4)), 0)] == [(0,)] * 4


def test_cosine_and_nearest():
    a, b = RNG.normal(size=(3, 8)), RNG.normal(size=(6, 8))
    expected = [[p @ q / np.sqrt((p @ p) * (q @ q)) for q in b] for p in a]
    np.testing.assert_allclose(vision.cosine(a, b), expected)
    indices, cosines = vision.nearest(a, b, k=2)
    assert indices.tolist() == [[int(i) for i in np.argsort(row)[::-1][:2]] for row in expected]
    np.testing.assert_array_equal(cosines, np.take_along_axis(vision.cosine(a, b), indices, axis=1))
    assert vision.cosine([[0, 0]], [[1, 2]]).tolist() == [[0]]
    assert vision.nearest(a, b, k=9)[0].shape == (3, 6)
    assert vision.nearest(np.zeros((0, 8)), b)[0].shape == (0, 5)


# ---- pictures


def test_a_picture_survives_a_file(tmp_path):
    picture = noise(5, 7)
    vision.write(tmp_path / "a.png", picture)
    np.testing.assert_array_equal(vision.read(tmp_path / "a.png"), picture)
    np.testing.assert_array_equal(vision.read(str(tmp_path / "a.png")), picture)
    np.testing.assert_array_equal(vision.read(io.BytesIO((tmp_path / "a.png").read_bytes())), picture)


def test_read_turns_upright(tmp_path):
    picture = noise(5, 7)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: to be shown with its rows as columns, from the right
    Image.fromarray(picture).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(vision.read(tmp_path / "turned.png"), np.rot90(picture, -1))


def test_read_makes_rgb_of_grey_and_white_of_nothing(tmp_path):
    grey = noise(4, 6)[..., 0]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(vision.read(tmp_path / "grey.png"), np.stack([grey] * 3, axis=-1))
    clear = np.concatenate([noise(4, 6), np.full((4, 6, 1), 255, np.uint8)], axis=-1)
    clear[0, :, 3] = 0
    Image.fromarray(clear).save(tmp_path / "clear.png")
    seen = vision.read(tmp_path / "clear.png")
    assert (seen[0] == 255).all()
    np.testing.assert_array_equal(seen[1:], clear[1:, :, :3])


def test_read_and_write_say_what_is_wrong_with_a_file(tmp_path):
    encoded = io.BytesIO()
    Image.fromarray(noise(40, 40)).save(encoded, "png")
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(tmp_path / "deep.png")
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "cut.png").write_bytes(encoded.getvalue()[:2000])
    for name in ("deep", "text", "empty", "cut"):
        with pytest.raises(InputError, match=rf"{name}\.png: not a picture that can be read"):
            vision.read(tmp_path / f"{name}.png")
    with pytest.raises(InputError, match=r"^the file: not a picture that can be read: its format is unknown$"):
        vision.read(io.BytesIO(b"no picture"))
    with pytest.raises(FileNotFoundError):
        vision.read(tmp_path / "missing.png")
    with pytest.raises(InputError, match=r"a\.what: .*extension"):
        vision.write(tmp_path / "a.what", noise(2, 2))


def test_resize_keeps_dtype_and_channels():
    for array in (
        noise(4, 6),
        noise(4, 6)[..., 0],
        RNG.normal(size=(4, 6)).astype(np.float32),
        np.zeros((4, 6, 5), np.float32),
    ):
        np.testing.assert_array_equal(vision.resize(array, (4, 6)), array)
        twice = vision.resize(array, (8, 12), "nearest")
        assert twice.dtype == array.dtype
        np.testing.assert_array_equal(twice, array.repeat(2, axis=0).repeat(2, axis=1))
        assert vision.resize(array, 3).shape == (3, 3, *array.shape[2:])


def test_resize_shrinks_by_weighted_means():
    """Bilinear to a half: the weights of a triangle two new pixels wide."""
    x = RNG.normal(size=(1, 8)).astype(np.float32)
    small = vision.resize(x, (1, 4))
    weights = np.array([1, 3, 3, 1]) / 8
    np.testing.assert_allclose(small[0, 1:3], [weights @ x[0, 1:5], weights @ x[0, 3:7]], rtol=1e-6)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 60), st.integers(1, 60))
def test_letterbox_fills_the_canvas_and_leads_back(h, w, H, W):
    canvas, placement = vision.letterbox(np.full((h, w, 3), 200, np.uint8), (H, W), fill=7)
    x1, y1, x2, y2 = placement.inside
    expected = np.full((H, W, 3), 7)
    expected[y1:y2, x1:x2] = 200
    np.testing.assert_array_equal(canvas, expected)
    assert (y2 - y1, x2 - x1)[W * h <= H * w] == (H, W)[W * h <= H * w]  # one side fits exactly
    assert abs((W - x2) - x1) <= 1
    assert abs((H - y2) - y1) <= 1
    np.testing.assert_allclose(placement.back(placement.inside), [0, 0, w, h], atol=1e-9)
    points = np.random.default_rng(0).uniform(-50, 50, (3, 2, 4))
    np.testing.assert_allclose(placement.back(placement.forth(points)), points, atol=1e-9)
    assert placement.back(np.zeros((0, 4))).shape == placement.forth(np.zeros((0, 4))).shape == (0, 4)
    assert placement.back_map(np.zeros((5, 4), np.float32)).shape == (h, w)


def test_letterbox_shows_the_resized_picture():
    picture = noise(30, 60)
    canvas, placement = vision.letterbox(picture, 40)
    assert placement.inside == (0, 10, 40, 30)
    np.testing.assert_array_equal(canvas[10:30], vision.resize(picture, (20, 40)))


def test_a_map_over_the_canvas_comes_back_as_one_over_the_picture():
    picture = noise(30, 60)
    canvas, placement = vision.letterbox(picture, 60)  # not scaled, only moved
    np.testing.assert_array_equal(placement.back_map(canvas[..., 0].copy()), picture[..., 0])
    half = placement.back_map(vision.resize(canvas[..., 0].astype(np.float32), 30))  # of half the resolution
    assert half.shape == (30, 60)
    fraction = np.zeros((4, 4), np.float32)
    fraction[:, 2:] = 1  # the right half, whatever its resolution
    back = placement.back_map(fraction, "nearest")
    assert (back[:, :30] == 0).all()
    assert (back[:, 30:] == 1).all()


def test_a_map_over_a_crop_comes_back_to_its_part():
    placement = vision.Placement(30, 60, (-20, 0, 40, 30), (30, 20))  # the middle third, not scaled
    back = placement.back_map(np.full((15, 10), 7, np.uint8))
    assert (back[:, 20:40] == 7).all()
    assert not back[:, :20].any()
    assert not back[:, 40:].any()


def test_crop_cuts_the_middle():
    picture = noise(20, 30)
    np.testing.assert_array_equal(vision.crop(picture, 10, short=20), picture[5:15, 10:20])
    np.testing.assert_array_equal(vision.crop(picture, (10, 16), short=20), picture[5:15, 7:23])
    np.testing.assert_array_equal(vision.crop(picture, 20), picture[:, 5:25])
    np.testing.assert_array_equal(vision.crop(picture, 4, short=10), vision.resize(picture, (10, 15))[3:7, 5:9])
    for size in ((7, 50), (50, 7), 33):
        assert vision.crop(picture, size).shape[:2] == (size if isinstance(size, tuple) else (size, size))
    with pytest.raises(InputError, match="too small to cut 25×25"):
        vision.crop(picture, 25, short=20)


def test_to_nchw():
    pictures = [noise(4, 6), noise(4, 6)]
    x = vision.to_nchw(pictures, vision.IMAGENET_MEAN, vision.IMAGENET_STD)
    assert (x.shape, x.dtype, x.flags.c_contiguous) == ((2, 3, 4, 6), np.float32, True)
    for n, c, mean, std in [(0, 0, 0.485, 0.229), (1, 2, 0.406, 0.225)]:
        expected = (pictures[n][:, :, c] / 255 - mean) / std
        np.testing.assert_allclose(x[n, c], expected, rtol=1e-5, atol=1e-6)  # a few roundings of float32
    np.testing.assert_array_equal(vision.to_nchw(pictures[0], scale=1), pictures[0].transpose(2, 0, 1)[None])
    np.testing.assert_array_equal(vision.to_nchw(np.stack(pictures)), vision.to_nchw(pictures))
    np.testing.assert_array_equal(vision.to_nchw(pictures[0][..., ::-1]), vision.to_nchw(pictures[0])[:, ::-1])
    assert np.abs(vision.to_nchw(pictures[0], mean=1, scale=1 / 127.5)).max() <= 1


# ---- drawing


def test_no_answers_leave_the_picture_as_it_is():
    picture = noise(40, 50)
    for drawn in (
        vision.draw_boxes(picture, []),
        vision.draw_boxes(picture, [], [], []),
        vision.draw_keypoints(picture, []),
        vision.draw_mask(picture, np.zeros((40, 50))),
        vision.cut_out(picture, np.ones((40, 50), bool)),
    ):
        np.testing.assert_array_equal(drawn, picture)
        assert not np.shares_memory(drawn, picture)


@pytest.mark.parametrize("size", [(200, 300), (1300, 1300)], ids=["magnified", "as it is"])
def test_a_box_is_drawn_inside_its_edges(size):
    picture = np.zeros((*size, 3), np.uint8)
    before = picture.copy()
    drawn = vision.draw_boxes(picture, [[50, 60, 150, 120]], classes=[3])
    np.testing.assert_array_equal(picture, before)
    for y, x in [(60, 50), (60, 149), (119, 50), (119, 149), (90, 50), (119, 100)]:
        assert tuple(drawn[y, x]) == vision.colour(3)
    outside = drawn.copy()
    outside[60:120, 50:150] = 0
    assert not outside.any()
    assert not drawn[80:100, 70:130].any()


def test_labels_stand_on_their_boxes_and_never_on_each_other():
    picture = np.zeros((240, 320, 3), np.uint8)
    drawn = vision.draw_boxes(picture, [[50, 60, 150, 120]], ["cat"], [0])
    assert (drawn[:59].any(axis=-1)).sum() > 100  # above the box
    same = [[50, 60, 150, 120]] * 3
    drawn = vision.draw_boxes(picture, same, ["one", "two", "three"], [0, 1, 2])
    for i in range(3):
        assert (drawn == vision.colour(i)).all(axis=-1).sum() > 100  # all three can be seen
    at_the_edge = vision.draw_boxes(picture, [[300, 0, 320, 10]], ["a long label, for which there is no room at all" * 3])
    assert at_the_edge.any()


wild = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.slow
@given(arrays(np.float64, st.tuples(st.integers(0, 4), st.just(4)), elements=wild), st.integers(1, 40), st.integers(1, 40))
def test_any_finite_answer_can_be_drawn(numbers, h, w):
    picture = np.full((h, w, 3), 99, np.uint8)
    labels = [f"label {i}" for i in range(len(numbers))]
    assert vision.draw_boxes(picture, numbers, labels).shape == (h, w, 3)
    points = numbers.reshape(-1, 2)
    bones = [(i, i + 1) for i in range(len(points) - 1)]
    assert vision.draw_keypoints(picture, points, bones).shape == (h, w, 3)


def test_keypoints_and_their_bones():
    picture = np.zeros((100, 100, 3), np.uint8)
    points = [[20, 20], [80, 20], [80, 80]]
    drawn = vision.draw_keypoints(picture, points, [(0, 1), (1, 2)])
    for i, (x, y) in enumerate(points):
        assert tuple(drawn[y, x]) == vision.colour(i)
    assert drawn[20, 50].any()
    assert drawn[50, 80].any()
    assert not drawn[50, 50].any()
    hidden = vision.draw_keypoints(picture, points, [(0, 1), (1, 2)], scores=[0.9, 0.3, 0.2], threshold=0.3)
    assert tuple(hidden[20, 80]) == vision.colour(1)
    assert hidden[20, 50].any()
    assert not hidden[40:].any()


def test_masks():
    picture = noise(6, 8)
    share = RNG.uniform(size=(6, 8))[..., None]
    expected = picture * (1 - 0.5 * share) + np.array([10, 20, 30]) * 0.5 * share
    np.testing.assert_allclose(vision.draw_mask(picture, share[..., 0], (10, 20, 30)), expected, atol=0.5)  # rounded
    np.testing.assert_allclose(vision.cut_out(picture, share[..., 0]), picture * share + 255 * (1 - share), atol=0.5)
    other = noise(6, 8)
    left = np.arange(8) < 4
    both = vision.cut_out(picture, np.broadcast_to(left, (6, 8)), other)
    np.testing.assert_array_equal(both[:, :4], picture[:, :4])
    np.testing.assert_array_equal(both[:, 4:], other[:, 4:])


def test_scores_are_bars_below_the_picture():
    picture = noise(60, 280)
    drawn = vision.draw_scores(picture, ["", ""], [0.75, 0.25])
    np.testing.assert_array_equal(drawn[:60], picture)
    assert drawn.shape[1:] == (280, 3)
    tall = (drawn.shape[0] - 60) // 2
    for i, share in enumerate((0.75, 0.25)):
        row = drawn[60 + i * tall + 2]  # above the letters
        green = (row != 255).any(axis=-1)
        assert green.sum() == share * 280
        assert green[: int(share * 280)].all()


def test_tiles_stand_row_by_row():
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    pictures = [np.full((30, 30, 3), c, np.uint8) for c in colours]
    sheet = vision.tiles(pictures, columns=2, size=40)
    h, w = sheet.shape[:2]
    assert tuple(sheet[h // 4, w // 4]) == colours[0]
    assert tuple(sheet[h // 4, 3 * w // 4]) == colours[1]
    assert tuple(sheet[3 * h // 4, w // 4]) == colours[2]
    assert tuple(sheet[3 * h // 4, 3 * w // 4]) == (255, 255, 255)
    assert [(sheet == c).all(axis=-1).sum() for c in colours] == [40 * 40] * 3  # none over another
    with_words = vision.tiles(pictures, ["one", "two", "a caption that is much too long to stand below"], columns=2, size=40)
    assert with_words.shape[0] > h
    assert with_words.shape[1] == w


def test_colours_of_neighbours_differ():
    colours = np.array([vision.colour(i) for i in range(90)])
    assert np.abs(colours[1:] - colours[:-1]).sum(axis=1).min() > 150
    assert colours.min() >= 0
    assert colours.max() <= 255


# ---- names


def test_labels():
    assert len(vision.IMAGENET_CLASSES) == len(set(vision.IMAGENET_CLASSES)) == 1000
    assert (vision.IMAGENET_CLASSES[285], vision.IMAGENET_CLASSES[967]) == ("Egyptian cat", "espresso")
    assert len(vision.COCO_CLASSES) == len(set(vision.COCO_CLASSES)) == 80
    assert [vision.COCO_CLASSES.index(name) for name in ("person", "cat", "cup", "dining table")] == [0, 15, 41, 60]
    assert len(vision.COCO_KEYPOINTS) == 17
    assert {i for bone in vision.COCO_SKELETON for i in bone} == set(range(17))
    sides = [{vision.COCO_KEYPOINTS[i].split()[0] for i in bone} - {"nose"} for bone in vision.COCO_SKELETON]
    assert sum(len(side) == 2 for side in sides) == 2  # only shoulders and hips join left and right


# ---- wrong arguments

PICTURE = np.zeros((4, 6, 3), np.uint8)
BOX = [[0, 0, 1, 1]]


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: vision.softmax(["a"]), "logits: expected numbers of ...×classes"),
        (lambda: vision.softmax(1.0), "logits: expected numbers of ...×classes"),
        (lambda: vision.softmax([np.inf, 0]), "logits: has values that are not finite"),
        (lambda: vision.top_k([1.0, np.nan]), "scores: has values that are not finite"),
        (lambda: vision.top_k([1.0], 0), "k: expected a whole number of at least 1, got int 0"),
        (lambda: vision.top_k([1.0], True), "k: expected"),
        (lambda: vision.iou([[0, 0, 1]], BOX), "a: expected numbers of n×4"),
        (lambda: vision.iou([[0, 0, 1, 1], [0]], BOX), "a: expected numbers of n×4"),
        (lambda: vision.nms([0, 0, 1, 1], [1]), "boxes: expected numbers of n×4, got list"),
        (lambda: vision.nms(BOX, [1, 2]), "scores: expected numbers of 1, got list"),
        (lambda: vision.nms(BOX, [1j]), "scores: expected numbers"),
        (lambda: vision.nms(BOX, [1], classes=[1, 2]), "classes: expected one for each of 1 boxes"),
        (lambda: vision.peaks(np.zeros((3, 3)), 0), "heatmap: expected numbers of C×H×W, got float64 3×3"),
        (lambda: vision.nearest([[1, 2]], [[1, 2, 3]]), "b: expected numbers of m×2"),
        (lambda: vision.write("a.png", np.zeros((4, 6, 3))), "picture: expected a picture, uint8 H×W×3"),
        (lambda: vision.resize(np.zeros((4, 6)), 3), "array: expected uint8 or float32"),
        (
            lambda: vision.resize(PICTURE[:0], 3),
            "array: expected uint8 or float32, H×W or H×W×C, not empty, got uint8 0×6×3",
        ),
        (lambda: vision.resize(PICTURE, 0), "size: expected a number of pixels or"),
        (lambda: vision.resize(PICTURE, (3, 2.5)), "size: expected a number of pixels or"),
        (lambda: vision.resize(PICTURE, 3, "best"), "method: expected one of 'nearest', .*, got 'best'"),
        (lambda: vision.letterbox(PICTURE[..., 0], 3), "picture: expected a picture, uint8 H×W×3 .RGB., got uint8 4×6"),
        (lambda: vision.letterbox(PICTURE[:, :0], 3), "picture: expected a picture"),
        (lambda: vision.letterbox(PICTURE, 3, fill=256), "fill: expected a grey of 0 to 255"),
        (lambda: vision.letterbox(PICTURE, 3)[1].back([1, 2, 3]), "points: expected x and y in turn"),
        (lambda: vision.letterbox(PICTURE, 3)[1].back_map(PICTURE), "values: expected a map of h×w"),
        (lambda: vision.crop(PICTURE.astype(np.float32), 3), "picture: expected a picture"),
        (lambda: vision.to_nchw([]), "pictures: expected at least one"),
        (lambda: vision.to_nchw([PICTURE, PICTURE[:2]]), "pictures: expected one size, got 2×6×3 and 4×6×3"),
        (lambda: vision.to_nchw(PICTURE[..., 0]), "pictures: expected a picture"),
        (lambda: vision.to_nchw(PICTURE, mean=[1, 2]), "mean: expected one number or three"),
        (lambda: vision.to_nchw(PICTURE, std=0), "std: must not be 0"),
        (lambda: vision.draw_boxes(PICTURE, [[0, 0, np.nan, 1]]), "boxes: has values that are not finite"),
        (lambda: vision.draw_boxes(PICTURE, BOX, ["a", "b"]), "labels: expected 1, one for each box, got 2"),
        (lambda: vision.draw_boxes(PICTURE, BOX, classes=["a"]), "classes: expected 1 whole numbers"),
        (lambda: vision.draw_keypoints(PICTURE, [[1, 2, 3]]), "points: expected numbers of n×2"),
        (lambda: vision.draw_keypoints(PICTURE, [[1, 2]], [(0, 1)]), "skeleton: expected pairs of 0 to 0"),
        (lambda: vision.draw_mask(PICTURE, np.zeros((4, 5))), "mask: expected numbers of 4×6, got float64 4×5"),
        (lambda: vision.cut_out(PICTURE, np.ones((4, 6)), PICTURE[:2]), "background: expected a colour or a picture"),
        (lambda: vision.draw_scores(PICTURE, ["a"], [0.1, 0.2]), "scores: expected numbers of 1"),
        (lambda: vision.tiles([]), "captions: expected one for each of 0 pictures"),
        (lambda: vision.tiles([PICTURE], ["a", "b"]), "captions: expected one for each of 1 pictures"),
        (lambda: vision.tiles([PICTURE], columns=0), "columns: expected a whole number"),
    ],
)
def test_a_wrong_argument_is_one_clear_error(call, message):
    with pytest.raises(InputError, match=f"^{message}"):
        call()


# ---- what is imported when


def test_without_pillow_the_numbers_work_and_the_rest_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert vision.nms(BOX, [1]).tolist() == [0]
    assert vision.to_nchw(PICTURE).shape == (1, 3, 4, 6)
    for call in (
        lambda: vision.read("a.png"),
        lambda: vision.write("a.png", PICTURE),
        lambda: vision.resize(PICTURE, 3),
        lambda: vision.letterbox(PICTURE, 3),
        lambda: vision.draw_boxes(PICTURE, BOX),
    ):
        with pytest.raises(FastconvError, match=r"fastconv\[vision\]"):
            call()


@pytest.mark.slow
def test_importing_fastconv_stays_light():
    code = """
import sys, fastconv
assert not {"PIL", "fastconv.vision"} & set(sys.modules)
assert fastconv.vision.nms([], []).size == 0
assert "fastconv.vision" in sys.modules and "PIL" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_is_there():
    assert sorted(vision.__all__) == vision.__all__
    assert all(hasattr(vision, name) for name in vision.__all__)
    assert "vision" in fastconv.__all__
    with pytest.raises(AttributeError, match="has no attribute 'sight'"):
        fastconv.sight  # noqa: B018
