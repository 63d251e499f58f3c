"""The public interface: its names, which import their modules on first use, and their docstrings."""

import ast
import doctest
import inspect
import re
import sys
from importlib import import_module
from pathlib import Path

import pytest

import fastconv

from ..kernels.test_loader import python

MODULES = {
    *fastconv._MODULES.values(),
    "report.report",
    "torch_backend",
    "vision.answers",
    "vision.draw",
    "vision.pictures",
    "vision.preprocessing",
    "vision.results",
    "vision.tasks",
    "viz.maps",
    "viz.receptive_field",
    "viz.activations",
}


@pytest.mark.slow
def test_every_public_name_is_there_and_listed():
    names = {*fastconv.__all__, "__version__"}
    assert set(fastconv._MODULES) == names
    assert names <= set(dir(fastconv))
    out, err, code = python(f"import fastconv\nfor name in {sorted(names)}: print(getattr(fastconv, name).__class__.__name__)")
    assert (len(out.split()), err, code) == (len(names), "", 0)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"^module 'fastconv' has no attribute 'laod'$"):
        fastconv.laod  # noqa: B018


def test_asking_for_one_name_imports_what_has_it():
    out, _, _ = python("import fastconv, sys; fastconv.InputError; print(*sys.modules)")
    assert [m for m in out.split() if m.startswith("fastconv")] == ["fastconv", "fastconv.errors"]


@pytest.mark.slow
def test_names_may_be_asked_for_by_several_threads_at_once():
    """Threads that import names at the same time never see a half-imported module."""
    code = """
    import sys, threading
    import fastconv
    sys.setswitchinterval(1e-6)
    names = ["Model", "Summary", "conv2d", "from_torch", "naive", "show_config", "vision"]
    barrier = threading.Barrier(len(names))
    threads = [threading.Thread(target=lambda name=n: barrier.wait() or getattr(fastconv, name)) for n in names]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    """
    assert [python(code) for _ in range(3)] == [("", "", 0)] * 3


OPTIONAL = {
    "PIL", "argcomplete", "google", "matplotlib", "ml_dtypes", "onnx", "onnx2pytorch", "onnxruntime", "onnxscript",
    "openvino", "pyarrow", "ray", "rich", "safetensors", "torch",
}  # fmt: skip


@pytest.mark.slow
def test_functions_import_optional_packages_alone():
    """Functions import only optional packages, and hashlib, which is slow to import and seldom needed."""
    package = Path(fastconv.__file__).parent
    imported = set()
    for path in package.rglob("*.py"):
        functions = [f for f in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(f, ast.FunctionDef)]
        for node in (node for f in functions for node in ast.walk(f)):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add("." if node.level else (node.module or "").partition(".")[0])
    assert imported - OPTIONAL == {"hashlib"}


# ---- docstrings and types


def functions():
    """Every public function, class and method by its name."""
    found = {}
    for module in (fastconv, fastconv.naive, fastconv.vision, fastconv.viz, fastconv.viz.maps):
        for name in module.__all__:
            member = getattr(module, name)
            if not callable(member) or name.endswith(("Error", "Warning")):
                continue
            found[f"{module.__name__}.{name}"] = member
            for n, m in vars(member).items() if inspect.isclass(member) else ():
                if inspect.isfunction(m) and (n == "__call__" or not n.startswith("_")):
                    found[f"{module.__name__}.{name}.{n}"] = m
    return found


FUNCTIONS = functions()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_docstring_has_numpydoc_s_sections(name):
    function = FUNCTIONS[name]
    _, *parts = re.split(r"^(\w+)\n-+\n", inspect.getdoc(function), flags=re.MULTILINE)
    sections = dict(zip(parts[::2], parts[1::2], strict=True))
    signature = inspect.signature(function)
    parameters = [n for n in signature.parameters if n != "self"]
    documented = re.findall(r"^(\S.*?)(?: : .*)?$", sections.get("Parameters", ""), re.MULTILINE)
    assert sorted(n.lstrip("*") for names in documented for n in names.split(", ")) == sorted(parameters)
    returns = not inspect.isclass(function) and signature.return_annotation not in (None, "None")
    wanted = {"Parameters": bool(parameters), "Returns": returns, "Raises": "Raises" in sections, "Warns": "Warns" in sections}
    wanted["Examples"] = not (returns and not parameters)  # a view of a result needs none
    assert list(sections) == [section for section, there in wanted.items() if there]
    assert ">>> " in sections.get("Examples", ">>> ")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_types_say_what_is_meant(name):
    """`Any` in a public signature would turn the type checker off."""
    signature = inspect.signature(FUNCTIONS[name])
    annotations = [signature.return_annotation, *(p.annotation for n, p in signature.parameters.items() if n != "self")]
    assert not [a for a in annotations if re.search(r"\bAny\b", str(a))]


@pytest.mark.parametrize("module", sorted(MODULES))
def test_the_examples_in_the_docstrings(module, monkeypatch):
    for name in [n for n in sys.modules if n.partition(".")[0] == "onnxruntime"]:  # compat's example stands in its place
        monkeypatch.delitem(sys.modules, name)
    if module.startswith("torch_"):
        pytest.importorskip("onnxscript")
        pytest.importorskip("torch")
    assert not doctest.testmod(import_module(f"fastconv.{module}")).failed
