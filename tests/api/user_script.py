"""A user's program, as type checkers see it: nearly all of the public interface, and the types that they infer."""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import assert_type

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

import fastconv
import fastconv.compat.onnxruntime as ort
from fastconv import naive, vision, viz

images: npt.NDArray[np.float32] = np.zeros((2, 1, 8, 8), np.float32)


def loading(path: Path) -> fastconv.Model:
    model = fastconv.load(path, threads=1, accuracy="exact", external_dir=path.parent, max_bytes=1 << 30)
    assert_type(model, fastconv.Model)
    assert_type(fastconv.load(path, weights="bf16"), fastconv.Model)
    assert_type(model.inputs, tuple[fastconv.TensorInfo, ...])
    assert_type(model.inputs[0].shape, tuple[int | str | None, ...] | None)
    assert_type(model.metadata, Mapping[str, str])
    assert_type(model.threads, int)
    return model


def running(model: fastconv.Model) -> None:
    scores = model(images)
    assert_type(scores, np.ndarray)
    assert_type(model(image=images), np.ndarray)
    model({"image": images.tolist()}, out=scores)
    model(images, out={"logits": scores})
    _boxes, _scores = model(images)
    print(scores.argmax(axis=1), np.abs(model.reference(images) - scores).max(), fastconv.__version__)
    values = model.run(images, outputs=["relu1", "logits"])
    assert_type(values, fastconv.Outputs)
    assert_type(values["relu1"], np.ndarray)
    assert_type(list(values), list[np.ndarray])
    assert_type(dict(values.items()), dict[str, np.ndarray])


def reports(model: fastconv.Model, folder: Path) -> None:
    summary = model.summary({"image": (2, 1, 8, 8)}, explain=True)
    assert_type(summary, fastconv.Summary)
    assert_type(summary.params, int)
    assert_type([layer.name for layer in summary.layers], list[str])
    profile = model.profile(images, runs=3)
    assert_type(profile, fastconv.Profile)
    assert_type([row.ms for row in profile.rows], list[float])
    profile.save(folder / "trace.json")
    model.report(images).save(folder / "report.html")
    comparison = fastconv.compare(model, images, "reference", layers=True)
    assert_type(comparison, fastconv.Comparison)
    assert_type(comparison.ratio, float)
    if comparison.first is not None:
        print(comparison.first.max_error)
    print(model.plan({"image": (4, 1, 8, 8)}), model.dump("read"))
    fastconv.show_config()


def layers() -> None:
    x, w = np.zeros((1, 3, 8, 8), np.float32), np.zeros((4, 3, 3, 3), np.float32)
    y = fastconv.conv2d(x, w, padding=(1, 1), algorithm="winograd")
    assert_type(y, np.ndarray)
    assert_type(fastconv.max_pool2d(y, 2), np.ndarray)
    assert_type(fastconv.linear(y.reshape(1, -1), np.zeros((10, y.size), np.float32)), np.ndarray)
    assert_type(naive.conv2d(x, w, compiled=True), np.ndarray)


def pictures(model: fastconv.Model, path: Path) -> None:
    picture = vision.read(path)
    assert_type(picture, np.ndarray)
    assert_type(vision.read(BytesIO(path.read_bytes())), np.ndarray)
    classes = vision.classify(model, picture, top=3)
    print(classes, classes.names[0], classes.scores[0])
    vision.write("classes.png", classes.draw(picture))
    found = vision.detect(model, picture, threshold=0.5)
    for name, (left, top, right, bottom) in zip(found.names, found.boxes, strict=True):
        print(name, left, top, right, bottom)
    assert_type(vision.segment(model, picture).share, float)
    print(vision.pose(model, picture).points, vision.embed(model, picture).vector, vision.guess_preprocess(model).how)
    canvas, placement = vision.letterbox(vision.resize(picture, (600, 800), "bicubic"), 512)
    assert_type(placement, vision.Placement)
    assert_type(vision.to_nchw(canvas, mean=vision.IMAGENET_MEAN, std=vision.IMAGENET_STD), np.ndarray)
    print(placement.back([[0, 0]]), vision.nms([[0, 0, 1, 1]], [0.5]), vision.softmax([1.0, 2.0]))


def figures(model: fastconv.Model) -> None:
    assert_type(viz.activation_maps(model, images, ["relu1"]), Figure)
    assert_type(viz.hierarchy(model, images), Figure)
    assert_type(viz.receptive_field(model, "relu1"), viz.ReceptiveField)
    assert_type(viz.maps.grid(model.run(images, "relu1")[0][0]), np.ndarray)


def onnxruntime(path: Path) -> None:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    assert_type(options.enable_mem_pattern, bool)
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    assert_type(session.get_inputs()[0].name, str)
    print(session.run(None, {session.get_inputs()[0].name: images}))


def errors(text: str) -> fastconv.Model | None:
    try:
        return fastconv.load(text.encode())
    except fastconv.UnsupportedError as error:
        print("not covered:", error)
    except (fastconv.ModelError, fastconv.InputError) as error:
        print("wrong:", error)
    except fastconv.FastconvError:
        raise
    return None


if __name__ == "__main__":
    net = loading(fastconv.data.DIGITS)
    running(net)
    reports(net, Path())
    layers()
    figures(net)
