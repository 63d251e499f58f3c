"""Trained networks on real images: every output against onnxruntime's, and what the answers mean.

FASTCONV_MODELS names a folder of them: NAME.onnx beside NAME.npz, which has arrays "in:<input>" and "out:<output>". Those
that are known here by name are asked for what is in the picture, too: a cat, a cup of coffee, an astronaut's smiling face.
"""

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import fastconv
from fastconv import kernels
from fastconv.convert import convert

FOLDER = os.environ.get("FASTCONV_MODELS")
NAMES = sorted(p.stem for p in Path(FOLDER).glob("*.onnx")) if FOLDER else []
ISAS = kernels.available("conv_direct")

pytestmark = pytest.mark.skipif(not NAMES, reason="FASTCONV_MODELS names no folder of trained networks")


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """The JSON of a network, made once."""
    pytest.importorskip("onnx")
    folder = tmp_path_factory.mktemp("networks")

    def path(name):
        target = folder / f"{name}.json"
        if not target.exists():
            convert(Path(FOLDER, f"{name}.onnx"), target)
        return target

    return path


def arrays(name, prefix):
    """The arrays of a network's file whose names have this prefix, by their own names."""
    with np.load(Path(FOLDER, f"{name}.npz"), allow_pickle=False) as file:
        return {key.removeprefix(prefix): file[key] for key in file.files if key.startswith(prefix)}


@pytest.fixture(scope="module")
def outputs(converted):
    """A network's outputs, computed once for each instruction set."""

    @cache
    def outputs(name, isa):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("FASTCONV_ISA", isa)
            return fastconv.load(converted(name)).run(arrays(name, "in:"))

    return outputs


@pytest.fixture(scope="module")
def references(converted):
    """The expected outputs, in float64."""

    @cache
    def references(name):
        model = fastconv.load(converted(name))
        y = model.reference(arrays(name, "in:"))
        return y if len(model.outputs) > 1 else {model.outputs[0].name: y}

    return references


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", NAMES)
def test_every_output_is_right(outputs, name, isa):
    expected = arrays(name, "out:")
    assert expected
    for key, wanted in expected.items():
        y = outputs(name, isa)[key]
        assert (y.shape, y.dtype) == (wanted.shape, wanted.dtype)
        error = np.abs(y - wanted).max() / np.abs(wanted).max()
        assert error < 1e-4, f"{key}: off by {error:.1e} of the largest value"


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", NAMES)
def test_every_output_is_as_near_to_float64_as_onnxruntimes(outputs, references, name, isa):
    """At most five times onnxruntime's RMS error; eight roundings are always allowed, as few numbers may be exact by luck."""
    for key, other in arrays(name, "out:").items():
        exact = references(name)[key]
        assert (exact.shape, exact.dtype) == (other.shape, np.float64)
        error, theirs, size = (np.sqrt(np.mean(np.square(a))) for a in (outputs(name, isa)[key] - exact, other - exact, exact))
        allowed = max(5 * theirs, 8 * np.finfo(np.float32).eps * size)
        assert error <= allowed, f"{key}: RMS error {error / size:.1e}, onnxruntime's {theirs / size:.1e}"


# ---- what is in the picture


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def peak(a):
    """(indices of the largest element, as ints; the element)."""
    return tuple(map(int, np.unravel_index(a.argmax(), a.shape))), float(a.max())


EGYPTIAN_CAT, ESPRESSO = 285, 967


def mobilenet_v2_imagenet(out):
    p = softmax(out["logits"])
    assert p.argmax(axis=1)[:2].tolist() == [EGYPTIAN_CAT, ESPRESSO]
    np.testing.assert_allclose(p.max(axis=1)[:2], [0.714, 0.992], atol=5e-4)


def squeezenet1_1_imagenet(out):
    assert out["prob"].argmax(axis=1).tolist() == [EGYPTIAN_CAT, ESPRESSO]
    np.testing.assert_allclose(out["prob"].max(axis=1), [0.428, 0.999], atol=5e-4)
    np.testing.assert_allclose(out["prob"].sum(axis=1), 1, atol=1e-5)


def mobilenet_v2_embed1280(out):
    a, b = (e / np.linalg.norm(e) for e in out["embedding"])
    assert a @ b == pytest.approx(0.483, abs=5e-4)  # two pictures that have little in common


def centernet_mbv3_coco_512_heads(out):
    """A cup on a dining table: the heatmap's peaks, and the cup's box of half its size around its centre."""
    CUP, TABLE = 41, 60
    heat = out["heatmap"][0].max(axis=(1, 2))
    assert heat.argsort()[::-1][:2].tolist() == [CUP, TABLE]
    np.testing.assert_allclose(heat[[CUP, TABLE]], [0.466, 0.407], atol=5e-4)
    assert peak(out["heatmap"][0, CUP])[0] == (46, 61)
    assert peak(out["heatmap"][0, TABLE])[0] == (63, 63)
    np.testing.assert_allclose(out["wh"][0, :, 46, 61], [102.5, 156.1, 106.8, 147.1], atol=0.05)


def centerface(out):
    """One face: where, how sure, and its landmarks as eyes above a nose above a mouth."""
    where, score = peak(out["537"][0, 0])
    assert where == (42, 42)
    assert score == pytest.approx(0.900, abs=5e-4)
    y, x = out["540"][0, :, 42, 42].reshape(5, 2).T
    left_eye, right_eye, nose, left_mouth, right_mouth = range(5)
    assert max(y[left_eye], y[right_eye]) < y[nose] < min(y[left_mouth], y[right_mouth])
    assert x[left_eye] < x[nose] < x[right_eye]
    assert x[left_mouth] < x[right_mouth]


def blazeface_front_128(out):
    (anchor,), score = peak(out["Identity:0"][0, :, 0])
    assert anchor == 141  # of two anchors a cell and 16 cells a row: row 4, column 6
    assert sigmoid(score) == pytest.approx(0.921, abs=5e-4)
    np.testing.assert_allclose(out["Identity_2:0"][0, anchor, :4], [4.62, -3.70, 23.65, 23.65], atol=0.01)
    assert sigmoid(out["Identity_1:0"].max()) < 0.2  # no larger face


def mtcnn_pnet(out):
    faces = out["softmax"][0, :, :, 1]
    assert peak(faces)[0] == (17, 7)
    assert (faces > 0.9).sum() == 12


def mtcnn_rnet(out):
    assert out["softmax_1"][0, 1] == pytest.approx(0.9994, abs=5e-5)


def mtcnn_onet(out):
    assert out["softmax_2"][0, 1] == pytest.approx(0.9991, abs=5e-5)


def selfie_segmentation_256_nchw(out):
    """A person from the middle down, and nobody in the upper corners."""
    person = out["mask"][0, 0] > 0.5
    assert person.mean() == pytest.approx(0.545, abs=1e-3)
    assert not person[:64, :64].any()
    assert not person[:64, 192:].any()
    assert person[128:, 64:128].all()


def ppocrv4_det(out):
    """Seven lines of text: seven runs of rows with letters."""
    rows = (out["sigmoid_0.tmp_0"][0, 0] > 0.3).any(axis=1)
    assert np.flatnonzero(np.diff([0, *rows]) == 1).tolist() == [19, 53, 70, 88, 104, 121, 173]


def movenet_lightning_192_heads(out):
    """The keypoints of a portrait, in cells of 4 pixels: the person's left is the picture's right."""
    found = [peak(h) for h in out["heatmap"][0]]
    nose, left_eye, right_eye, left_ear, right_ear, left_shoulder, right_shoulder = found[:7]
    assert [where for where, _ in found[:7]] == [(11, 20), (9, 23), (9, 19), (10, 25), (10, 16), (25, 29), (23, 10)]
    assert min(score for _, score in found[:7]) > 0.5
    assert max(score for _, score in found[13:]) < 0.2  # knees and ankles are not in the picture
    assert nose[0][0] > left_eye[0][0]
    assert right_ear[0][1] < right_eye[0][1] < left_eye[0][1] < left_ear[0][1]
    assert right_shoulder[0][1] < left_shoulder[0][1]


def face_landmark68_112(out):
    """68 points in the usual order: jaw from ear to ear, brows, nose, eyes, mouth."""
    x, y = out["points"].reshape(68, 2).T
    jaw, left_eye, right_eye, mouth = slice(0, 17), slice(36, 42), slice(42, 48), slice(48, 68)
    assert (np.diff(x[jaw]) > 0).all()
    assert y[8] == y.max()  # the chin
    assert x[left_eye].max() < x[30] < x[right_eye].min()  # the tip of the nose
    assert max(y[left_eye].max(), y[right_eye].max()) < y[30] < y[mouth].min()


def emotion_64(out):
    HAPPY = 3
    assert out["Identity:0"][0].argmax() == HAPPY
    assert out["Identity:0"][0, HAPPY] == pytest.approx(0.9995, abs=5e-5)


ANSWERS = {f.__name__: f for f in (
    mobilenet_v2_imagenet, squeezenet1_1_imagenet, mobilenet_v2_embed1280, centernet_mbv3_coco_512_heads, centerface,
    blazeface_front_128, mtcnn_pnet, mtcnn_rnet, mtcnn_onet, selfie_segmentation_256_nchw, ppocrv4_det,
    movenet_lightning_192_heads, face_landmark68_112, emotion_64,
)}  # fmt: skip


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", [n for n in NAMES if n in ANSWERS])
def test_what_it_says(outputs, name, isa):
    ANSWERS[name](outputs(name, isa))


@pytest.mark.parametrize("name", [n for n in NAMES if n in ("mobilenet_v2_embed1280", "selfie_segmentation_256_nchw")])
def test_exact_and_saved_and_by_any_number_of_threads(converted, tmp_path, name):
    (x,) = arrays(name, "in:").values()
    model = fastconv.load(converted(name), accuracy="exact", threads=1)
    y = model(x)
    np.testing.assert_array_equal(fastconv.load(converted(name), accuracy="exact", threads=2)(x), y)
    model.save(tmp_path / "saved.json")
    np.testing.assert_array_equal(fastconv.load(tmp_path / "saved.json", accuracy="exact")(x), y)
