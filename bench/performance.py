"""The results in bench/results, and what is made of them: docs/performance.md, and the picture in README.md with its caption.

    python bench/performance.py             print the page
    python bench/performance.py --write     write the page, the picture and its caption

Each file has the measurements of one instruction set on one machine. `runs` compares engines, one entry for each precision,
accuracy and batch size; `bench/peers.py --write` puts them there. `layers` has single layers, from `bench/report.py --write`.
A measurement replaces the earlier one of the same machine; another machine has a file of its own. A run has the medians, ratios
and shares of its tables, and the milliseconds of each round where they were kept.
"""

import argparse
import json
import math
import re
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import report

from fastconv import config
from fastconv.bench import tables
from fastconv.bench.commit import commit as built_commit
from fastconv.bench.machine import shortened
from fastconv.threads import cpu_limit

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench" / "results"
PAGE = ROOT / "docs" / "performance.md"
README = ROOT / "README.md"
#: the results that README.md shows, and the name of the block that shows them
SHOWN = "avx512-intel-xeon-6-167-1-2cpu.json"
TABLE = "performance"
OURS = "fastconv"
#: the most characters of a line in the files: the figures of one engine fit into it
WIDTH = 240

HEAD = """# Performance

Measurements, by instruction set and machine. The instruction set is that of fastconv's kernels (`FASTCONV_ISA` forces one);
other engines choose their own. Compare figures within a table only: they differ from run to run, and more between machines.
`fastconv config` prints the CPU and the instruction sets of a machine; [bench/README.md](../bench/README.md) explains how to
measure.

All engines (`pip install '.[peers]'`) compute the same network with the same random weights on the same input, each in a
process of its own, and take turns. An engine whose result is wrong is not timed. `fastest peer / fastconv` is the ratio within
a round; tables have the median over the rounds. With `accuracy="exact"` fastconv uses no Winograd, and it is off in ncnn too
(onnxruntime and OpenVINO have none). Under "int8" all read the same quantized file; the types in which OpenVINO multiplies are
behind its version.

`python bench/performance.py --write` makes this page from the files in bench/results.
`python bench/peers.py --batch 1,8 --write`, the same with `--precision int8`, and `python bench/report.py saved.json --write`
add the machine they run on.
"""

Results = dict[str, Any]  # a file
Run = dict[str, Any]


# ---- files


def slug(text: str) -> str:
    """The name of a CPU as part of a file name: "AMD EPYC Processor (family 25, model 1, stepping 1)" is amd-epyc-25-1-1."""
    words = "CPU|Processor|family|model|stepping|implementer|part"
    text = re.sub(rf"\((R|TM)\)|@ *[\d.]+ *GHz|\b({words})\b", " ", text, flags=re.IGNORECASE)
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def commit() -> str:
    """The commit that is measured, with a plus sign if the code has changed since."""
    return shortened(built_commit()) or "unknown"


def dumps(value: Any, indent: int = 0, key: str = "") -> str:
    """JSON with one line for everything that fits into one."""
    space = " " * indent
    line = f"{space}{key}{json.dumps(value, ensure_ascii=False)}"
    if len(line) < WIDTH or not isinstance(value, dict | list):
        return line
    if isinstance(value, dict):
        begin, end, parts = "{", "}", [dumps(v, indent + 1, f"{json.dumps(k)}: ") for k, v in value.items()]
    else:
        begin, end, parts = "[", "]", [dumps(v, indent + 1) for v in value]
    return "\n".join([f"{space}{key}{begin}", ",\n".join(parts), f"{space}{end}"])


def load() -> list[Results]:
    """All files, by their names."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))]


def save(isa: str, runs: Iterable[Run] = (), layers: dict[str, Any] | None = None) -> Path:
    """Write runs and layers into the file of this machine, in place of those of the same precision, accuracy and batch size."""
    cpu, cpus = config.cpu(), cpu_limit().count
    path = RESULTS / f"{isa}-{slug(cpu)}-{cpus}cpu.json"
    saved: Results = {"isa": isa, "cpu": cpu, "flags": config.cpu_flags(), "cpus": cpus, "runs": []}
    if path.exists():
        saved = json.loads(path.read_text(encoding="utf-8"))
    all_runs = {(*kind(run), run["batch"]): run for run in (*saved["runs"], *runs)}
    saved["runs"] = [all_runs[key] for key in sorted(all_runs)]
    if layers:
        saved["layers"] = layers
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dumps(saved) + "\n", encoding="utf-8")
    return path


def save_layers(saved: dict[str, Any], stat: str) -> None:
    """Write the lines of `report.py --group network` into the files of this machine, from what pytest-benchmark saved."""
    made = {"date": saved["datetime"][:10], "commit": tables.commit(saved)}
    for isa, rows in tables.grouped(tables.layer_rows(saved["benchmarks"], stat), lambda r: r.isa).items():
        groups = tables.grouped(rows, lambda r: r.threads).items()
        figures = [{"threads": threads, **f} for threads, group in groups for f in tables.network_figures(group)]
        save(isa, layers=made | {"figures": [{k: rounded(v) for k, v in f.items()} for f in figures]})


def kind(run: Run) -> tuple[str, str]:
    """The precision and the accuracy of a run; older files have floats only."""
    return run.get("precision", "float32"), run["accuracy"]


def rounded(value: Any) -> Any:
    """A number with as many digits as tables need; anything else unchanged."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


# ---- tables


def numbers(values: Iterable[float | None], digits: int) -> str:
    """Numbers separated by slashes; a dash for None and NaN."""
    return " / ".join("–" if v is None or math.isnan(v) else f"{v:.{digits}f}" for v in values)


def engines(run: Run) -> list[str]:
    """The engines of a run, in their order."""
    return list(run["networks"][0]["results"])


def origin(isa: str, run: Run) -> str:
    """The date, commit, versions and command of a run."""
    versions = ", ".join(f"{name} {version}" for name, version in run["engines"].items())
    threads = f"{numbers(run['threads'], 0)} thread{'s' if run['threads'] != [1] else ''}"
    accuracy = " --accuracy exact" if run["accuracy"] == "exact" else ""
    accuracy += " --precision int8" if kind(run)[0] == "int8" else ""
    command = f"--batch {run['batch']} --threads {','.join(map(str, run['threads']))}{accuracy}"
    environment = " ".join(f"{k}={v}" for k, v in {"FASTCONV_ISA": isa, **run.get("environment", {})}.items())
    command += f" --rounds {run['rounds']} --burst {run['burst_s']:g} --starts {run['starts']}"
    return (
        f"**Batch {run['batch']}**, {run['date']}, commit {run['commit']}; {versions}. Milliseconds on {threads}: medians over "
        f"{run['rounds']} rounds of the fastest call in {run['burst_s']:g} s.\n"
        f"`{environment} python bench/peers.py {command}`"
    )


def ratios(run: Run) -> list[float]:
    """The fastest peer's time over fastconv's, of each network and number of threads that have one."""
    return [c["ratio"] for c in run["networks"] if "ratio" in c]


def mean(values: list[float]) -> str:
    return f"geometric mean {statistics.geometric_mean(values):.2f}, minimum {min(values):.2f} of {len(values)}"


def times(run: Run) -> str:
    """One line a network: milliseconds by each engine, and the ratio, for each number of threads; then all ratios' mean."""
    lines = []
    for network, group in tables.grouped(run["networks"], lambda c: c["network"]).items():
        cells = (numbers((c["results"][n].get("median_ms") for c in group), 2) for n in engines(run))
        lines.append((network, *cells, numbers((c.get("ratio") for c in group), 2)))
    table = tables.table(" | ".join(["network", *(f">{n}" for n in engines(run)), f">fastest peer / {OURS}"]), lines)
    return f"{table}\n\nFastest peer / {OURS}: {mean(ratios(run))}." if ratios(run) else table


def memory(run: Run) -> str:
    """One line a network: megabytes of each engine, resident and at the peak, and fastconv's share."""
    lines = []
    for c in on_most_threads(run):
        cells = (numbers((c["results"][n].get(f"{kind}_mb") for kind in ("resident", "peak")), 0) for n in engines(run))
        lines.append((c["network"], *cells, numbers(c.get("memory_shares", (None, None)), 2)))
    return tables.table(" | ".join(["network", *(f">{n}" for n in engines(run)), ">share"]), lines)


def loading(run: Run) -> str:
    """One line a network: milliseconds of each engine from load to the first answer."""
    lines = [
        (c["network"], *(numbers([c["results"][n].get("load_ms")], 0) for n in engines(run))) for c in on_most_threads(run)
    ]
    return tables.table(" | ".join(["network", *(f">{n}" for n in engines(run))]), lines)


def on_most_threads(run: Run) -> list[dict[str, Any]]:
    return [c for c in run["networks"] if c["threads"] == run["threads"][-1]]


def run_tables(isa: str, runs: list[Run]) -> str:
    """All tables of the runs of one accuracy; memory and loading are those of the first batch."""
    parts = [part for run in runs for part in (origin(isa, run), times(run))]
    first = runs[0]
    where = f"batch {first['batch']}, {first['threads'][-1]} thread{'s' if first['threads'][-1] > 1 else ''}"
    parts += [
        f"Memory in MB, beyond that of a process that has imported the engine, after the first answer / at the peak ({where}). "
        "Share: fastconv's over the smaller of onnxruntime's and openvino's.",
        memory(first),
        f"Milliseconds from load to the first answer, the minimum of {first['starts']} ({where}).",
        loading(first),
    ]
    errors = [
        f"- {c['network']}, batch {run['batch']}, threads {c['threads']}: {name}: {r['error']}"
        for run in runs for c in run["networks"] for name, r in c["results"].items() if "error" in r
    ]  # fmt: skip
    return "\n\n".join([*parts, "\n".join(errors)] if errors else parts)


def layers(saved: Results) -> str:
    """The tables of single layers, one a number of threads."""
    found = saved["layers"]
    lists = {name: dict.fromkeys(str(f[name]) for f in found["figures"]) for name in ("network", "threads", "algorithm")}
    options = " ".join(f"--{name} {','.join(values)}" for name, values in lists.items())
    naive = ",naive" if any(f["times_naive"] for f in found["figures"]) else ""
    files = "bench/bench_conv.py bench/bench_gemm.py"
    command = f"pytest {files} --isa {saved['isa']} {options}{naive} --benchmark-json saved.json"
    parts = []
    for threads, figures in tables.grouped(found["figures"], lambda f: f["threads"]).items():
        parts += [f"On {threads} thread{'s' if threads > 1 else ''}:", tables.network_table(figures)]
    return (
        f"{found['date']}, commit {found['commit']}. Convolutions and fully connected layers, one at a time: all layers of a "
        "network that the algorithm can run, repeated ones counted. The limit is the peak of multiply-adds or the memory's "
        f"bandwidth, measured beside each layer; `× naive` compares with the compiled plain loops.\n`{command}`\n\n"
        + "\n\n".join(parts)
    )


def summary(all_results: list[Results]) -> str:
    """One line a run."""
    lines = [
        (saved["isa"], saved["cpu"], str(saved["cpus"]), run["date"], *kind(run), str(run["batch"]),
         f"{statistics.geometric_mean(ratios(run)):.2f}", f"{min(ratios(run)):.2f}")
        for saved in all_results for run in saved["runs"] if ratios(run)
    ]  # fmt: skip
    return tables.table(
        f"instruction set | CPU | >CPUs | date | precision | accuracy | >batch | >peer / {OURS}, mean | >least", lines
    )


def section(saved: Results) -> str:
    """A machine and instruction set."""
    name = f"{saved['isa']}, {saved['cpu']}, {saved['cpus']} CPU{'s' if saved['cpus'] > 1 else ''}"
    parts = [f"## {name}"]
    if saved.get("flags"):
        parts.append(f"Flags of the CPU: {saved['flags']}.")
    for (precision, accuracy), runs in tables.grouped(saved["runs"], kind).items():
        of_bytes = f"{precision}, " if precision == "int8" else ""
        parts += [f'### {of_bytes}accuracy="{accuracy}": {name}', run_tables(saved["isa"], runs)]
    if "layers" in saved:
        parts += [f"### Layers: {name}", layers(saved)]
    return "\n\n".join(parts)


def page() -> str:
    """The whole page."""
    found = load()
    return "\n\n".join([HEAD + "\n" + summary(found), *map(section, found)]) + "\n"


# ---- README's picture


def shown() -> tuple[Results, Run, list[dict[str, Any]]]:
    """The results that README.md shows, their run of the default accuracy and batch 1, and its comparisons on one thread."""
    saved = json.loads((RESULTS / SHOWN).read_text(encoding="utf-8"))
    run = next(run for run in saved["runs"] if (*kind(run), run["batch"]) == ("float32", "default", 1))
    return saved, run, [c for c in run["networks"] if c["threads"] == 1 and "ratio" in c]


def medians(comparison: dict[str, Any]) -> dict[str, float]:
    """The milliseconds of the engines that have some."""
    return {name: r["median_ms"] for name, r in comparison["results"].items() if "median_ms" in r}


def picture_path(theme: str) -> Path:
    return PAGE.with_name(f"performance-{theme}.svg")


def figure() -> str:
    """The picture and its caption, as README.md has them."""
    saved, run, single = shown()
    versions = ", ".join(f"{name} {version}" for name, version in run["engines"].items())
    ratio = [c["ratio"] for c in single]
    average = statistics.geometric_mean(ratio)
    return (
        "<picture>\n"
        f'  <source media="(prefers-color-scheme: dark)" srcset="docs/{picture_path("dark").name}">\n'
        f'  <img src="docs/{picture_path("light").name}" alt="Bars: the time of each engine, relative to fastconv">\n'
        "</picture>\n\n"
        f"{saved['cpu']}, {saved['isa']}, {run['date']}; one thread, batch 1; {versions}. The fastest of the others takes "
        f"{min(ratio):.2f} to {max(ratio):.2f} times as long as fastconv (geometric mean {average:.2f})."
    )


#: names of networks and engines as their authors write them
SPELLED = {
    "alexnet": "AlexNet", "vgg16": "VGG-16", "resnet18": "ResNet-18", "resnet50": "ResNet-50", "mobilenetv2": "MobileNetV2",
    "squeezenet": "SqueezeNet 1.1", "unet": "U-Net", "openvino": "OpenVINO",
}  # fmt: skip
#: colours of text, of lines, and of the engines, on a light and on a dark page
THEMES = {
    "light": ("#1f2328", "#d1d9e0", ("#0969da", "#bf8700", "#8250df", "#7d8590")),
    "dark": ("#e6edf3", "#3d444d", ("#58a6ff", "#d29922", "#bc8cff", "#8b949e")),
}
#: pixels: the margins around the bars, the distance from one bar and one network to the next, and the longest bar
LEFT, RIGHT, TOP, BAR, GAP, LONGEST = 116, 64, 62, 11, 9, 530


def picture(theme: str) -> str:
    """An SVG of bars: each network's time by each engine on one thread, relative to fastconv's."""
    _, run, comparisons = shown()
    ink, rule, colours = THEMES[theme]
    colour = dict(zip(engines(run), colours, strict=False))
    single = {c["network"]: medians(c) for c in comparisons}
    longest = max(max(ms.values()) / ms[OURS] for ms in single.values())
    scale = LONGEST / longest
    height = TOP + sum(BAR * len(ms) + GAP for ms in single.values())
    size = f'width="{LEFT + LONGEST + RIGHT}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {LEFT + LONGEST + RIGHT} {height}" role="img">',
        f"<style>text{{font:13px sans-serif;fill:{ink}}}.n{{font-size:10px}}</style>",
        f'<text x="{LEFT}" y="14">Time relative to fastconv: shorter is faster</text>',
    ]
    x = LEFT
    for name, fill in colour.items():
        text = SPELLED.get(name, name)
        parts.append(f'<rect x="{x}" y="24" width="10" height="10" fill="{fill}"/><text x="{x + 15}" y="34">{text}</text>')
        x += 38 + 7 * len(text)
    for i in range(math.floor(longest) + 1):
        at = f"{LEFT + scale * i:.1f}"
        parts.append(f'<path d="M{at} {TOP - 6}V{height - GAP + 4}" stroke="{rule}"/>')
        parts.append(f'<text class="n" x="{at}" y="{TOP - 10}" text-anchor="middle">{i}×</text>')
    y = TOP
    for network, ms in single.items():
        label = escape(SPELLED.get(network, network))
        parts.append(f'<text x="{LEFT - 8}" y="{y + BAR * len(ms) / 2 + 4:g}" text-anchor="end">{label}</text>')
        for name, time in ms.items():
            length = scale * time / ms[OURS]
            parts.append(f'<rect x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR - 1}" fill="{colour[name]}"/>')
            parts.append(f'<text class="n" x="{LEFT + length + 4:.1f}" y="{y + 8.5}">{time:.2f} ms</text>')
            y += BAR
        y += GAP
    return "\n".join([*parts, "</svg>"]) + "\n"


def write() -> None:
    """Write the page, the picture and its caption."""
    PAGE.write_text(page(), encoding="utf-8")
    report.replace_table(README, TABLE, figure())
    for theme in THEMES:
        picture_path(theme).write_text(picture(theme), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the page, the picture and its caption")
    if parser.parse_args().write:
        write()
    else:
        print(page(), end="")


if __name__ == "__main__":
    main()
