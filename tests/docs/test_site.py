"""The pages of the site: their code runs and gives what they show, and the reference has every public name."""

import contextlib
import doctest
import importlib.util
import io
import pickle
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest

import fastconv
from fastconv import compat
from fastconv.cli import main

DOCS = Path(__file__).parents[2] / "docs"
START = (DOCS / "start.md").read_text(encoding="utf-8")
#: the commands that the installation on its page needs; .ci/run runs their like
INSTALL = re.compile(r"python3 -m venv|pip install|fastconv demo")


def run_examples(code, names):
    """Run the examples of a block `>>>`; their results must be those shown."""
    test = doctest.DocTestParser().get_doctest(code, names, "start.md", None, 0)
    runner = doctest.DocTestRunner(verbose=False)
    out = io.StringIO()
    runner.run(test, out=out.write, clear_globs=False)
    names.update(test.globs)  # it has a copy
    assert not out.getvalue()


def run_commands(text):
    """Run the commands `$ fastconv ...` of a block; where it shows what they print, they must print that."""
    for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
        if INSTALL.match(command):
            continue
        program, *arguments = shlex.split(command)
        assert program == "fastconv"
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            assert main(arguments) == 0
        assert not shown or out.getvalue() == shown


@pytest.mark.slow
def test_the_start_page_runs(tmp_path, monkeypatch):
    pytest.importorskip("PIL")
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    names = {}
    for kind, code in re.findall(r"^```(python|console)\n(.*?)^```", START, re.DOTALL | re.MULTILINE):
        if kind == "console":
            run_commands(code)
        elif "torch" not in code or (importlib.util.find_spec("torch") and importlib.util.find_spec("onnxscript")):
            run_examples(code, names)
    assert {path.name for path in tmp_path.iterdir()} >= {"answer.png", "maps.png"}


ONNXRUNTIME = (DOCS / "onnxruntime.md").read_text(encoding="utf-8")
LINES = ONNXRUNTIME[ONNXRUNTIME.index("## Line by line") : ONNXRUNTIME.index("Errors:")]


@pytest.fixture(params=["compat", "onnxruntime"])
def net(request, tmp_path, monkeypatch):
    """A file net.onnx in the current folder, with the package's network; `import onnxruntime` gives what is named."""
    pytest.importorskip("onnx")
    if request.param == "compat":
        for name in [n for n in sys.modules if n.partition(".")[0] == "onnxruntime"]:
            monkeypatch.delitem(sys.modules, name)
        compat.install()
    else:
        pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    assert main(["convert", str(fastconv.data.DIGITS), "net.onnx"]) == 0
    yield tmp_path / "net.onnx"
    compat.uninstall()


def test_the_programs_of_the_page_about_onnxruntime_agree(net):
    theirs, ours = {}, {}
    for code, names in zip(re.findall(r"```python\n(.*?)```", ONNXRUNTIME, re.DOTALL)[:2], (theirs, ours), strict=True):
        exec(code, names)
    np.testing.assert_allclose(ours["y"], theirs["y"], atol=1e-5)


def test_the_code_of_the_first_page_runs(net, capsys):
    code = re.search(r"```python\n(.*?)```", (DOCS / "index.md").read_text(encoding="utf-8"), re.DOTALL)[1]
    exec(code, {"x": np.ones((1, 1, 8, 8), np.float32)})
    assert "Conv+Relu" in capsys.readouterr().out


def test_the_lines_of_the_page_about_onnxruntime_agree(net):
    given = {"np": np, "pickle": pickle, "x": np.ones((1, 1, 8, 8), np.float32), "data": net.read_bytes()}
    theirs, ours = dict(given), dict(given)
    for row in re.findall(r"^\|(.*)\|$", LINES, re.MULTILINE)[2:]:
        for cell, names in zip(map(str.strip, row.split("|")), (theirs, ours), strict=True):
            if cell.startswith("`"):
                exec(cell[1 : cell.index("`", 1)], names)
    np.testing.assert_allclose(ours["y"], theirs["y"], atol=1e-5)
    np.testing.assert_allclose(ours["logits"], theirs["logits"], atol=1e-5)
    assert [ours[name] for name in ("name", "names", "metadata")] == [theirs[name] for name in ("name", "names", "metadata")]
    assert ours["copy"].outputs == ours["model"].outputs


def test_the_reference_has_every_public_name():
    module, documented = "", set()
    for line in "\n".join(path.read_text(encoding="utf-8") for path in (DOCS / "reference").glob("*.rst")).splitlines():
        directive, _, name = line.removeprefix(".. ").partition(":: ")
        if directive in ("currentmodule", "automodule"):
            module = name
        documented.add(name if name.startswith("fastconv") else f"{module}.{name}")
    modules = {"": fastconv, "vision.": fastconv.vision, "viz.": fastconv.viz, "compat.": compat, "ray.": fastconv.ray}
    assert {f"fastconv.{prefix}{name}" for prefix, m in modules.items() for name in m.__all__} <= documented


@pytest.mark.parametrize("path", sorted((DOCS.parent / "examples" / "notebooks").glob("*.py")), ids=lambda p: p.stem)
def test_the_page_of_a_notebook_is_up_to_date(path):
    """Its code is the notebook's; what it shows was written by `python docs/notebooks.py --write`."""
    cells = re.split(r"^# %%.*\n", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    code = [cell.strip() for cell in cells if not cell.startswith("# ")]
    shown = re.findall(
        r"^```python\n(.*?)\n```$", (DOCS / "notebooks" / f"{path.stem}.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    assert shown == code
