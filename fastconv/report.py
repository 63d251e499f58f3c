"""What a model is and where its time goes, as tables: `model.summary()` and `model.profile(x)`."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .plan import Plan, SplitPlan
from .plan.plan import Entry
from .plan.stages import Stamp
from .plan.work import flops


@dataclass(frozen=True)
class Layer:
    """One entry of a plan: `flops` counts a multiply-add as two; `params` the values of its constants."""

    name: str
    op: str
    implementation: str
    input: tuple[int, ...]
    output: tuple[int, ...]
    params: int
    flops: int


@dataclass(frozen=True)
class ProfileRow:
    """One entry of a plan with its time: the median over the runs, in milliseconds."""

    name: str
    op: str
    implementation: str
    output: tuple[int, ...]
    ms: float
    share: float
    flops: int

    @property
    def gflops(self) -> float:
        """Billions of floating point operations a second."""
        return self.flops / self.ms / 1e6 if self.ms else 0.0


def layer(entry: Entry) -> Layer:
    """What an entry of a plan is, for all of its images."""
    images = entry.images

    def whole(dims: tuple[int, ...]) -> tuple[int, ...]:
        return (images * dims[0], *dims[1:]) if images > 1 else dims

    task = entry.task
    if task.choice is None:
        (value,) = task.writes
        return Layer(value.name, "reorder", "copy", whole(value.dims), whole(value.dims), 0, 0)
    node = task.choice.node
    first = next((v for v in node.inputs if v is not None), None)
    params = sum(v.constant.size for v in node.operands if v.constant is not None)
    return Layer(
        node.label,
        "+".join(type(n.op).__name__ for n in node.chain),
        task.choice.name,
        whole(first.dims) if first is not None else (),
        whole(node.results[0].dims),
        params,
        flops(node) * images,
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """Aligned columns, the first `left` of them to the left, the others to the right."""
    widths = [max(len(r[i]) for r in (header, *rows)) for i in range(len(header))]
    lines = [
        "  ".join(c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths, strict=True))).rstrip()
        for r in (header, *rows)
    ]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def dims_text(dims: Sequence[int]) -> str:
    """1x3x224x224."""
    return "x".join(map(str, dims)) or "scalar"


def shorten(name: str, width: int = 32) -> str:
    """A name that fits a table's column, its end kept; control characters escaped."""
    name = name if name.isprintable() else repr(name)[1:-1]
    return name if len(name) <= width else "…" + name[1 - width :]


class Summary:
    """The layers of a plan; str() is the table."""

    def __init__(self, layers: Sequence[Layer], isa: str, arena: int):
        self.layers = tuple(layers)
        self.isa = isa
        self.arena = arena

    @property
    def params(self) -> int:
        """Values of all constants."""
        return sum(x.params for x in self.layers)

    @property
    def flops(self) -> int:
        """Floating point operations of one run."""
        return sum(x.flops for x in self.layers)

    def __str__(self) -> str:
        rows = [
            (
                shorten(x.name),
                x.op,
                x.implementation,
                dims_text(x.input),
                dims_text(x.output),
                f"{x.params:,}",
                f"{x.flops / 1e6:,.2f}",
            )
            for x in self.layers
        ]
        total = (
            f"{len(rows)} layers, {self.params:,} parameters ({self.params * 4 / 1e6:.1f} MB), {self.flops / 1e9:.3f} GFLOP,"
            f" arena {self.arena / 1e6:.1f} MB, {self.isa}"
        )
        return table(("layer", "operator", "by", "input", "output", "parameters", "MFLOP"), rows, 5) + "\n" + total


def summarise(plan: Plan | SplitPlan) -> Summary:
    """The Summary of a plan."""
    return Summary([layer(e) for e in plan.entries], plan.target.kernels.isa, plan.arena_size)


class Profile:
    """Time by layer; str() is the table, `save` writes a trace for Perfetto or chrome://tracing."""

    def __init__(self, rows: Sequence[ProfileRow], total_ms: float, runs: int, threads: int):
        self.rows = tuple(rows)
        self.total_ms = total_ms
        self.runs = runs
        self.threads = threads

    @classmethod
    def of(cls, stages: Sequence[tuple[Profile, Sequence[Stamp]]]) -> Profile:
        """The profile of stages: of each its plan's, and the nodes that run after the plan."""
        rows: list[ProfileRow] = []
        for profile, stamps in stages:
            rows += profile.rows
            rows += [ProfileRow(n.label, type(n.op).__name__, "reference", dims, s * 1e3, 0.0, 0) for n, dims, s in stamps]
        total = sum(r.ms for r in rows)
        first = stages[0][0]
        return cls([replace(r, share=r.ms / (total or 1.0)) for r in rows], total, first.runs, first.threads)

    def __str__(self) -> str:
        rows = [
            (shorten(r.name), r.op, r.implementation, dims_text(r.output), f"{r.ms:.3f}", f"{r.share:.1%}", f"{r.gflops:.1f}")
            for r in self.rows
        ]
        total = f"{self.total_ms:.3f} ms a run (medians over {self.runs} runs, {self.threads} threads)"
        return table(("layer", "operator", "by", "output", "ms", "share", "GFLOP/s"), rows, 4) + "\n" + total

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a Chrome trace (JSON) of one run made of the median times."""
        events, at = [], 0.0
        for r in self.rows:
            args = {"operator": r.op, "by": r.implementation, "output": dims_text(r.output), "GFLOP/s": round(r.gflops, 1)}
            events.append({"name": r.name, "ph": "X", "pid": 1, "tid": 1, "ts": at, "dur": r.ms * 1e3, "args": args})
            at += r.ms * 1e3
        Path(path).write_text(json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}))


def profile_plan(
    plan: Plan | SplitPlan, inputs: list[np.ndarray], outputs: list[np.ndarray], threads: int, runs: int
) -> Profile:
    """Run the plan once to warm up and `runs` times more with a clock between its steps."""
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
        rows.append(ProfileRow(x.name, x.op, x.implementation, x.output, ms, ms / total, x.flops))
    return Profile(rows, sum(medians), max(runs, 1), threads)
