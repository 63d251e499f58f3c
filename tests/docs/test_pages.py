"""The pages of docs/ and the README agree with the code."""

import json
import re
import runpy
from pathlib import Path

import numpy as np
import pytest

import fastconv
from fastconv import onnx_json
from fastconv.cli import main
from fastconv.ops import REGISTRY

from ..support.graphs import Net

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_of_operators_is_up_to_date():
    text = (DOCS / "operators.md").read_text(encoding="utf-8")
    assert text == runpy.run_path(str(DOCS / "operators.py"))["page"](), "python docs/operators.py --write"
    assert set(re.findall(r"[\w.]+::\w+|\w+", text)) >= set(REGISTRY)


def test_links_lead_somewhere():
    for page in [*DOCS.glob("*.md"), DOCS.parent / "README.md"]:
        for link in re.findall(r"""(?:\]\(|src="|srcset=")([^)"#:]+)[)"]""", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_first_code_of_the_readme_runs_as_it_stands(capsys):
    code = re.search(r"```python\n(.*?)```", (DOCS.parent / "README.md").read_text(encoding="utf-8"), re.S).group(1)
    names = {}
    exec(code, names)
    assert names["y"].shape == (8, 10)
    np.testing.assert_allclose(names["y"], names["truth"], rtol=1e-4, atol=1e-4)
    digits = np.load(fastconv.data.DIGITS_IMAGES)["labels"][:8]
    assert str(digits) in capsys.readouterr().out


def test_the_calls_of_the_guide_run_as_they_stand(tmp_path):
    """Those that name the inputs "image" and "scale" run on a model of two inputs, the others on one of one."""
    x, s = np.ones((1, 3, 4, 4), np.float32), np.full((1, 3, 1, 1), 2, np.float32)

    def model(*names):
        net = Net()
        inputs = [net.input(name, *shape) for name, shape in zip(names, (x.shape, s.shape), strict=False)]
        onnx_json.write(net.graph(net("Relu", net("Mul", inputs[0], inputs[-1], name="layer4"))), tmp_path / "net.json")
        return fastconv.load(tmp_path / "net.json")

    code = re.search(r"## Calls\n\n```python\n(.*?)```", (DOCS / "guide.md").read_text(encoding="utf-8"), re.S)[1]
    for line in code.splitlines():
        two = "scale" in line
        names = {"model": model("image", "scale") if two else model("image"), "x": x, "s": s, "y": np.zeros_like(x)}
        exec(line, names)
        np.testing.assert_array_equal(names["features"]["layer4"] if "features" in names else names["y"], x * 2 if two else x)


@pytest.mark.parametrize("command", [["run", "--random"], ["summary"], ["profile"], ["bench", "--seconds", "0"]])
def test_the_guide_has_the_keys_of_json(capsys, command):
    name, *options = command
    assert main([name, str(fastconv.data.DIGITS), *options, "--json"]) == 0
    row = re.search(rf"^\| `{name}` \| (.*) \|$", (DOCS / "guide.md").read_text(encoding="utf-8"), re.MULTILINE)[1]

    def keys(part):
        if isinstance(part, list):
            return set().union(*map(keys, part))
        return part.keys() | keys(list(part.values())) if isinstance(part, dict) else set()

    told = set(re.findall(r"`([a-z0-9_]+)`", row))
    found = keys(json.loads(capsys.readouterr().out)) - {"fastconv", "model", "image"}
    assert found == told
