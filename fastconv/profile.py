"""Profile: the time of each layer of a model, from `model.profile(x)`."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import fastconv

from .graph import Shape, shape_text
from .peak import Peak, above_limit, measure
from .plan import Plan, SplitPlan, Target
from .plan.cost import nbytes
from .plan.stages import Stamp, reference_reason
from .plan.tensors import Entry
from .progress import Advance, ignore
from .summary import layer
from .table import LayerTable, marked, shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: the most lines about implementations that refused layers
MOST_LINES = 5
#: what every event of a trace has
EVENT = {"pid": 1, "tid": 1}


@dataclass(frozen=True)
class ProfileRow:
    """One entry of a plan with its time: the median over the runs, in milliseconds.

    By the roofline a layer is bound by the machine's multiply-adds or by its memory, whichever takes longer at its peak. One of
    `of_peak` and `of_bandwidth` is the share of that limit which the layer reaches; the other is None, and so are both where
    there is no time, or nothing is counted.
    """

    name: str
    op: str
    implementation: str
    output: Shape
    ms: float
    #: of the time of all layers, 0 to 1
    share: float
    #: operations, a multiply-add counted as two
    flops: int
    #: the machine's limits, `gflops` and `gbytes` a second: for a layer of bytes those of its instruction
    peak: Peak
    #: what the layer must move: its inputs and outputs, and its weights once
    bytes: int = 0
    #: as in Layer
    reason: str = ""
    #: (implementation, reason) of each that stands before its own in the price list and refused it
    refusals: tuple[tuple[str, str], ...] = ()
    #: bytes of the arena that are in use while it runs; None for a data-dependent node
    arena_bytes: int | None = None
    #: whether the implementation multiplies less than the definition, which `flops` counts
    fewer_products: bool = False
    #: why it computes floats where a quantized network has integers; empty if it does not
    in_floats: str = ""

    @property
    def gflops(self) -> float:
        """Billions of operations a second."""
        return self.flops / self.ms / 1e6 if self.ms else 0.0

    @property
    def gbytes(self) -> float:
        """Billions of bytes a second."""
        return self.bytes / self.ms / 1e6 if self.ms else 0.0

    @property
    def memory_bound(self) -> bool:
        """Whether its bytes take longer than its operations, each at the machine's peak."""
        return self.bytes * self.peak.gflops > self.flops * self.peak.gbytes

    @property
    def of_peak(self) -> float | None:
        """Its GFLOP/s by the machine's, if multiply-adds bind it."""
        return None if self.memory_bound else self.gflops / self.peak.gflops or None

    @property
    def of_bandwidth(self) -> float | None:
        """Its GB/s by the machine's, if memory binds it."""
        return (self.gbytes / self.peak.gbytes or None) if self.memory_bound else None

    @property
    def limit(self) -> str:
        """The share of its limit in words, and why it can be above 100 %."""
        own = f"{self.peak.instruction}'s peak" if self.peak.instruction else "peak"
        share, of = (self.of_bandwidth, "memory") if self.memory_bound else (self.of_peak, own)
        if share is None:
            return ""
        why = f", {above_limit(self.memory_bound, self.fewer_products)}" if share > 1 else ""
        return f"{share:.0%} of {of}{why}"


class Profile(LayerTable):
    """Time by layer, from `Model.profile`. A REPL prints the table, str() of it, and a notebook shows it.

    Parameters
    ----------
    rows : sequence of ProfileRow
        The layers in the order they ran, with their times.
    total_ms : float
        Milliseconds of a run.
    runs : int
        The number of runs; the times are their medians.
    threads : int
        The most threads that a run used.
    peak : Peak
        The machine's limits for this number of threads, `gflops` and `gbytes` a second, measured in the same process.
    explain : bool
        Whether the table has a line for each implementation that refused a layer.

    Examples
    --------
    >>> import fastconv, numpy as np
    >>> profile = fastconv.load(fastconv.data.DIGITS).profile(np.zeros((1, 1, 8, 8), np.float32), runs=3)
    >>> slowest = max(profile.rows, key=lambda row: row.ms)
    >>> slowest.share <= 1
    True
    """

    def __init__(self, rows: Sequence[ProfileRow], total_ms: float, runs: int, threads: int, peak: Peak, explain: bool = False):
        self.rows: tuple[ProfileRow, ...] = tuple(rows)
        self.total_ms = total_ms
        self.runs = runs
        self.threads = threads
        self.peak = peak
        self.explain = explain

    @classmethod
    def of_plan(
        cls,
        plan: Plan | SplitPlan,
        inputs: list[np.ndarray],
        outputs: list[np.ndarray],
        threads: int,
        runs: int,
        advance: Advance = ignore,
    ) -> Profile:
        """Run the plan once to warm up, then `runs` times with the time of each entry taken."""
        kernels = plan.target.kernels
        kinds = [_products(entry, plan.target) for entry in plan.entries]
        for kind in {"floats", *kinds}:
            measure(kernels, threads, kind)
        plan.run(inputs, outputs, threads)
        times = []
        for _ in range(max(runs, 1)):
            stamps: list[tuple[Entry, float]] = []
            plan.run(inputs, outputs, threads, stamps)
            of_entries = dict.fromkeys(map(id, plan.entries), 0.0)
            for entry, seconds in stamps:  # an entry has one for each of its images
                of_entries[id(entry)] += seconds * 1e3
            times.append(list(of_entries.values()))
            advance(1 / max(runs, 1))
        medians = [float(t) for t in np.median(times, axis=0)]
        total = sum(medians) or 1.0
        peaks = {kind: measure(kernels, threads, kind) for kind in {"floats", *kinds}}
        lifetimes = [t.lifetime for t in plan.tenants]
        rows = []
        for i, (entry, ms) in enumerate(zip(plan.entries, medians, strict=True)):
            arena = sum(x.size for x in lifetimes if x.first <= i <= x.last)
            rows.append(_row(entry, ms, ms / total, peaks[kinds[i]], arena))
        return cls(rows, sum(medians), max(runs, 1), threads, peaks["floats"])

    @classmethod
    def of_stages(cls, stages: Sequence[tuple[Profile, Sequence[Stamp]]], explain: bool = False) -> Profile:
        """The profile of a run in stages: for each the profile of its plan, and the times of its data-dependent nodes."""
        first = stages[0][0]
        rows: list[ProfileRow] = []
        for profile, stamps in stages:
            rows += profile.rows
            for n, dims, s in stamps:
                op, why = type(n.op).__name__, reference_reason(n)
                rows.append(ProfileRow(n.label, op, "reference", dims, s * 1e3, 0.0, 0, first.peak, reason=why))
        total = sum(r.ms for r in rows)
        rows = [replace(r, share=r.ms / (total or 1.0)) for r in rows]
        return cls(rows, total, first.runs, first.threads, first.peak, explain)

    def _entries(self) -> Sequence[ProfileRow]:
        return self.rows

    def _table(self) -> tuple[Sequence[str], Sequence[Sequence[str]], int]:
        rows = []
        for r in self.rows:
            numbers = (f"{r.ms:.3f}", f"{r.share:.1%}", f"{r.gflops:.1f}", r.limit)
            rows.append((shorten(r.name, 24), r.op, marked(r), shape_text(r.output), *numbers))
        return ("layer", "operator", "by", "output", "ms", "share", self._peaks[-1].unit, "of its limit"), rows, 4

    @property
    def _peaks(self) -> list[Peak]:
        """That of floats, and those of the instructions that multiply bytes."""
        return list({peak.instruction: peak for peak in (self.peak, *(r.peak for r in self.rows))}.values())

    def _total(self) -> str:
        runs = f"{self.total_ms:.3f} ms a run (medians over {self.runs} runs, {self.threads} threads)"
        peaks = ", ".join(f"{p.instruction or 'peak'} {p.gflops:.0f} {p.unit}" for p in self._peaks)
        return f"{runs}; {peaks}, memory {self.peak.gbytes:.0f} GB/s"

    def _notes(self) -> Sequence[Sequence[str]] | None:
        return [[f"not {name}: {reason}" for name, reason in r.refusals] for r in self.rows] if self.explain else None

    def _below(self) -> Sequence[str]:
        if self.explain:
            return super()._below()
        lines = [f"  {share:4.0%}  {text}" for share, text in self._refused()]
        title = "implementations that refused, by their layers' share of the time (for each layer: --explain, or explain=True):"
        more = [f"  {len(lines) - MOST_LINES} more"] if len(lines) > MOST_LINES else []
        return [*super()._below(), *([title, *lines[:MOST_LINES], *more] if lines else [])]

    def _refused(self) -> list[tuple[float, str]]:
        """The implementations that refused layers, like reasons as one: the layers' share of the time, and a text."""
        alike: dict[tuple[str, str], list[tuple[float, str]]] = {}
        for r in self.rows:
            for name, reason in r.refusals:
                alike.setdefault((name, re.sub(r"[\d.]+", "", reason)), []).append((r.share, reason))
        lines = []
        for (name, _), layers in alike.items():
            reasons = dict.fromkeys(reason for _, reason in sorted(layers, reverse=True))
            text = f"{len(layers)} × {name}: {next(iter(reasons))}{', …' if len(reasons) > 1 else ''}"
            lines.append((sum(share for share, _ in layers), text))
        return sorted(lines, reverse=True)

    def plot(self) -> Figure:
        """Draw the time of each layer, of each kind of layer, and the roofline, as `fastconv.viz.profile_figure` does.

        Returns
        -------
        matplotlib.figure.Figure
            `figure.savefig(path)` writes it; it needs Matplotlib, the extra `viz`.
        """
        return fastconv.viz.profile_figure(self)

    def as_dict(self) -> dict[str, object]:
        """The table as a document for JSON.

        Returns
        -------
        dict
            Values that `json.dumps` takes; docs/command-line.md lists the keys.
        """
        layers = [
            {
                "name": r.name,
                "operator": r.op,
                "by": r.implementation,
                "reason": r.reason or None,
                "in_floats": r.in_floats or None,
                "refusals": [{"by": name, "reason": reason} for name, reason in r.refusals],
                "output": r.output,
                "ms": r.ms,
                "share": r.share,
                "flops": r.flops,
                "bytes": r.bytes,
                "arena_bytes": r.arena_bytes,
                "gflops": r.gflops,
                "peak_gflops": r.peak.gflops,
                "of_peak": r.of_peak,
                "of_bandwidth": r.of_bandwidth,
            }
            for r in self.rows
        ]
        peak = {"gflops": self.peak.gflops, "gbytes": self.peak.gbytes}
        return {"threads": self.threads, "runs": self.runs, "ms": self.total_ms, "peak": peak, "layers": layers}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a trace (JSON) of one run made of the median times, for Perfetto or chrome://tracing.

        It has the bytes of the arena that are in use as a counter.

        Parameters
        ----------
        path : str or os.PathLike
            The file.

        Raises
        ------
        OSError
            If the file cannot be written.

        Examples
        --------
        >>> import fastconv, numpy as np, os, tempfile
        >>> profile = fastconv.load(fastconv.data.DIGITS).profile(np.zeros((1, 1, 8, 8), np.float32), runs=3)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     profile.save(os.path.join(folder, "trace.json"))
        """
        events: list[dict[str, object]] = []
        at = 0.0
        for r in self.rows:
            args = {"operator": r.op, "by": r.implementation, "output": shape_text(r.output), r.peak.unit: round(r.gflops, 1)}
            args |= {"limit": r.limit} if r.limit else {}
            events.append(EVENT | {"name": r.name, "ph": "X", "ts": at, "dur": r.ms * 1e3, "args": args})
            if r.arena_bytes is not None:
                events.append(EVENT | {"name": "arena", "ph": "C", "ts": at, "args": {"bytes": r.arena_bytes}})
            at += r.ms * 1e3
        Path(path).write_text(json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}))


def _products(entry: Entry, target: Target) -> str:
    """The kind of an entry's products, as of Implementation.products."""
    return entry.implementation.products(entry.node, target) if entry.node and entry.implementation else "floats"


def _row(entry: Entry, ms: float, share: float, peak: Peak, arena: int) -> ProfileRow:
    x, by = layer(entry), entry.implementation
    fewer = by is not None and by.fewer_products
    return ProfileRow(
        x.name, x.op, x.implementation, x.output, ms, share, x.flops or 0, peak, _bytes(entry), x.reason,
        tuple(entry.refusals), arena, fewer, x.in_floats,
    )  # fmt: skip


def _bytes(entry: Entry) -> int:
    """What an entry must move; nothing if it has no steps, as its result lies where its input does."""
    if entry.steps == []:
        return 0
    tensors = nbytes((*entry.reads, *entry.writes)) * entry.images
    return tensors + nbytes({v for v in entry.node.operands if v.constant is not None} if entry.node else ())


__all__ = ["Profile", "ProfileRow"]
