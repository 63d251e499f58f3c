import base64
import csv
import json
import os
import re
import shlex
import subprocess
import sys

import numpy as np
import onnx
import pytest
import pytest_benchmark.cli
from pytest_benchmark.logger import Logger
from pytest_benchmark.stats import Stats
from pytest_benchmark.storage.file import FileStorage
from safetensors.numpy import save_file

import fastconv
from fastconv import demo
from fastconv.cli import main
from fastconv.cli.bench import statistics
from fastconv.config import config, cpu
from fastconv.data import DIGITS, DIGITS_IMAGES
from fastconv.onnx_json import read
from fastconv.passes import PASSES

from ..io.test_state_dict import Net, conv

MODEL = str(DIGITS)
LAYERS = ["conv1", "pool1", "conv2", "pool2", "fc1", "fc2"]


@pytest.fixture
def images():
    with np.load(DIGITS_IMAGES, allow_pickle=False) as file:
        return (file["images"] / np.float32(16))[:, None]


def tensor(name, *dims):
    shape = {"dim": [{"dim_value" if isinstance(d, int) else "dim_param": d} for d in dims]}
    return {"name": name, "type": {"tensor_type": {"elem_type": 1, "shape": shape}}}


def model_file(path, op, inputs, output):
    """A model of one node, whose output has the shape of its first input."""
    node = {"op_type": op, "input": list(inputs), "output": [output]}
    graph = {"name": "g", "node": [node], "input": [tensor(n, *d) for n, d in inputs.items()]}
    graph["output"] = [tensor(output, *next(iter(inputs.values())))]
    path.write_text(json.dumps({"ir_version": 8, "opset_import": [{"version": 13}], "graph": graph}))
    return path


@pytest.fixture
def add(tmp_path):
    return model_file(tmp_path / "add.json", "Add", {"a": ["N", 3], "b": ["N", 3]}, "file")


def test_a_warning_is_one_line(tmp_path, capsys):
    """The sizes of one symbol differ, but the nodes accept them."""
    path = model_file(tmp_path / "m.json", "Add", {"a": ["N", 3], "b": ["N", 3]}, "c")
    assert main(["run", str(path), "--random", "--shape", "a=2x3", "--shape", "b=1x3"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("c float32 2×3  min")
    assert err.startswith("fastconv: warning: input 'b': expected N×3, got 1×3: N is 1, but 2 in input 'a'; it runs if")
    assert err.count("\n") == 1


def test_a_slow_path_is_a_warning_too(tmp_path, capsys):
    path = model_file(tmp_path / "m.json", "Softsign", {"a": ["N", 3]}, "c")
    assert main(["summary", str(path), "--shape", "20000x3"]) == 0
    out, err = capsys.readouterr()
    assert out.endswith("\n* 1 of 1 layers by reference (no kernel)\n")
    assert err == "fastconv: warning: 1 layer runs by reference, in NumPy, which is slow: 'c' (Softsign): no kernel\n"


# ---- demo


@pytest.mark.slow
def test_demo_is_right_and_complete(fastconv_, monkeypatch):
    monkeypatch.setattr(demo, "BATCH", 1)
    monkeypatch.setenv("COLUMNS", "80")
    out = fastconv_("demo")
    right = int(re.search(r"(\d+) of 599 right", out)[1])
    assert right == 595  # what torch counted when the model was made
    assert len(re.findall(r"\d, read as \d", out)) == 4
    race = out[out.index("plain loops") :]
    assert re.findall(r"^(\w+\d) ", race, re.MULTILINE) == LAYERS
    assert "\x1b" not in out
    assert max(map(len, out[: out.index("The model")].splitlines())) <= 80


@pytest.mark.parametrize("columns, across", [("20", 1), ("80", 4), ("400", 10)])
def test_demo_pictures_fit_the_terminal(fastconv_, monkeypatch, columns, across):
    monkeypatch.setattr(demo, "race", lambda *args: None)
    monkeypatch.setenv("COLUMNS", columns)
    assert f"\n{'  '.join(f'{digit:^16}' for digit in range(across)).rstrip()}\n\n" in fastconv_("demo")


class Terminal:
    def __init__(self, encoding, tty):
        self.encoding = encoding
        self.isatty = lambda: tty


@pytest.mark.parametrize(
    "terminal, environment, line",
    [
        (Terminal("utf-8", False), {}, "  ░░▒▒▓▓██"),
        (Terminal("ascii", False), {}, "  ..++##@@"),
        (Terminal("utf-8", True), {"NO_COLOR": "1"}, "  ░░▒▒▓▓██"),
        (Terminal("utf-8", True), {"TERM": "dumb"}, "  ░░▒▒▓▓██"),
        (Terminal("ascii", True), {}, "".join(f"\x1b[48;5;{grey}m  " for grey in (232, 237, 243, 249, 255)) + "\x1b[0m"),
    ],
)
def test_pictures_use_what_the_terminal_has(monkeypatch, terminal, environment, line):
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", terminal)
    assert demo.painter()(np.array([[0, 4, 8, 12, 16]], np.uint8)) == [line]


def test_plain_loops_compute_the_layers_of_the_demo(images):
    """Both sides of the race compute the same result; the inputs are integers, so it is exactly equal."""
    graph = fastconv.onnx_json.read(DIGITS)
    rng = np.random.default_rng(0)
    raced = 0
    for node in graph.nodes:
        if isinstance(node.op, demo.Conv | demo.MaxPool | demo.Gemm):
            arrays = [None if v.constant is None else rng.integers(-8, 9, v.dims).astype(np.float32) for v in node.inputs]
            for value, array in zip(node.inputs, arrays, strict=True):
                value.constant = array
            channels = {
                "conv1": (1, 8, 8),
                "pool1": (16, 8, 8),
                "conv2": (16, 4, 4),
                "pool2": (32, 4, 4),
                "fc1": (128,),
                "fc2": (64,),
            }
            x = rng.integers(-8, 9, (2, *channels[node.label])).astype(np.float32)
            expected = node.op.reference(x, *arrays[1:])
            for compiled in (False, True):
                got = demo.plain(node, x, compiled)
                np.testing.assert_array_equal(got, expected[0] if isinstance(expected, tuple) else expected)
            raced += 1
    assert raced == 6


# ---- run


def test_run_on_a_file_prints_and_saves_what_the_model_gives(fastconv_, images, tmp_path):
    np.save(tmp_path / "x.npy", images[:6])
    out = fastconv_("run", MODEL, "-i", tmp_path / "x.npy", "-o", tmp_path / "y.npz", "--threads", 1)
    expected = fastconv.load(MODEL)(images[:6])
    with np.load(tmp_path / "y.npz", allow_pickle=False) as file:
        assert file.files == ["logits"]
        np.testing.assert_array_equal(file["logits"], expected)
    assert out.startswith(f"logits float32 6×10  min {expected.min():.6g}  mean ")
    assert f"0: largest [{expected[0].argmax()}] {expected[0].max():.6g}  [" in out
    assert "... 2 more" in out
    assert sorted(os.listdir(tmp_path)) == ["x.npy", "y.npz"]


@pytest.mark.parametrize("given", ["image={}", "{}"])
def test_run_on_the_only_array_of_an_npz(fastconv_, images, tmp_path, given):
    np.savez(tmp_path / "x.npz", images[:1])
    assert "logits float32 1×10" in fastconv_("run", MODEL, "--input", given.format(tmp_path / "x.npz"))


def test_run_prints_tensors_by_name(fastconv_):
    out = fastconv_("run", MODEL, "--random", "--shape", "2x1x8x8", "--value", "pool1", "--value", "logits")
    assert [line.split("  ")[0] for line in out.splitlines() if line[0] != " "] == [
        "pool1 float32 2×16×4×4",
        "logits float32 2×10",
    ]


def test_random_input_is_the_same_each_time(fastconv_):
    assert fastconv_("run", MODEL, "--random") == fastconv_("run", MODEL, "--random")


def test_run_with_two_inputs(fastconv_, add, tmp_path):
    a, b = np.float32([[1, 2, 3]]), np.float32([[10, 20, 30]])
    np.save(tmp_path / "a=1.npy", a)
    np.save(tmp_path / "b.npy", b)
    np.savez(tmp_path / "ab.npz", a=a, b=b)
    by_one = fastconv_("run", add, "-i", f"a={tmp_path}/a=1.npy", "-i", f"b={tmp_path}/b.npy", "-o", tmp_path / "y.npz")
    assert by_one == f"file float32 1×3  min 11  mean 22  max 33\n  0: largest [2] 33  [1] 22  [0] 11\nwrote {tmp_path}/y.npz\n"
    with np.load(tmp_path / "y.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["file"], a + b)
    assert fastconv_("run", add, "-i", tmp_path / "ab.npz") == by_one[: by_one.index("wrote")]
    assert "file float32 2×3" in fastconv_("run", add, "--random", "--shape", "a=2x3", "--shape", "b=2x3")
    np.save(tmp_path / "zero.npy", np.zeros((1, 3), np.float32))
    assert "file float32 1×3" in fastconv_("run", add, "--random", "-i", f"b={tmp_path}/zero.npy")
    assert "b.npy: for which input? Say NAME=; the model's inputs are 'a', 'b'" in fastconv_(
        "run", add, "-i", tmp_path / "b.npy", code=2
    )


def test_the_arrays_of_a_sequence_have_numbers(fastconv_, tmp_path):
    path = model_file(tmp_path / "s.json", "SequenceConstruct", {"a": [2, 3], "b": [4]}, "s")
    model = json.loads(path.read_text())
    model["graph"]["output"][0]["type"] = {"sequence_type": {"elem_type": {"tensor_type": {"elem_type": 1}}}}
    path.write_text(json.dumps(model))
    out = fastconv_("run", path, "--random", "-o", tmp_path / "y.npz")
    assert [line.split("  ")[0] for line in out.splitlines() if line[0] == "s"] == ["s[0] float32 2×3", "s[1] float32 4"]
    with np.load(tmp_path / "y.npz", allow_pickle=False) as file:
        assert file.files == ["s[0]", "s[1]"]


def test_run_says_what_is_not_finite(fastconv_, tmp_path):
    model = model_file(tmp_path / "relu.json", "Relu", {"x": [4]}, "y")
    np.save(tmp_path / "x.npy", np.float32([np.nan, np.inf, 3, 5]))
    assert fastconv_("run", model, "-i", tmp_path / "x.npy").startswith("y float32 4  min 3  mean 4  max 5  not finite 2\n")


def test_a_name_cannot_command_the_terminal(fastconv_, tmp_path):
    model = model_file(tmp_path / "m.json", "Relu", {"x\x1b[2J": [4]}, "y\x1b]0;owned\x07")
    for command in (
        ["run", model, "--random"],
        ["summary", model],
        ["profile", model],
        ["dump", model],
        ["bench", model, "--seconds", 0],
    ):
        assert not re.search("[\x00-\x09\x0b-\x1f]", fastconv_(*command))


# ---- summary, convert, dump, bench, config


def test_summary_of_a_batch(fastconv_):
    out = fastconv_("summary", MODEL, "--shape", "image=7x1x8x8")
    assert "13,962 parameters" in out
    assert "7×16×8×8" in out


def test_convert_there_and_back(fastconv_, images, tmp_path):
    there, back = tmp_path / "digits.onnx", tmp_path / "digits.json"
    assert fastconv_("convert", MODEL, there) == f"wrote {there}\n"
    assert fastconv_("convert", there, back) == f"wrote {back}\n"
    np.testing.assert_array_equal(fastconv.load(back)(images[:8]), fastconv.load(MODEL)(images[:8]))


@pytest.mark.parametrize("stage", ["read", *(p.__name__ for p in PASSES)])
def test_dump_of_each_stage(fastconv_, stage):
    out = fastconv_("dump", MODEL, "--after", stage)
    assert out.startswith("graph 'digits'\n  input  'image':float32[N×1×8×8]\n")
    assert ("Conv + Relu" in out) == (stage == "fuse_epilogues")


def test_dump_of_the_plan(fastconv_):
    out = fastconv_("dump", MODEL, "--shape", "3x1x8x8", "--threads", 1)
    assert out.startswith("plan for ")
    assert "'image' 3×1×8×8" in out
    assert "@arena+" in out


def test_bench(fastconv_):
    command = "bench", MODEL, "--threads", "1,2", "--batch", "1,4", "--seconds", "0.02"
    machine, head, _, names, *rows = fastconv_(*command).splitlines()
    version, name = re.escape(fastconv.__version__), re.escape(cpu())
    assert re.fullmatch(rf"fastconv {version}, commit \w+\+?; {name}, \d+ CPUs?; \w+", machine)
    assert head == f"{MODEL}: image float32 1×1×8×8; milliseconds a call"
    assert names.split() == ["threads", "batch", "min", "median", "p90", "p99", "images/s", "calls"]
    assert [row.split()[:2] for row in rows] == [["1", "1"], ["1", "4"], ["2", "1"], ["2", "4"]]
    for row in rows:
        _, _, *times, _, calls = map(float, row.split())
        assert times == sorted(times)
        assert calls >= 3
    assert "image float32 5×1×8×8" in fastconv_("bench", MODEL, "--shape", "5x1x8x8", "--seconds", 0)


def test_bench_beside_the_plain_loops(capsys):
    command = "bench", MODEL, "--threads", "1", "--batch", "2", "--seconds", "0", "--naive"
    assert main([*command]) == 0
    out, err = capsys.readouterr()
    assert err == "fastconv: the plain loops take about 1 second\n"
    _, table = out.split("\nby layer (1 thread, batch 2); naive: ")
    _, _, head, _, *rows, total = table.splitlines()
    assert re.split("  +", head) == ["layer", "operator", "by", "ms", "naive ms", "× naive", "of its limit"]
    compared = [row.split() for row in rows if " – " not in row]
    assert [operator for _, operator, *_ in compared] == ["Conv+Relu", "MaxPool"] * 2 + ["Gemm+Relu", "Gemm"]
    for _, _, _, ms, naive, times, *_ in compared:
        assert min(map(float, (ms, naive, times))) >= 0
    assert re.fullmatch(r"6 layers: \d+\.\d+ ms, naive \d+\.\d ms: \d+ times as long", total)
    assert main([*command, "--json"]) == 0
    ours, naive = json.loads(capsys.readouterr().out)["benchmarks"]
    assert naive["name"] == "digits[naive-threads=1-batch=2]"
    assert naive["group"] == ours["group"]
    assert naive["stats"]["rounds"] == 3
    layers = naive["extra_info"]["layers"]
    assert [len(x["naive_ms"]) for x in layers if x["operator"].startswith("Gemm")] == [3, 3]
    assert naive["stats"]["total"] == pytest.approx(sum(sum(x["naive_ms"]) for x in layers) / 1e3)


def test_bench_of_a_model_without_plain_loops(fastconv_, tmp_path):
    model = model_file(tmp_path / "m.json", "Relu", {"x": [2, 3]}, "y")
    error = fastconv_("bench", model, "--seconds", 0, "--naive", code=2).splitlines()[-1]
    assert error == "fastconv: error: naive: the model has no Conv, MaxPool or Gemm of float32 with two spatial axes"


def test_bench_of_a_fixed_batch(fastconv_, tmp_path):
    model = model_file(tmp_path / "m.json", "Relu", {"x": [2, 3]}, "y")
    assert "float32 2×3" in fastconv_("bench", model, "--batch", 2, "--seconds", 0)
    error = fastconv_("bench", model, "--batch", 4, code=2)
    assert error == "fastconv: error: --batch 4: the file fixes the first size of every input\n"


def test_pytest_benchmark_reads_what_bench_writes(fastconv_, tmp_path, monkeypatch):
    for name in ("old", "new"):
        command = "bench", MODEL, "--threads", "1", "--batch", "1,4", "--seconds", "0.01", "--json"
        (tmp_path / f"{name}.json").write_text(fastconv_(*command))
    files = [str(tmp_path / f"{name}.json") for name in ("old", "new")]
    benchmarks = list(FileStorage(tmp_path, Logger(Logger.QUIET)).load_benchmarks(*files))
    assert [(b["source"], b["name"], b["group"]) for b in benchmarks] == [
        (source, f"digits[threads=1-batch={batch}]", f"batch={batch}") for source in ("new", "old") for batch in (1, 4)
    ]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pytest-benchmark", "compare", "--csv", "out", *files])
    pytest_benchmark.cli.main()
    with open("out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    rates = [b["extra_info"]["images_per_second"] / b["params"]["batch"] for b in benchmarks]
    assert sorted(float(row["ops"]) for row in rows) == pytest.approx(sorted(rates))


def test_statistics_are_those_of_pytest_benchmark():
    times = np.random.default_rng(0).gamma(2, 1e-3, 101).tolist()
    theirs = Stats()
    for seconds in times:
        theirs.update(seconds)
    ours = statistics(times)
    assert list(ours) == list(theirs.fields)
    assert ours == {
        key: value if isinstance(value, str) else pytest.approx(value, rel=0.01) for key, value in theirs.as_dict().items()
    }


def test_profile(fastconv_, images, tmp_path):
    np.save(tmp_path / "x.npy", images[:3])
    out = fastconv_("profile", MODEL, "-i", tmp_path / "x.npy", "--runs", 2, "--threads", 1)
    assert re.search(r"^conv1 +Conv\+Relu +\w+ +3×16×8×8 ", out, re.MULTILINE)
    assert " ms a run (medians over 2 runs, 1 threads); peak " in out
    report = json.loads(fastconv_("profile", MODEL, "--shape", "2,1,8,8", "--json"))
    assert (report["model"], report["runs"], report["threads"]) == (MODEL, 10, fastconv.load(MODEL).threads)
    conv, *_ = (x for x in report["layers"] if x["name"] == "conv1")
    assert list(conv) == [
        "name", "operator", "by", "reason", "in_floats", "refusals", "output", "ms", "share", "flops", "bytes", "arena_bytes",
        "gflops", "peak_gflops", "of_peak", "of_bandwidth",
    ]  # fmt: skip
    assert conv["output"] == [2, 16, 8, 8]
    assert report["ms"] == pytest.approx(sum(x["ms"] for x in report["layers"]))


@pytest.mark.slow
def test_profile_with_a_figure_and_refusals(fastconv_, tmp_path):
    path = tmp_path / "times.png"
    out = fastconv_("profile", MODEL, "--runs", 1, "--plot", path, "--explain")
    assert re.search("^    not depthwise: +\\w", out, re.MULTILINE)
    assert out.endswith(f"\nwrote {path}\n")
    assert path.read_bytes().startswith(b"\x89PNG")
    error = fastconv_("profile", MODEL, "--runs", 1, "--plot", tmp_path / "times.txt", code=2)
    assert error.startswith(f"fastconv: error: {tmp_path / 'times.txt'}: the name of a figure ends in .")


def test_random_inputs_beside_one_of_a_file_whose_sizes_are_open(fastconv_, tmp_path):
    model = model_file(tmp_path / "m.json", "Add", {"a": ["N", "M"], "b": [1, 3]}, "y")
    np.save(tmp_path / "a.npy", np.zeros((4, 3), np.float32))
    assert fastconv_("run", model, "--random", "-i", f"a={tmp_path}/a.npy").startswith("y float32 4×3  min ")


@pytest.mark.slow
@pytest.mark.parametrize("option, value, word", [("--accuracy", "exact", "accuracy"), ("--weights-type", "bf16", "weights")])
def test_options_of_loading(fastconv_, tmp_path, monkeypatch, option, value, word):
    """Every command that loads a model has them."""
    asked = []

    def load(*args, **options):
        asked.append(options[word])
        return loads(*args, **options)

    loads = fastconv.load
    monkeypatch.setattr(fastconv, "load", load)
    monkeypatch.setattr(demo, "BATCH", 1)
    commands = (
        ["demo"],
        ["run", MODEL, "--random"],
        ["summary", MODEL],
        ["profile", MODEL],
        ["dump", MODEL],
        ["bench", MODEL, "--seconds", "0"],
    )
    for command in commands:
        asked.clear()
        fastconv_(*command, option, value)
        assert set(asked) == {value}, command


def test_summary_explains(fastconv_):
    assert "    parameters:              (5·5·1 + 1)·16 = 416\n" in fastconv_("summary", MODEL, "--explain")


def test_summary_of_open_sizes(fastconv_, tmp_path):
    model = model_file(tmp_path / "open.json", "Relu", {"x": ["N", 3, "H", "W"]}, "y")
    first, _, _, row, total = fastconv_("summary", model).splitlines()
    assert (first, row.split()) == ("x N×3×H×W", ["y", "Relu", "N×3×H×W", "0"])
    assert total.endswith("not planned: give the open sizes (--shape, or shapes= in Python)")
    assert fastconv_("summary", model, "--shape", "2x3x4x5").startswith("x N×3×H×W as 2×3×4×5\n")
    assert fastconv_("summary", model, "--shape", "2,3,4,5").startswith("x N×3×H×W as 2×3×4×5\n")
    assert json.loads(fastconv_("summary", model, "--json"))["flops"] is None


def test_summary_as_json(fastconv_):
    report = json.loads(fastconv_("summary", MODEL, "--json"))
    assert (report["fastconv"], report["model"], report["parameters"]) == (fastconv.__version__, MODEL, 13962)
    assert [x["name"] for x in report["layers"] if x["operator"] != "reorder"] == [*LAYERS[:4], "flatten", *LAYERS[4:]]


def test_run_as_json(fastconv_, add, tmp_path):
    np.savez(tmp_path / "ab.npz", a=np.float32([[1, 2, 3]]), b=np.float32([[10, 20, np.inf]]))
    report = json.loads(fastconv_("run", add, "-i", tmp_path / "ab.npz", "-o", tmp_path / "y.npz", "--json"))
    best = [{"index": 2, "value": "inf"}, {"index": 1, "value": 22.0}, {"index": 0, "value": 11.0}]
    assert report == {
        "fastconv": fastconv.__version__,
        "model": str(add),
        "outputs": [
            {
                "name": "file", "dtype": "float32", "shape": [1, 3], "min": 11.0, "mean": 16.5, "max": 22.0,
                "not_finite": 1, "largest": [best],
            }
        ],
        "saved": str(tmp_path / "y.npz"),
    }  # fmt: skip


def test_convert_names_all_files(fastconv_, tmp_path):
    large = model_file(tmp_path / "m.json", "Relu", {"x": [4]}, "y")
    model = json.loads(large.read_text())
    weights = {"name": "w", "dims": [1 << 19], "data_type": 1, "raw_data": base64.b64encode(bytes(1 << 21)).decode()}
    model["graph"]["initializer"] = [weights]
    large.write_text(json.dumps(model))
    out = fastconv_("convert", large, tmp_path / "n.json")
    assert out == f"wrote {tmp_path}/n.json\nwrote {tmp_path}/n.json.data\n"
    assert (tmp_path / "n.json.data").stat().st_size >= 1 << 21


def test_convert_with_other_weights(fastconv_, images, tmp_path):
    """A file of weights by name: those of the last layer, doubled."""
    *_, last = read(MODEL).nodes
    twice = {v.name: 2 * v.constant for v in last.inputs[1:]}
    save_file(twice, tmp_path / "new.safetensors")
    out = fastconv_("convert", MODEL, "--weights", tmp_path / "new.safetensors", tmp_path / "m.json")
    assert out == f"fc2.weight: fc2.weight\nfc2.bias: fc2.bias\nwrote {tmp_path / 'm.json'}\n"
    y, before = fastconv.load(tmp_path / "m.json")(images[:8]), fastconv.load(MODEL)(images[:8])
    np.testing.assert_array_equal(y, 2 * before)


def test_convert_with_folded_batch_normalization(fastconv_, tmp_path):
    """The output lists which weights went where; options accept unused weights and another epsilon."""
    net = Net(conv("conv", "bn"))
    onnx.save(onnx.helper.make_model(net.graph(folded=["bn"], named="path")), tmp_path / "m.onnx")
    state = net.state()
    save_file(state | {"head.weight": np.zeros(3, np.float32)}, tmp_path / "new.safetensors")
    args = "convert", tmp_path / "m.onnx", "--weights", tmp_path / "new.safetensors", tmp_path / "m.json"
    assert "'head.weight': the model has no initializer of this name" in fastconv_(*args, code=2)
    out = fastconv_(*args, "--ignore-unused", "--epsilon", "0.5")
    assert out.splitlines() == [
        "onnx::0: conv.weight, bn folded into it",
        "onnx::1: conv.bias, bn folded into it",
        f"wrote {tmp_path / 'm.json'}",
    ]
    w = next(v.constant for v in read(tmp_path / "m.json").values() if v.name == "onnx::0")
    scale = state["bn.weight"] / np.sqrt(state["bn.running_var"] + 0.5)
    np.testing.assert_allclose(w, state["conv.weight"] * scale[:, None, None, None], rtol=1e-6)


def test_config_and_version(fastconv_):
    out = fastconv_("config")
    assert re.search(r"^instruction set +\w+ \(", out, re.MULTILINE)
    assert f"possible here: {', '.join(fastconv.kernels.available())}\n" in out
    assert re.search(f"^CPU +{re.escape(cpu())}$", out, re.MULTILINE)
    assert fastconv_("--version") == f"fastconv {fastconv.__version__}\n"


@pytest.mark.parametrize(
    "command",
    [[], ["demo"], ["run"], ["summary"], ["activations"], ["profile"], ["convert"], ["dump"], ["bench"], ["config"]],
    ids=lambda c: c[0] if c else "fastconv",
)
def test_help_ends_with_an_example_that_works(fastconv_, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "BATCH", 1)
    out = fastconv_(*command, "--help")
    assert out.startswith(" ".join(["usage: fastconv", *command]))
    *_, heading, example = out.splitlines()
    program, *args = shlex.split(example)
    assert (heading, program, args[: len(command)]) == ("example:", "fastconv", command)
    assert fastconv_(*args)


def test_without_a_command_there_is_help(fastconv_):
    assert fastconv_() == fastconv_("--help")


def test_config_as_json(fastconv_):
    assert json.loads(fastconv_("config", "--json")) == config()


# ---- errors


@pytest.mark.parametrize(
    "args, message",
    [
        (["fly"], "invalid choice: 'fly'"),
        (["sumary", MODEL], "; did you mean 'summary'?"),
        (["run", "nowhere.json"], "error: nowhere.json: No such file or directory"),
        (["run", "{tmp}"], "error: {tmp}: a folder, not an ONNX model: name the file in it"),
        (["run", "{tmp}/text.json", "--random"], "error: {tmp}/text.json: not JSON"),
        (["summary", "{tmp}/list.json"], "error: {tmp}/list.json: "),
        (["run", MODEL], "input 'image' is missing: give it with -i FILE, or random numbers with --random"),
        (["run", "{tmp}/two.json"], "input 'a' is missing: give it with -i a=FILE, or random numbers with --random"),
        (["run", MODEL, "--random", "--accuracy", "exat"], "; did you mean 'exact'?"),
        (["run", MODEL, "--random", "--weights-type", "bf61"], "; did you mean 'bf16'?"),
        (["run", MODEL, "--random", "--weights-type", "bf16", "--accuracy", "exact"], "error: weights='bf16' rounds weights, "),
        (["run", MODEL, "-i", "nowhere.npy"], "error: nowhere.npy: No such file or directory"),
        (["run", MODEL, "-i", "{tmp}/text.json"], "error: {tmp}/text.json: not a .npy or .npz file of numbers"),
        (["run", MODEL, "-i", "{tmp}/empty.npy"], "error: {tmp}/empty.npy: not a .npy or .npz file of numbers"),
        (["run", MODEL, "-i", "{tmp}/cut.npz"], "error: {tmp}/cut.npz: not a .npy or .npz file of numbers"),
        (["run", MODEL, "-i", "{tmp}/pickle.npy"], "error: {tmp}/pickle.npy: not a .npy or .npz file of numbers"),
        (["run", MODEL, "-i", "{tmp}/double.npy"], "error: input 'image': expected float32, got float64"),
        (["run", MODEL, "-i", "mask={tmp}/double.npy"], "there is no input 'mask'; the model's inputs are 'image'"),
        (["run", MODEL, "-i", str(DIGITS_IMAGES)], "there is no input 'images'; the model's inputs are 'image'"),
        (["run", MODEL, "-i", "img={tmp}/double.npy"], "the model's inputs are 'image'; did you mean 'image'?"),
        (["run", MODEL, "--random", "--value", "logit"], "no value 'logit'; did you mean 'logits'?"),
        (["run", MODEL, "--random", "--shape", "1x3x8x8"], "expected N×1×8×8, got 1×3×8×8"),
        (["run", MODEL, "--random", "--shape", "mask=1x1x8x8"], "there is no input 'mask'"),
        (["run", MODEL, "--random", "--shape", "1x1xax8"], "expected a shape such as 1x3x224x224 or NAME=1,3,224,224"),
        (["run", MODEL, "--random", "--shape", "-1x1x8x8"], "--shape"),
        (["run", MODEL, "--random", "--shape", "999999999999x1x8x8"], "out of memory"),
        (["run", MODEL, "--random", "--shape", "x".join(["9" * 18] * 4)], "error: 9999"),
        (["run", MODEL, "--random", "-o", "{tmp}/no/y.npz"], "there is no folder '{tmp}/no'"),
        (["run", MODEL, "--random", "-o", "{tmp}"], "{tmp}: expected a file whose name ends in .npz"),
        (["run", MODEL, "--random", "-o", "{tmp}/y.png"], "{tmp}/y.png: expected a file whose name ends in .npz"),
        (["run", MODEL, "--random", "--threads", "0"], "expected a number of 1 or more, got '0'"),
        (["profile", "{tmp}/open.json"], "input 'x' is N×3×H×W: give its sizes with --shape x=..."),
        (["profile", MODEL, "--runs", "x"], "expected a number of 1 or more, got 'x'"),
        (["summary", MODEL, "--shape", "1x3x8x8"], "error: input 'image': expected N×1×8×8, got 1×3×8×8"),
        (["convert", MODEL], "the following arguments are required: target"),
        (["convert", MODEL, "{tmp}"], "'{tmp}' is a folder"),
        (["convert", MODEL, "{tmp}/a.json", "--weights", "{tmp}/text.json"], "is not a .safetensors file"),
        (["convert", MODEL, "{tmp}/a.json", "--weights", "{tmp}/text.json", "--epsilon", "x"], "invalid float value: 'x'"),
        (["convert", MODEL, "{tmp}/model.txt"], "expected a name that ends in .onnx or .json"),
        (["convert", "nowhere.onnx", "{tmp}/model.json"], "error: nowhere.onnx: No such file or directory"),
        (["dump", MODEL, "--after", "lunch"], "invalid choice: 'lunch'"),
        (["dump", MODEL, "--after", "fuse_epilogue"], "; did you mean 'fuse_epilogues'?"),
        (["bench", MODEL, "--threads", "1,x"], "expected a number of 1 or more, got 'x'"),
        (["bench", MODEL, "--seconds", "nan"], "expected a number of seconds, got 'nan'"),
    ],
    ids=lambda a: " ".join(a).replace(MODEL, "MODEL") if isinstance(a, list) else "",
)
def test_nonsense_is_said_to_be(fastconv_, tmp_path, monkeypatch, args, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.json").write_text("hello")
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "empty.npy").write_bytes(b"")
    np.savez(tmp_path / "whole.npz", np.zeros(1000))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:500])
    np.save(tmp_path / "pickle.npy", np.array([{}]), allow_pickle=True)
    np.save(tmp_path / "double.npy", np.zeros((1, 1, 8, 8)))
    model_file(tmp_path / "open.json", "Relu", {"x": ["N", 3, "H", "W"]}, "y")
    model_file(tmp_path / "two.json", "Add", {"a": [3], "b": [3]}, "y")
    before = sorted(os.listdir(tmp_path))
    err = fastconv_(*(a.format(tmp=tmp_path) for a in args), code=2)
    assert message.format(tmp=tmp_path) in err
    assert err.startswith("fastconv")
    assert err.count("\n") == 1
    assert sorted(os.listdir(tmp_path)) == before


def test_a_failed_save_leaves_the_old_file(fastconv_, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device", "y.npz")

    (tmp_path / "y.npz").write_text("old")
    monkeypatch.setattr(np.lib.format, "write_array", full)
    assert (
        fastconv_("run", MODEL, "--random", "-o", tmp_path / "y.npz", code=2)
        == f"fastconv: error: {tmp_path / 'y.npz'}: No space left on device\n"
    )
    assert os.listdir(tmp_path) == ["y.npz"]
    assert (tmp_path / "y.npz").read_text() == "old"


@pytest.mark.slow
def test_a_closed_pipe_is_no_error():
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "fastconv", "dump", MODEL, "--after", "fuse_epilogues"],
            stdout=write,
            stderr=subprocess.PIPE,
            text=True,
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.slow
def test_an_encoding_without_the_characters_is_no_error(tmp_path):
    model = model_file(tmp_path / "m.json", "Relu", {"x": [4]}, "größe")
    env = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", "fastconv", "run", model, "--random"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("gr\\xf6\\xdfe float32 4")
