"""Report: a page about a network and one input, from `model.report(x)`."""

from __future__ import annotations

import html
import inspect
import json
import math
import os
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import fastconv

from .. import comparison, vision
from ..errors import InputError
from ..graph import shape_text
from ..model import Model
from ..profile import ProfileRow
from ..progress import Advance, ignore, part
from ..summary import Layer
from ..vision.preprocessing import to_input
from ..vision.tasks import TASKS, Task
from ..write_files import write_files
from .document import AnswerPart, Document, ErrorPart, LayerPart, PeakPart, Picture, Totals
from .layers import RunLayers
from .pictures import CHANNELS, MOST_BYTES, layer_maps, page_picture

if TYPE_CHECKING:
    from ..model import Inputs

#: built from web/ by `npm run build`
PAGE = Path(__file__).with_name("page.html")


class Report:
    """A page about a network and one input, in one HTML file that loads nothing.

    It shows the graph of layers, and of each layer its arithmetic, activation maps, time, algorithm, and error against the
    reference in float64; the roofline of this machine; and the arena over time.

    Parameters
    ----------
    model : Model
        The network.
    inputs : array_like, or mapping of str to array_like
        As in a call.
    runs : int
        As in `Model.profile`.
    title : str, optional
        The heading; default: the name in the file.
    answer : AnswerPart, optional
        What the network says about the input.
    advance : callable
        Called with the share of the work that was done since the last call; the shares add up to 1.

    Examples
    --------
    >>> import fastconv, numpy as np
    >>> report = fastconv.load(fastconv.data.DIGITS).report(np.zeros((1, 1, 8, 8), np.float32))
    >>> report.document.layers[1].operator
    'Conv+Relu'
    """

    def __init__(
        self,
        model: Model,
        inputs: Inputs,
        runs: int = 10,
        title: str | None = None,
        answer: AnswerPart | None = None,
        advance: Advance = ignore,
    ):
        found = RunLayers(model, inputs)
        profile = model.profile(inputs, runs, advance=part(advance, 0.2))
        errors = _errors(model, inputs, found.layers, part(advance, 0.6))
        maps = layer_maps(model, inputs, found.layers)
        advance(0.2)
        self.document: Document = Document(
            fastconv=fastconv.__version__,
            name=title or model._original.name or "model",
            run=f"{model._kernels.isa}, {profile.threads} threads; times are medians of {profile.runs} runs",
            totals=Totals(
                ms=profile.total_ms,
                parameters=sum(x.params for x in found.layers),
                multiply_adds=sum(x.multiply_adds or 0 for x in found.layers),
                flops=sum(x.flops or 0 for x in found.layers),
            ),
            answer=answer,
            inputs=tuple(map(str, model.inputs)),
            outputs=tuple(map(str, model.outputs)),
            layers=tuple(
                _part(x, row, error, maps.get(x.name) if x.op != "reorder" else None)
                for x, row, error in zip(found.layers, profile.rows, errors, strict=True)
            ),
            edges=tuple(found.edges),
            peak=PeakPart(profile.peak.gflops, profile.peak.gbytes),
            memory=found.memory,
            notes=_notes(maps),
        )

    @classmethod
    def of_picture(
        cls,
        model: Model,
        picture: np.ndarray,
        labels: Sequence[str] | None = None,
        preprocess: str | None = None,
        size: int | Sequence[int] | None = None,
        runs: int = 10,
        title: str | None = None,
        advance: Advance = ignore,
    ) -> Report:
        """A page about a network and a picture, with what the network says about it.

        Parameters
        ----------
        model : Model
            A network that takes pictures.
        picture : numpy.ndarray
            uint8, H×W×3.
        labels : sequence of str, optional
            The names of all classes; default: as `fastconv.vision.labels_of`.
        preprocess, size
            As in `fastconv.vision.preprocess`; default: `fastconv.vision.guess_preprocess`.
        runs, title, advance
            As in `Report`.

        Returns
        -------
        Report
            `save` writes the page.

        Raises
        ------
        FastconvError
            If Pillow is missing.
        InputError
            If the network takes no pictures, or an argument does not fit.

        Examples
        --------
        >>> import fastconv, numpy as np
        >>> model = fastconv.load(fastconv.data.DIGITS)
        >>> report = fastconv.Report.of_picture(model, np.zeros((20, 30, 3), np.uint8))
        >>> report.document.answer.preprocessing
        '0..1 (guessed: one channel)'
        """
        image = vision.picture_input(model.inputs)
        guess = vision.guess_preprocess(model)
        how = preprocess or guess.how
        possible = vision.possible_tasks(model, labels is not None)
        task = TASKS[possible[0]] if len(possible) == 1 else None
        canvas, _ = vision.fit(picture, image, how, task.by if task else "crop", size)
        given = page_picture(canvas, f"what the network is given, {canvas.shape[1]}×{canvas.shape[0]} pixels")
        lines, drawn = [], page_picture(picture, "the picture")
        if task:
            found = task.decode(model, picture, **_options(task, preprocess=how, size=size, labels=labels))
            lines, drawn = found.lines(), page_picture(found.draw(picture), "the answer")
        answer = AnswerPart(how if preprocess else f"{how} (guessed: {guess.reason})", tuple(lines), (drawn, given))
        return cls(model, to_input(canvas, image, how), runs, title, answer, advance)

    def html(self) -> str:
        """The page.

        Returns
        -------
        str
            HTML; it refers to no other file.
        """
        head, _, rest = PAGE.read_text(encoding="utf-8").partition("{title}")
        middle, _, tail = rest.partition("{document}")
        # in JSON "<" stands in strings alone, where it could end the element
        document = json.dumps(asdict(self.document), allow_nan=False, ensure_ascii=False).replace("<", "\\u003c")
        return f"{head}{html.escape(self.document.name)}{middle}{document}{tail}"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page.

        Parameters
        ----------
        path : str or os.PathLike
            The file.

        Raises
        ------
        OSError
            If the file cannot be written; no half-written file is left.

        Examples
        --------
        >>> import fastconv, numpy as np, os, tempfile
        >>> report = fastconv.load(fastconv.data.DIGITS).report(np.zeros((1, 1, 8, 8), np.float32))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     report.save(os.path.join(folder, "report.html"))
        """
        page = self.html().encode("utf-8", "backslashreplace")  # a title may be the name of a file, of any bytes
        write_files({os.fspath(path): lambda file: file.write(page)})


def _options(task: Task, **given: object) -> dict[str, Any]:
    """Those arguments of a task's function that are given."""
    options = {name: value for name, value in given.items() if value is not None}
    if "labels" in options and "labels" not in inspect.signature(task.decode).parameters:
        raise InputError("labels are names of classes; the model's outputs have none")
    return options


def _errors(model: Model, inputs: Inputs, layers: Sequence[Layer], advance: Advance) -> list[ErrorPart | None]:
    """The errors of each layer; None for a reorder, and for one that the comparison leaves out."""
    errors: dict[str, deque[ErrorPart]] = defaultdict(deque)  # nodes may have the same name
    for e in comparison.compare_layers(model, inputs, advance):
        errors[e.name].append(ErrorPart(_finite(e.max_error), _finite(e.rms_error), e.largest, e.departs))
    return [errors[x.name].popleft() if x.op != "reorder" and errors[x.name] else None for x in layers]


def _finite(number: float) -> float | None:
    """The number, or None for an infinite one: JSON has none."""
    return number if math.isfinite(number) else None


def _notes(maps: dict[str, Picture]) -> tuple[str, ...]:
    if not maps:
        return ()
    return (
        f"Maps show the {CHANNELS} channels of a layer with the most contrast, each in colours from its least to its largest "
        "number, for the first image.",
        f"All maps together take at most {MOST_BYTES / 1e6:.3g} MB. {len(maps)} layers, from the first on, have them here.",
    )


def _part(x: Layer, row: ProfileRow, error: ErrorPart | None, maps: Picture | None) -> LayerPart:
    return LayerPart(
        name=x.name,
        operator=x.op,
        implementation=x.implementation,
        reason=x.reason,
        input=shape_text(x.input),
        output=shape_text(row.output),
        facts=tuple(_facts(x)),
        explanation=x.explanation,
        refusals=row.refusals,
        ms=row.ms,
        share=row.share,
        flops=row.flops,
        bytes=row.bytes,
        limit=row.limit,
        error=error,
        maps=maps,
    )


def _facts(x: Layer) -> list[tuple[str, str]]:
    """The sizes of a layer, as the page lists them."""
    facts = [("parameters", f"{x.params:,}"), ("multiply-adds", f"{x.multiply_adds or 0:,}")]
    if x.activation_bytes:
        facts.append(("activations", f"{x.activation_bytes:,} bytes"))
    if w := x.window:
        facts += [("kernel", shape_text(w.kernel)), ("stride", shape_text(w.strides))]
        facts += [("padding", ", ".join(f"{a} + {b}" for a, b in zip(w.begin, w.end, strict=True)))]
    return facts


__all__ = ["PAGE", "Report"]
