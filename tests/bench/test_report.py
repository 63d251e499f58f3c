"""bench/report.py on a handmade file whose figures are easy to check by mental arithmetic."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPORT = Path(__file__).parents[2] / "bench" / "report.py"


def benchmark(layer, algorithm, ms, flops=2e9, bytes_=1e6, threads=1, **more):
    """At 100 GFLOP/s and 10 GB/s: 2e9 FLOPs take at least 20 ms, 1e6 bytes 0.1 ms."""
    info = {"layer": layer, "algorithm": algorithm, "isa": "avx2", "threads": threads, "flops": flops, "bytes": bytes_}
    info |= {"peak_gflops": 100.0, "bandwidth_gbs": 10.0, **more}
    stats = {"min": ms / 1e3, "median": 2 * ms / 1e3}
    return {"name": f"test[{layer}-{algorithm}]", "stats": stats, "extra_info": info}


SAVED = {
    "machine_info": {"cpu": {"brand_raw": "A CPU"}},
    "commit_info": {"id": "0123456789abcdef"},
    "datetime": "2026-01-02T03:04:05",
    "benchmarks": [
        benchmark("net/a", "direct", 25, naive_ms=2500.0, count=2),  # 80 GFLOP/s, 80 % of peak, 100 times naive
        benchmark("net/a", "winograd", 16, naive_ms=2500.0, count=2),  # 125 GFLOP/s, 125 % of peak, 156 times naive
        benchmark("net/b", "direct", 50, naive_ms=2500.0),  # 40 GFLOP/s, 40 % of peak, 50 times naive
        benchmark("net/fc", "gemm", 4, flops=2e7, bytes_=2e7),  # 2 ms of reading: 50 % of memory
        benchmark("net/a", "direct", 12.5, threads=2),
        {"name": "test_load", "stats": {"min": 1.0, "median": 1.0}, "extra_info": {}},
    ],
}


def run(folder, saved, *options):
    path = folder / "saved.json"
    path.write_text(json.dumps(saved), encoding="utf-8")
    env = {"PYTHONIOENCODING": "utf-8"}
    return subprocess.run([sys.executable, REPORT, path, *options], capture_output=True, encoding="utf-8", env=env)


def test_by_layer(tmp_path):
    assert run(tmp_path, SAVED).stdout == (
        """A CPU, commit 0123456789, 2026-01-02; times are each benchmark's min.

### avx2, 1 thread

| layer | algorithm | ms | GFLOP/s | limit | × naive |
| --- | --- | ---: | ---: | ---: | ---: |
| net/a | direct | 25.000 | 80.0 | 80 % of peak | 100 |
| net/a | winograd | **16.000** | 125.0 | 125 % of peak | 156 |
| net/b | direct | 50.000 | 40.0 | 40 % of peak | 50 |
| net/fc | gemm | 4.000 | 5.0 | 50 % of memory | – |

| algorithm | layers | limit, median | limit, least | × naive, median | × naive, least |
| --- | ---: | ---: | ---: | ---: | ---: |
| direct | 2 | 60 % | 40 % | 75 | 50 |
| winograd | 1 | 125 % | 125 % | 156 | 156 |
| gemm | 1 | 50 % | 50 % | – | – |

### avx2, 2 threads

| layer | algorithm | ms | GFLOP/s | limit | × naive |
| --- | --- | ---: | ---: | ---: | ---: |
| net/a | direct | 12.500 | 160.0 | 160 % of peak | – |

| algorithm | layers | limit, median | limit, least | × naive, median | × naive, least |
| --- | ---: | ---: | ---: | ---: | ---: |
| direct | 1 | 160 % | 160 % | – | – |

| algorithm | layers | × one thread, median | × one thread, least |
| --- | ---: | ---: | ---: |
| direct | 1 | 2.00 | 2.00 |

1 benchmarks name no layer and are left out.
"""
    )


def test_by_network(tmp_path):
    out = run(tmp_path, SAVED, "--group", "network").stdout
    # a counts twice: direct takes 2 x 25 + 50 ms for 6 GFLOP, whose limit is 60 ms; naive 7500 ms
    assert "| net | direct | 3 of 4 | 100.00 | 60.0 | 60 % | 75 |" in out
    assert "| net | winograd | 2 of 4 | 32.00 | 125.0 | 125 % | 156 |" in out
    assert "| net | gemm | 1 of 4 | 4.00 | 5.0 | 50 % | – |" in out
    assert "| net | direct | 1 | 12.50 | 160.0 | 160 % | – |" in out


def test_threads_are_compared_layer_by_layer(tmp_path):
    times = [("net/a", 30, 1), ("net/b", 10, 1), ("net/a", 20, 2), ("net/b", 5, 2), ("net/c", 5, 2)]
    saved = {"benchmarks": [benchmark(layer, "direct", ms, threads=threads) for layer, ms, threads in times]}
    assert "| direct | 2 | 1.75 | 1.50 |" in run(tmp_path, saved).stdout


def test_a_whole_model_is_not_a_layer_of_its_network(tmp_path):
    saved = {"benchmarks": [benchmark("net/a", "direct", 25, count=2), benchmark("net", "model", 80, flops=4e9)]}
    out = run(tmp_path, saved, "--group", "network").stdout
    assert "| net | direct | 2 | 50.00 | 80.0 | 80 % | – |" in out
    assert "| net | model | all | 80.00 | 50.0 | 50 % | – |" in out


def test_a_missing_naive_time_leaves_the_networks_ratio_open(tmp_path):
    saved = {"benchmarks": [benchmark("net/a", "direct", 25, naive_ms=2500.0), benchmark("net/b", "direct", 25)]}
    assert "| net | direct | 2 | 50.00 | 80.0 | 80 % | – |" in run(tmp_path, saved, "--group", "network").stdout


def test_median(tmp_path):
    assert "| net/b | direct | 100.000 | 20.0 | 20 % of peak | 25 |" in run(tmp_path, SAVED, "--stat", "median").stdout


@pytest.mark.parametrize("key", ["algorithm", "peak_gflops", "bytes"])
def test_a_missing_figure_is_an_error_that_names_the_benchmark(tmp_path, key):
    lacking = benchmark("net/a", "direct", 25)
    del lacking["extra_info"][key]
    done = run(tmp_path, {"benchmarks": [lacking]})
    assert done.returncode == 1
    assert done.stderr == f"test[net/a-direct]: '{key}' is missing from its extra_info\n"
