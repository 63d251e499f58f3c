"""Wrong uses of the public interface, with the errors that they are as comments; type checkers report a comment without one."""

from pathlib import Path

import numpy as np

import fastconv
import fastconv.compat.onnxruntime as ort
from fastconv import vision

x = np.zeros((1, 3, 32, 32), np.float32)
w = np.zeros((8, 3, 3, 3), np.float32)


def loading() -> None:
    fastconv.laod("model.json")  # type: ignore[attr-defined]
    fastconv.load(3.5)  # type: ignore[arg-type]
    fastconv.load(None)  # type: ignore[arg-type]
    fastconv.load("model.json", accuracy="fast")  # type: ignore[arg-type]
    fastconv.load("model.json", weights="int8")  # type: ignore[arg-type]
    fastconv.load("model.json", threads="2")  # type: ignore[arg-type]
    fastconv.load("model.json", thread=2)  # type: ignore[call-arg]
    fastconv.Model("model.json", accuracy="fast")  # type: ignore[arg-type]


def calling(model: fastconv.Model) -> None:
    model(None)  # type: ignore[arg-type]
    model(Path("picture.png"))  # type: ignore[arg-type]
    model(x, out=[1.0])  # type: ignore[arg-type]
    model(image=None)  # type: ignore[arg-type]
    model.run(x, outputs=3)  # type: ignore[arg-type]
    model.run(x)[1.5]  # type: ignore[index]


def reports(model: fastconv.Model) -> None:
    model.summary({"image": 3})  # type: ignore[dict-item]
    print(model.summary().parms)  # type: ignore[attr-defined]
    model.profile(x, runs="3")  # type: ignore[arg-type]
    fastconv.compare(model, x, 3)  # type: ignore[arg-type]


def pictures(picture: np.ndarray) -> None:
    vision.resize(picture, 224, "cubic")  # type: ignore[arg-type]
    vision.read(picture)  # type: ignore[arg-type]


def layers() -> None:
    fastconv.conv2d(x, w, algorithm="winogard")  # type: ignore[arg-type]
    fastconv.conv2d(x, w, stride="2")  # type: ignore[arg-type]
    fastconv.max_pool2d(x, 2, algorithm="direct")  # type: ignore[arg-type]
    fastconv.linear(x[0, 0], w[0, 0], algorithm="winograd")  # type: ignore[arg-type]
    fastconv.conv3d(x, w)  # type: ignore[attr-defined]


def onnxruntime(session: ort.InferenceSession) -> None:
    session.run(["y"], x)  # type: ignore[arg-type]
    session.runs(None, {"x": x})  # type: ignore[attr-defined]
