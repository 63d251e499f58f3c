"""A network's input from a picture: fitted to the input's size, layout and dtype, its pixels in the range of its training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np

from ..errors import InputError, did_you_mean
from ..graph import shape_text
from ..pixels import PIXELS, Pixels
from ..tensor_info import TensorInfo
from ._check import as_picture, as_size
from .pictures import Placement, letterbox, middle, resize, to_nchw

Fit = Literal["crop", "letterbox", "stretch"]
#: the size of a crop for an input of open sizes, and what the sides of other pictures are rounded to
CROP, MULTIPLE = 224, 32


def picture_input(inputs: Sequence[TensorInfo]) -> TensorInfo:
    """The only input of a network, which takes pictures.

    Parameters
    ----------
    inputs : sequence of TensorInfo
        The inputs, as `model.inputs`.

    Returns
    -------
    TensorInfo
        The input.

    Raises
    ------
    InputError
        If there are several inputs, or the only one takes no pictures.

    Examples
    --------
    >>> import fastconv
    >>> print(fastconv.vision.picture_input(fastconv.load(fastconv.data.DIGITS).inputs))
    image N×1×8×8 float32
    """
    if len(inputs) != 1:
        raise InputError(f"a network that takes pictures has one input; the model has {', '.join(map(str, inputs)) or 'none'}")
    _layout(inputs[0])
    return inputs[0]


def fit(
    picture: np.ndarray,
    model_input: TensorInfo,
    how: str = "imagenet",
    by: Fit = "crop",
    size: int | Sequence[int] | None = None,
) -> tuple[np.ndarray, Placement]:
    """A picture in the size that an input takes.

    Parameters
    ----------
    picture : numpy.ndarray
        uint8, H×W×3.
    model_input : TensorInfo
        The input, as in `model.inputs`.
    how : str
        As in `preprocess`. With "imagenet" and "caffe", a crop has a margin: 7/8 of the shorter side are seen.
    by : {"crop", "letterbox", "stretch"}
        "crop" takes the middle, "letterbox" the whole picture with borders, "stretch" the whole picture, perhaps distorted.
    size : int or sequence of int, optional
        (height, width) for an input of open sizes; default: 224 for a crop, else the picture's in multiples of 32.

    Returns
    -------
    tuple of numpy.ndarray and Placement
        The canvas, uint8, height×width×3, and the way back to the picture.

    Raises
    ------
    FastconvError
        If Pillow is missing.
    InputError
        If an argument does not fit, or the input takes no pictures.

    Examples
    --------
    >>> import fastconv, numpy as np
    >>> (image,) = fastconv.load(fastconv.data.DIGITS).inputs
    >>> canvas, placement = fastconv.vision.fit(np.zeros((10, 20, 3), np.uint8), image, "0..1")
    >>> canvas.shape, placement.inside
    ((8, 8, 3), (-4, 0, 12, 8))
    """
    pixels, (height, width) = pixels_of(how), as_picture("picture", picture).shape[:2]
    H, W = _size(model_input, (height, width), by, size)
    if by == "letterbox":
        return letterbox(picture, (H, W))
    if by == "stretch":
        return resize(picture, (H, W)), Placement(height, width, (0, 0, W, H), (H, W))
    factor = max(H / height, W / width) / (0.875 if pixels.margin else 1)
    return middle(picture, (round(height * factor), round(width * factor)), (H, W))


def preprocess(
    picture: np.ndarray,
    model_input: TensorInfo,
    how: str = "imagenet",
    by: Fit = "crop",
    size: int | Sequence[int] | None = None,
) -> np.ndarray:
    """A network's input from a picture.

    Parameters
    ----------
    picture : numpy.ndarray
        uint8, H×W×3.
    model_input : TensorInfo
        The input, as in `model.inputs`: N×C×H×W or N×H×W×C with 3 channels, or 1 for a grey picture.
    how : {"imagenet", "caffe", "0..1", "-1..1", "raw"}
        The range of the pixels: "imagenet" by the mean and deviation of its pixels, "caffe" as B G R of 0..255 less 104, 117,
        123, "raw" as R G B of 0..255. `guess_preprocess` guesses it.
    by, size
        As in `fit`.

    Returns
    -------
    numpy.ndarray
        One picture, of the input's dtype.

    Raises
    ------
    FastconvError
        If Pillow is missing.
    InputError
        If an argument does not fit, or the input takes no pictures.

    Examples
    --------
    >>> import fastconv, numpy as np
    >>> model = fastconv.load(fastconv.data.DIGITS)
    >>> x = fastconv.vision.preprocess(np.zeros((10, 20, 3), np.uint8), model.inputs[0], "0..1")
    >>> model(x).shape
    (1, 10)
    """
    return to_input(fit(picture, model_input, how, by, size)[0], model_input, how)


def to_input(canvas: np.ndarray, model_input: TensorInfo, how: str) -> np.ndarray:
    """The input of a picture that has its size already."""
    pixels, (channels, last) = pixels_of(how), _layout(model_input)
    if model_input.dtype.kind != "f" and how != "raw":
        raise InputError(f"input {model_input.name!r} is {model_input.dtype}: expected preprocess 'raw', got {how!r}")
    if channels == 1:
        grey = np.rint(canvas @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)  # as Pillow's "L"
        canvas = np.stack([grey] * 3, axis=-1)
    x = to_nchw(canvas[..., ::-1] if pixels.bgr else canvas, pixels.mean, pixels.std, pixels.scale)[:, :channels]
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1) if last else x, model_input.dtype)


def pixels_of(how: Any) -> Pixels:
    """What `how` names; InputError for an unknown name."""
    if how not in PIXELS:
        raise InputError(f"preprocess: expected one of {', '.join(map(repr, PIXELS))}, got {how!r}{did_you_mean(how, PIXELS)}")
    return PIXELS[how]


def _layout(info: TensorInfo) -> tuple[int, bool]:
    """The number of channels of an input that takes pictures, and whether they come last."""
    holds = info.dtype.kind == "f" or (info.dtype.kind in "iu" and np.iinfo(info.dtype).max >= 255)
    if holds and info.shape is not None and len(info.shape) == 4:
        for axis in (1, 3):
            if (channels := info.shape[axis]) == 1 or channels == 3:
                return channels, axis == 3
    raise InputError(f"input {info.name!r} takes no picture: expected N×3×H×W, or N×H×W×3, or 1 channel for grey, got {info}")


def _size(info: TensorInfo, picture: tuple[int, int], by: Fit, size: int | Sequence[int] | None) -> tuple[int, int]:
    """(height, width) of the input for a picture of this size."""
    if by not in get_args(Fit):
        raise InputError(f"by: expected one of {', '.join(map(repr, get_args(Fit)))}, got {by!r}")
    _, last = _layout(info)
    declared = (info.shape or ())[1:3] if last else (info.shape or ())[2:]
    if size is not None:
        chosen = as_size("size", size)
        if any(isinstance(d, int) and d != n for d, n in zip(declared, chosen, strict=True)):
            raise InputError(f"size: input {info.name!r} takes {shape_text(info.shape)}, got {shape_text(chosen)}")
    elif by == "crop":
        chosen = CROP, CROP
    else:
        chosen = max(1, round(picture[0] / MULTIPLE)) * MULTIPLE, max(1, round(picture[1] / MULTIPLE)) * MULTIPLE
    h, w = (d if isinstance(d, int) else n for d, n in zip(declared, chosen, strict=True))
    return h, w


__all__ = ["Fit", "fit", "picture_input", "pixels_of", "preprocess", "to_input"]
