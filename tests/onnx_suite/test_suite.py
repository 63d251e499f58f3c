"""ONNX's own conformance suite: all but what not_passing.txt lists passes. docs/conformance.md quotes the counts."""

import fnmatch
import re
from pathlib import Path

import pytest

from .cases import cases, expected, make_classes, read_list

pytestmark = pytest.mark.slow
globals().update(make_classes())

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    """ONNX's runner writes the inputs of its networks below ONNX_MODELS."""
    monkeypatch.setenv("ONNX_MODELS", str(tmp_path))


def test_the_list_is_exact():
    """Each pattern is there once, and names cases that no other names; each reason has cases."""
    reasons = read_list()
    assert all(reasons.values())
    patterns = [p for patterns in reasons.values() for p in patterns]
    paths = [path for path, _ in cases().values()]
    assert not [p for p in patterns if not fnmatch.filter(paths, p)]
    named = [path for p in patterns for path in fnmatch.filter(paths, p)]
    assert sorted(set(named)) == sorted(named)


def test_the_pages_quote_the_counts():
    assert f"<!-- table: onnx -->\n{expected()}\n<!-- end -->" in (ROOT / "docs" / "conformance.md").read_text("utf-8")
    passed, of = re.search(r"\*\*all node cases\*\* \| (\d+) of (\d+)", expected()).groups()
    assert f"fastconv passes {passed} of ONNX's {of} node tests" in (ROOT / "README.md").read_text("utf-8")
