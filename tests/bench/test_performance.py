"""bench/performance.py: it generates the pages from bench/results; new results of one machine keep those of the others."""

import json
import xml.etree.ElementTree as ET

import performance
import pytest

from fastconv import config

UP_TO_DATE = "python bench/performance.py --write"


def test_the_page_is_up_to_date():
    assert performance.PAGE.read_text(encoding="utf-8") == performance.page(), UP_TO_DATE


def test_the_figure_of_the_readme_is_up_to_date():
    block = f"<!-- table: {performance.TABLE} -->\n{performance.figure()}\n<!-- end -->"
    assert performance.README.read_text(encoding="utf-8").count(block) == 1, UP_TO_DATE


@pytest.mark.parametrize("theme", performance.THEMES)
def test_the_picture_is_up_to_date_and_small(theme):
    path = performance.picture_path(theme)
    text = path.read_text(encoding="utf-8")
    assert text == performance.picture(theme), UP_TO_DATE
    assert path.stat().st_size < 10_000
    svg = ET.fromstring(text)
    bars = [e for e in svg.iter("{http://www.w3.org/2000/svg}rect") if e.get("x") == str(performance.LEFT)]
    single = performance.shown()[2]
    assert len(bars) == 1 + sum(len(performance.medians(c)) for c in single)  # and the legend's first


@pytest.mark.parametrize("path", sorted(performance.RESULTS.glob("*.json")), ids=lambda p: p.name)
def test_files_are_as_they_are_written(path):
    text = path.read_text(encoding="utf-8")
    assert text == performance.dumps(json.loads(text)) + "\n"


@pytest.mark.parametrize(
    "cpu, name",
    [
        ("AMD EPYC 7763 64-Core Processor", "amd-epyc-7763-64-core"),
        ("Intel(R) Core(TM) i7-9700K CPU @ 3.60GHz", "intel-core-i7-9700k"),
        ("Intel(R) Xeon(R) Processor (family 6, model 143, stepping 8)", "intel-xeon-6-143-8"),
        ("aarch64 (implementer 0x41, part 0xd0c)", "aarch64-0x41-0xd0c"),
    ],
)
def test_files_have_short_names(cpu, name):
    assert performance.slug(cpu) == name


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(performance, "RESULTS", tmp_path / "results")
    return performance.RESULTS


def run(accuracy, batch, median, **more):
    results = {"fastconv": {"median_ms": median}, "ncnn": {"median_ms": 2 * median}}
    networks = [{"network": "net", "threads": 1, "ratio": 2.0, "results": results | more}]
    return {
        "accuracy": accuracy, "batch": batch, "date": "2026-01-02", "commit": "0123456789", "threads": [1], "rounds": 5,
        "burst_s": 0.4, "starts": 3, "engines": {"fastconv": "1.0", "ncnn": "2.0"}, "networks": networks,
    }  # fmt: skip


def test_a_machine_replaces_its_own_figures_only(folder, monkeypatch):
    monkeypatch.setattr(config, "cpu", lambda: "A CPU")
    assert performance.save("avx2", [run("exact", 1, 1.0), run("default", 8, 2.0)]).parent == folder
    performance.save("avx2", [run("default", 8, 3.0), run("default", 1, 4.0)])
    performance.save("avx512", [run("default", 1, 5.0)])
    monkeypatch.setattr(config, "cpu", lambda: "Another CPU")
    performance.save("avx2", [run("default", 1, 6.0)])
    found = {
        (s["isa"], s["cpu"]): [r["networks"][0]["results"]["fastconv"]["median_ms"] for r in s["runs"]]
        for s in performance.load()
    }
    # in the order of accuracy and batch
    assert found == {("avx2", "A CPU"): [4, 3, 1], ("avx512", "A CPU"): [5], ("avx2", "Another CPU"): [6]}
    page = performance.page()
    assert page.index("## avx2, A CPU") < page.index("## avx2, Another CPU") < page.index("## avx512, A CPU")
    assert "| avx512 | A CPU |" in page


def test_precisions_have_tables_of_their_own(folder, monkeypatch):
    monkeypatch.setattr(config, "cpu", lambda: "A CPU")
    performance.save("avx2", [run("default", 1, 1.0) | {"precision": precision} for precision in ("int8", "float32")])
    limited = {"precision": "int8", "environment": {"ONEDNN_MAX_CPU_ISA": "AVX2"}}
    performance.save("avx2", [run("default", 1, 2.0), run("default", 1, 3.0) | limited])
    (saved,) = performance.load()
    medians = [(performance.kind(r), r["networks"][0]["results"]["fastconv"]["median_ms"]) for r in saved["runs"]]
    assert medians == [(("float32", "default"), 2.0), (("int8", "default"), 3.0)]
    page = performance.page()
    assert page.index('### accuracy="default": avx2') < page.index('### int8, accuracy="default": avx2')
    assert "| int8 | default | 1 | 2.00 | 2.00 |" in page
    assert " --threads 1 --precision int8 --rounds 5 " in page
    assert "`FASTCONV_ISA=avx2 ONEDNN_MAX_CPU_ISA=AVX2 python bench/peers.py " in page


def test_layers_are_kept_beside_the_runs(folder):
    def benchmark(isa, threads, ms):
        info = {"layer": "net/a", "algorithm": "direct", "isa": isa, "threads": threads, "flops": 2e9, "bytes": 1e6}
        info |= {"peak_gflops": 100.0, "bandwidth_gbs": 10.0}
        return {"name": "test", "stats": {"min": ms / 1e3}, "extra_info": info}

    saved = {"datetime": "2026-01-02T03:04:05", "commit_info": {"id": "0123456789abcdef", "dirty": True}}
    performance.save("avx2", [run("default", 1, 1.0)])
    for ms in (50, 25):
        plain = {"layer": "net/a", "algorithm": "naive", "isa": "", "threads": 1, "flops": 2e9, "bytes": 1e6}
        saved["benchmarks"] = [{"name": "naive", "stats": {"min": 2.5}, "extra_info": plain}]
        saved["benchmarks"] += [benchmark("avx2", 1, ms), benchmark("avx2", 2, ms / 2), benchmark("avx512", 1, ms / 3)]
        performance.save_layers(saved, "min")
    both, other = performance.load()
    assert len(both["runs"]) == 1
    assert other["runs"] == []
    assert both["layers"]["commit"] == "0123456789+"
    page = performance.page()
    assert " --isa avx2 --network net --threads 1,2 --algorithm direct,naive --benchmark-json saved.json`" in page
    assert "On 1 thread:\n\n| network |" in page
    why = ", peak disturbed"
    for ms, limit, naive in (("25.00", "80 %", 100), ("12.50", f"160 %{why}", 200), ("8.33", f"240 %{why}", 300)):
        assert f"| net | direct | 1 | {ms} | {limit.split()[0]}.0 | {limit} | {naive} |" in page  # of a peak of 100 GFLOP/s


def test_an_engine_without_figures_has_a_dash_and_no_bar(folder, monkeypatch):
    path = performance.save("avx2", [run("default", 1, 1.0, openvino={"error": "it died"})])
    monkeypatch.setattr(performance, "SHOWN", path.name)
    assert "| net | 1.00 | 2.00 | – | 2.00 |" in performance.page()
    assert "- net, batch 1, threads 1: openvino: it died" in performance.page()
    assert "2.00 to 2.00 times as long" in performance.figure()
    assert performance.picture("light").count(" ms</text>") == 2
