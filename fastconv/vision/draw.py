"""Drawing results on pictures. Each function returns a new picture; lines and letters scale with its size."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ._check import as_count, as_numbers, as_picture, as_size, kind
from .pictures import letterbox, pillow

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Colour = tuple[int, int, int]
BLACK, WHITE = (0, 0, 0), (255, 255, 255)
#: pixels up to which a picture is magnified while it is drawn on
SMALL = 1_500_000


def colour(i: int) -> Colour:
    """A colour for a class: by the golden angle around the wheel of hues, so that neighbours differ well.

    Parameters
    ----------
    i : int
        The class.

    Returns
    -------
    tuple of int
        R, G, B of 0..255.

    Examples
    --------
    >>> from fastconv import vision
    >>> vision.colour(0)
    (40, 242, 36)
    """
    r, g, b = colorsys.hsv_to_rgb((0.33 + i * 0.618034) % 1, 0.85, 0.95)
    return round(255 * r), round(255 * g), round(255 * b)


class Sheet:
    """A picture to draw on, in its own coordinates. It is magnified meanwhile, so that slanted lines come out smooth.

    Each pixel becomes a square of pixels, and the squares are averaged at the end: pixels that are not drawn over stay.
    """

    def __init__(self, picture: np.ndarray, letter: float | None = None):
        Image = pillow()
        from PIL import ImageDraw, ImageFont

        h, w = picture.shape[:2]
        self.zoom: int = 3 if h * w <= SMALL else 1
        self.image = Image.fromarray(picture).resize((w * self.zoom, h * self.zoom), Image.Resampling.NEAREST)
        self.pen = ImageDraw.Draw(self.image)
        self.thick: float = max(1.0, min(h, w) / 200)
        self.letter: float = letter or max(12.0, min(h, w) / 30)
        self.font = ImageFont.load_default(self.letter * self.zoom)

    def picture(self) -> np.ndarray:
        """The drawing, in the size of the picture."""
        return np.array(self.image.reduce(self.zoom))

    def _at(self, *xy: float) -> tuple[float, ...]:
        return tuple(v * self.zoom for v in xy)

    def rectangle(self, box: Sequence[float], fill: Colour) -> None:
        """A filled rectangle from edge to edge: x1, y1, x2, y2."""
        x1, y1, x2, y2 = (round(v * self.zoom) for v in box)
        if x2 > x1 and y2 > y1:
            self.pen.rectangle((x1, y1, x2 - 1, y2 - 1), fill)  # Pillow's right and lower edges are inside

    def frame(self, box: Sequence[float], fill: Colour) -> None:
        """The outline of a rectangle, drawn inwards."""
        x1, y1, x2, y2 = box
        t = self.thick
        for side in ((x1, y1, x2, y1 + t), (x1, y2 - t, x2, y2), (x1, y1, x1 + t, y2), (x2 - t, y1, x2, y2)):
            self.rectangle(side, fill)

    def line(self, a: Sequence[float], b: Sequence[float], fill: Colour) -> None:
        """A line of the sheet's thickness."""
        self.pen.line(self._at(*a, *b), fill, round(1.5 * self.thick * self.zoom))

    def dot(self, at: Sequence[float], fill: Colour) -> None:
        """A dot with a dark rim, to be seen on any ground."""
        x, y = at
        for radius, paint in ((2.0 * self.thick, BLACK), (1.5 * self.thick, fill)):
            self.pen.ellipse(self._at(x - radius, y - radius, x + radius, y + radius), paint)

    def width(self, text: str) -> float:
        """The width of a text in pixels."""
        return self.font.getlength(text) / self.zoom

    def text(self, x: float, y: float, text: str, fill: Colour = BLACK) -> None:
        """Text with its middle at the height y, beginning at x."""
        self.pen.text((x * self.zoom, y * self.zoom), text, fill, self.font, anchor="lm")

    def fitted(self, text: str, width: float) -> str:
        """The text, cut to fit the width."""
        if self.width(text) <= width:
            return text
        while text and self.width(text + "…") > width:
            text = text[:-1]
        return text + "…"


def _ink(ground: Colour) -> Colour:
    """Black or white, whichever reads better on the ground."""
    return BLACK if 0.299 * ground[0] + 0.587 * ground[1] + 0.114 * ground[2] > 110 else WHITE


def draw_boxes(
    picture: np.ndarray, boxes: ArrayLike, labels: Sequence[str] | None = None, classes: ArrayLike | None = None
) -> np.ndarray:
    """Boxes with their labels.

    Parameters
    ----------
    picture : numpy.ndarray
        uint8, H×W×3.
    boxes : array_like
        n×4: x1, y1, x2, y2 in pixels.
    labels : sequence of str, optional
        n texts.
    classes : array_like, optional
        n ints: boxes of one class have one colour; default: each its own.

    Returns
    -------
    numpy.ndarray
        A new picture, uint8, H×W×3.

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
    >>> picture = np.full((60, 80, 3), 128, np.uint8)
    >>> vision.draw_boxes(picture, [[10, 10, 40, 40]], ["cat 98%"]).shape
    (60, 80, 3)
    """
    sheet = Sheet(as_picture("picture", picture))
    h, w = picture.shape[:2]
    array = as_numbers("boxes", boxes, "n", 4)
    numbers = np.arange(len(array)) if classes is None else np.asarray(classes)
    if numbers.shape != (len(array),) or (array.size and numbers.dtype.kind not in "iu"):
        raise InputError(f"classes: expected {len(array)} whole numbers, one for each box, got {kind(classes)}")
    texts = [""] * len(array) if labels is None else [str(text) for text in labels]
    if len(texts) != len(array):
        raise InputError(f"labels: expected {len(array)}, one for each box, got {len(texts)}")
    inside = np.clip(array, 0, (w, h, w, h)).tolist()
    paints = [colour(int(i)) for i in numbers]
    for box, paint in zip(inside[::-1], paints[::-1], strict=True):  # the first, mostly the best, on top
        sheet.frame(box, paint)
    taken: list[tuple[float, float, float, float]] = []
    for (x1, y1, _, _), paint, text in zip(inside, paints, texts, strict=True):
        if text:
            taken.append(_tag(sheet, x1, y1, text, paint, taken, (h, w)))
    return sheet.picture()


def _tag(
    sheet: Sheet, x: float, y: float, text: str, paint: Colour, taken: Sequence[tuple[float, ...]], size: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Draw a label above the corner x, y or, if there is no room, in the next free place below; returns its box."""
    h, w = size
    margin, tall = 0.3 * sheet.letter, 1.4 * sheet.letter
    text = sheet.fitted(text, w - 2 * margin)
    wide = sheet.width(text) + 2 * margin
    x = max(0, min(x, w - wide))
    start = y - tall if y >= tall else y
    below = [start + i * tall for i in range(int((h - start) / tall))]
    free = (t for t in below if not any(x < x2 and x1 < x + wide and t < y2 and y1 < t + tall for x1, y1, x2, y2 in taken))
    top = next(free, start)
    sheet.rectangle((x, top, x + wide, top + tall), paint)
    sheet.text(x + margin, top + tall / 2, text, _ink(paint))
    return x, top, x + wide, top + tall


def draw_keypoints(
    picture: np.ndarray,
    points: ArrayLike,
    skeleton: Sequence[tuple[int, int]] = (),
    scores: ArrayLike | None = None,
    threshold: float = 0.0,
) -> np.ndarray:
    """Keypoints, joined by lines.

    Parameters
    ----------
    picture : numpy.ndarray
        uint8, H×W×3.
    points : array_like
        n×2: x, y in pixels.
    skeleton : sequence of tuple of int
        The pairs to join, as `COCO_SKELETON`.
    scores : array_like, optional
        n.
    threshold : float
        Points that score less are left out.

    Returns
    -------
    numpy.ndarray
        A new picture, uint8, H×W×3.

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
    >>> picture = np.full((60, 80, 3), 128, np.uint8)
    >>> vision.draw_keypoints(picture, [[10, 10], [40, 40]], skeleton=[(0, 1)]).shape
    (60, 80, 3)
    """
    sheet = Sheet(as_picture("picture", picture))
    xy = as_numbers("points", points, "n", 2)
    seen = np.ones(len(xy), bool) if scores is None else as_numbers("scores", scores, len(xy)) >= threshold
    if any(not 0 <= i < len(xy) for pair in skeleton for i in pair):
        raise InputError(f"skeleton: expected pairs of 0 to {len(xy) - 1}, got {kind(skeleton)}")
    h, w = picture.shape[:2]
    places = np.clip(xy, (-w, -h), (2 * w, 2 * h)).tolist()  # far outside is outside, and Pillow's numbers are small
    for a, b in skeleton:
        if seen[a] and seen[b]:
            sheet.line(places[a], places[b], colour(b))
    for i, place in enumerate(places):
        if seen[i]:
            sheet.dot(place, colour(i))
    return sheet.picture()


def _mask(picture: np.ndarray, mask: Any) -> np.ndarray:
    """H×W×1 of 0..1 for a picture of H×W."""
    clipped: np.ndarray = np.clip(as_numbers("mask", mask, *as_picture("picture", picture).shape[:2]), 0, 1)
    return clipped[..., None]


def _blend(ground: Any, over: Any, share: np.ndarray) -> np.ndarray:
    blended: np.ndarray = np.rint(ground * (1 - share) + np.asarray(over, np.float64) * share)
    return blended.astype(np.uint8)


def draw_mask(picture: np.ndarray, mask: ArrayLike, fill: Colour = (255, 40, 90), opacity: float = 0.5) -> np.ndarray:
    """A mask laid over the picture in a colour.

    Parameters
    ----------
    picture : numpy.ndarray
        uint8, H×W×3.
    mask : array_like
        H×W: bool, or shares of 0 to 1.
    fill : tuple of int
        R, G, B of 0..255.
    opacity : float
        How much of the colour, from 0 to 1.

    Returns
    -------
    numpy.ndarray
        A new picture, uint8, H×W×3.

    Raises
    ------
    InputError
        If an argument does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import vision
    >>> picture = np.full((60, 80, 3), 128, np.uint8)
    >>> vision.draw_mask(picture, np.eye(60, 80), fill=(255, 0, 0))[0, 0]
    array([192,  64,  64], dtype=uint8)
    """
    return _blend(picture, fill, opacity * _mask(picture, mask))


def cut_out(picture: np.ndarray, mask: ArrayLike, background: Colour | np.ndarray = WHITE) -> np.ndarray:
    """The part of a picture that a mask covers, on another background.

    Parameters
    ----------
    picture : numpy.ndarray
        uint8, H×W×3.
    mask : array_like
        H×W: bool, or shares of 0 to 1.
    background : tuple of int or numpy.ndarray
        A colour, or a picture of the same size.

    Returns
    -------
    numpy.ndarray
        A new picture, uint8, H×W×3.

    Raises
    ------
    InputError
        If an argument does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import vision
    >>> picture = np.full((60, 80, 3), 128, np.uint8)
    >>> vision.cut_out(picture, np.eye(60, 80))[0, :2].tolist()
    [[128, 128, 128], [255, 255, 255]]
    """
    if (
        isinstance(background, np.ndarray)
        and as_picture("background", background).shape != as_picture("picture", picture).shape
    ):
        raise InputError(f"background: expected a colour or a picture like the other, got {kind(background)}")
    return _blend(background, picture, _mask(picture, mask))


def draw_scores(picture: np.ndarray, labels: Sequence[str], scores: ArrayLike) -> np.ndarray:
    """The picture with a bar below for each label.

    Parameters
    ----------
    picture : numpy.ndarray
        uint8, H×W×3.
    labels : sequence of str
        n texts.
    scores : array_like
        n shares of 0 to 1, which become percentages.

    Returns
    -------
    numpy.ndarray
        A new picture, uint8, as wide and higher.

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
    >>> picture = np.full((60, 80, 3), 128, np.uint8)
    >>> vision.draw_scores(picture, ["cat", "dog"], [0.9, 0.1]).shape
    (98, 80, 3)
    """
    h, w = as_picture("picture", picture).shape[:2]
    values = as_numbers("scores", scores, len(labels)).tolist()
    letter = max(12.0, w / 28)
    tall = round(1.6 * letter)
    sheet = Sheet(np.concatenate([picture, np.full((tall * len(labels), w, 3), 255, np.uint8)]), letter)
    margin = 0.4 * letter
    for i, (label, value) in enumerate(zip(labels, values, strict=True)):
        top = h + i * tall
        sheet.rectangle((0, top + 1, w * min(max(value, 0.0), 1.0), top + tall - 1), (150, 215, 160))
        percent = f"{value:.1%}"
        sheet.text(w - margin - sheet.width(percent), top + tall / 2, percent)
        sheet.text(margin, top + tall / 2, sheet.fitted(str(label), w - 4 * margin - sheet.width(percent)))
    return sheet.picture()


def tiles(
    pictures: Sequence[np.ndarray], captions: Sequence[str] | None = None, columns: int = 5, size: int | tuple[int, int] = 200
) -> np.ndarray:
    """One picture of many, row by row.

    Parameters
    ----------
    pictures : sequence of numpy.ndarray
        uint8, H×W×3, of any sizes.
    captions : sequence of str, optional
        A text below each.
    columns : int
        How many in a row.
    size : int or tuple of int
        What each is made to fit: (height, width), or an int for both.

    Returns
    -------
    numpy.ndarray
        uint8, H×W×3.

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
    >>> picture = np.full((60, 80, 3), 128, np.uint8)
    >>> vision.tiles([picture] * 6, columns=3, size=(60, 80)).shape
    (126, 248, 3)
    """
    h, w = as_size("size", size)
    columns = as_count("columns", columns)
    texts = [""] * len(pictures) if captions is None else [str(text) for text in captions]
    if len(texts) != len(pictures) or not texts:
        raise InputError(f"captions: expected one for each of {len(pictures)} pictures (at least one), got {len(texts)}")
    gap, letter = max(2, w // 40), max(12.0, w / 14)
    line = round(1.5 * letter) if any(texts) else 0
    rows, columns = -(-len(texts) // columns), min(columns, len(texts))
    ground = np.full((rows * (h + line + gap) + gap, columns * (w + gap) + gap, 3), 255, np.uint8)
    corners = [(gap + i // columns * (h + line + gap), gap + i % columns * (w + gap)) for i in range(len(texts))]
    for picture, (y, x) in zip(pictures, corners, strict=True):
        ground[y : y + h, x : x + w] = letterbox(picture, (h, w), fill=255)[0]
    sheet = Sheet(ground, letter)
    for text, (y, x) in zip(texts, corners, strict=True):
        text = sheet.fitted(text, w)
        sheet.text(x + (w - sheet.width(text)) / 2, y + h + line / 2, text)
    return sheet.picture()
