"""Each target for a moment: the corpus that is kept, and the same random inputs every time."""

import pytest

from .check import Finding, only_errors_of_models, write_finding
from .models import CORPUS, NAMES, seed
from .mutations import mutated_models
from .networks import random_networks
from .targets import TARGETS


@pytest.mark.parametrize("target", ["json", "onnx"])
def test_corpus(target):
    for path in (CORPUS / target).glob("*"):
        TARGETS[target](path.read_bytes())


def test_seeds():
    for name in NAMES:
        TARGETS["json"](seed(name))
        TARGETS["onnx"]((CORPUS / "models" / f"{name}.onnx").read_bytes())


@pytest.mark.slow
def test_mutated_models():
    mutated_models()


@pytest.mark.slow
def test_random_networks():
    random_networks()


def test_a_finding_is_a_file(tmp_path):
    def fail():
        with only_errors_of_models(b"{}", ".json"):
            raise IndexError("it broke")

    for _ in range(2):
        with pytest.raises(Finding, match="IndexError: it broke") as e:
            fail()
        write_finding(tmp_path, "json", e.value)
    case, text = sorted(tmp_path.iterdir())
    assert (case.suffix, case.read_bytes()) == (".json", b"{}")
    assert "it broke" in text.read_text()
