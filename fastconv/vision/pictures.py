"""Reading, writing and resizing pictures, and making network inputs of them. A picture is uint8, H×W×3, RGB.

Coordinates are x, y in pixels from the left upper corner: the first pixel reaches from 0 to 1, its middle is at 0.5.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import IO, TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from ..errors import FastconvError, InputError
from ..file_kinds import regular
from ..graph import shape_text
from ._check import as_numbers, as_picture, as_size, kind

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Method = Literal["nearest", "bilinear", "bicubic", "lanczos"]


def pillow() -> ModuleType:
    """Pillow's Image module, imported when it is needed."""
    try:
        from PIL import Image
    except ImportError:
        raise FastconvError("pictures need the Pillow package: pip install 'fastconv[vision]'") from None
    return Image


def read(file: str | os.PathLike[str] | IO[bytes]) -> np.ndarray:
    """The picture in a file of any format that Pillow reads.

    It is turned upright by the camera's orientation tag; grey becomes RGB, and transparent areas white.

    Parameters
    ----------
    file : str, os.PathLike or binary file
        The file; or one that is open, such as an upload or `io.BytesIO`.

    Returns
    -------
    numpy.ndarray
        uint8, H×W×3.

    Raises
    ------
    FastconvError
        If Pillow is missing.
    InputError
        If the file is no picture.
    OSError
        If the file cannot be opened.

    Examples
    --------
    >>> import numpy as np, os, tempfile
    >>> from fastconv import vision
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "red.png")
    ...     vision.write(path, np.full((2, 3, 3), (255, 0, 0), np.uint8))
    ...     vision.read(path).shape
    (2, 3, 3)
    """
    pillow()
    if isinstance(file, str | os.PathLike):
        with open(file, "rb", opener=regular) as opened:
            return _decode(opened, os.fspath(file))
    return _decode(file, "the file")


def _decode(file: IO[bytes], name: str) -> np.ndarray:
    """The picture in an open file, which errors call `name`."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        image = ImageOps.exif_transpose(Image.open(file))
        if image.mode[0] in "IF":  # 16 or 32 bits: their white is not known
            raise ValueError(f"its pixels are of the kind {image.mode}, not of 8 bits")
        if image.has_transparency_data:
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
        return np.array(image.convert("RGB"))
    except UnidentifiedImageError:
        raise InputError(f"{name}: not a picture that can be read: its format is unknown") from None
    except Exception as e:  # damaged files make Pillow's readers raise errors of every kind
        raise InputError(f"{name}: not a picture that can be read: {e}") from None


def write(path: str | os.PathLike[str], picture: np.ndarray) -> None:
    """Write a picture to a file, in the format that its name ends in: .png, .jpg and so on.

    Parameters
    ----------
    path : str or os.PathLike
        The file.
    picture : numpy.ndarray
        uint8, H×W×3.

    Raises
    ------
    FastconvError
        If Pillow is missing.
    InputError
        If the array is no picture, or the suffix is unknown.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import numpy as np, os, tempfile
    >>> from fastconv import vision
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     vision.write(os.path.join(folder, "black.png"), np.zeros((2, 3, 3), np.uint8))
    """
    image = pillow().fromarray(as_picture("picture", picture))
    try:
        image.save(path)
    except ValueError:
        ending = os.path.splitext(path)[1]
        raise InputError(f"{os.fspath(path)}: unknown file extension {ending!r}: name it .png or .jpg") from None


def resize(array: np.ndarray, size: int | tuple[int, int], method: Method = "bilinear") -> np.ndarray:
    """A picture or map in another size.

    When shrinking, all methods but "nearest" average over the pixels that a new one covers.

    Parameters
    ----------
    array : numpy.ndarray
        H×W or H×W×C, uint8 or float32.
    size : int or tuple of int
        (height, width), or an int for both.
    method : {"nearest", "bilinear", "bicubic", "lanczos"}
        How to interpolate.

    Returns
    -------
    numpy.ndarray
        Of this size and the same dtype.

    Raises
    ------
    FastconvError
        If Pillow is missing.
    InputError
        If an argument does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import vision
    >>> vision.resize(np.float32([[0, 2], [4, 6]]), 1)
    array([[3.]], dtype=float32)
    """
    return _resample(array, as_size("size", size), method)


def _resample(
    array: np.ndarray, size: tuple[int, int], method: Method = "bilinear", box: Sequence[float] | None = None
) -> np.ndarray:
    """`resize` of the part `box` (x1, y1, x2, y2, which may fall between pixels) of the array."""
    Image = pillow()
    if method not in (methods := get_args(Method)):
        raise InputError(f"method: expected one of {', '.join(map(repr, methods))}, got {method!r}")
    if (
        not isinstance(array, np.ndarray)
        or array.dtype not in (np.uint8, np.float32)
        or array.ndim not in (2, 3)
        or not array.size
    ):
        raise InputError(f"array: expected uint8 or float32, H×W or H×W×C, not empty, got {kind(array)}")
    planes = array[..., None] if array.ndim == 2 else array
    how = getattr(Image.Resampling, method.upper())
    done = [Image.fromarray(np.ascontiguousarray(p)).resize(size[::-1], how, box) for p in np.moveaxis(planes, -1, 0)]
    return np.stack(done, axis=-1).reshape(*size, *array.shape[2:])


def crop(picture: np.ndarray, size: int | tuple[int, int], short: int | None = None) -> np.ndarray:
    """The middle of a picture. Networks for ImageNet are mostly given `crop(picture, 224, short=256)`.

    Parameters
    ----------
    picture : numpy.ndarray
        uint8, H×W×3.
    size : int or tuple of int
        The size of the crop: (height, width), or an int for both.
    short : int, optional
        The length that the shorter side is resized to first; default: the least that `size` fits in.

    Returns
    -------
    numpy.ndarray
        uint8, height×width×3.

    Raises
    ------
    FastconvError
        If Pillow is missing.
    InputError
        If an argument does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import vision
    >>> vision.crop(np.zeros((480, 640, 3), np.uint8), 224, short=256).shape
    (224, 224, 3)
    """
    height, width = as_picture("picture", picture).shape[:2]
    h, w = as_size("size", size)
    factor = max(h / height, w / width) if short is None else as_size("short", short)[0] / min(height, width)
    new = round(height * factor), round(width * factor)
    if new[0] < h or new[1] < w:
        raise InputError(f"short: {short} pixels leave {new[0]}×{new[1]}, too small to cut {h}×{w} out of it")
    return middle(picture, new, (h, w))[0]


def middle(picture: np.ndarray, whole: tuple[int, int], size: tuple[int, int]) -> tuple[np.ndarray, Placement]:
    """The middle of a picture resized to `whole`, and the way back."""
    (height, width), (H, W), (h, w) = picture.shape[:2], whole, size
    top, left = (H - h) // 2, (W - w) // 2
    canvas = resize(picture, whole)[top : top + h, left : left + w]
    return canvas, Placement(height, width, (-left, -top, W - left, H - top), size)


@dataclass(frozen=True)
class Placement:
    """The place of a picture on the canvas of `letterbox` or `fit`.

    Parameters
    ----------
    height, width : int
        The picture's size.
    inside : tuple of int
        The rectangle that it fills, in the canvas's pixels: x1, y1, x2, y2. That of a crop is larger than the canvas.
    canvas : tuple of int
        The canvas's size: (height, width).

    Examples
    --------
    >>> from fastconv import vision
    >>> placement = vision.Placement(100, 200, (0, 25, 100, 75), (100, 100))
    >>> placement.forth([200, 100])
    array([100.,  75.])
    """

    height: int
    width: int
    inside: tuple[int, int, int, int]
    canvas: tuple[int, int]

    @property
    def _scale(self) -> tuple[float, float]:
        x1, y1, x2, y2 = self.inside
        return (x2 - x1) / self.width, (y2 - y1) / self.height

    def forth(self, points: ArrayLike) -> np.ndarray:
        """x, y of the picture as x, y of the canvas.

        Parameters
        ----------
        points : array_like
            Any array with x and y in turn along its last axis, so boxes too.

        Returns
        -------
        numpy.ndarray
            Of the same shape.

        Raises
        ------
        InputError
            If an argument does not fit.

        Examples
        --------
        >>> from fastconv import vision
        >>> placement = vision.Placement(100, 200, (0, 25, 100, 75), (100, 100))
        >>> placement.forth([0, 0, 200, 100])
        array([  0.,  25., 100.,  75.])
        """
        xy = as_numbers("points", points, "...", "xy")
        return (_pairs(xy) * self._scale + self.inside[:2]).reshape(xy.shape)

    def back(self, points: ArrayLike) -> np.ndarray:
        """x, y of the canvas as x, y of the picture, the inverse of `forth`; they may lie outside of it.

        Parameters
        ----------
        points : array_like
            Any array with x and y in turn along its last axis, so boxes too.

        Returns
        -------
        numpy.ndarray
            Of the same shape.

        Raises
        ------
        InputError
            If an argument does not fit.

        Examples
        --------
        >>> from fastconv import vision
        >>> placement = vision.Placement(100, 200, (0, 25, 100, 75), (100, 100))
        >>> placement.back([50, 0])
        array([100., -50.])
        """
        xy = as_numbers("points", points, "...", "xy")
        points_back: np.ndarray = (_pairs(xy) - self.inside[:2]) / self._scale
        return points_back.reshape(xy.shape)

    def back_map(self, values: np.ndarray, method: Method = "bilinear") -> np.ndarray:
        """A map over the canvas as one over the picture.

        Parameters
        ----------
        values : numpy.ndarray
            h×w of any resolution, uint8 or float32.
        method : {"nearest", "bilinear", "bicubic", "lanczos"}
            How to interpolate.

        Returns
        -------
        numpy.ndarray
            height×width of the picture, of the same dtype; 0 where a crop has left the picture out.

        Raises
        ------
        FastconvError
            If Pillow is missing.
        InputError
            If an argument does not fit.

        Examples
        --------
        >>> import numpy as np
        >>> from fastconv import vision
        >>> placement = vision.Placement(100, 200, (0, 25, 100, 75), (100, 100))
        >>> placement.back_map(np.zeros((32, 32), np.float32)).shape
        (100, 200)
        """
        if not isinstance(values, np.ndarray) or values.ndim != 2:
            raise InputError(f"values: expected a map of h×w, got {kind(values)}")
        sy, sx = (n / m for n, m in zip(values.shape, self.canvas, strict=True))
        x1, y1, x2, y2 = seen = np.clip(self.inside, 0, [*self.canvas[::-1]] * 2).tolist()
        left, top, right, bottom = np.rint(self.back(seen)).astype(int).tolist()
        whole = np.zeros((self.height, self.width), values.dtype)
        whole[top:bottom, left:right] = _resample(
            values, (bottom - top, right - left), method, (x1 * sx, y1 * sy, x2 * sx, y2 * sy)
        )
        return whole


def _pairs(xy: np.ndarray) -> np.ndarray:
    if xy.shape[-1] % 2:
        raise InputError(f"points: expected x and y in turn along the last axis, got {kind(xy)}")
    return xy.reshape(*xy.shape[:-1], xy.shape[-1] // 2, 2)


def letterbox(picture: np.ndarray, size: int | tuple[int, int], fill: int = 0) -> tuple[np.ndarray, Placement]:
    """The whole picture, as large as it fits in the middle of a canvas.

    Parameters
    ----------
    picture : numpy.ndarray
        uint8, H×W×3.
    size : int or tuple of int
        The canvas: (height, width), or an int for both.
    fill : int
        The grey of the border, 0 to 255.

    Returns
    -------
    tuple of numpy.ndarray and Placement
        The canvas, and the way back to the picture.

    Raises
    ------
    FastconvError
        If Pillow is missing.
    InputError
        If an argument does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import vision
    >>> canvas, placement = vision.letterbox(np.full((100, 200, 3), 255, np.uint8), 100)
    >>> canvas.shape, placement.inside
    ((100, 100, 3), (0, 25, 100, 75))
    >>> placement.back([0, 25, 50, 75])
    array([  0.,   0., 100., 100.])
    """
    height, width = as_picture("picture", picture).shape[:2]
    H, W = as_size("size", size)
    if isinstance(fill, bool) or not isinstance(fill, int | np.integer) or not 0 <= fill <= 255:
        raise InputError(f"fill: expected a grey of 0 to 255, got {kind(fill)}")
    scale = min(H / height, W / width)
    h, w = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = (H - h) // 2, (W - w) // 2
    canvas = np.full((H, W, 3), fill, np.uint8)
    canvas[top : top + h, left : left + w] = resize(picture, (h, w))
    return canvas, Placement(height, width, (left, top, left + w, top + h), (H, W))


def to_nchw(
    pictures: np.ndarray | Sequence[np.ndarray],
    mean: float | Sequence[float] = 0.0,
    std: float | Sequence[float] = 1.0,
    scale: float = 1 / 255,
) -> np.ndarray:
    """A network's input from pictures: (pixel · scale − mean) / std.

    Parameters
    ----------
    pictures : numpy.ndarray or sequence of numpy.ndarray
        One picture or several of one size, uint8, H×W×3. For a network that takes B, G, R, give `picture[..., ::-1]`.
    mean, std : float or sequence of float
        One number, or one for each of R, G, B.
    scale : float
        1 for a network that takes pixels of 0..255.

    Returns
    -------
    numpy.ndarray
        float32, N×3×H×W.

    Raises
    ------
    InputError
        If an argument does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import vision
    >>> vision.to_nchw(np.full((1, 1, 3), 255, np.uint8), mean=0.5, std=0.25).ravel()
    array([2., 2., 2.], dtype=float32)
    """
    batch = [pictures] if isinstance(pictures, np.ndarray) and pictures.ndim == 3 else list(pictures)
    if not batch:
        raise InputError("pictures: expected at least one")
    if len(sizes := {as_picture("pictures", p).shape for p in batch}) > 1:
        raise InputError(f"pictures: expected one size, got {' and '.join(map(shape_text, sorted(sizes)))}")
    per_channel = [_per_channel(n, v) for n, v in (("mean", mean), ("std", std), ("scale", scale))]
    if (per_channel[1] == 0).any():
        raise InputError("std: must not be 0")
    x = np.stack(batch).transpose(0, 3, 1, 2).astype(np.float32, order="C")
    m, s, factor = per_channel
    x *= factor
    x -= m
    x /= s
    return x


def _per_channel(name: str, given: Any) -> np.ndarray:
    values = as_numbers(name, np.ravel(given), "C")
    if values.size not in (1, 3):
        raise InputError(f"{name}: expected one number or three, got {kind(given)}")
    return values.astype(np.float32).reshape(-1, 1, 1)
