"""Profiles: times, limits and refusals of layers, as a table, a document and a trace."""

import itertools
import json

import numpy as np
import pytest

import fastconv
from fastconv import kernels
from fastconv.data import DIGITS
from fastconv.peak import Peak
from fastconv.profile import Profile, ProfileRow

from ..support.graphs import Net, normal
from ..support.rng import generator

RNG = generator(__name__)


@pytest.fixture(scope="module")
def profile():
    return fastconv.load(DIGITS).profile(np.zeros((4, 1, 8, 8), np.float32), runs=3)


def test_times_of_layers(profile):
    model = fastconv.load(DIGITS)
    layers = model.summary({"image": (4, 1, 8, 8)}).layers
    assert [(r.name, r.op, r.implementation, r.output) for r in profile.rows] == [
        (x.name, x.op, x.implementation, x.output) for x in layers
    ]
    assert (profile.runs, profile.threads, profile.peak.threads) == (3, model.threads, model.threads)
    assert all(r.ms >= 0 for r in profile.rows)
    assert sum(r.ms for r in profile.rows) == pytest.approx(profile.total_ms)
    assert sum(r.share for r in profile.rows) == pytest.approx(1)
    assert all(r.gflops == (r.flops / r.ms / 1e6 if r.ms else 0) for r in profile.rows)
    assert model.profile(np.zeros((1, 1, 8, 8), np.float32), runs=0).runs == 1


def test_the_table(profile):
    lines = str(profile).splitlines()
    assert lines[0].split() == ["layer", "operator", "by", "output", "ms", "share", "GFLOP/s", "of", "its", "limit"]
    assert lines[2 + len(profile.rows)] == (
        f"{profile.total_ms:.3f} ms a run (medians over 3 runs, {profile.threads} threads); "
        f"peak {profile.peak.gflops:.0f} GFLOP/s, memory {profile.peak.gbytes:.0f} GB/s"
    )


def test_bytes_are_those_of_inputs_outputs_and_weights(load):
    """A view moves none; weights count once for all images; a residual is read too."""
    net = Net()
    x, residual = net.input("x", "N", 4, 6, 6), net.input("residual", "N", 4, 6, 6)
    y = net("Conv", x, normal(RNG, 4, 4, 3, 3), normal(RNG, 4), pads=(1,) * 4, name="conv")
    z = net("Relu", net("Add", y, residual), name="relu")
    model = load(net.graph(net("Flatten", z, name="flat")))
    image = np.zeros((3, 4, 6, 6), np.float32)
    rows = {r.op: r for r in model.profile({"x": image, "residual": image}, runs=1).rows if r.op != "reorder"}
    tensor, weights = 4 * 3 * 4 * 6 * 6, 4 * (4 * 4 * 3 * 3 + 4)
    assert {op: r.bytes for op, r in rows.items()} == {"Conv+Add+Relu": 3 * tensor + weights, "Flatten": 0}


def row(ms, flops, nbytes, **more):
    known = {"name": "layer", "op": "Conv", "implementation": "direct", "output": (1,), "share": 1.0}
    known |= {"peak": Peak(gflops=100.0, gbytes=10.0, threads=1)}
    return ProfileRow(ms=ms, flops=flops, bytes=nbytes, **known | more)


#: the limits of products of bytes
BYTES = Peak(gflops=300.0, gbytes=10.0, threads=1, instruction="vpdpbusd")


@pytest.mark.parametrize(
    "row, of_peak, of_bandwidth, limit",
    [
        (row(1.0, 50_000_000, 1_000_000), 0.5, None, "50% of peak"),
        (row(1.0, 10_000_000, 8_000_000), None, 0.8, "80% of memory"),
        (row(1.0, 0, 20_000_000), None, 2.0, "200% of memory, in cache"),
        (row(1.0, 150_000_000, 1, fewer_products=True), 1.5, None, "150% of peak, fewer products"),
        (row(0.0, 150_000_000, 1), None, None, ""),
        (row(1.0, 150_000_000, 1, peak=BYTES), 0.5, None, "50% of vpdpbusd's peak"),
        (row(1.0, 0, 0), None, None, ""),
    ],
)
def test_the_limit_is_that_of_the_roofline(row, of_peak, of_bandwidth, limit):
    assert (row.of_peak, row.of_bandwidth, row.limit) == (of_peak, of_bandwidth, limit)


def test_quantized_layers_have_the_limit_of_their_instruction(load):
    net = Net()
    scale, zero = np.array(0.1, np.float32), np.array(128, np.uint8)
    x = net("QuantizeLinear", net.input("x", 1, 16, 6, 6), scale, zero)
    w = RNG.integers(-40, 41, (16, 16, 3, 3)).astype(np.int8)
    floats = net("DequantizeLinear", x, scale, zero), net("DequantizeLinear", w, scale)
    y = net("QuantizeLinear", net("Conv", *floats, pads=(1,) * 4, name="conv"), scale, zero)
    model = load(net.graph(net("DequantizeLinear", y, scale, zero)))
    profile = model.profile(np.ones((1, 16, 6, 6), np.float32), runs=1)
    (conv,) = (r for r in profile.rows if r.op == "Conv")
    kinds = kernels.load().peak.kinds()
    # 144 products of small weights
    _, instruction = next(kinds[kind] for kind in ("tiles", "pairs", "dots") if kind in kinds)
    assert conv.peak.instruction == instruction
    assert "GOP/s" in str(profile).splitlines()[0]
    assert f", {instruction} {conv.peak.gflops:.0f} GOP/s, memory " in str(profile)


def strided(load):
    """A network of two layers that are the same but for their channels, and take no Winograd."""
    net = Net()
    y = net("Conv", net.input("x", 1, 32, 9, 9), normal(RNG, 32, 32, 3, 3), strides=(2, 2), name="a")
    return load(net.graph(net("Conv", y, normal(RNG, 48, 32, 3, 3), strides=(2, 2), name="b")))


def test_refusals_are_those_of_the_implementations_before_the_one_that_runs(load):
    model, x = strided(load), np.zeros((1, 32, 9, 9), np.float32)
    profile = model.profile(x, runs=1)
    layers = [r for r in profile.rows if r.op == "Conv"]
    for r in layers:
        assert ("winograd", "stride 2×2") in r.refusals
        assert r.implementation not in dict(r.refusals)
    share = sum(r.share for r in layers)
    *_, title, first, second, third, fourth = str(profile).splitlines()
    assert title.startswith("implementations that refused, by their layers' share")
    assert sorted((first, second, third, fourth)) == sorted(
        f"  {share:4.0%}  2 × {text}"
        for text in (
            "first: 32 input channels",
            f"depthwise: {'32' if layers[0].share > layers[1].share else '48'} filters over 32 of 32 channels, …",
            "pointwise: kernel 3×3",
            "winograd: stride 2×2",
        )
    )
    lines = str(model.profile(x, runs=1, explain=True)).splitlines()
    notes = [line for line in lines if line.startswith("    not ")]
    assert [" ".join(line.split()) for line in notes] == [f"not {n}: {why}" for r in profile.rows for n, why in r.refusals]
    assert not any(line.startswith("implementations that refused") for line in lines)


def test_of_python_steps(load):
    net = Net()
    x = net.input("x", 2, 3)
    profile = load(net.graph(net("Neg", net("Selu", net("Neg", x))))).profile(np.zeros((2, 3), np.float32), runs=2)
    assert [r.implementation == "reference" for r in profile.rows] == [False, True, False]
    assert all(r.ms > 0 for r in profile.rows)


def test_a_trace_is_one_run_with_the_memory_in_use(profile, tmp_path):
    profile.save(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert all({"name", "ph", "pid", "tid", "ts", "args"} <= set(e) for e in events)
    assert {e["ph"] for e in events} == {"X", "C"}
    layers, counts = ([e for e in events if e["ph"] == phase] for phase in "XC")
    assert [e["name"] for e in layers] == [r.name for r in profile.rows]
    for before, after in itertools.pairwise(layers):
        assert after["ts"] == pytest.approx(before["ts"] + before["dur"])
    assert [e["ts"] for e in counts] == [e["ts"] for e in layers]
    plan = fastconv.load(DIGITS).plan({"image": (4, 1, 8, 8)})
    assert 0 < max(e["args"]["bytes"] for e in counts) <= plan.arena_size


# ---- the figure


@pytest.mark.slow
@pytest.mark.parametrize("scale, unit", [(1, "ms"), (1e-3, "µs")])
def test_the_figure_has_every_layer_once(scale, unit):
    ms = [0.5, 0.2, 0.3, 1.5]
    rows = [row(scale * t, n, 10**5, share=t / 2.5) for t, n in zip(ms, [10**7, 10**5, 0, 10**8], strict=True)]
    profile = Profile(rows, scale * sum(ms), 1, 1, rows[0].peak)
    layers, kinds, roofline = profile.plot().axes
    assert layers.get_title("left") == f"2.5 {unit} a run, 1 threads"
    assert [bar.get_height() for bar in layers.patches] == pytest.approx(ms)
    assert [bar.get_width() for bar in kinds.patches] == pytest.approx([2.5])
    assert layers.get_ylabel() == kinds.get_xlabel() == unit
    points = np.concatenate([kind.get_offsets() for kind in roofline.collections])
    assert sorted(map(tuple, points)) == sorted(
        (r.flops / r.bytes, r.gflops) for r in profile.rows if r.flops and r.bytes and r.ms
    )
    (roof,) = roofline.lines
    for x, y in zip(*roof.get_data(), strict=True):
        assert y == pytest.approx(min(x * profile.peak.gbytes, profile.peak.gflops))


def layers_of(count):
    """Rows of a profile, half of them at one point of the roofline."""
    ms = [1 + (i % 7) / 10 for i in range(count)]
    rows = [
        row(t, 10**7 * (i % 2 or i + 1), 10**5, name=f"features.{i}.conv/Conv", op=f"Op{i % 9}", share=t / sum(ms))
        for i, t in enumerate(ms)
    ]
    return Profile(rows, sum(ms), 1, 1, rows[0].peak)


@pytest.mark.slow
def test_a_figure_without_arithmetic(load):
    net = Net()
    model = load(net.graph(net("Flatten", net.input("x", 2, 3, 4), name="flat")))
    layers, _, roofline = model.profile(np.zeros((2, 3, 4), np.float32), runs=1).plot().axes
    assert len(layers.patches) == 1
    assert not np.concatenate([kind.get_offsets() for kind in roofline.collections]).size


@pytest.mark.parametrize("count", [1, 100])
def test_labels_cover_nothing(count):
    figure = layers_of(count).plot()
    layers, kinds, roofline = figure.axes
    assert len(kinds.patches) == min(count, 7)
    for axes in (layers, roofline):
        labels = [t.get_window_extent() for t in axes.texts]
        assert labels
        for i, label in enumerate(labels):
            assert not label.count_overlaps([*labels[:i], *(bar.get_window_extent() for bar in axes.patches)])
