"""Pictures on the page: small JPEG files as data: URIs. The maps of layers are made a few layers at a time."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from ..model import Model
from ..summary import Layer
from ..vision.pictures import pillow
from ..viz.layers import results
from ..viz.maps import grid, strongest
from .document import Picture

if TYPE_CHECKING:
    from ..model import Inputs

#: the longest side of a picture, in pixels, and the quality of its JPEG file
LONGEST, QUALITY = 384, 65
#: the channels that a layer's maps show, and how many stand in a row
CHANNELS, COLUMNS = 12, 6
#: the bytes that all maps on a page may take: the layers after that have none
MOST_BYTES = 2_250_000
#: the bytes of activations that are held at once
HELD = 64 << 20


def page_picture(picture: np.ndarray, text: str) -> Picture:
    """A picture, H×W×3 uint8, as JPEG with sides of at most LONGEST; small ones are magnified by a whole number."""
    times = max(1, LONGEST // 2 // max(picture.shape))
    image = pillow().fromarray(picture.repeat(times, axis=0).repeat(times, axis=1))
    image.thumbnail((LONGEST, LONGEST))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY)
    source = f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
    return Picture(source, image.width, image.height, text)


def layer_maps(model: Model, inputs: Inputs, layers: Iterable[Layer]) -> dict[str, Picture]:
    """The maps of each layer's strongest channels, for the first image, by the layer's name: of layers that give N×C×H×W."""
    values = results(model)
    mapped = [x for x in layers if x.op != "reorder" and x.name in values and len(x.output or ()) == 4]
    pictures: dict[str, Picture] = {}
    left = MOST_BYTES
    for group in _groups(mapped):
        arrays = model.run(inputs, [values[x.name] for x in group])
        for x in group:
            array = arrays[values[x.name]]
            if array.dtype.kind not in "fiub" or not array.size or 1 in array.shape[2:]:
                continue
            picture = _maps(array[0])
            left -= len(picture.source)
            if left < 0:
                return pictures
            pictures[x.name] = picture
    return pictures


def _maps(activation: np.ndarray) -> Picture:
    channels = len(activation)
    shown = min(channels, CHANNELS)
    text = f"the {shown} strongest of {channels} channels" if shown < channels else "all channels"
    return page_picture(grid(activation, COLUMNS, strongest(activation, CHANNELS)), text)


def _groups(layers: Iterable[Layer]) -> Iterator[list[Layer]]:
    """Neighbouring layers whose activations can be held at once."""
    group: list[Layer] = []
    held = 0
    for x in layers:
        size = x.activation_bytes or 0
        if group and held + size > HELD:
            yield group
            group, held = [], 0
        group.append(x)
        held += size
    if group:
        yield group


__all__ = ["CHANNELS", "LONGEST", "MOST_BYTES", "layer_maps", "page_picture"]
