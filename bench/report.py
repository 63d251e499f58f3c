"""Markdown tables from a file that pytest-benchmark saved.

    pytest bench --benchmark-only --benchmark-json saved.json
    python bench/report.py saved.json                       one line a layer and algorithm, then a summary of each algorithm
    python bench/report.py saved.json --group network       one line a network and algorithm
    python bench/report.py saved.json --write               keep those lines in bench/results, for docs/performance.md

Where one thread was timed as well as several, a table says how much faster the several are.

A layer cannot be faster than its multiply-adds at the machine's peak, nor than its bytes at the memory's bandwidth. The slower
of the two is its limit, and the column says how near it comes: "91 % of peak", "70 % of memory". The bytes of a small layer
may come from a cache, and then it can pass 100 % of memory. Winograd saves multiply-adds: it is counted with those of the
definition, and can pass 100 % of peak. "x naive" is against the compiled plain loops of fastconv.naive on one thread.

Every benchmark says in its extra_info: layer ("network/name", or "network" for a whole model), algorithm, isa, threads, flops,
bytes, peak_gflops (of this isa and number of threads), bandwidth_gbs; and, where known, count (how often the network has the
layer, else 1) and naive_ms.
"""

import argparse
import datetime
import json
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


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
    naive_ms: float | None
    count: int

    @property
    def network(self) -> str:
        return self.layer.split("/")[0]

    @property
    def is_model(self) -> bool:
        return "/" not in self.layer

    @property
    def gflops(self) -> float:
        return self.flops / self.ms / 1e6

    @property
    def of_limit(self) -> float:
        return self.limit_ms / self.ms

    @property
    def times_naive(self) -> float | None:
        return None if self.naive_ms is None else self.naive_ms / self.ms


def read(benchmark: dict[str, Any], stat: str) -> Row:
    """The row of one benchmark in the file."""
    info = benchmark["extra_info"]
    try:
        compute_ms = info["flops"] / info["peak_gflops"] / 1e6
        memory_ms = info["bytes"] / info["bandwidth_gbs"] / 1e6
        return Row(
            info["layer"],
            info["algorithm"],
            info["isa"],
            info["threads"],
            benchmark["stats"][stat] * 1e3,
            info["flops"],
            max(compute_ms, memory_ms),
            memory_ms > compute_ms,
            info.get("naive_ms"),
            info.get("count", 1),
        )
    except KeyError as error:
        raise SystemExit(f"{benchmark['name']}: {error} is missing from its extra_info") from None


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
        False,
        None if None in naive else sum(r.count * n for r, n in zip(rows, naive, strict=True) if n is not None),
        sum(r.count for r in rows),
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


def percent(x: float) -> str:
    return f"{100 * x:.0f} %"


def times(x: float | None) -> str:
    return "–" if x is None else f"{x:.1f}" if x < 10 else f"{x:.0f}"


def by_layer(rows: list[Row]) -> str:
    """One line a layer and algorithm; the fastest of several algorithms is bold."""
    lines = []
    for layer, group in grouped(rows, lambda r: r.layer).items():
        best = min(r.ms for r in group)
        for r in group:
            ms = f"**{r.ms:.3f}**" if r.ms == best and len(group) > 1 else f"{r.ms:.3f}"
            limit = f"{percent(r.of_limit)} of {'memory' if r.memory_bound else 'peak'}"
            lines.append((layer, r.algorithm, ms, f"{r.gflops:.1f}", limit, times(r.times_naive)))
    return table("layer | algorithm | >ms | >GFLOP/s | >limit | >× naive", lines)


def by_algorithm(rows: list[Row]) -> str:
    """One line for each algorithm: the median and the worst of its layers."""
    lines = []
    for algorithm, group in grouped(rows, lambda r: r.algorithm).items():
        limits = [r.of_limit for r in group]
        naive = [t for r in group if (t := r.times_naive) is not None]
        lines.append(
            (
                algorithm,
                str(len(group)),
                percent(statistics.median(limits)),
                percent(min(limits)),
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
            figures.append(f | {"of_limit": r.of_limit, "times_naive": r.times_naive})
    return figures


def network_table(figures: Iterable[dict[str, Any]]) -> str:
    """One line a network and algorithm."""
    lines = [
        (f["network"], f["algorithm"], f["layers"],
         f"{f['ms']:.2f}", f"{f['gflops']:.1f}", percent(f["of_limit"]), times(f["times_naive"]))
        for f in figures
    ]  # fmt: skip
    return table("network | algorithm | >layers | >ms | >GFLOP/s | >limit | >× naive", lines)


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


def layer_rows(saved: dict[str, Any], stat: str) -> list[Row]:
    """The benchmarks that name a layer."""
    return [read(b, stat) for b in saved["benchmarks"] if "layer" in b.get("extra_info", {})]


def report(saved: dict[str, Any], stat: str = "min", group: str = "layer") -> str:
    """All tables, below a line that says what was measured."""
    cpu = saved.get("machine_info", {}).get("cpu", {}).get("brand_raw", "unknown CPU")
    commit = saved.get("commit_info", {}).get("id") or "unknown"
    head = f"{cpu}, commit {commit[:10]}, {saved.get('datetime', '')[:10]}; times are each benchmark's {stat}."
    rows = layer_rows(saved, stat)
    parts = [head, *sections(rows, group)]
    if left_out := len(saved["benchmarks"]) - len(rows):
        parts.append(f"{left_out} benchmarks name no layer and are left out.")
    return "\n\n".join(parts)


def machine() -> str:
    """What a table was measured on and when: "AMD EPYC, 2026-11-22"."""
    from fastconv.config import cpu  # here, as the tables of a saved file need no fastconv

    return f"{cpu()}, {datetime.date.today()}"


def replace_table(path: Path, name: str, text: str) -> None:
    """Put `text` between the lines `<!-- table: name -->` and `<!-- end -->` of a file; SystemExit where there are none."""
    page = path.read_text(encoding="utf-8")
    begin = f"<!-- table: {name} -->\n"
    before, found, rest = page.partition(begin)
    _, end, after = rest.partition("<!-- end -->")
    if not found or not end:
        raise SystemExit(f"{path}: there is no {begin.strip()} … <!-- end -->")
    path.write_text(f"{before}{begin}{text}\n{end}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("saved", type=Path, help="a file that pytest-benchmark wrote")
    parser.add_argument("--group", choices=("layer", "network"), default="layer")
    parser.add_argument("--stat", choices=("min", "median"), default="min", help="which time of a benchmark; default: min")
    parser.add_argument("--write", action="store_true", help="save the lines of --group network in bench/results")
    args = parser.parse_args()
    saved = json.loads(args.saved.read_text(encoding="utf-8"))
    print(report(saved, args.stat, args.group))
    if args.write:
        import performance  # here, as it needs fastconv, and imports this module

        performance.save_layers(saved, args.stat)
        performance.write()


if __name__ == "__main__":
    main()
