"""Every class of malformed model has cases, and SECURITY.md says what happens and where they are."""

import re
from pathlib import Path

import pytest

from .harness import CLASSES
from .test_models import FILES

FOLDER = Path(__file__).parent
SECURITY = FOLDER.parents[1] / "SECURITY.md"
ROWS = re.findall(r"^\| (T\d\d) \| .* \| .* \| (.+) \|$", SECURITY.read_text(), re.M)


def classes_of(place):
    """The classes of which a module's ids, or the names of the models' files, are."""
    text = " ".join(f'"{path.stem}"' for path in FILES) if place == "models" else (FOLDER / f"{place}.py").read_text()
    return set(re.findall(r'"(T\d\d)b?-', text))


def test_the_table_has_every_class():
    assert [name for name, _ in ROWS] == CLASSES


@pytest.mark.parametrize("name, places", ROWS, ids=[name for name, _ in ROWS])
def test_the_cases_are_where_the_table_says(name, places):
    modules = {path.stem for path in FOLDER.glob("test_*.py")} - {"test_classes"} | {"models"}
    assert {place for place in modules if name in classes_of(place)} == set(re.findall(r"[\w]+", places))
