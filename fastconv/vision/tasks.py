"""Tasks: what a network says about a picture. A function of model and picture for each, whose result prints and draws itself.

`TASKS` declares what each needs of a network's outputs. Networks are given the picture as in their training; where `preprocess`
does not say how that was, `guess_preprocess` does.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import InputError
from ..graph import Shape, shape_text
from ..pixels import PIXELS
from .answers import nms, peaks, softmax, top_k
from .labels import COCO_CLASSES, IMAGENET_CLASSES
from .pictures import Placement
from .preprocessing import Fit, fit, picture_input, preprocess, to_input
from .results import Answer, Classification, Detections, Embedding, Pose, Segmentation

if TYPE_CHECKING:
    from ..model import Model

# ---- what tasks need of a network


class Task(NamedTuple):
    """A task: its function, and what that needs of a network.

    `outputs` has the shape of each output by name; None stands for the only one. A size is an int or a symbol, and equal
    symbols are equal sizes. `by` is how the picture is fitted to the input (`fit`). `network` names the networks that alone
    have such outputs, `preprocess` how they take pixels.
    """

    decode: Callable[..., Answer]
    outputs: Mapping[str | None, Shape]
    by: Fit
    network: str = ""
    preprocess: str | None = None

    def fits(self, outputs: Mapping[str, Shape]) -> bool:
        """Whether outputs of these shapes, in which sizes may be unknown, are what the task needs."""
        names = [name for name in self.outputs if name is not None]
        if not (len(outputs) == 1 if None in self.outputs else outputs.keys() >= set(names)):
            return False
        sizes: dict[str, int] = {}
        for name, wanted in self.outputs.items():
            shape = next(iter(outputs.values())) if name is None else outputs[name]
            if shape is None or wanted is None or len(shape) != len(wanted):
                return False
            for size, dim in zip(shape, wanted, strict=True):
                if isinstance(size, int) and size != (dim if isinstance(dim, int) else sizes.setdefault(str(dim), size)):
                    return False
        return True

    def check(self, name: str, outputs: Mapping[str, Shape]) -> None:
        """InputError if the task `name` cannot use these outputs."""
        if not self.fits(outputs):
            if None in self.outputs:
                wanted = f"one output, {shape_text(self.outputs[None])}"
            else:
                wanted = f"outputs {', '.join(f'{n!r} {shape_text(s)}' for n, s in self.outputs.items())} ({self.network}'s)"
            got = ", ".join(f"{n!r} {shape_text(s)}" for n, s in outputs.items())
            raise InputError(f"{name}: expected {wanted}; the model has {got}")


def _shapes(model: Model) -> dict[str, Shape]:
    return {o.name: o.shape for o in model.outputs}


#: words in the name of a vector that show what it is
WORDS: dict[str, tuple[str, ...]] = {"classify": ("logit", "prob", "softmax", "score", "class"), "embed": ("embed", "feature")}


def possible_tasks(model: Model, labels: bool = False) -> list[str]:
    """The tasks that a network's outputs may be for, by their names and shapes.

    A vector may be scores of classes or an embedding. It is scores if there are names for the classes (the caller's, those in
    the file's metadata, or ImageNet's for 1000), or if the output is named so; an embedding if the output is named so.

    Parameters
    ----------
    model : Model
        The network.
    labels : bool
        Whether the caller has names of classes.

    Returns
    -------
    list of str
        Names of `tasks.TASKS`: none if no task fits, several if the file does not show which it is.

    Examples
    --------
    >>> import fastconv
    >>> fastconv.vision.possible_tasks(fastconv.load(fastconv.data.DIGITS))
    ['classify']
    """
    fitting = [name for name, task in TASKS.items() if task.fits(_shapes(model))]
    if "classify" in fitting:
        (output,) = model.outputs
        named = [task for task, words in WORDS.items() if any(word in output.name.lower() for word in words)]
        if labels or (output.shape or ())[1:] == (len(IMAGENET_CLASSES),) or _metadata_labels(model.metadata):
            return ["classify"]
        return named if len(named) == 1 else fitting
    return fitting


class Guess(NamedTuple):
    """How a network takes pixels, a name for `preprocess`, and why that is likely."""

    how: str
    reason: str


def guess_preprocess(model: Model) -> Guess:
    """How a network takes pixels, as far as its file shows it.

    Parameters
    ----------
    model : Model
        The network.

    Returns
    -------
    Guess
        A name for `preprocess`, and the reason in words.

    Raises
    ------
    InputError
        If the network takes no pictures.

    Examples
    --------
    >>> import fastconv
    >>> fastconv.vision.guess_preprocess(fastconv.load(fastconv.data.DIGITS))
    Guess(how='0..1', reason='one channel')
    """
    image = picture_input(model.inputs)
    assert image.shape is not None
    if (how := model.metadata.get("preprocess")) in PIXELS:
        return Guess(str(how), "the file's metadata say it")
    if image.dtype.kind in "iu":
        return Guess("raw", f"its input is {image.dtype}")
    if 1 in (image.shape[1], image.shape[3]):
        return Guess("0..1", "one channel")
    tasks = possible_tasks(model)
    for task in tasks:
        if how := TASKS[task].preprocess:
            return Guess(how, f"the outputs are those of {TASKS[task].network}")
    if image.shape[3] == 3:
        return Guess("-1..1", "channels come last, as in TensorFlow")
    if tasks == ["classify"] and (model.outputs[0].shape or ())[1:] == (len(IMAGENET_CLASSES),):
        if image.shape[2:] == (227, 227):
            return Guess("caffe", "1000 classes and 227×227 pixels, as of Caffe's networks")
        return Guess("imagenet", "1000 classes")
    if image.shape[2:] == (224, 224):
        return Guess("imagenet", "224×224 pixels")
    return Guess("0..1", "nothing in the file shows another")


def labels_of(
    model: Model, count: int, labels: Sequence[str] | None = None, known: Sequence[str] = IMAGENET_CLASSES
) -> Sequence[str]:
    """Names of `count` classes: the caller's, the file's, those of a data set, else "class 0", "class 1" and so on.

    Parameters
    ----------
    model : Model
        The network, whose metadata may hold names under "labels", "classes" or "names".
    count : int
        The number of classes.
    labels : sequence of str, optional
        The caller's.
    known : sequence of str
        The data set's, which are taken if their number fits.

    Returns
    -------
    sequence of str
        A name for each class.

    Raises
    ------
    InputError
        If the caller's are of another number.

    Examples
    --------
    >>> import fastconv
    >>> fastconv.vision.labels_of(fastconv.load(fastconv.data.DIGITS), 2)
    ['class 0', 'class 1']
    """
    if labels is not None:
        if len(labels) != count:
            raise InputError(f"labels: expected {count}, one for each class of the model, got {len(labels)}")
        return labels
    stored = _metadata_labels(model.metadata)
    if len(stored) == count:
        return stored
    return known if len(known) == count else [f"class {i}" for i in range(count)]


def _metadata_labels(metadata: Mapping[str, str]) -> list[str]:
    """Names of classes in a file's metadata: a list or a dict by number as Python or JSON writes it, or lines, or commas."""
    text = next((metadata[key] for key in ("labels", "classes", "names") if metadata.get(key)), "")
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        value = text.strip().split("\n" if "\n" in text.strip() else ",") if text else []
    names: Iterable[Any] = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else []
    return [str(name).strip() for name in names]


# ---- the tasks


def _outputs(
    name: str, model: Model, picture: np.ndarray, how: str | None, size: Any
) -> tuple[dict[str, np.ndarray], Placement]:
    """The outputs that the task `name` needs, of the one image, and the picture's place on the canvas."""
    task = TASKS[name]
    task.check(name, _shapes(model))
    image = picture_input(model.inputs)
    how = how or guess_preprocess(model).how
    canvas, placement = fit(picture, image, how, task.by, size)
    results = dict(model.run(to_input(canvas, image, how)).items())
    task.check(name, {n: a.shape for n, a in results.items()})
    return {n: a[0].astype(np.float32) for n, a in results.items()}, placement


def classify(
    model: Model,
    picture: np.ndarray,
    top: int = 5,
    labels: Sequence[str] | None = None,
    preprocess: str | None = None,
    size: int | Sequence[int] | None = None,
) -> Classification:
    """The most likely classes of a picture.

    Parameters
    ----------
    model : Model
        A network with one output N×classes: probabilities, or logits, of which the softmax is taken.
    picture : numpy.ndarray
        uint8, H×W×3. The network is given its middle.
    top : int
        How many classes; all, if there are fewer.
    labels : sequence of str, optional
        The names of all classes; default: the file's, or ImageNet's for 1000.
    preprocess, size
        As in `fastconv.vision.preprocess`; default: `guess_preprocess`.

    Returns
    -------
    Classification
        The classes, best first.

    Raises
    ------
    FastconvError
        If Pillow is missing.
    InputError
        If an argument or the network does not fit.

    Examples
    --------
    >>> import fastconv, numpy as np
    >>> with np.load(fastconv.data.DIGITS_IMAGES) as file:
    ...     digit = file["images"][0] * 15
    >>> model = fastconv.load(fastconv.data.DIGITS)
    >>> fastconv.vision.classify(model, np.stack([digit] * 3, axis=-1), top=1)
    100.0%  class 6
    """
    out, _ = _outputs("classify", model, picture, preprocess, size)
    (scores,) = out.values()
    if scores.min() < 0 or not np.isclose(scores.sum(), 1, atol=1e-3):
        scores = softmax(scores)
    names = labels_of(model, len(scores), labels)
    indices, best = top_k(scores, top)
    return Classification(indices, best, [names[i] for i in indices])


def detect(
    model: Model,
    picture: np.ndarray,
    threshold: float = 0.4,
    labels: Sequence[str] | None = None,
    preprocess: str | None = None,
    size: int | Sequence[int] | None = None,
) -> Detections:
    """Objects in a picture, by the outputs of CenterNet (Zhou et al., "Objects as Points", arXiv:1904.07850).

    Parameters
    ----------
    model : Model
        A network with outputs "heatmap" N×classes×h×w, in which an object is a peak, and "wh" N×4×h×w, its extent from there
        in the input's pixels: left, up, right, down.
    picture : numpy.ndarray
        uint8, H×W×3. The network is given all of it, letterboxed.
    threshold : float
        The least that an object scores.
    labels : sequence of str, optional
        The names of all classes; default: the file's, or COCO's for 80.
    preprocess, size
        As in `fastconv.vision.preprocess`; default: `guess_preprocess`.

    Returns
    -------
    Detections
        The objects, best first, their boxes in the picture's pixels.

    Raises
    ------
    FastconvError
        If Pillow is missing.
    InputError
        If an argument or the network does not fit.

    Examples
    --------
    >>> import fastconv, numpy as np
    >>> model = fastconv.load(fastconv.data.DIGITS)
    >>> fastconv.vision.detect(model, np.zeros((20, 30, 3), np.uint8))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    fastconv.errors.InputError: detect: expected outputs 'heatmap' N×classes×h×w, ... (CenterNet's); the model has 'logits' N×10
    """
    out, placement = _outputs("detect", model, picture, preprocess, size)
    heat, extent = out["heatmap"], out["wh"]
    names = labels_of(model, len(heat), labels, COCO_CLASSES)
    found = peaks(heat, threshold)
    tall, wide = np.divide(placement.canvas, heat.shape[1:])  # pixels of the input for a cell of the outputs
    y, x = tall * found.rows, wide * found.columns
    left, up, right, down = extent[:, found.rows, found.columns]
    boxes = np.column_stack([x - left, y - up, x + right, y + down])
    keep = nms(boxes, found.scores, 0.5, found.channels)
    boxes = np.clip(placement.back(boxes[keep]), 0, [*picture.shape[1::-1]] * 2)
    classes = found.channels[keep]
    return Detections(boxes, classes, found.scores[keep], [names[i] for i in classes])


def segment(
    model: Model, picture: np.ndarray, preprocess: str | None = None, size: int | Sequence[int] | None = None
) -> Segmentation:
    """Which pixels of a picture are what the network looks for.

    Parameters
    ----------
    model : Model
        A network with one output N×1×h×w: probabilities for the parts of the picture, or logits, of which the sigmoid is
        taken.
    picture : numpy.ndarray
        uint8, H×W×3. The network is given all of it, in the input's size.
    preprocess, size
        As in `fastconv.vision.preprocess`; default: `guess_preprocess`.

    Returns
    -------
    Segmentation
        The probability for each pixel of the picture.

    Raises
    ------
    FastconvError
        If Pillow is missing.
    InputError
        If an argument or the network does not fit.

    Examples
    --------
    >>> import fastconv, numpy as np
    >>> model = fastconv.load(fastconv.data.DIGITS)
    >>> fastconv.vision.segment(model, np.zeros((20, 30, 3), np.uint8))
    Traceback (most recent call last):
    fastconv.errors.InputError: segment: expected one output, N×1×h×w; the model has 'logits' N×10
    """
    out, placement = _outputs("segment", model, picture, preprocess, size)
    mask = next(iter(out.values()))[0]
    if mask.min() < 0 or mask.max() > 1:
        mask = (1 + np.tanh(mask / 2)) / 2  # the sigmoid
    return Segmentation(placement.back_map(mask))


def pose(
    model: Model,
    picture: np.ndarray,
    threshold: float = 0.3,
    preprocess: str | None = None,
    size: int | Sequence[int] | None = None,
) -> Pose:
    """The keypoints of the person nearest to the middle of a picture, by the outputs of MoveNet.

    Parameters
    ----------
    model : Model
        A network with outputs "heatmap" N×17×h×w, "center" N×1×h×w, "regress" and "offset" N×34×h×w.
    picture : numpy.ndarray
        uint8, H×W×3. The network is given all of it, letterboxed.
    threshold : float
        The least that a keypoint scores to be shown.
    preprocess, size
        As in `fastconv.vision.preprocess`; default: `guess_preprocess`.

    Returns
    -------
    Pose
        The 17 keypoints in the picture's pixels.

    Raises
    ------
    FastconvError
        If Pillow is missing.
    InputError
        If an argument or the network does not fit.

    Examples
    --------
    >>> import fastconv, numpy as np
    >>> model = fastconv.load(fastconv.data.DIGITS)
    >>> fastconv.vision.pose(model, np.zeros((20, 30, 3), np.uint8))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    fastconv.errors.InputError: pose: expected outputs 'heatmap' N×17×h×w, ... (MoveNet's); the model has 'logits' N×10
    """
    out, placement = _outputs("pose", model, picture, preprocess, size)
    heat = out["heatmap"]
    n, h, w = heat.shape
    rows, columns = np.indices((h, w))

    def best(heat: np.ndarray, y: float, x: float) -> list[int]:
        """The cell with the most heat, weighted by its distance from y, x."""
        near = heat / (1.8 + np.hypot(rows - y, columns - x))
        return [int(i) for i in np.unravel_index(near.argmax(), near.shape)]

    # the person's centre gives a rough place for each keypoint, the heatmap its cell, the offsets a fraction of a cell
    y, x = best(out["center"][0], h / 2, w / 2)
    rough = out["regress"].reshape(n, 2, h, w)[..., y, x] + (y, x)
    places = np.array([best(*each) for each in zip(heat, *rough.T, strict=True)])
    at = np.arange(n), *places.T
    yx = places + np.moveaxis(out["offset"].reshape(n, 2, h, w), 1, -1)[at]
    points = placement.back((yx * np.divide(placement.canvas, (h, w)))[:, ::-1])
    return Pose(points, heat[at], threshold)


def embed(
    model: Model, picture: np.ndarray, preprocess: str | None = None, size: int | Sequence[int] | None = None
) -> Embedding:
    """The vector that stands for a picture; `cosine` and `nearest` compare such vectors.

    Parameters
    ----------
    model : Model
        A network with one output N×d.
    picture : numpy.ndarray
        uint8, H×W×3. The network is given its middle.
    preprocess, size
        As in `fastconv.vision.preprocess`; default: `guess_preprocess`.

    Returns
    -------
    Embedding
        The vector of d numbers.

    Raises
    ------
    FastconvError
        If Pillow is missing.
    InputError
        If an argument or the network does not fit.

    Examples
    --------
    >>> import fastconv, numpy as np
    >>> model = fastconv.load(fastconv.data.DIGITS)
    >>> fastconv.vision.embed(model, np.zeros((20, 30, 3), np.uint8)).vector.shape
    (10,)
    """
    out, _ = _outputs("embed", model, picture, preprocess, size)
    (vector,) = out.values()
    return Embedding(vector)


#: every task by the name of its function
TASKS = {
    "classify": Task(classify, {None: ("N", "classes")}, "crop"),
    "detect": Task(detect, {"heatmap": ("N", "classes", "h", "w"), "wh": ("N", 4, "h", "w")}, "letterbox", "CenterNet", "raw"),
    "segment": Task(segment, {None: ("N", 1, "h", "w")}, "stretch"),
    "pose": Task(
        pose,
        {
            "heatmap": ("N", 17, "h", "w"), "center": ("N", 1, "h", "w"),
            "regress": ("N", 34, "h", "w"), "offset": ("N", 34, "h", "w"),
        },
        "letterbox",
        "MoveNet",
        "-1..1",
    ),
    "embed": Task(embed, {None: ("N", "d")}, "crop"),
}  # fmt: skip

__all__ = [
    "TASKS", "Answer", "Classification", "Detections", "Embedding", "Guess", "Pose", "Segmentation", "Task",
    "classify", "detect", "embed", "guess_preprocess", "labels_of", "pose", "possible_tasks", "preprocess", "segment",
]  # fmt: skip
