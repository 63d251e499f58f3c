"""Profile: the time of each layer of a model, from `model.profile(x)`."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .graph import Shape, shape_text
from .plan import Plan, SplitPlan
from .plan.stages import Stamp, reference_reason
from .plan.tensors import Entry
from .summary import layer
from .table import LayerTable, marked, shorten


@dataclass(frozen=True)
class ProfileRow:
    """One entry of a plan with its time: the median over the runs, in milliseconds."""

    name: str
    op: str
    implementation: str
    output: Shape
    ms: float
    share: float
    flops: int
    #: as in Layer
    reason: str = ""

    @property
    def gflops(self) -> float:
        """Billions of floating point operations a second."""
        return self.flops / self.ms / 1e6 if self.ms else 0.0


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

    Examples
    --------
    >>> import fastconv, numpy as np
    >>> profile = fastconv.load(fastconv.data.DIGITS).profile(np.zeros((1, 1, 8, 8), np.float32), runs=3)
    >>> slowest = max(profile.rows, key=lambda row: row.ms)
    >>> slowest.share <= 1
    True
    """

    def __init__(self, rows: Sequence[ProfileRow], total_ms: float, runs: int, threads: int):
        self.rows = tuple(rows)
        self.total_ms = total_ms
        self.runs = runs
        self.threads = threads

    @classmethod
    def of_plan(
        cls, plan: Plan | SplitPlan, inputs: list[np.ndarray], outputs: list[np.ndarray], threads: int, runs: int
    ) -> Profile:
        """Run the plan once to warm up, then `runs` times with the time of each entry taken."""
        plan.run(inputs, outputs, threads)
        times = []
        for _ in range(max(runs, 1)):
            stamps: list[tuple[Entry, float]] = []
            plan.run(inputs, outputs, threads, stamps)
            of_entries = dict.fromkeys(map(id, plan.entries), 0.0)
            for entry, seconds in stamps:  # an entry has one for each of its images
                of_entries[id(entry)] += seconds * 1e3
            times.append(list(of_entries.values()))
        medians = [float(t) for t in np.median(times, axis=0)]
        total = sum(medians) or 1.0
        rows = []
        for entry, ms in zip(plan.entries, medians, strict=True):
            x = layer(entry)
            rows.append(ProfileRow(x.name, x.op, x.implementation, x.output, ms, ms / total, x.flops or 0, x.reason))
        return cls(rows, sum(medians), max(runs, 1), threads)

    @classmethod
    def of_stages(cls, stages: Sequence[tuple[Profile, Sequence[Stamp]]]) -> Profile:
        """The profile of a run in stages: for each the profile of its plan, and the times of its data-dependent nodes."""
        rows: list[ProfileRow] = []
        for profile, stamps in stages:
            rows += profile.rows
            for n, dims, s in stamps:
                rows.append(ProfileRow(n.label, type(n.op).__name__, "reference", dims, s * 1e3, 0.0, 0, reference_reason(n)))
        total = sum(r.ms for r in rows)
        first = stages[0][0]
        return cls([replace(r, share=r.ms / (total or 1.0)) for r in rows], total, first.runs, first.threads)

    def _entries(self) -> Sequence[ProfileRow]:
        return self.rows

    def _table(self) -> tuple[Sequence[str], Sequence[Sequence[str]], int]:
        rows = [
            (shorten(r.name), r.op, marked(r), shape_text(r.output), f"{r.ms:.3f}", f"{r.share:.1%}", f"{r.gflops:.1f}")
            for r in self.rows
        ]
        return ("layer", "operator", "by", "output", "ms", "share", "GFLOP/s"), rows, 4

    def _total(self) -> str:
        return f"{self.total_ms:.3f} ms a run (medians over {self.runs} runs, {self.threads} threads)"

    def as_dict(self) -> dict[str, object]:
        """The table as a document for JSON.

        Returns
        -------
        dict
            Values that `json.dumps` takes; the guide lists the keys.
        """
        layers = [
            {
                "name": r.name,
                "operator": r.op,
                "by": r.implementation,
                "reason": r.reason or None,
                "output": r.output,
                "ms": r.ms,
                "share": r.share,
                "flops": r.flops,
                "gflops": r.gflops,
            }
            for r in self.rows
        ]
        return {"threads": self.threads, "runs": self.runs, "ms": self.total_ms, "layers": layers}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a trace (JSON) of one run made of the median times, for Perfetto or chrome://tracing.

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
        events, at = [], 0.0
        for r in self.rows:
            args = {"operator": r.op, "by": r.implementation, "output": shape_text(r.output), "GFLOP/s": round(r.gflops, 1)}
            events.append({"name": r.name, "ph": "X", "pid": 1, "tid": 1, "ts": at, "dur": r.ms * 1e3, "args": args})
            at += r.ms * 1e3
        Path(path).write_text(json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}))


__all__ = ["Profile", "ProfileRow"]
