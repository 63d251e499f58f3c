"""bench/peers.py and bench/engines.py with a fake engine: what runs, what is reported, and how failures are handled."""

import json
import math
import re
import shutil
import sys
from pathlib import Path
from unittest.mock import MagicMock

import engines
import numpy as np
import peers
import performance
import pytest

import fastconv
from fastconv import config, kernels, onnx_json

from ..support.graphs import Net, normal
from ..support.rng import generator

RNG = generator(__name__)
#: the set whose kernels of floats run
FLOATS = kernels.load().sources["conv_direct"]

# An onnxruntime that answers by fastconv's reference, or misbehaves as MODE says. It prints, as libraries do.
FAKE = """
import os, sys
from pathlib import Path
import numpy as np, fastconv

__version__ = "9.9-fake"
MODE = os.environ["MODE"]
print("hello", flush=True)

class SessionOptions:
    pass

class InferenceSession:
    def __init__(self, path, options, providers):
        if MODE == "raises":
            raise ValueError("no such thing\\nand more")
        self.model, self.calls = fastconv.load(Path(path).with_suffix(".json")), 0
        self.ballast = np.ones(8 << 20)
        assert options.intra_op_num_threads == int(os.environ["OMP_NUM_THREADS"]) == 1

    def get_inputs(self):
        return self.model.inputs

    def run(self, outputs, inputs):
        self.calls += 1
        if MODE == "dies" or (MODE == "dies later" and self.calls > 1):
            sys.exit("goodbye")
        y = self.model.reference(inputs).astype(np.float32)
        if MODE == "another":
            y = y[..., ::-1].copy()
        return [y * 1.01 if MODE == "wrong" else y]
"""


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """run(mode, *options): what bench/peers.py prints for the digits, its numbers, and the page it makes where it does."""
    (tmp_path / "onnxruntime.py").write_text(FAKE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    results = tmp_path / "results"
    results.mkdir()
    monkeypatch.setattr(performance, "RESULTS", Path(shutil.copy(performance.RESULTS / performance.SHOWN, results)).parent)
    monkeypatch.setattr(performance, "README", Path(shutil.copy(performance.README, tmp_path)))
    monkeypatch.setattr(performance, "PAGE", tmp_path / "performance.md")
    monkeypatch.setattr(config, "cpu", lambda: "A CPU")
    base = ["--cache", str(tmp_path / "cache"), "--json", str(tmp_path / "all.json"), "--threads", "1", "--burst", "0.001"]

    def run(mode, *options):
        monkeypatch.setenv("MODE", mode)
        engines = ["--engines", "fastconv,onnxruntime", "--rounds", "3", "--starts", "1"]
        monkeypatch.setattr(sys, "argv", ["peers.py", *base, *engines, *options, str(fastconv.data.DIGITS)])
        peers.main()
        page = performance.PAGE.read_text() if "--write" in options else ""
        return capsys.readouterr().out, json.loads((tmp_path / "all.json").read_text()), page

    return run


@pytest.mark.slow
def test_engines_are_compared(run):
    out, [c], page = run("right", "--write", "--starts", "2")
    assert (c["network"], c["batch"], c["threads"]) == ("digits", 1, 1)
    ours, other = c["results"]["fastconv"], c["results"]["onnxruntime"]
    for r in (ours, other):
        assert r["error"] == ""
        assert len(r["ms"]) == 3
        assert min(r["ms"]) > 0
        assert 0 < r["load_s"] < 60
        assert r["max_error"] < 1e-5
    assert other["version"] == "9.9"
    assert c["ratio"] == pytest.approx(np.median(np.divide(other["ms"], ours["ms"])))
    assert f"digits b1 t1: fastconv {np.median(ours['ms']):.2f} ms | onnxruntime {np.median(other['ms']):.2f} ms" in out
    assert "onnxruntime 9.9" in page
    [saved] = [s for s in performance.load() if s["cpu"] == "A CPU"]
    assert saved["isa"] == FLOATS
    [kept] = saved["runs"]
    [digits] = kept["networks"]
    assert digits["ratio"] == pytest.approx(c["ratio"], rel=1e-5)
    ours, other = digits["results"].values()
    for r, measured in zip((ours, other), c["results"].values(), strict=True):
        assert r["ms"] == pytest.approx(measured["ms"], rel=1e-5)
        assert r["median_ms"] == np.median(r["ms"])
    assert f"| digits | {ours['median_ms']:.2f} | {other['median_ms']:.2f} | {digits['ratio']:.2f} |\n" in page
    mean = re.search(r"geometric mean ([\d.]+), minimum [\d.]+ of 1\.", page)
    assert float(mean[1]) == pytest.approx(digits["ratio"], abs=0.006)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a process's peak memory in a file")
def test_memory_is_what_came_after_the_import(run):
    _, [c], _ = run("right")
    r = c["results"]["onnxruntime"]
    ballast = 64 * 2**20
    assert ballast < r["resident"] < 2 * ballast
    assert r["resident"] <= r["peak"]
    assert c["results"]["fastconv"]["resident"] < ballast


@pytest.mark.slow
@pytest.mark.parametrize(
    "mode, message",
    [
        ("wrong", "wrong: off by 1.0e-02 of the largest value"),
        ("raises", "ValueError: no such thing"),
        ("dies", "the process died: goodbye"),
        ("dies later", "the process died: goodbye"),
    ],
)
def test_an_engine_that_fails_is_told_and_the_others_go_on(run, mode, message):
    out, [c], _ = run(mode)
    assert c["results"]["onnxruntime"]["error"] == message
    assert c["results"]["onnxruntime"]["ms"] == []
    assert len(c["results"]["fastconv"]["ms"]) == 3
    assert math.isnan(c["ratio"])
    assert f"- digits, batch 1, threads 1: onnxruntime: {message}" in out
    assert "geometric mean" not in out


@pytest.mark.slow
def test_batches_and_accuracy(run):
    out, done, page = run("right", "--batch", "2,3", "--accuracy", "exact", "--write")
    assert [c["batch"] for c in done] == [2, 3]
    assert "**Batch 2**" in page
    assert "**Batch 3**" in page
    assert f'accuracy="exact": {FLOATS}, A CPU, ' in page
    assert " --accuracy exact " in out
    run("right", "--batch", "3,1", "--write")
    [saved] = [s for s in performance.load() if s["cpu"] == "A CPU"]
    assert [(r["accuracy"], r["batch"]) for r in saved["runs"]] == [("default", 1), ("default", 3), ("exact", 2), ("exact", 3)]


@pytest.mark.slow
def test_quantized_networks_are_compared_with_onnxruntime(run, monkeypatch):
    """The same file for all engines, and noise between them."""
    files = []

    def quantize(source, target):
        files.append((source.name, target.name))
        shutil.copy(source, target)

    monkeypatch.setattr(peers, "quantize", quantize)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    out, [c], page = run("wrong", "--precision", "int8", "--write")
    assert files == [("digits.onnx", "digits.int8.onnx")]
    ours, other = c["results"]["fastconv"], c["results"]["onnxruntime"]
    assert (ours["error"], other["error"]) == ("", "")
    assert ours["signal_to_noise"] == pytest.approx(40, abs=0.5)  # 1 %
    assert math.isinf(other["signal_to_noise"])
    assert f'### int8, accuracy="default": {kernels.load().isa}, A CPU, ' in page
    assert " --precision int8 " in out
    [saved] = [s for s in performance.load() if s["cpu"] == "A CPU"]
    assert [(r["precision"], r["environment"]) for r in saved["runs"]] == [("int8", {"ONEDNN_MAX_CPU_ISA": "AVX2"})]


@pytest.mark.slow
def test_an_engine_with_more_noise_than_signal_is_wrong(run, monkeypatch):
    monkeypatch.setattr(peers, "quantize", shutil.copy)
    _, [c], _ = run("another", "--precision", "int8")
    assert re.fullmatch(r"wrong: the signal is -?\d\.\d dB above the noise", c["results"]["fastconv"]["error"])


def test_quantize_gives_bytes_by_channel(tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    net = Net()
    x = net.input("x", 1, 3, 8, 8)
    onnx_json.write(net.graph(net("Conv", x, normal(RNG, 4, 3, 3, 3), name="conv")), tmp_path / "net.json")
    peers.convert(tmp_path / "net.json", tmp_path / "net.onnx")
    peers.quantize(tmp_path / "net.onnx", tmp_path / "net.int8.onnx")
    model = fastconv.load(tmp_path / "net.int8.onnx")
    (conv,) = (x for x in model.summary().layers if x.op == "Conv")
    assert (conv.implementation, conv.in_floats) == ("first-int8", "")


def test_exact_turns_winograd_off_in_ncnn_too(monkeypatch):
    ncnn = MagicMock()
    net = ncnn.Net.return_value
    net.load_param.return_value = net.load_model.return_value = 0
    monkeypatch.setitem(sys.modules, "ncnn", ncnn)
    for accuracy, winograd in (("default", True), ("exact", False)):
        engines.ncnn(Path("net.onnx"), 1, accuracy)
        assert net.opt.use_winograd_convolution is winograd


def test_what_is_not_installed_is_left_out(monkeypatch, capsys):
    monkeypatch.setattr(peers.importlib.util, "find_spec", lambda name: name == "fastconv")
    assert peers.installed(["fastconv", "openvino", "ncnn"]) == ["fastconv"]
    assert capsys.readouterr().err.splitlines() == [
        "openvino is not installed and left out: pip install '.[peers]'",
        "ncnn is not installed and left out: pip install '.[peers]'",
    ]


def test_without_its_converter_ncnn_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "PNNX", tmp_path / "pnnx")
    path, failed = peers.prepare(fastconv.data.DIGITS, 1, ["fastconv", "ncnn"], tmp_path / "cache")
    assert path.with_suffix(".json").exists()
    assert set(failed) == {"ncnn"}
    assert failed["ncnn"].startswith("pnnx: [Errno 2]")


def test_networks_have_the_batch_asked_for(tmp_path, monkeypatch):
    small = peers.zoo.ZOO | {"small": lambda net: net.linear(net.average(net.image), 4)}
    monkeypatch.setattr(peers.zoo, "ZOO", small)
    path, failed = peers.prepare("small", 3, ["fastconv", "onnxruntime"], tmp_path)
    assert (path, failed) == (tmp_path / "small_b3.onnx", {})
    assert fastconv.load(path).inputs[0].shape == (3, 3, 224, 224)
    assert fastconv.load(path.with_suffix(".json")).outputs[0].shape == (3, 4)
    stamps = [p.stat().st_mtime_ns for p in sorted(tmp_path.iterdir())]
    peers.prepare("small", 3, ["fastconv", "onnxruntime"], tmp_path)
    assert [p.stat().st_mtime_ns for p in sorted(tmp_path.iterdir())] == stamps


def test_networks_of_several_inputs_are_refused(run, tmp_path, monkeypatch):
    net = Net()
    onnx_json.write(net.graph(net("Add", net.input("a", 2), net.input("b", 2))), tmp_path / "two.json")
    monkeypatch.setattr(fastconv.data, "DIGITS", tmp_path / "two.json")
    with pytest.raises(SystemExit, match="has 2 inputs"):
        run("right")


def result(*ms, resident=math.nan, peak=math.nan, load_s=math.nan, version="1.0", error=""):
    return peers.Result(error, version, load_s, resident, peak, 0.0, list(ms))


def test_tables(monkeypatch):
    monkeypatch.setattr(performance, "commit", lambda: "0123456789")
    monkeypatch.setattr(peers.datetime, "date", MagicMock(today=lambda: "2026-01-02"))
    done = [
        peers.Comparison("net", 1, threads, {
            "fastconv": result(*fast, resident=50e6, peak=60e6, load_s=0.1),
            "onnxruntime": result(*slow, resident=100e6, peak=100e6, load_s=0.2),
            "ncnn": result(*more, resident=10e6, peak=10e6, load_s=0.3, error=error),
        })
        for threads, fast, slow, more, error in (
            (1, (2, 4, 1), (4, 4, 3), (3, 9, 9), ""), (2, (1, 1, 1), (3, 2, 4), (), "the process died"),
        )
    ]  # fmt: skip
    assert [c.ratio for c in done] == [1.5, 3.0]
    runs = peers.runs(done, peers.parser().parse_args(["--threads", "1,2", "--starts", "4", "--rounds", "3"]))
    text = performance.run_tables("avx2", json.loads(performance.dumps(runs)))
    assert (
        text
        == """\
**Batch 1**, 2026-01-02, commit 0123456789; fastconv 1.0, onnxruntime 1.0, ncnn 1.0. Milliseconds on 1 / 2 threads: medians \
over 3 rounds of the fastest call in 0.4 s.
`FASTCONV_ISA=avx2 python bench/peers.py --batch 1 --threads 1,2 --rounds 3 --burst 0.4 --starts 4`

| network | fastconv | onnxruntime | ncnn | fastest peer / fastconv |
| --- | ---: | ---: | ---: | ---: |
| net | 2.00 / 1.00 | 4.00 / 3.00 | 9.00 / – | 1.50 / 3.00 |

Fastest peer / fastconv: geometric mean 2.12, minimum 1.50 of 2.

Memory in MB, beyond that of a process that has imported the engine, after the first answer / at the peak (batch 1, 2 \
threads). Share: fastconv's over the smaller of onnxruntime's and openvino's.

| network | fastconv | onnxruntime | ncnn | share |
| --- | ---: | ---: | ---: | ---: |
| net | 50 / 60 | 100 / 100 | – / – | 0.50 / 0.60 |

Milliseconds from load to the first answer, the minimum of 4 (batch 1, 2 threads).

| network | fastconv | onnxruntime | ncnn |
| --- | ---: | ---: | ---: |
| net | 100 | 200 | – |

- net, batch 1, threads 2: ncnn: the process died"""
    )


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--batch", "0"], "expected numbers of 1 or more, got '0'"),
        (["--threads", "1,x"], "expected numbers of 1 or more, got '1,x'"),
        (["--engines", "fastconv,tvm"], "'tvm' is none of fastconv, onnxruntime, openvino, ncnn"),
        (["--accuracy", "high"], "invalid choice: 'high'"),
    ],
)
def test_bad_arguments(capsys, arguments, message):
    with pytest.raises(SystemExit):
        peers.parser().parse_args(arguments)
    assert message in capsys.readouterr().err


def test_quantizing_without_onnxruntime_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(SystemExit, match=r"^--precision int8 needs the package onnxruntime: pip install '\.\[peers\]'$"):
        peers.quantize(tmp_path / "net.onnx", tmp_path / "quantized.onnx")
