"""The figure of a profile: the time of each layer, the time of each kind of layer, and the roofline."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..table import shorten
from .figure import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..peak import Peak
    from ..profile import Profile, ProfileRow

#: from dark to light, for prints in grey and for the colour-blind: cividis, and grey for all other kinds
COLOURS = ("#00224e", "#35456c", "#666970", "#948e77", "#c8b866", "#fee838", "#dddddd")
MARKERS = "os^DvPX"
EDGE: dict[str, Any] = {"edgecolor": "black", "linewidth": 0.4}
SMALL = 8
#: the most layers with a label in a panel, and the characters of a name
LABELS, WIDTH = 8, 18


class Unit(NamedTuple):
    """A unit of time, and how many of it are a millisecond."""

    name: str
    of_ms: float


MS, MICROSECONDS = Unit("ms", 1.0), Unit("µs", 1e3)


class Styled(NamedTuple):
    """A layer, its number in the order they run, and the number of its kind's style."""

    number: int
    row: ProfileRow
    style: int


class Place(NamedTuple):
    """A layer's label, long and short, its point in the axes' units, that point's radius on paper, its time and its style."""

    texts: tuple[str, ...]
    x: float
    y: float
    radius: float
    ms: float
    style: int


def profile_figure(profile: Profile) -> Figure:
    """The time of each layer and of each kind of layer, and the roofline: what each layer reaches of what bounds it.

    The layers that take longest have labels; their numbers are the same in the roofline. There the area of a point is the
    layer's time, and layers without arithmetic are left out. For the roofline see Williams et al., Communications of the ACM
    52(4), 2009, doi:10.1145/1498765.1498785.

    Parameters
    ----------
    profile : Profile
        From `Model.profile`.

    Returns
    -------
    matplotlib.figure.Figure
        `figure.savefig(path)` writes it.

    Raises
    ------
    FastconvError
        If Matplotlib is not installed.

    Examples
    --------
    >>> import fastconv, numpy as np
    >>> model = fastconv.load(fastconv.data.DIGITS)
    >>> figure = fastconv.viz.profile_figure(model.profile(np.zeros((1, 1, 8, 8), np.float32)))
    >>> len(figure.axes)
    3
    """
    figure = new_figure(10, 7.5)
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
    grid = figure.add_gridspec(2, 2, width_ratios=[2, 3], height_ratios=[2, 3])
    layers, kinds, roofline = (figure.add_subplot(grid[at]) for at in (slice(2), 2, 3))
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=SMALL)
    unit = MS if profile.total_ms > 0.1 else MICROSECONDS
    time = profile.total_ms * unit.of_ms
    layers.set_title(f"{time:.3g} {unit.name} a run, {profile.threads} threads", fontsize=10, loc="left")
    names, rows = _styled(profile.rows)
    _draw_kinds(kinds, rows, names, unit)
    bars, points = _draw_layers(layers, rows, unit), _draw_roofline(roofline, rows, profile._peaks)
    figure.draw_without_rendering()  # places the axes, without which no label can be placed
    _label(layers, bars)
    _label(roofline, points)
    return figure


def _styled(rows: Sequence[ProfileRow]) -> tuple[list[str], list[Styled]]:
    """The kinds of layers, those first that take longest and the rest as one, and the rows with their kinds."""

    def kind(row: ProfileRow) -> str:
        return "reorder" if row.op == "reorder" else f"{_operator(row)}, {row.implementation}"

    times = dict.fromkeys(map(kind, rows), 0.0)
    for row in rows:
        times[kind(row)] += row.ms
    names = sorted(times, key=times.__getitem__, reverse=True)[: len(COLOURS) - 1]
    styles = {name: i for i, name in enumerate(names)}
    styled = [Styled(i, row, styles.get(kind(row), len(COLOURS) - 1)) for i, row in enumerate(rows, 1)]
    return names + ["other"] * (len(times) > len(names)), styled


def _operator(row: ProfileRow) -> str:
    """The operator without what is fused into it."""
    return row.op.partition("+")[0]


def _draw_layers(axes: Axes, rows: Sequence[Styled], unit: Unit) -> list[Place]:
    """A bar for each layer in the order they run; returns its labels."""
    times = [row.ms * unit.of_ms for _, row, _ in rows]
    axes.bar(range(1, len(rows) + 1), times, width=1.0, color=[COLOURS[style] for *_, style in rows], **EDGE)
    axes.set(xlim=(0.3, len(rows) + 0.7), ylim=(0, max(times, default=0) * 1.15 or 1))
    axes.set_xlabel("layer", fontsize=SMALL)
    axes.set_ylabel(unit.name, fontsize=SMALL)
    names = [shorten(row.name.removesuffix(f"/{_operator(row)}"), WIDTH) for _, row, _ in rows]
    return [
        Place((f"{i} {name}", str(i)), i, time, 0, row.ms, style)
        for (i, row, style), name, time in zip(rows, names, times, strict=True)
    ]


def _draw_kinds(axes: Axes, rows: Sequence[Styled], names: Sequence[str], unit: Unit) -> None:
    """The time of each kind of layer; the markers are the legend of the roofline."""
    for i in range(len(names)):
        ms, share = (sum(getattr(row, part) for _, row, style in rows if style == i) for part in ("ms", "share"))
        time, across = ms * unit.of_ms, axes.get_yaxis_transform()
        axes.barh(i, time, color=COLOURS[i], **EDGE)
        axes.annotate(f"{share:.0%}", (time, i), (4, 0), textcoords="offset points", va="center", fontsize=SMALL)
        axes.scatter(-0.04, i, 30, COLOURS[i], marker=MARKERS[i], transform=across, clip_on=False, **EDGE)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params("y", length=0, pad=16)
    axes.invert_yaxis()
    axes.set_xlabel(unit.name, fontsize=SMALL)


def _draw_roofline(axes: Axes, rows: Sequence[Styled], peaks: Sequence[Peak]) -> list[Place]:
    """The roofs of each instruction, and a point for each layer with arithmetic; returns its labels."""
    places = [
        Place((str(number),), row.flops / row.bytes, row.gflops, (3 + 75 * row.share) ** 0.5, row.ms, style)
        for number, row, style in rows
        if row.flops and row.bytes and row.ms
    ]
    for style, (colour, marker) in enumerate(zip(COLOURS, MARKERS, strict=True)):
        points = np.reshape([(p.x, p.y, (2 * p.radius) ** 2) for p in places if p.style == style], (-1, 3))
        axes.scatter(points[:, 0], points[:, 1], points[:, 2], colour, marker=marker, **EDGE)
    ridges = [p.gflops / p.gbytes for p in peaks]
    low, high = min([min(ridges) / 8, *(p.x / 4 for p in places)]), max([max(ridges) * 8, *(p.x * 2 for p in places)])
    gbytes = peaks[0].gbytes
    labels = [(f"{gbytes:.0f} GB/s", low, (12, 0), "left")]
    for peak, ridge in zip(peaks, ridges, strict=True):
        axes.plot([low, ridge, high], [low * gbytes, peak.gflops, peak.gflops], color="black", linewidth=1)
        labels.append((f"{peak.instruction} {peak.gflops:.0f} {peak.unit}".strip(), ridge, (0, 5), "right"))
    for text, x, shift, side in labels:
        axes.annotate(text, (x, x * gbytes), shift, textcoords="offset points", ha=side, fontsize=SMALL)
    axes.set(xscale="log", yscale="log", xlim=(low, high))
    axes.set_ymargin(0.1)
    axes.set_xlabel(f"{peaks[-1].unit[1:-2]}/byte", fontsize=SMALL)
    axes.set_ylabel(peaks[-1].unit, fontsize=SMALL)
    return places


def _label(axes: Axes, places: Sequence[Place]) -> None:
    """Label the layers that take longest, where a label covers nothing; the others stay without."""
    from matplotlib.transforms import Bbox

    taken = [drawn.get_window_extent() for drawn in (*axes.patches, *axes.texts)]
    for p in places:
        x, y = axes.transData.transform((p.x, p.y))
        r = p.radius * axes.figure.dpi / 72
        taken += [Bbox([(x - r, y - r), (x + r, y + r)])] if r else []
    lines = [line.get_transform().transform_path(line.get_path()) for line in axes.lines]
    room = axes.get_window_extent()
    for p in sorted(places, key=lambda p: -p.ms)[:LABELS]:
        beside = p.radius + 4
        offsets = (0, beside, "center"), (beside, -3, "left"), (-beside, -3, "right"), (0, -beside - 6, "center")
        for words, (x, y, side) in itertools.product(p.texts, offsets):
            text = axes.annotate(words, (p.x, p.y), (x, y), textcoords="offset points", ha=side, fontsize=SMALL - 1)
            box = text.get_window_extent().padded(1)
            crossed = any(line.intersects_bbox(box, filled=False) for line in lines)
            if room.x0 <= box.x0 and box.x1 <= room.x1 and not crossed and not box.count_overlaps(taken):
                taken.append(box)
                break
            text.remove()


__all__ = ["profile_figure"]
