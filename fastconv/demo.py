"""`fastconv demo`: the embedded model reads digits it has never seen, and its layers race the plain loops."""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import fastconv

from . import data, naive, onnx_json
from .graph import Node
from .model import Accuracy, WeightsType
from .ops.conv import Conv
from .ops.gemm import Gemm
from .ops.max_pool import MaxPool
from .table import text_table

#: images in the race: the loops in Python take about 0.1 s for each
BATCH = 8
PICTURE = 16  # columns: two a pixel, so that pixels come out square


def demo(threads: int | None = None, accuracy: Accuracy = "default", weights: WeightsType = "float32") -> None:
    """Print digits that the model reads, its layers and their times. Takes a few seconds, mostly in the Python loops."""
    with np.load(data.DIGITS_IMAGES, allow_pickle=False) as file:
        images, labels = file["images"], file["labels"]
    x = (images / np.float32(16))[:, None]
    model = fastconv.load(data.DIGITS, threads=threads, accuracy=accuracy, weights=weights)
    says = model(x).argmax(axis=1)
    right = says == labels

    print(f"fastconv {fastconv.__version__} reads handwritten digits, {len(x)} images that training never saw:\n")
    across = max(1, (shutil.get_terminal_size().columns + 2) // (PICTURE + 2))
    captions = [f"{label}" if ok else f"{label}, read as {said}" for label, said, ok in zip(labels, says, right, strict=True)]
    pictures = list(zip(images, captions, strict=True))
    show([pictures[np.flatnonzero(right & (labels == digit))[0]] for digit in range(min(across, 10))], across)
    milliseconds = 1e3 * seconds(lambda: model(x))
    print(f"{right.sum()} of {len(x)} right: {right.mean():.2%}, in {milliseconds:.2f} ms. The {(~right).sum()} others:\n")
    show([pictures[i] for i in np.flatnonzero(~right)], across)

    print(f"The model, {data.DIGITS}:\n\n{model.summary()}\n")
    race(onnx_json.read(data.DIGITS).nodes, x[:BATCH], accuracy, weights)


# ---- pictures


def show(pictures: list[tuple[np.ndarray, str]], across: int) -> None:
    """Print images of 0..16 with their captions, `across` of them side by side."""
    paint = painter()
    for at in range(0, len(pictures), across):
        row = pictures[at : at + across]
        for lines in zip(*(paint(image) for image, _ in row), strict=True):
            print("  ".join(lines).rstrip())
        print("  ".join(f"{caption:^{PICTURE}}" for _, caption in row).rstrip() + "\n")


def painter() -> Callable[[np.ndarray], list[str]]:
    """A function that draws an image as lines: greys if the terminal has colours, else blocks, else ASCII."""
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb":
        # 24 greys from nearly black, 232, to nearly white, 255
        return lambda image: ["".join(f"\x1b[48;5;{232 + p * 23 // 16}m  " for p in row) + "\x1b[0m" for row in image.tolist()]
    shades = " ░▒▓█"
    try:
        shades.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        shades = " .+#@"
    return lambda image: ["".join(2 * shades[(p + 3) // 4] for p in row) for row in image.tolist()]


# ---- the race


def race(nodes: list[Node], x: np.ndarray, accuracy: Accuracy, weights: WeightsType) -> None:
    """Print the time of each convolution, pool and fully connected layer, in the model and by plain loops; on one thread."""
    model = fastconv.load(data.DIGITS, threads=1, accuracy=accuracy, weights=weights)
    layers = [n for n in nodes if isinstance(n.op, Conv | MaxPool | Gemm)]
    reads = [n.input(0).name for n in layers]
    values = model.run(x, outputs=reads)
    profile = {row.name: row for row in model.profile(x, runs=50).rows if row.op != "reorder"}
    rows = []
    for node, src in zip(layers, values, strict=True):
        row = profile[node.label]
        compiled = seconds(partial(plain, node, src, compiled=True))
        python = seconds(partial(plain, node, src, compiled=False), runs=1)
        times = (text for ms in (1e3 * compiled, 1e3 * python) for text in (f"{ms:,.3f}", f"{ms / row.ms:,.0f}x"))
        rows.append((node.label, row.op, row.implementation, f"{row.ms:.4f}", *times))
    print(f"Its layers against the plain loops of fastconv.naive, all on one thread; milliseconds for {len(x)} images:\n")
    print(text_table(("layer", "operator", "by", "fastconv", "compiled", "faster", "Python", "faster"), rows, 3))


def plain(node: Node, x: np.ndarray, compiled: bool) -> np.ndarray:
    """The node's output by the plain loops; its constants are weights and bias."""
    op: Any = node.op
    weights: Any = [None if v.constant is None else np.asarray(v.constant) for v in node.inputs[1:] if v is not None]
    if isinstance(op, Gemm):
        return naive.linear(x, *weights, compiled=compiled)
    window: Any = {"stride": op.strides or 1, "padding": op.pads or 0, "dilation": op.dilations or 1, "compiled": compiled}
    if isinstance(op, Conv):
        return naive.conv2d(x, *weights, **window | {"groups": op.group})
    return naive.max_pool2d(x, op.kernel_shape, **window)


def seconds(call: Callable[[], object], runs: int = 7) -> float:
    """The median time of a call; the first of several is a warm-up."""
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:] or times)
