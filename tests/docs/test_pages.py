"""The pages of docs/ say what is so."""

import json
import re
import runpy
from pathlib import Path

import numpy as np
import pytest

import fastconv
from fastconv.cli import main
from fastconv.ops import REGISTRY

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


def test_the_guide_says_what_a_call_does():
    model = fastconv.load(fastconv.data.DIGITS)
    x = np.zeros((2, 1, 8, 8), np.float32)
    y = np.empty((2, 10), np.float32)
    model(x, out=y)
    np.testing.assert_array_equal(model.run(x, outputs=[model.outputs[0].name])[model.outputs[0].name], y)
    with pytest.raises(fastconv.InputError, match=repr(model.inputs[0].name)):
        model(x.astype(np.float64))


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
