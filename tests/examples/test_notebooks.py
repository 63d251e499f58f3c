"""The notebooks run: the lecture without any trained network. docs/notebooks.py runs the others, and shows what they show."""

import re
import runpy
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "notebooks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))


@pytest.mark.slow
def test_the_lecture(monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    monkeypatch.delenv("FASTCONV_MODELS", raising=False)
    made = runpy.run_path(str(FOLDER / "lecture.py"))
    printed = capsys.readouterr().out
    assert re.search(r"^227 11  4  0 +55\.00 +55$", printed, re.MULTILINE)
    assert "largest difference, but for the first column: 0.0\n" in printed
    assert "[[6. 8.]\n [3. 4.]]\n" in printed
    assert "595 of 599 right\n" in printed
    assert "left out: FASTCONV_MODELS names no folder with squeezenet1_1_imagenet.onnx" in printed
    table = str(made["alexnet"].summary(explain=True))
    for line in ("(227 − 11 + 2·0)/4 + 1 = 55", "(11·11·3 + 1)·96 = 34,944", "55·55·96 · 364 = 105,705,600 parameters"):
        assert line in table


@pytest.mark.parametrize("name", [name for name in NAMES if name != "lecture"])
def test_without_its_network_a_notebook_says_so(name, monkeypatch, tmp_path):
    monkeypatch.setenv("FASTCONV_MODELS", str(tmp_path))
    with pytest.raises(SystemExit, match=rf"^there is no {tmp_path}/\w+\.onnx: docs/models\.md says where to get networks$"):
        runpy.run_path(str(FOLDER / f"{name}.py"))
