"""The benchmarks of the package and the fixture `fastconv_benchmark`, in a pytest of their own, as a user runs them."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import fastconv
from fastconv import config, kernels, peak
from fastconv.bench import commit, machine, plain_loops
from fastconv.graph import Graph, Node, Value
from fastconv.ops import REGISTRY
from fastconv.passes.infer_shapes import infer_shapes

ISA = kernels.load().isa
#: the set whose kernels of floats it runs
FLOATS = kernels.load().sources["conv_direct"]


def pytest_(folder, *arguments, plugins=("pytest_benchmark.plugin", "fastconv.pytest_plugin")):
    """The output of pytest with these plugins only, and its exit code."""
    # pytest-benchmark measures nothing in a worker of pytest-xdist, as this process may be
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    env = own | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COLUMNS": "200"}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *(f"-p{p}" for p in plugins), *arguments]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    return done.stdout + done.stderr, done.returncode


def benchmarks(path):
    return {b["name"]: b for b in json.loads(path.read_text())["benchmarks"]}


@pytest.mark.slow
def test_the_package_is_measured_beside_its_plain_loops(tmp_path):
    options = "--threads", "1", "--algorithm", "direct,winograd,naive", "--seconds", "0.001", "-k", "layer4.0.downsample"
    out, code = pytest_(tmp_path, "--pyargs", "fastconv.bench", *options, "--benchmark-json", "saved.json")
    assert code == 0, out
    assert machine.header([ISA]) in out
    assert "naive is the compiled plain loops, on one thread, 3 rounds each, as they are slow" in out
    assert f"### {FLOATS}, 1 thread\n" in out
    assert "| resnet18/layer4.0.downsample | direct | " in out
    saved = json.loads((tmp_path / "saved.json").read_text())
    assert saved["machine_info"]["fastconv"] == {"cpu": config.cpu(), "cpus": machine.cpu_limit().count, "isa": ISA}
    assert saved["commit_info"]["project"] == "fastconv"
    assert saved["commit_info"]["id"] == (commit.commit().rstrip("+") or "unversioned")
    direct, naive = (
        f"test_conv[resnet18-layer4.0.downsample-direct-t1-{FLOATS}]",
        "test_conv[resnet18-layer4.0.downsample-naive]",
    )
    found = benchmarks(tmp_path / "saved.json")
    assert set(found) == {direct, naive}
    assert {b["group"] for b in found.values()} == {"resnet18/layer4.0.downsample"}
    assert found[naive]["stats"]["rounds"] == 3
    assert found[direct]["extra_info"]["peak_gflops"] > 0


TEST = """
import fastconv

def test_file(fastconv_benchmark):
    outputs = fastconv_benchmark({path!r}, shapes={{"image": (3, 1, 8, 8)}}, threads=1)
    assert outputs["logits"].shape == (3, 10)

def test_model(fastconv_benchmark):
    fastconv_benchmark(fastconv.load({path!r}, threads=2))

def test_missing(fastconv_benchmark):
    fastconv_benchmark("net.onnx")

def test_shape(fastconv_benchmark):
    fastconv_benchmark({path!r}, shapes={{"image": (3, 2, 8, 8)}})

def test_threads(fastconv_benchmark):
    fastconv_benchmark(fastconv.load({path!r}), threads=1)
"""
#: nothing but the reason, and not the lines of the code that found it
ERRORS = {
    "test_missing": "[Errno 2] No such file or directory: 'net.onnx'",
    "test_shape": "input 'image': expected N×1×8×8, got 3×2×8×8",
    "test_threads": "threads: this Model has its own, from load(path, threads=...)",
}


@pytest.mark.slow
def test_a_user_measures_a_model(tmp_path):
    (tmp_path / "test_mine.py").write_text(TEST.format(path=str(fastconv.data.DIGITS)))
    out, code = pytest_(tmp_path, "--benchmark-max-time", "0.01", "--benchmark-json", "saved.json")
    assert code == 1
    assert "2 passed" in out
    assert "Traceback" not in out
    for name, message in ERRORS.items():
        assert f"{name} _" in out
        assert f"_\n{message}\n_" in out or f"_\n{message}\n=" in out
    for name, threads in (("test_file", 1), ("test_model", 2)):
        info = benchmarks(tmp_path / "saved.json")[name]["extra_info"]
        assert (info["threads"], info["isa"], info["version"]) == (threads, ISA, fastconv.__version__)
        assert info["gflops"] > 0
        assert info["percent_of_peak"] == pytest.approx(100 * info["gflops"] / info["peak_gflops"])
        assert f"{name}: {info['gflops']:.1f} GFLOP/s, {info['percent_of_peak']:.0f} % of peak" in out
    assert "fastconv" in json.loads((tmp_path / "saved.json").read_text())["machine_info"]


@pytest.mark.slow
def test_without_pytest_benchmark_a_line_says_so(tmp_path):
    (tmp_path / "test_mine.py").write_text("def test_mine(fastconv_benchmark): pass\ndef test_other(): pass\n")
    missing = "pytest-benchmark is missing: pip install 'fastconv[bench]'"
    out, code = pytest_(tmp_path, plugins=["fastconv.pytest_plugin"])
    assert code == 1
    assert f"_\nfastconv_benchmark: {missing}\n=" in out
    assert "1 passed, 1 error" in out
    out, code = pytest_(tmp_path, "--pyargs", "fastconv.bench", plugins=["fastconv.pytest_plugin"])
    assert (out, code) == (f"ERROR: fastconv.bench: {missing}\n\n", pytest.ExitCode.USAGE_ERROR)


@pytest.mark.slow
def test_an_unknown_network_is_an_error(tmp_path):
    out, code = pytest_(tmp_path, "--pyargs", "fastconv.bench", "--network", "resnet")
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "--network: 'resnet' is none of alexnet, vgg16, " in out
    assert "Traceback" not in out


def test_other_runs_of_pytest_do_not_import_the_engine():
    code = "import fastconv.pytest_plugin, sys; print(*(m for m in sys.modules if m.split('.')[0] in ('fastconv', 'numpy')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["fastconv", "fastconv.pytest_plugin"]


# ---- parts


def node(op, *shapes, **attributes):
    """A node of an operator with inputs of these shapes."""
    inputs = [Value(name, shape, np.dtype(np.float32)) for name, shape in zip("xwb", shapes, strict=False)]
    graph = Graph(inputs, [y := Value("y")], [Node(REGISTRY[op](**attributes), inputs, [y], "node")])
    infer_shapes(graph)
    return graph.nodes[0]


@pytest.mark.parametrize(
    "made",
    [
        node("Conv", (2, 4, 7, 9), (6, 2, 3, 2), (6,), group=2, strides=(2, 1), pads=(1, 0, 2, 1), dilations=(1, 2)),
        node("Conv", (1, 3, 8, 8), (4, 3, 3, 3), auto_pad="SAME_UPPER", strides=(2, 2)),
        node("MaxPool", (2, 3, 7, 8), kernel_shape=(3, 2), strides=(2, 2), pads=(1, 0, 1, 0), ceil_mode=1),
        node("Gemm", (2, 5), (7, 5), (7,), transB=1),
        node("Gemm", (5, 2), (5, 7), transA=1),
    ],
    ids=lambda n: type(n.op).__name__,
)
def test_plain_loops_compute_the_node(made):
    arrays = [plain_loops.some(v.dims) for v in made.inputs]
    if type(made.op).__name__ == "Gemm":  # its numbers are laid out as `linear` takes them
        expected = made.results[0].dims
        assert plain_loops.plain_loops(made)().shape == expected
        return
    expected = made.op.reference(*arrays[:2])
    expected = expected[0] if isinstance(expected, tuple) else expected
    np.testing.assert_allclose(plain_loops.plain_loops(made)(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("made", [node("Conv", (1, 2, 5), (3, 2, 3)), node("Relu", (1, 2, 5, 5))], ids=["Conv1d", "Relu"])
def test_other_nodes_have_no_plain_loops(made):
    assert plain_loops.plain_loops(made) is None


def test_the_peak_is_the_best_of_all_calls(monkeypatch):
    bursts = iter([[50.0, 40.0], [70.0], [60.0]])
    monkeypatch.setattr(peak, "_BEST", {})
    monkeypatch.setattr(peak, "product_bursts", lambda *arguments: next(bursts))
    assert [peak.measure(kernels.load(), 1).gflops for _ in range(3)] == [50, 70, 70]


def git(folder, *arguments):
    identity = "-c", "user.name=a", "-c", "user.email=a@b"
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def test_the_commit_is_the_checkout_s_and_no_other_s(tmp_path, monkeypatch):
    (tmp_path / "fastconv").mkdir()
    (tmp_path / "fastconv/a.py").write_text("1")
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "one")
    found = commit.of_checkout(tmp_path)
    assert len(found) == 40
    (tmp_path / "README.md").write_text("not measured")
    assert commit.of_checkout(tmp_path) == found
    (tmp_path / "fastconv/a.py").write_text("2")
    assert commit.of_checkout(tmp_path) == f"{found}+"
    assert commit.of_checkout(tmp_path / "fastconv") == ""  # a package that lies in the folder of another project
    monkeypatch.setattr(commit, "CHECKOUT", tmp_path / "fastconv")
    monkeypatch.setattr(commit, "FILE", tmp_path / "commit.txt")
    assert commit.commit() == ""
    assert machine.commit_info() | {"version": ""} == {
        "id": "unversioned", "time": None, "dirty": False, "branch": "(unknown)", "project": "fastconv", "version": "",
    }  # fmt: skip
    assert machine.build().endswith(", commit unknown")
    commit.FILE.write_text("0123456789abcdef+")
    assert machine.build().endswith(", commit 0123456789+")
    assert machine.commit_info()["dirty"]
