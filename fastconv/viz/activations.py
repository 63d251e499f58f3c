"""Figures of a network's activations: maps layer by layer, what fires the units of each depth, and the first filters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..errors import InputError
from ..graph import shape_text
from ..inputs import input_arrays
from ..model import Model
from ..ops.conv import Conv
from ..specialise import specialise
from ..vision import colour
from ..vision._check import as_count, as_picture
from .figure import new_figure
from .layers import over_the_depth, results, value_of
from .maps import GAP, colours, mosaic, strongest
from .receptive_field import ReceptiveField, receptive_fields

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..model import Inputs

#: the ends of its rows and of its columns, in pixels
Box = Sequence[tuple[float, float]]
#: inches of a panel, and of a unit's cell in `hierarchy`
PANEL, CELL = 3.4, 1.25
COLUMNS = 4
#: the least distance of units in `hierarchy`, as a share of a map's side
APART = 1 / 8
#: a unit's place is marked in patches of more pixels, by a square of at least this share of the patch
MARKED, MARK = 8, 1 / 8
#: behind the number of a map
GROUND = {"facecolor": "black", "edgecolor": "none", "alpha": 0.5, "pad": 0.8}


class Seen(NamedTuple):
    """A layer with its activation for one picture, C×H×W, and what its units see of that."""

    layer: str
    activation: np.ndarray
    field: ReceptiveField

    @property
    def title(self) -> str:
        """The layer and its shape, and what a unit sees, in two lines."""
        name = self.layer if len(self.layer) <= 32 else f"…{self.layer[-31:]}"
        return f"{name}  {shape_text(self.activation.shape)}\na unit sees {self.field}"

    def mark(self, place: Sequence[int], pixels: Sequence[slice]) -> Box:
        """A square around the unit's place in a patch of the picture."""
        box = []
        for i, p, d in zip(self.field.order, pixels, self.field.picture, strict=True):
            cell = d / self.activation.shape[1 + i]
            middle, reach = (place[i] + 0.5) * cell - p.start, max(cell, (p.stop - p.start) * MARK) / 2
            box.append((max(middle - reach, 0), min(middle + reach, p.stop - p.start)))
        return box


def activation_maps(
    model: Model,
    x: Inputs,
    layers: str | Sequence[str] | None = None,
    maps: int = 16,
    picture: np.ndarray | None = None,
) -> Figure:
    """The strongest maps of some layers for a picture, and on the picture what one unit of each layer sees.

    A layer's maps are those with the most contrast, strongest first, with the channel's number. Each has its own colours, from
    dark blue for its least to yellow for its largest number.

    Parameters
    ----------
    model : Model
        The network.
    x : array_like, or mapping of str to array_like
        The inputs, as in a call. Of a batch, the first picture is shown.
    layers : str or sequence of str, optional
        Names of layers of `model.summary()`, of which the results are meant, or of values, as in `model.run`; default: up to
        five, one of each resolution from the first to the coarsest.
    maps : int
        How many maps of each layer.
    picture : numpy.ndarray, optional
        The picture that `x` was made from, uint8, H×W×3, of the input's size; default: the numbers of `x` as colours.

    Returns
    -------
    matplotlib.figure.Figure
        A panel for the picture, and one for each layer. `figure.savefig("maps.png")` writes it.

    Raises
    ------
    FastconvError
        If Matplotlib is missing.
    InputError
        If an argument does not fit, there is no such layer, or it has no maps.

    Examples
    --------
    >>> import fastconv, numpy as np
    >>> with np.load(fastconv.data.DIGITS_IMAGES) as file:
    ...     x = file["images"][:1, None] / np.float32(16)
    >>> figure = fastconv.viz.activation_maps(fastconv.load(fastconv.data.DIGITS), x, ["conv1", "conv2"], maps=8)
    >>> len(figure.axes)
    3
    """
    seen, shown = _look(model, x, layers, picture)
    count = as_count("maps", maps)
    columns = min(3, len(seen) + 1)
    rows = -(-(len(seen) + 1) // columns)
    figure = new_figure(columns * PANEL, rows * (PANEL + 0.4))
    first, *axes = (figure.add_subplot(rows, columns, i + 1) for i in range(len(seen) + 1))
    _panel(first, shown, f"{seen[0].field.input}  {shape_text(shown.shape[:2])}\nwhat a unit of each layer sees")
    for i, (s, ax) in enumerate(zip(seen, axes, strict=True)):
        _maps(ax, s.activation, strongest(s.activation, count), s.title)
        _frame(ax, _paint(i))
        _outline(first, _box(s.field.pixels(*(n // 2 for n in s.activation.shape[1:]))), _paint(i))
    return figure


def hierarchy(
    model: Model,
    x: Inputs,
    layers: str | Sequence[str] | None = None,
    units: int = 5,
    picture: np.ndarray | None = None,
) -> Figure:
    """From low to high level features: for some depths the units that a picture fires most, and the part of it that does.

    After Zeiler and Fergus, "Visualizing and understanding convolutional networks", arXiv:1311.2901.

    Parameters
    ----------
    model, x, layers, picture
        As in `activation_maps`.
    units : int
        How many channels of each layer: those whose maximum is the farthest above their mean, at different places as far as
        there are such.

    Returns
    -------
    matplotlib.figure.Figure
        For each layer the picture with what the units see where they fire most, and for each unit its map above that part of
        the picture; a small square marks the unit's own place.

    Raises
    ------
    FastconvError
        If Matplotlib is missing.
    InputError
        If an argument does not fit, there is no such layer, or it has no maps.

    Examples
    --------
    >>> import fastconv, numpy as np
    >>> with np.load(fastconv.data.DIGITS_IMAGES) as file:
    ...     x = file["images"][:1, None] / np.float32(16)
    >>> figure = fastconv.viz.hierarchy(fastconv.load(fastconv.data.DIGITS), x, units=3)
    >>> len(figure.axes)
    14
    """
    seen, shown = _look(model, x, layers, picture)
    count = as_count("units", units)
    figure = new_figure((count + 2) * CELL, len(seen) * (2 * CELL + 0.5))
    parts = figure.subfigures(len(seen), 1, squeeze=False)[:, 0]
    for row, (s, part) in enumerate(zip(seen, parts, strict=True)):
        level = "low" if row == 0 else "high" if row == len(seen) - 1 else "middle"
        part.suptitle(f"{level} level: {s.title}".replace("\n", ", "), fontsize=9, parse_math=False)
        cells = part.add_gridspec(2, count + 2)
        overview = part.add_subplot(cells[:, :2])
        _panel(overview, shown)
        for i, (channel, place) in enumerate(firing(s.activation, count)):
            pixels = s.field.pixels(*place)
            _outline(overview, _box(pixels), _paint(i))
            _maps(part.add_subplot(cells[0, i + 2]), s.activation, [channel])
            patch = part.add_subplot(cells[1, i + 2])
            _panel(patch, shown[pixels] if shown[pixels].size else np.full((1, 1, 3), 255))  # it may see padding alone
            _frame(patch, _paint(i))
            if s.field.size[0] > MARKED:
                _outline(patch, s.mark(place, pixels), (1, 1, 1))
    return figure


def filters(model: Model, columns: int = 8, bgr: bool = False) -> Figure:
    """The filters of the first convolution as tiles, each in its own contrast, with its number.

    They multiply pixels, so their weights are colours. Those of later layers multiply channels, which have no colours, and are
    not shown; `activation_maps` and `hierarchy` show what these layers do.

    Parameters
    ----------
    model : Model
        The network.
    columns : int
        How many filters in a row.
    bgr : bool
        Whether the network takes pixels as B, G, R, as Caffe's do.

    Returns
    -------
    matplotlib.figure.Figure
        One panel. `figure.savefig("filters.png")` writes it.

    Raises
    ------
    FastconvError
        If Matplotlib is missing.
    InputError
        If the network does not begin with a convolution of 1 or 3 channels in two axes.

    Examples
    --------
    >>> import fastconv
    >>> figure = fastconv.viz.filters(fastconv.load(fastconv.data.DIGITS))
    >>> figure.axes[0].get_title()
    'conv1  16 filters of 1×5×5'
    """
    node = next((n for n in model._stage_graph(()).graph.nodes if isinstance(n.op, Conv)), None)
    weights = None if node is None else node.input(1).constant
    if node is None or weights is None or weights.ndim != 4 or weights.shape[1] not in (1, 3):
        raise InputError("the model does not begin with a convolution of pixels, in 1 or 3 channels")
    tiles = [_as_picture(w[::-1] if bgr else w) for w in np.asarray(weights)]
    columns = min(as_count("columns", columns), len(tiles))
    figure = new_figure(columns * 0.8, -(-len(tiles) // columns) * 0.8 + 0.4)
    ax = figure.add_subplot()
    count, *shape = weights.shape
    _tiles(ax, tiles, range(count), columns, f"{node.label}  {count} filters of {shape_text(shape)}")
    return figure


def firing(activation: np.ndarray, count: int) -> list[tuple[int, tuple[int, int]]]:
    """(channel, (y, x) of its maximum) of the channels whose maximum is the farthest above their mean.

    First come those at places of their own that are not at the edge, where many units fire at the padding.
    """
    _, h, w = activation.shape
    flat = activation.reshape(len(activation), h * w)
    chosen: list[tuple[int, tuple[int, int]]] = []
    rest: list[tuple[int, tuple[int, int]]] = []
    for channel in np.argsort(flat.mean(axis=1) - flat.max(axis=1), kind="stable").tolist():
        y, x = divmod(int(flat[channel].argmax()), w)
        inside = 0 < y < h - 1 and 0 < x < w - 1
        apart = all(max(abs(y - v) / h, abs(x - u) / w) > APART for _, (v, u) in chosen)
        (chosen if inside and apart else rest).append((channel, (y, x)))
    return [*chosen, *rest][:count]


# ---- what is shown


def _look(
    model: Model, x: Inputs, layers: str | Sequence[str] | None, picture: np.ndarray | None
) -> tuple[list[Seen], np.ndarray]:
    """The layers with their activations for the first picture, and that picture."""
    arrays = input_arrays(model.inputs, x)
    model._check_shapes([a.shape for a in arrays])
    shapes = {i.name: a.shape for i, a in zip(model.inputs, arrays, strict=True)}
    if layers is None:
        graph = specialise(model._with_outputs(()), [a.shape for a in arrays])
        chosen = over_the_depth(graph, max(a.ndim for a in arrays), results(model))
    else:
        chosen = list(dict.fromkeys([layers] if isinstance(layers, str) else layers))
    if not chosen:
        raise InputError("the model has no layer with maps" if layers is None else "layers: expected names, got none")
    fields = receptive_fields(model, chosen, shapes)
    for layer, f in zip(chosen, fields, strict=True):
        if len(f.size) != 2:
            raise InputError(f"layer {layer!r} has maps of {len(f.size)} axes: figures show those of two")
    values = [value_of(model, layer) for layer in chosen]
    found = model.run(dict(zip(shapes, arrays, strict=True)), values)
    seen = [
        Seen(layer, np.moveaxis(found[value], f.channel_axis, 1)[0], f)
        for layer, value, f in zip(chosen, values, fields, strict=True)
    ]
    source = arrays[list(shapes).index(fields[0].input)][0]
    sizes = fields[0].picture
    if picture is None:
        picture = _as_picture(source if source.shape[1:] == sizes else np.moveaxis(source, -1, 0))
    elif as_picture("picture", picture).shape[:2] != sizes:
        raise InputError(f"picture: expected the input's size, {shape_text(sizes)}, got {shape_text(picture.shape[:2])}")
    return seen, picture


def _as_picture(planes: np.ndarray) -> np.ndarray:
    """The numbers of an input, C×H×W, as colours: the least becomes black. Other numbers of channels than 3 become grey."""
    values = planes.astype(np.float64) if len(planes) == 3 else planes.mean(axis=0, keepdims=True).repeat(3, axis=0)
    values = np.nan_to_num(values - values.min())
    picture: np.ndarray = np.rint(values * (255 / (values.max() or 1))).astype(np.uint8).transpose(1, 2, 0)
    return picture


# ---- drawing


def _panel(ax: Axes, picture: np.ndarray, title: str = "") -> None:
    ax.imshow(picture, interpolation="nearest")
    ax.set_title(title, fontsize=8, parse_math=False)
    ax.set_xticks([])
    ax.set_yticks([])
    for side in ax.spines.values():
        side.set_visible(False)


def _maps(ax: Axes, activation: np.ndarray, channels: Sequence[int], title: str = "") -> None:
    """The maps of these channels with their numbers."""
    _tiles(ax, [colours(activation[c]) for c in channels], channels, min(COLUMNS, len(channels)), title)


def _tiles(ax: Axes, pictures: Sequence[np.ndarray], numbers: Sequence[int], columns: int, title: str) -> None:
    """Pictures of one size, row by row, with their numbers."""
    picture = mosaic(pictures, columns)
    _panel(ax, picture, title)
    tall, wide = (picture.shape[0] + GAP) / -(-len(pictures) // columns), (picture.shape[1] + GAP) / columns
    for i, channel in enumerate(numbers):
        ax.text(i % columns * wide + 1, i // columns * tall + 1, f"{channel}", color="white", fontsize=6, va="top", bbox=GROUND)


def _outline(ax: Axes, box: Box, paint: Sequence[float], width: float = 1.5) -> None:
    """The outline of a box of pixels; pixel 0 reaches from 0 to 1."""
    (top, bottom), (left, right) = ((begin - 0.5, end - 0.5) for begin, end in box)
    ax.plot([left, right, right, left, left], [top, top, bottom, bottom, top], color=paint, linewidth=width, clip_on=False)


def _box(pixels: Sequence[slice]) -> Box:
    return [(p.start, p.stop) for p in pixels]


def _frame(ax: Axes, paint: Sequence[float]) -> None:
    """A frame around a panel."""
    for side in ax.spines.values():
        side.set(visible=True, color=paint, linewidth=2.5)


def _paint(i: int) -> tuple[float, ...]:
    """The colour of number i, as Matplotlib takes it."""
    return tuple(c / 255 for c in colour(i))


__all__ = ["activation_maps", "filters", "hierarchy"]
