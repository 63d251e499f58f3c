"""bench/report.py on a handmade file whose figures are easy to check by mental arithmetic."""

import json
import sys

import pytest
import report


def benchmark(layer, algorithm, ms, flops=2e9, bytes_=1e6, threads=1, **more):
    """At 100 GFLOP/s and 10 GB/s: 2e9 FLOPs take at least 20 ms, 1e6 bytes 0.1 ms."""
    info = {"layer": layer, "algorithm": algorithm, "isa": "avx2", "threads": threads, "flops": flops, "bytes": bytes_}
    info |= {"peak_gflops": 100.0, "bandwidth_gbs": 10.0, **more}
    stats = {"min": ms / 1e3, "median": 2 * ms / 1e3}
    return {"name": f"test[{layer}-{algorithm}]", "stats": stats, "extra_info": info}


def naive(layer, ms=2500):
    info = {"layer": layer, "algorithm": "naive", "isa": "", "threads": 1, "flops": 2e9, "bytes": 1e6}
    return {"name": f"test[{layer}-naive]", "stats": {"min": ms / 1e3, "median": ms / 1e3}, "extra_info": info}


SAVED = {
    "machine_info": {"cpu": {"brand_raw": "A CPU"}},
    "commit_info": {"id": "0123456789abcdef"},
    "datetime": "2026-01-02T03:04:05",
    "benchmarks": [
        naive("net/a"),
        benchmark("net/a", "direct", 25, count=2),  # 80 GFLOP/s, 80 % of peak, 100 times naive
        benchmark("net/a", "winograd", 16, count=2, fewer_products=True),  # 125 GFLOP/s, 125 % of peak, 156 times naive
        naive("net/b"),
        benchmark("net/b", "direct", 50),  # 40 GFLOP/s, 40 % of peak, 50 times naive
        benchmark("net/fc", "gemm", 4, flops=2e7, bytes_=2e7),  # 2 ms of reading: 50 % of memory
        benchmark("net/a", "direct", 12.5, threads=2),
        {"name": "test_load", "stats": {"min": 1.0, "median": 1.0}, "extra_info": {}},
    ],
}


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """run(saved, *options): what bench/report.py prints."""

    def run(saved, *options):
        path = tmp_path / "saved.json"
        path.write_text(json.dumps(saved), encoding="utf-8")
        monkeypatch.setattr(sys, "argv", ["report.py", str(path), *options])
        report.main()
        return capsys.readouterr().out

    return run


def test_layers_of_bytes_have_the_peak_of_their_instruction(run):
    benchmarks = [
        benchmark("net/a", "direct-int8", 25, instruction="vpdpbusd"),
        benchmark("net/b", "direct", 25),
        benchmark("net/c", "direct-int8", 40, bytes_=1e8, instruction="tdpbusd"),  # 10 ms of reading, 20 ms of products
        benchmark("net/fc", "gemm-int8", 4, flops=2e7, bytes_=2e7, instruction="tdpbusd"),
    ]
    out = run(SAVED | {"benchmarks": benchmarks})
    assert (
        """
| layer | algorithm | ms | GOP/s | limit | peak | × naive |
| --- | --- | ---: | ---: | ---: | ---: | ---: |
| net/a | direct-int8 | 25.000 | 80.0 | 80 % of peak | 80 % of vpdpbusd | – |
| net/b | direct | 25.000 | 80.0 | 80 % of peak |  | – |
| net/c | direct-int8 | 40.000 | 50.0 | 50 % of peak | 50 % of tdpbusd | – |
| net/fc | gemm-int8 | 4.000 | 5.0 | 50 % of memory | 5 % of tdpbusd | – |
"""
        in out
    )
    out = run(SAVED | {"benchmarks": benchmarks}, "--group", "network")
    assert "| net | direct-int8 | 2 of 4 | 65.00 | 61.5 | 62 % | 62 % of tdpbusd, vpdpbusd | – |" in out


def test_by_layer(run):
    assert run(SAVED) == (
        """A CPU, commit 0123456789, 2026-01-02; times are each benchmark's min.

### avx2, 1 thread

| layer | algorithm | ms | GFLOP/s | limit | × naive |
| --- | --- | ---: | ---: | ---: | ---: |
| net/a | direct | 25.000 | 80.0 | 80 % of peak | 100 |
| net/a | winograd | **16.000** | 125.0 | 125 % of peak, fewer products | 156 |
| net/b | direct | 50.000 | 40.0 | 40 % of peak | 50 |
| net/fc | gemm | 4.000 | 5.0 | 50 % of memory | – |

| algorithm | layers | limit, median | limit, least | × naive, median | × naive, least |
| --- | ---: | ---: | ---: | ---: | ---: |
| direct | 2 | 60 % | 40 % | 75 | 50 |
| winograd | 1 | 125 %, fewer products | 125 %, fewer products | 156 | 156 |
| gemm | 1 | 50 % | 50 % | – | – |

### avx2, 2 threads

| layer | algorithm | ms | GFLOP/s | limit | × naive |
| --- | --- | ---: | ---: | ---: | ---: |
| net/a | direct | 12.500 | 160.0 | 160 % of peak, peak disturbed | 200 |

| algorithm | layers | limit, median | limit, least | × naive, median | × naive, least |
| --- | ---: | ---: | ---: | ---: | ---: |
| direct | 1 | 160 %, peak disturbed | 160 %, peak disturbed | 200 | 200 |

| algorithm | layers | × one thread, median | × one thread, least |
| --- | ---: | ---: | ---: |
| direct | 1 | 2.00 | 2.00 |

1 benchmarks name no layer and are left out.
"""
    )


def test_by_network(run):
    out = run(SAVED, "--group", "network")
    # a counts twice: direct takes 2 x 25 + 50 ms for 6 GFLOP, whose limit is 60 ms; naive 7500 ms
    assert "| net | direct | 3 of 4 | 100.00 | 60.0 | 60 % | 75 |" in out
    assert "| net | winograd | 2 of 4 | 32.00 | 125.0 | 125 %, fewer products | 156 |" in out
    assert "| net | gemm | 1 of 4 | 4.00 | 5.0 | 50 % | – |" in out
    assert "| net | direct | 1 | 12.50 | 160.0 | 160 %, peak disturbed | 200 |" in out


def test_threads_are_compared_layer_by_layer(run):
    times = [("net/a", 30, 1), ("net/b", 10, 1), ("net/a", 20, 2), ("net/b", 5, 2), ("net/c", 5, 2)]
    saved = {"benchmarks": [benchmark(layer, "direct", ms, threads=threads) for layer, ms, threads in times]}
    assert "| direct | 2 | 1.75 | 1.50 |" in run(saved)


def test_a_whole_model_is_not_a_layer_of_its_network(run):
    saved = {"benchmarks": [benchmark("net/a", "direct", 25, count=2), benchmark("net", "model", 80, flops=4e9)]}
    out = run(saved, "--group", "network")
    assert "| net | direct | 2 | 50.00 | 80.0 | 80 % | – |" in out
    assert "| net | model | all | 80.00 | 50.0 | 50 % | – |" in out


def test_a_missing_naive_time_leaves_the_networks_ratio_open(run):
    saved = {"benchmarks": [naive("net/a"), benchmark("net/a", "direct", 25), benchmark("net/b", "direct", 25)]}
    assert "| net | direct | 2 | 50.00 | 80.0 | 80 % | – |" in run(saved, "--group", "network")


def test_a_small_layer_can_pass_the_memory_s_limit(run):
    saved = {"benchmarks": [benchmark("net/fc", "gemm", 1, flops=2e7, bytes_=2e7)]}
    assert "| 200 % of memory, in cache |" in run(saved)


def test_median(run):
    assert "| net/b | direct | 100.000 | 20.0 | 20 % of peak | 25 |" in run(SAVED, "--stat", "median")


@pytest.mark.parametrize("key", ["algorithm", "peak_gflops", "bytes"])
def test_a_missing_figure_is_an_error_that_names_the_benchmark(run, key):
    lacking = benchmark("net/a", "direct", 25)
    del lacking["extra_info"][key]
    with pytest.raises(SystemExit, match=rf"^test\[net/a-direct\]: '{key}' is missing from its extra_info$"):
        run({"benchmarks": [lacking]})
