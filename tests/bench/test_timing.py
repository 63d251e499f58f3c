"""fastconv/bench/timing.py: the cases of layers, and the kernels that they time."""

import numpy as np
import pytest

from fastconv import _executor, kernels
from fastconv.bench import layers, timing
from fastconv.reference import run_references

FLOATS, BYTES = kernels.available("conv_direct"), kernels.available("conv_int8")
SMALL = [
    layers.parse("conv 1 32 9 8 40 3 3 1 1 1 1 1 c", "net"),
    layers.parse("conv 1 3 9 8 16 3 3 2 1 1 1 1 first", "net"),
    layers.parse("linear 2 70 20 1 fc", "net"),
]


def test_a_set_without_kernels_of_floats_of_its_own_has_cases_of_bytes(monkeypatch):
    monkeypatch.setattr(timing, "load", lambda network, *kinds: SMALL[:1])
    cases = list(timing.cases(["net"], (layers.Conv,), list(kernels.available()), None, [1], [1]))
    found = {isa: {c.algorithm for c in cases if c.isa == isa} for isa in ("", *kernels.available())}
    assert len({c.id for c in cases}) == len(cases)
    assert found.pop("") == {"naive"}
    for isa, algorithms in found.items():
        assert ("direct" in algorithms) == (isa in FLOATS)
        assert ("direct-int8" in algorithms) == (isa in BYTES)
    assert f"net-c-direct-int8-t1-{BYTES[-1]}" in {c.id for c in cases}


def test_the_selection_s_choice_is_among_floats(monkeypatch):
    monkeypatch.setattr(timing, "load", lambda network, *kinds: SMALL[:1])
    cases = list(timing.cases(["net"], (layers.Conv,), [BYTES[-1]], ["auto", "direct-int8"], [2], [1]))
    assert [c.id for c in cases] == [f"net-c-auto-t2-{FLOATS[-1]}", f"net-c-direct-int8-t2-{BYTES[-1]}"]


@pytest.mark.parametrize("isa", BYTES)
@pytest.mark.parametrize("layer", SMALL, ids=lambda layer: layer.name)
def test_a_quantized_layer_is_computed_from_bytes_to_bytes(layer, isa):
    graph = timing.graph_of(layer, timing.numbers, quantized=True)
    expected = run_references(graph, [timing.numbers(layer.x_shape, np.uint8)])[0].astype(int)
    assert 30 < expected.std() < 90  # neither all at the bounds nor all alike
    names = timing.algorithms(layer, isa, quantized=True)
    assert names
    for name in names:
        case = timing.Case(layer, name, isa, 1)
        run = timing.Kernel(case)
        run()
        _executor.Program([s for e in run.plan.entries for s in e.steps or ()]).run(run.arrays, 1)
        assert np.abs(run.arrays[-1].astype(int) - expected).max() <= 1
        assert case.info["bytes"] == layer.elements
        assert (case.info["products"] == "tiles") == (case.info["instruction"] == "tdpbusd")
