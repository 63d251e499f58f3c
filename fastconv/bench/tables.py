"""Markdown tables of benchmarks that pytest-benchmark has run, or saved in a file.

Where one thread was timed as well as several, a table says how much faster the several are.

A layer cannot be faster than its multiply-adds at the machine's peak, nor than its bytes at the memory's bandwidth. The slower
of the two is its limit, and the column says how near it comes: "91 % of peak", "70 % of memory". A share above 100 % has its
reason beside it: the bytes of a small layer came from a cache; Winograd, which is counted with the products of the definition,
has fewer; or another process had the CPU while the peak was measured. Layers of bytes have the share of the bare instruction's
peak too: "85 % of vpdpbusd". "× naive" is against the benchmark of the same layer by
the compiled plain loops of fastconv.naive, on one thread.

Every benchmark says in its extra_info: layer ("network/name", or "network" for a whole model), algorithm, isa, threads, flops,
bytes, peak_gflops (of this isa and number of threads), bandwidth_gbs; count (how often the network has the layer, else 1),
whether the algorithm has fewer_products than the definition, and the instruction that multiplies bytes, whose peak it then is.
The algorithm "naive" has no peak and no bandwidth.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from ..errors import InputError
from ..peak import above_limit
from .machine import shortened

T = TypeVar("T")
#: the algorithm of the compiled plain loops
NAIVE = "naive"


@dataclass(frozen=True)
class Row:
    """One benchmark, or the sum of several: a network is the sum of its layers."""

    layer: str
    algorithm: str
    isa: str
    threads: int
    ms: float
    flops: float
    limit_ms: float
    memory_bound: bool
    count: int
    fewer_products: bool
    #: the instruction that multiplies bytes, and the time of the products at its peak
    instruction: str = ""
    products_ms: float = 0.0
    naive_ms: float | None = None

    @property
    def network(self) -> str:
        """The network that has the layer."""
        return self.layer.split("/")[0]

    @property
    def is_model(self) -> bool:
        """Whether it is a whole network."""
        return "/" not in self.layer

    @property
    def gflops(self) -> float:
        """Billions of operations a second."""
        return self.flops / self.ms / 1e6

    @property
    def of_limit(self) -> float:
        """The share of the limit that it reaches."""
        return self.limit_ms / self.ms

    @property
    def of_instruction(self) -> float:
        """The share of the instruction's peak that it reaches, whatever its limit is."""
        return self.products_ms / self.ms

    @property
    def why(self) -> str:
        """Why it is above 100 % of its limit; empty if it is not."""
        return above_limit(self.memory_bound, self.fewer_products) if self.of_limit > 1 else ""

    @property
    def times_naive(self) -> float | None:
        """How many times as fast as the plain loops."""
        return None if self.naive_ms is None else self.naive_ms / self.ms


def milliseconds(benchmark: dict[str, Any], stat: str) -> float:
    """The time of one benchmark."""
    return float(benchmark["stats"][stat]) * 1e3


def read(benchmark: dict[str, Any], stat: str) -> Row:
    """The row of one benchmark in the file; InputError if it lacks a figure."""
    info = benchmark["extra_info"]
    try:
        compute_ms = info["flops"] / info["peak_gflops"] / 1e6
        memory_ms = info["bytes"] / info["bandwidth_gbs"] / 1e6
        return Row(
            info["layer"],
            info["algorithm"],
            info["isa"],
            info["threads"],
            milliseconds(benchmark, stat),
            info["flops"],
            max(compute_ms, memory_ms),
            memory_ms > compute_ms,
            info.get("count", 1),
            info.get("fewer_products", False),
            info.get("instruction", ""),
            compute_ms,
        )
    except KeyError as error:
        raise InputError(f"{benchmark['name']}: {error} is missing from its extra_info") from None


def layer_rows(benchmarks: Iterable[dict[str, Any]], stat: str) -> list[Row]:
    """The benchmarks that name a layer, with the times of the plain loops, which get no rows of their own."""
    of_layers = [b for b in benchmarks if "layer" in b.get("extra_info", {})]
    plain = {b["extra_info"]["layer"]: milliseconds(b, stat) for b in of_layers if b["extra_info"].get("algorithm") == NAIVE}
    rows = [read(b, stat) for b in of_layers if b["extra_info"].get("algorithm") != NAIVE]
    return [replace(row, naive_ms=plain.get(row.layer)) for row in rows]


def total(rows: list[Row]) -> Row:
    """The layers of a network as one row, each as often as the network has it."""
    first = rows[0]
    naive = [r.naive_ms for r in rows]
    return Row(
        first.network,
        first.algorithm,
        first.isa,
        first.threads,
        sum(r.count * r.ms for r in rows),
        sum(r.count * r.flops for r in rows),
        sum(r.count * r.limit_ms for r in rows),
        all(r.memory_bound for r in rows),
        sum(r.count for r in rows),
        any(r.fewer_products for r in rows),
        ", ".join(sorted({r.instruction for r in rows} - {""})),
        sum(r.count * r.products_ms for r in rows),
        None if None in naive else sum(r.count * n for r, n in zip(rows, naive, strict=True) if n is not None),
    )


def grouped(rows: Iterable[T], key: Callable[[T], Any]) -> dict[Any, list[T]]:
    """The rows of each key, in the order in which keys and rows come."""
    groups: dict[Any, list[T]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def table(head: str, lines: Iterable[Iterable[str]]) -> str:
    """A Markdown table; the columns whose heading begins with ">" are numbers."""
    names = head.split(" | ")
    rule = ["---:" if n.startswith(">") else "---" for n in names]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in ([n.lstrip(">") for n in names], rule, *lines))


def percent(x: float, why: str = "") -> str:
    """A share, with the reason if there is one."""
    return f"{100 * x:.0f} %{f', {why}' if why else ''}"


def times(x: float | None) -> str:
    """How many times as fast."""
    return "–" if x is None else f"{x:.1f}" if x < 10 else f"{x:.0f}"


def by_layer(rows: list[Row]) -> str:
    """One line a layer and algorithm; the fastest of several algorithms is bold."""
    lines = []
    for layer, group in grouped(rows, lambda r: r.layer).items():
        best = min(r.ms for r in group)
        for r in group:
            ms = f"**{r.ms:.3f}**" if r.ms == best and len(group) > 1 else f"{r.ms:.3f}"
            limit = percent(r.of_limit) + f" of {'memory' if r.memory_bound else 'peak'}{f', {r.why}' if r.why else ''}"
            rate, own = f"{r.gflops:.1f}", of_peak(r.of_instruction, r.instruction)
            lines.append((layer, r.algorithm, ms, rate, limit, own, times(r.times_naive)))
    return rates_table("layer | algorithm | >ms", lines)


def of_peak(share: float, instruction: str) -> str:
    """The share of the peak of the instruction that multiplies bytes; empty for floats."""
    return f"{percent(share)} of {instruction}" if instruction else ""


def rates_table(head: str, lines: Sequence[tuple[str, ...]]) -> str:
    """A table whose last columns are the rate, the limit, the share of the instruction's peak and × naive.

    Where all rows are of floats, it has no instructions.
    """
    if any(line[-2] for line in lines):
        return table(f"{head} | >GOP/s | >limit | >peak | >× naive", lines)
    return table(f"{head} | >GFLOP/s | >limit | >× naive", [(*line[:-2], line[-1]) for line in lines])


def by_algorithm(rows: list[Row]) -> str:
    """One line for each algorithm: the median and the worst of its layers."""
    lines = []
    for algorithm, group in grouped(rows, lambda r: r.algorithm).items():
        by_limit = sorted(group, key=lambda r: r.of_limit)
        naive = [t for r in group if (t := r.times_naive) is not None]
        lines.append(
            (
                algorithm,
                str(len(group)),
                percent(statistics.median(r.of_limit for r in group), by_limit[len(group) // 2].why),
                percent(by_limit[0].of_limit, by_limit[0].why),
                times(statistics.median(naive) if naive else None),
                times(min(naive, default=None)),
            )
        )
    return table("algorithm | >layers | >limit, median | >limit, least | >× naive, median | >× naive, least", lines)


def by_threads(rows: list[Row], single: list[Row]) -> str:
    """One line for each algorithm: the speedup of its layers over one thread, the median and the worst."""
    ms = {(r.layer, r.algorithm): r.ms for r in single}
    lines = []
    for algorithm, group in grouped(rows, lambda r: r.algorithm).items():
        if gains := [ms[r.layer, algorithm] / r.ms for r in group if (r.layer, algorithm) in ms]:
            lines.append((algorithm, str(len(gains)), f"{statistics.median(gains):.2f}", f"{min(gains):.2f}"))
    return table("algorithm | >layers | >× one thread, median | >× one thread, least", lines)


def network_figures(rows: list[Row]) -> list[dict[str, Any]]:
    """The figures of each network and algorithm, with the number of layers that the algorithm ran."""
    figures = []
    for network, group in grouped(rows, lambda r: r.network).items():
        layers = sum({r.layer: r.count for r in group if not r.is_model}.values())
        for algorithm, parts in grouped(group, lambda r: r.algorithm).items():
            r = total(parts)
            share = "all" if parts[0].is_model else str(layers) if r.count == layers else f"{r.count} of {layers}"
            f = {"network": network, "algorithm": algorithm, "layers": share, "ms": r.ms, "gflops": r.gflops}
            known: dict[str, Any] = {"why": r.why} if r.why else {}
            if r.instruction:
                known |= {"instruction": r.instruction, "of_instruction": r.of_instruction}
            figures.append(f | {"of_limit": r.of_limit, **known, "times_naive": r.times_naive})
    return figures


def network_table(figures: Iterable[dict[str, Any]]) -> str:
    """One line a network and algorithm."""
    lines = [
        (f["network"], f["algorithm"], f["layers"], f"{f['ms']:.2f}",
         f"{f['gflops']:.1f}", percent(f["of_limit"], f.get("why", "")),
         of_peak(f.get("of_instruction", 0.0), f.get("instruction", "")), times(f["times_naive"]))
        for f in figures
    ]  # fmt: skip
    return rates_table("network | algorithm | >layers | >ms", lines)


def sections(rows: list[Row], group: str = "layer") -> list[str]:
    """Heading and tables of each instruction set and number of threads."""
    parts = []
    for (isa, threads), section in grouped(rows, lambda r: (r.isa, r.threads)).items():
        parts.append(f"### {isa}, {threads} thread{'s' if threads > 1 else ''}")
        parts += [network_table(network_figures(section))] if group == "network" else [by_layer(section), by_algorithm(section)]
        single = [r for r in rows if (r.isa, r.threads) == (isa, 1)]
        if threads > 1 and single:
            parts.append(by_threads(section, single))
    return parts


def commit(saved: dict[str, Any]) -> str:
    """The commit of a file, with a plus sign if the code had changed since."""
    info = saved.get("commit_info", {})
    return shortened((info.get("id") or "unknown") + "+" * bool(info.get("dirty")))


def report(saved: dict[str, Any], stat: str = "min", group: str = "layer") -> str:
    """All tables, below a line that says what was measured."""
    info = saved.get("machine_info", {})
    cpu = info.get("fastconv", {}).get("cpu") or info.get("cpu", {}).get("brand_raw", "unknown CPU")
    head = f"{cpu}, commit {commit(saved)}, {saved.get('datetime', '')[:10]}; times are each benchmark's {stat}."
    parts = [head, *sections(layer_rows(saved["benchmarks"], stat), group)]
    if left_out := sum("layer" not in b.get("extra_info", {}) for b in saved["benchmarks"]):
        parts.append(f"{left_out} benchmarks name no layer and are left out.")
    return "\n\n".join(parts)
