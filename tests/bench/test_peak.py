"""bench/peak.py: the share of the peak that layers of bytes reach."""

import peak
import pytest

from fastconv import kernels
from fastconv.bench.layers import Conv
from fastconv.bench.timing import Case, algorithms, load


def test_all_is_each_layer_as_often_as_the_network_has_it(monkeypatch, capsys):
    layers = load("resnet50", Conv)[1:3]
    times = {layer: i + 1.0 for i, layer in enumerate(layers)}
    monkeypatch.setattr(peak, "load", lambda *_: layers)
    monkeypatch.setattr(peak, "share", lambda case: (times[case.layer], 1.0, 0.25))
    peak.print_shares("resnet50", kernels.load().isa)
    total = sum(layer.count * times[layer] for layer in layers)
    ideal = sum(layer.count * layer.flops for layer in layers) / 1e9
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[0] for row in rows] == [*(layer.name for layer in layers), "all"]
    assert rows[0][1:] == ["pointwise-int8", "1000.000", "25.0 %"]
    assert rows[-1][2:] == [f"{1e3 * total:.3f}", f"{100 * ideal / total:.1f} %"]


def test_a_share_is_of_the_instruction_that_multiplies(monkeypatch):
    monkeypatch.setattr(peak, "ROUNDS", 2)
    isa = kernels.load().isa
    layer = load("squeezenet", Conv)[1]
    case = Case(layer, algorithms(layer, isa, quantized=True)[0], isa, 1)
    asked = []
    monkeypatch.setattr(peak, "product_bursts", lambda isa, threads, *rest: asked.append((isa, threads, rest[-1])) or [100.0])
    monkeypatch.setattr(peak, "seconds", lambda run: run() or 0.002)
    time, speed, part = peak.share(case)
    assert asked == [(isa, 1, case.info["products"])] * 2
    assert (time, speed) == (0.002, 100)
    assert part == pytest.approx(layer.flops / 0.002 / 1e11)
