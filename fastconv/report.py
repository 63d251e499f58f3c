"""Tables of a model's layers and of the time that each takes: `model.summary()` and `model.profile(x)`."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .graph import Node, Shape, Value, shape_text
from .ops.windows import Windows
from .plan import Plan, SplitPlan
from .plan.stages import Stage, Stamp, reference_reason
from .plan.tensors import Entry
from .shown import Shown, escape, html_table
from .weights import key_of


@dataclass(frozen=True)
class Layer:
    """A node with the nodes fused into it, or a reorder of a tensor.

    `params` counts weights and biases, `flops` a multiply-add as two. A layer that waits for sizes has no implementation, "",
    and None for its operations.
    """

    name: str
    op: str
    implementation: str
    input: Shape
    output: Shape
    params: int
    multiply_adds: int | None
    flops: int | None
    window: Windows | None = None
    group: int = 1
    #: why it runs by reference; empty if it runs on a kernel
    reason: str = ""


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


def layer(entry: Entry) -> Layer:
    """The Layer of an entry of a plan, for all of its images."""
    if entry.node is not None:
        return layer_of(entry.node, entry.algorithm, entry.images, entry.reference_reason)
    (value,) = entry.writes
    dims = _whole(value.dims, entry.images)
    return Layer(value.name, "reorder", "copy", dims, dims, 0, 0, 0)


def layer_of(node: Node, implementation: str, images: int = 1, reason: str = "") -> Layer:
    """The Layer of a node, for `images` images."""
    first = next((v for v in node.inputs if v is not None), None)
    known = all(v.known for v in (*node.operands, *node.results))
    return Layer(
        node.label,
        "+".join(type(n.op).__name__ for n in node.chain),
        implementation,
        _whole(first.shape, images) if first is not None else (),
        _whole(node.results[0].shape, images),
        sum(v.constant.size for v in _parameters(node) if v.constant is not None),
        node.op.multiply_adds(node) * images if known else None,
        node.op.flops(node) * images if known else None,
        node.op.window(node),
        getattr(node.op, "group", 1),
        reason,
    )


def _whole(dims: Shape, images: int) -> Shape:
    return (images * dims[0], *dims[1:]) if images > 1 and dims and isinstance(dims[0], int) else dims


def _parameters(node: Node) -> list[Value]:
    return [v for n in node.chain for v in n.op.parameters(n)]


def table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """Aligned columns, the first `left` of them to the left, the others to the right."""
    widths = [max(len(r[i]) for r in (header, *rows)) for i in range(len(header))]
    lines = [
        "  ".join(c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths, strict=True))).rstrip()
        for r in (header, *rows)
    ]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def _axes(values: Sequence[int | None]) -> str:
    """One value for each axis: 3 if all are the same, else 3×1."""
    return shape_text(values[:1] if len(set(values)) == 1 else values)


def _by(row: Layer | ProfileRow) -> str:
    """The implementation that runs it; a reference is marked."""
    return f"{row.implementation} *" if row.reason else row.implementation


def shorten(name: str, width: int = 32) -> str:
    """A name that fits a table's column, its end kept; control characters escaped."""
    name = name if name.isprintable() else repr(name)[1:-1]
    return name if len(name) <= width else "…" + name[1 - width :]


class Report(Shown):
    """A table, a line of totals, and a line about layers that run by reference."""

    def _head(self) -> str:
        """The line above the table, or ""."""
        return ""

    def _table(self) -> tuple[Sequence[str], Sequence[Sequence[str]], int]:
        """The header, the rows, and the number of columns of words."""
        raise NotImplementedError

    def _total(self) -> str:
        """The line below the table."""
        raise NotImplementedError

    def _entries(self) -> Sequence[Layer | ProfileRow]:
        """The layers that the rows show."""
        raise NotImplementedError

    def _by_reference(self) -> str:
        """The number of layers that run by reference, and the reasons."""
        reasons = Counter(x.reason for x in self._entries() if x.reason)
        if not reasons:
            return ""
        count, total = reasons.total(), sum(x.op != "reorder" for x in self._entries())
        return f"* {count} of {total} layers by reference ({', '.join(reason for reason, _ in reasons.most_common())})"

    def __str__(self) -> str:
        return "\n".join(filter(None, [self._head(), table(*self._table()), self._total(), self._by_reference()]))

    def _repr_html_(self) -> str:
        lines = (self._head(), self._total(), self._by_reference())
        head, total, last = (f"<p>{escape(line)}</p>" if line else "" for line in lines)
        return head + html_table(*self._table()) + total + last


class Summary(Report):
    """The layers of a model, from `Model.summary`. A REPL prints the table, str() of it, and a notebook shows it.

    `params` counts the weights and biases of all layers, each once even if layers share it; `weight_bytes` is their size.

    Parameters
    ----------
    inputs : sequence of tuple
        For each input its name, its shape in the file, and the shape that the summary is for.
    layers : sequence of Layer
        The layers, in the order they run.
    weights : iterable of Value
        The weights and biases of all layers.
    plan : Plan or SplitPlan, optional
        The plan of the layers; None if they wait for sizes.

    Examples
    --------
    >>> import fastconv
    >>> fastconv.load(fastconv.data.DIGITS).summary().params
    13962
    """

    def __init__(
        self,
        inputs: Sequence[tuple[str, Shape, Shape]],
        layers: Sequence[Layer],
        weights: Iterable[Value],
        plan: Plan | SplitPlan | None = None,
    ):
        self.inputs = tuple(inputs)
        self.layers = tuple(layers)
        arrays = {key_of(v.constant): v.constant for v in weights if v.constant is not None}.values()
        self.params = sum(a.size for a in arrays)
        self.weight_bytes = sum(a.nbytes for a in arrays)
        self.isa = plan.target.kernels.isa if plan else None
        self.arena = plan.arena_size if plan else None

    def _entries(self) -> Sequence[Layer]:
        return self.layers

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one run."""
        return sum(x.multiply_adds or 0 for x in self.layers)

    @property
    def flops(self) -> int:
        """Floating point operations of one run, a multiply-add counted as two."""
        return sum(x.flops or 0 for x in self.layers)

    def _head(self) -> str:
        """The shapes of the inputs."""
        return ", ".join(
            f"{shorten(name)} {shape_text(declared)}" + (f" as {shape_text(shape)}" if shape != declared else "")
            for name, declared, shape in self.inputs
        )

    def _table(self) -> tuple[Sequence[str], Sequence[Sequence[str]], int]:
        """As in Report; columns that are empty in every row are left out."""
        rows = [_row(x) for x in self.layers]
        said = [i for i, name in enumerate(HEADER) if name in ALWAYS or any(r[i] for r in rows)]
        header, *rest = [[r[i] for i in said] for r in (HEADER, *rows)]
        return header, rest, header.index(NUMBERS)

    def _total(self) -> str:
        total = [f"{len(self.layers)} layers", f"{self.params:,} parameters ({self.weight_bytes / 1e6:.1f} MB)"]
        if self.arena is None:
            return ", ".join([*total, "not planned: give the open sizes (--shape, or shapes= in Python)"])
        total += [f"{self.multiply_adds / 1e9:.3f} GMAC", f"{self.flops / 1e9:.3f} GFLOP (a multiply-add, MAC, is two)"]
        total += [f"arena {self.arena / 1e6:.1f} MB", f"{self.isa}"]
        if waiting := sum(x.flops is None for x in self.layers):
            total.append(f"{waiting} layers not counted: their sizes are known only as the network runs")
        return ", ".join(total)

    def as_dict(self) -> dict[str, object]:
        """The table as a document for JSON.

        Returns
        -------
        dict
            Values that `json.dumps` takes; the guide lists the keys.
        """
        planned = self.isa is not None
        return {
            "inputs": [{"name": n, "declared": declared, "shape": shape} for n, declared, shape in self.inputs],
            "isa": self.isa,
            "arena_bytes": self.arena,
            "parameters": self.params,
            "parameter_bytes": self.weight_bytes,
            "multiply_adds": self.multiply_adds if planned else None,
            "flops": self.flops if planned else None,
            "layers": [
                {
                    "name": x.name,
                    "operator": x.op,
                    "by": x.implementation or None,
                    "reason": x.reason or None,
                    "input": x.input,
                    "output": x.output,
                    "kernel": x.window and x.window.kernel,
                    "strides": x.window and x.window.strides,
                    "pads": x.window and x.window.begin + x.window.end,
                    "dilations": x.window and x.window.dilations,
                    "group": x.group,
                    "parameters": x.params,
                    "multiply_adds": x.multiply_adds,
                    "flops": x.flops,
                }
                for x in self.layers
            ],
        }


#: the columns of a summary; those that it always has; the first column of numbers
HEADER = ("layer", "operator", "by", "output", "kernel", "stride", "pad", "dilation", "group", "parameters", "MMAC", "MFLOP")
ALWAYS, NUMBERS = ("layer", "operator", "output", "parameters"), "parameters"


def _row(x: Layer) -> tuple[str, ...]:
    w = x.window
    pads = "" if w is None else _axes(w.begin) if w.begin == w.end else ",".join(map(str, w.begin + w.end))
    return (
        shorten(x.name, 24),
        x.op,
        _by(x),
        shape_text(x.output),
        shape_text(w.kernel) if w else "",
        _axes(w.strides) if w else "",
        pads,
        _axes(w.dilations) if w and set(w.dilations) != {1} else "",
        str(x.group) if x.group != 1 else "",
        f"{x.params:,}",
        "" if x.multiply_adds is None else f"{x.multiply_adds / 1e6:,.2f}",
        "" if x.flops is None else f"{x.flops / 1e6:,.2f}",
    )


def summarise(inputs: Sequence[tuple[str, Shape, Shape]], plan: Plan | SplitPlan, stage: Stage) -> Summary:
    """The Summary of the first stage's plan and of the nodes after it."""
    nodes = [e.node for e in plan.entries if e.node is not None]
    waiting = stage.rest.graph.nodes if stage.rest else []
    layers = list(map(layer, plan.entries))
    layers += [layer_of(n, "reference", reason=reference_reason(n)) for n in stage.data_dependent]
    layers += [layer_of(n, "") for n in waiting]
    return Summary(inputs, layers, [v for n in (*nodes, *stage.data_dependent, *waiting) for v in _parameters(n)], plan)


def outline(inputs: Sequence[tuple[str, Shape, Shape]], nodes: Sequence[Node]) -> Summary:
    """The Summary of nodes that wait for sizes."""
    return Summary(inputs, [layer_of(n, "") for n in nodes], [v for n in nodes for v in _parameters(n)])


class Profile(Report):
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
    def of(cls, stages: Sequence[tuple[Profile, Sequence[Stamp]]]) -> Profile:
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
            (shorten(r.name), r.op, _by(r), shape_text(r.output), f"{r.ms:.3f}", f"{r.share:.1%}", f"{r.gflops:.1f}")
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


def profile_plan(
    plan: Plan | SplitPlan, inputs: list[np.ndarray], outputs: list[np.ndarray], threads: int, runs: int
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
    return Profile(rows, sum(medians), max(runs, 1), threads)
