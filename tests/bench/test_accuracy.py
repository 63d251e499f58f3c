"""The error of every convolution algorithm against float64, by channels; and bench/accuracy.py, which reports it."""

import sys
import types

import accuracy
import numpy as np
import pytest
import report

import fastconv
from fastconv import kernels

#: how far the RMS over some 8,000 outputs may be above what is expected: by chance, and without multiply-adds, which spare
#: Winograd's transforms roundings
SPREAD = 1.2


@pytest.mark.parametrize("isa", kernels.available("conv_direct"))
@pytest.mark.parametrize("channels", accuracy.CHANNELS)
@pytest.mark.parametrize("algorithm, kernel, tile", accuracy.ALGORITHMS)
def test_errors_are_as_theory_says_at_most(monkeypatch, algorithm, kernel, tile, channels, isa):
    monkeypatch.setenv("FASTCONV_ISA", isa)
    error, expected = (f(algorithm, kernel, tile, channels) for f in (accuracy.layer_error, accuracy.expected_error))
    assert 0 < error < SPREAD * expected, f"{error:.2f} u, expected {expected:.2f} u"


def test_winograd_grows_errors_as_its_points_say(monkeypatch):
    assert accuracy.winograd_growth(4, 3) == pytest.approx(5.02, abs=0.005)
    assert accuracy.winograd_growth(2, 5) == pytest.approx(5.525, abs=0.0005)
    assert accuracy.winograd_growth(2, 3) == pytest.approx(5 / 3)
    monkeypatch.setattr(accuracy, "POINTS", {6: (0, 1, -1, 2, -2)})  # Lavin and Gray's
    assert accuracy.winograd_growth(4, 3) == pytest.approx(10.77, abs=0.005)


def test_networks_are_measured_against_float64(monkeypatch):
    """An engine that returns the rounded exact answer has the error of one rounding."""

    class Session:
        def __init__(self, path, providers):
            self.model = fastconv.load(path)

        def run(self, names, inputs):
            assert names == [o.name for o in self.model.outputs]
            return [self.model.reference(inputs).astype(np.float32)]

    monkeypatch.setitem(sys.modules, "onnxruntime", types.SimpleNamespace(InferenceSession=Session))
    errors = accuracy.network_errors(fastconv.data.DIGITS)
    assert errors["onnxruntime"] == pytest.approx(accuracy.ROUNDING, rel=0.5)  # of ten numbers
    assert errors["onnxruntime"] < errors["exact"] < 10
    assert errors["onnxruntime"] < errors["default"] < 10


def test_a_table_is_replaced_between_its_marks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- table: one -->\nold\n<!-- end -->\nb\n<!-- table: two -->\nstays\n<!-- end -->\nc\n")
    report.replace_table(page, "one", "| × |\n| - |")
    expected = "a\n<!-- table: one -->\n| × |\n| - |\n<!-- end -->\nb\n<!-- table: two -->\nstays\n<!-- end -->\nc\n"
    assert page.read_text(encoding="utf-8") == expected
    report.replace_table(page, "one", "| × |\n| - |")
    assert page.read_text(encoding="utf-8") == expected
    with pytest.raises(SystemExit, match="there is no <!-- table: three -->"):
        report.replace_table(page, "three", "")


def test_the_page_has_the_marks():
    page = accuracy.PAGE.read_text(encoding="utf-8")
    for name in (accuracy.LAYERS_TABLE, accuracy.NETWORKS_TABLE):
        assert page.count(f"<!-- table: {name} -->") == 1
