"""Uses of the public interface for the type checker: mypy reads this file (see test_typing.py), nothing runs it.

Uses that are wrong have the error that they are as a comment: mypy reports one that is none (warn_unused_ignores).
"""

from pathlib import Path
from typing import assert_type

import numpy as np

import fastconv
import fastconv.compat.onnxruntime as ort
from fastconv import naive, vision

x = np.zeros((1, 3, 32, 32), np.float32)
w = np.zeros((8, 3, 3, 3), np.float32)
model = fastconv.load("model.json", threads=2, accuracy="exact", external_dir=Path("weights"), max_bytes=1 << 30)


def loading() -> None:
    assert_type(model, fastconv.Model)
    fastconv.load(Path("model.json"))
    fastconv.load(b'{"graph": {}}')
    fastconv.load({"graph": {}})
    fastconv.load(3.5)  # type: ignore[arg-type]
    fastconv.load(None)  # type: ignore[arg-type]
    fastconv.load("model.json", accuracy="fast")  # type: ignore[arg-type]
    fastconv.load("model.json", threads="2")  # type: ignore[arg-type]
    fastconv.load("model.json", thread=2)  # type: ignore[call-arg]
    fastconv.Model("model.json", accuracy="fast")  # type: ignore[arg-type]


def calling() -> None:
    y = model(x)
    assert_type(y, np.ndarray)
    y.argmax(axis=1)
    assert_type(model(image=x), np.ndarray)
    model([[1.0, 2.0], [3.0, 4.0]])
    model({"image": x, "mask": [[1]]})
    model(x, out=np.empty((1, 10), np.float32))
    model(x, out={"scores": np.empty((1, 10), np.float32)})
    _boxes, _scores = model(x)
    model(None)  # type: ignore[arg-type]
    model(Path("picture.png"))  # type: ignore[arg-type]
    model(x, out=[1.0])  # type: ignore[arg-type]
    model(image=None)  # type: ignore[arg-type]
    assert_type(model.reference(x), np.ndarray)


def running() -> None:
    out = model.run(x, outputs=["relu3"])
    assert_type(out, fastconv.Outputs)
    assert_type(out["relu3"], np.ndarray)
    assert_type(out[0], np.ndarray)
    assert_type(list(out), list[np.ndarray])
    assert_type(list(out.keys()), list[str])
    assert_type(dict(out.items()), dict[str, np.ndarray])
    out[1.5]  # type: ignore[index]
    model.run(x, outputs=3)  # type: ignore[arg-type]


def reports() -> None:
    summary = model.summary({"image": (1, 3, 32, 32)})
    assert_type(summary, fastconv.Summary)
    assert_type(model.profile(x, runs=3), fastconv.Profile)
    assert_type(model.inputs, tuple[fastconv.TensorInfo, ...])
    model.summary({"image": 3})  # type: ignore[dict-item]
    model.profile(x, runs="3")  # type: ignore[arg-type]
    summary.parms  # type: ignore[attr-defined]  # noqa: B018


def pictures() -> None:
    picture = vision.read("picture.png")
    assert_type(vision.to_nchw(vision.resize(picture, (224, 224), "bicubic")), np.ndarray)
    assert_type(vision.nms([[0, 0, 1, 1]], [0.5]), np.ndarray)
    vision.resize(picture, 224, "cubic")  # type: ignore[arg-type]
    vision.read(picture)  # type: ignore[arg-type]


def layers() -> None:
    assert_type(fastconv.conv2d(x, w, padding=(1, 1), algorithm="winograd"), np.ndarray)
    assert_type(naive.conv2d(x, w, compiled=True), np.ndarray)
    fastconv.conv2d(x, w, algorithm="winogard")  # type: ignore[arg-type]
    fastconv.conv2d(x, w, stride="2")  # type: ignore[arg-type]
    fastconv.max_pool2d(x, 2, algorithm="direct")  # type: ignore[arg-type]
    fastconv.linear(x[0, 0], w[0, 0], algorithm="winograd")  # type: ignore[arg-type]
    fastconv.conv3d(x, w)  # type: ignore[attr-defined]


def onnxruntime() -> None:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 2
    assert_type(options.enable_mem_pattern, bool)
    session = ort.InferenceSession("net.onnx", options, providers=["CPUExecutionProvider"])
    assert_type(session.get_inputs()[0].name, str)
    session.run(["y"], x)  # type: ignore[arg-type]
    session.runs(None, {"x": x})  # type: ignore[attr-defined]
