"""What quantization costs: the signal-to-noise ratio of each layer and of the outputs, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..shown import number
from ..table import LayerTable, scaled, shorten
from ..version import __version__


@dataclass(frozen=True)
class LayerNoise:
    """Signal-to-noise ratios of a layer, in decibels: the larger, the better.

    `weights` is that of its rounded weights; None without weights. If the layer alone is quantized, `alone` is that of its
    result, and `output` the least of the network's outputs. `accumulated` is that of its result if all layers are quantized. A
    layer that stays in float has `output` only.
    """

    name: str
    #: the operators, as "Conv+Relu"
    op: str
    weights: float | None
    alone: float | None
    output: float
    accumulated: float | None

    @property
    def quantized(self) -> bool:
        """Whether it computes with integers."""
        return self.alone is not None


class QuantizationReport(LayerTable):
    """What quantization costs, by layers and at the outputs. A REPL prints the table, str() of it, and a notebook shows it.

    Parameters
    ----------
    layers : sequence of LayerNoise
        The layers, in order, without those that only move elements.
    output : float
        The signal-to-noise ratio of the outputs in decibels, the least of them.
    calls : int
        The calls on calibration data that it is measured on.
    weight_bytes : tuple of int
        The bytes of all constants, before and after.
    top1 : tuple of float, optional
        The share of right answers, of the float network and of the quantized one, if labels were given.

    Examples
    --------
    >>> import fastconv, numpy as np
    >>> with np.load(fastconv.data.DIGITS_IMAGES) as file:
    ...     images = file["images"][:20, None] / np.float32(16)
    >>> report = fastconv.quantize(fastconv.load(fastconv.data.DIGITS), images).quantization
    >>> report.layers[0].op, report.output > 20
    ('Conv+Relu', True)
    """

    def __init__(
        self,
        layers: Sequence[LayerNoise],
        output: float,
        calls: int,
        weight_bytes: tuple[int, int],
        top1: tuple[float, float] | None = None,
    ):
        self.layers: tuple[LayerNoise, ...] = tuple(layers)
        self.output = output
        self.calls = calls
        self.weight_bytes = weight_bytes
        self.top1 = top1

    def _head(self) -> str:
        return f"fastconv {__version__}: signal-to-noise ratios in dB, on {self.calls} calls of calibration data"

    def _table(self) -> tuple[Sequence[str], Sequence[Sequence[str]], int]:
        def text(ratio: float | None) -> str:
            return "" if ratio is None else f"{ratio:.1f}"

        rows = [
            (shorten(x.name), x.op, text(x.weights), text(x.alone) or "float", text(x.output), text(x.accumulated))
            for x in self.layers
        ]
        return ("layer", "operator", "weights", "alone", "output", "accumulated"), rows, 2

    def _entries(self) -> Sequence[Any]:
        return ()  # the table does not say what runs by reference

    def _total(self) -> str:
        before, after = (scaled(count, "B") for count in self.weight_bytes)
        done = sum(x.quantized for x in self.layers)
        lines = [f"outputs {self.output:.1f} dB; {done} of {len(self.layers)} layers in 8 bits; constants {before} -> {after}"]
        if self.top1 is not None:
            lines.append("top-1 {:.1%} in float, {:.1%} quantized".format(*self.top1))
        return "\n".join(lines)

    def as_dict(self) -> dict[str, object]:
        """The report as a document for JSON.

        Returns
        -------
        dict
            Values that `json.dumps` takes; docs/command-line.md lists the keys.
        """

        def ratio(value: float | None) -> float | str | None:
            return None if value is None else number(value)

        layers = [
            {
                "name": x.name,
                "operator": x.op,
                "quantized": x.quantized,
                "weights_db": ratio(x.weights),
                "alone_db": ratio(x.alone),
                "output_db": ratio(x.output),
                "accumulated_db": ratio(x.accumulated),
            }
            for x in self.layers
        ]
        return {
            "calls": self.calls,
            "output_db": number(self.output),
            "constant_bytes": dict(zip(("float", "quantized"), self.weight_bytes, strict=True)),
            "top1": self.top1 and dict(zip(("float", "quantized"), self.top1, strict=True)),
            "layers": layers,
        }
