"""README.md, CONTRIBUTING.md and the pages of docs/ are true: the names that they give exist, and their code runs."""

import ast
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import textwrap
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import fastconv
from fastconv import kernels
from fastconv.cli import main
from fastconv.ops import REGISTRY

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.rglob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "bench" / "README.md"]
#: a new file of docs/adding-an-operator.md, and a change to one: its unchanged line and the lines added behind it
NEW_FILE = re.compile(r"`([\w/]+\.\w+)`:\n\n```(?:python|cython)\n(.*?)^```", re.DOTALL | re.MULTILINE)
CHANGE = re.compile(r"^```diff\n (.*?\n)((?:\+.*\n)+)```", re.MULTILINE)


def test_the_page_of_operators_is_up_to_date():
    text = (DOCS / "operators.md").read_text(encoding="utf-8")
    assert text == runpy.run_path(str(DOCS / "operators.py"))["page"](), "python docs/operators.py --write"
    assert set(re.findall(r"[\w.]+::\w+|\w+", text)) >= set(REGISTRY)


def anchors(page):
    """The anchors that a forge gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\s-]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    for link, anchor in re.findall(r"""(?:\]\(|src="|srcset=")([^)"#:]*)#?([^)":]*)[)"]""", page.read_text(encoding="utf-8")):
        target = page.parent / link if link else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), f"{link}#{anchor}"


@cache
def defined(path):
    """The names that a file defines: functions, classes, their members, and constants."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":  # Cython has no parser that is small: what stands behind one of its words
        return set(re.findall(r"^\s*(?:cp?def|def|cdef class|ctypedef)\b[^\n=]*?\b(\w+)\s*(?:\(|:|$)", text, re.MULTILINE))
    names = set()

    def walk(body, prefix):
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                names.add(prefix + node.name)
            if isinstance(node, ast.ClassDef):
                walk(node.body, f"{prefix}{node.name}.")
            for target in [t for t in (getattr(node, "target", None), *getattr(node, "targets", ())) if t]:
                names.update(prefix + n.id for n in ast.walk(target) if isinstance(n, ast.Name))

    walk(ast.parse(text).body, "")
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_files_and_functions_that_a_page_names_exist(page):
    """A page names a file as `fastconv/graph.py`, and what it defines as `fastconv/graph.py:Node.input`, or as `Node.input`."""
    text = page.read_text(encoding="utf-8")
    new = {path for path, _ in NEW_FILE.findall(text)}
    named = set(re.findall(r"`((?:fastconv|pyx|tests|bench|docs|examples|\.ci)/[\w/.-]*)(?::([\w.]+))?`", text))
    missing = {(path, name) for path, name in named if path not in new and not (ROOT / path).exists()}
    missing |= {(path, name) for path, name in named - missing if name and name not in defined(ROOT / path)}
    assert missing == set()
    members = set(re.findall(r"`([A-Z]\w+\.(?!md)\w+)", text))
    assert members <= set().union(*map(defined, (ROOT / "fastconv").rglob("*.py")))


def test_the_first_code_of_the_readme_runs_as_it_stands(capsys):
    code = re.search(r"```python\n(.*?)```", (DOCS.parent / "README.md").read_text(encoding="utf-8"), re.S).group(1)
    names = {}
    exec(code, names)
    assert names["y"].shape == (8, 10)
    np.testing.assert_allclose(names["y"], names["truth"], rtol=1e-4, atol=1e-4)
    digits = np.load(fastconv.data.DIGITS_IMAGES)["labels"][:8]
    assert str(digits) in capsys.readouterr().out


GUIDE = re.findall(r"```python\n(.*?)```", (DOCS / "guide.md").read_text(encoding="utf-8"), re.DOTALL)


def test_the_code_of_the_guide_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for code in (c for c in GUIDE if "torch" not in c):
        exec(code, names)
    assert names["features"]["relu1"].shape == (2, 16, 8, 8)
    np.testing.assert_array_equal(names["y"], names["model"](names["x"]))


def test_the_code_of_the_page_about_servers_is_that_of_the_examples():
    """A block is a part of the program that the page names last (see tests/examples/test_servers.py), or runs by itself."""
    text = (DOCS / "servers.md").read_text(encoding="utf-8")
    found = set()
    for match in re.finditer(r"```python\n(.*?)```", text, re.DOTALL):
        code, path = match[1], re.findall(r"examples/servers/\w+\.py", text[: match.start()])[-1]
        if textwrap.indent(code, "    ") in (program := (ROOT / path).read_text(encoding="utf-8")) or code in program:
            found.add(ROOT / path)
        else:
            exec(code, {})
    assert found == set((ROOT / "examples" / "servers").glob("*.py"))


@pytest.mark.slow
def test_the_code_of_the_guide_about_torch_runs(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    if "fastconv" not in torch._dynamo.list_backends():  # a checkout that is not installed has no entry points
        from fastconv.torch_backend import compile_graph

        torch._dynamo.register_backend(compile_graph, name="fastconv")
    monkeypatch.chdir(tmp_path)
    names = {}
    for code in (c for c in GUIDE if "torch" in c):
        exec(code, names)
    assert fastconv.load("net.json").inputs == names["model"].inputs


@pytest.mark.slow
def test_the_code_of_the_page_about_looking_into_a_network_runs(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    names = {}
    for code in re.findall(r"```python\n(.*?)```", (DOCS / "inspect.md").read_text(encoding="utf-8"), re.DOTALL):
        exec(code, names)
    assert names["found"].first is None


COMMAND_LINE = (DOCS / "command-line.md").read_text(encoding="utf-8")


def keys(part):
    """All keys of a document."""
    if isinstance(part, list):
        return set().union(*map(keys, part))
    return part.keys() | keys(list(part.values())) if isinstance(part, dict) else set()


def documented_keys(command):
    """The keys in the page's row about a command."""
    row = re.search(rf"^\| `{command}` \| (.*) \|$", COMMAND_LINE, re.MULTILINE)[1]
    return set(re.findall(r"`([a-z0-9_]+)`", row))


@pytest.mark.parametrize("command", [["run", "--random"], ["summary"], ["profile"], ["bench", "--seconds", "0"]])
def test_the_page_has_the_keys_of_json(capsys, command):
    name, *options = command
    assert main([name, str(fastconv.data.DIGITS), *options, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    if name == "bench":  # all else is pytest-benchmark's
        document = {"benchmarks": [{key: b[key] for key in ("params", "extra_info")} for b in document["benchmarks"]]}
    assert keys(document) - {"fastconv", "model", "image"} == documented_keys(name)


def test_the_page_has_the_keys_of_answers(capsys, tmp_path):
    from fastconv.vision import results

    box, ones = np.ones((1, 4)), np.ones(17)
    answers = (
        results.Classification(ones[:1], ones[:1], ["a"]),
        results.Detections(box, ones[:1], ones[:1], ["a"]),
        results.Segmentation(box),
        results.Pose(np.ones((17, 2)), ones),
        results.Embedding(ones),
    )
    fastconv.vision.write(tmp_path / "a.png", np.zeros((8, 8, 3), np.uint8))
    assert main(["run", str(fastconv.data.DIGITS), "--image", str(tmp_path / "a.png"), "--json"]) == 0
    found = keys(json.loads(capsys.readouterr().out)) | keys([a.as_dict() for a in answers])
    assert found - {"fastconv", "model"} == documented_keys("run --image")


def test_the_page_has_the_options_of_run(capsys):
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    options = set(re.findall(r"--[a-z]+", capsys.readouterr().out)) - {"--help", "--random"}
    assert options <= set(re.findall(r"--[a-z]+", COMMAND_LINE))


def copy_checkout(target):
    """The package, tests and what a kernel's build needs, in a folder where files can be added and changed."""
    without_caches = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(fastconv.__file__).parent, target / "fastconv", copy_function=os.symlink, ignore=without_caches)
    shutil.copytree(ROOT / "tests", target / "tests", ignore=without_caches)
    # cpu.pyx, as setup.py asks for a module beside the kernels, but no kernel: they are built
    shutil.copytree(ROOT / "pyx", target / "pyx", ignore=shutil.ignore_patterns("isa", "[!c]*.pyx"))
    (target / "pyx" / "isa").mkdir()
    shutil.copy(ROOT / "setup.py", target)


def apply_page(page, target):
    """Write the files of a page and make its changes."""
    for path, text in NEW_FILE.findall(page):
        (target / path).write_text(text, encoding="utf-8")
    for path in (target / "fastconv/implementations/__init__.py", target / "tests/ops/onnx_cases.py"):
        text = path.read_text(encoding="utf-8")
        for line, added in CHANGE.findall(page):
            text = text.replace(line, line + re.sub(r"^\+", "", added, flags=re.MULTILINE))
        path.unlink()  # it may be a link
        path.write_text(text, encoding="utf-8")


@pytest.mark.slow
def test_the_operator_of_the_page_can_be_added(tmp_path):
    """The code of docs/adding-an-operator.md compiles in a copy of the checkout, and the page's tests pass."""
    pytest.importorskip("Cython")
    pytest.importorskip("setuptools")
    copy_checkout(tmp_path)
    apply_page((DOCS / "adding-an-operator.md").read_text(encoding="utf-8"), tmp_path)
    env = os.environ | {"PYTHONPATH": str(tmp_path), "FASTCONV_ISAS": ",".join(kernels.available())}
    tests = ["ops/test_cdist.py", "ops/test_references.py", "kernels/test_cdist.py", "kernels/test_enumeration.py"]
    for command in (
        ["setup.py", "-q", "build_ext", "-i"],
        ["-m", "pytest", "-q", "-c", os.devnull, "--rootdir", ".", "--import-mode=importlib",
         "-k", "CDist or cdist or enumeration", *(f"tests/{t}" for t in tests)],
    ):  # fmt: skip
        done = subprocess.run([sys.executable, *command], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
