"""The constants that the kernels share with Python: each is defined once, in Cython."""

import ast
from pathlib import Path

import fastconv
from fastconv import _constants, kernels

from ..support.harness import ISAS, constants_of

PACKAGE = Path(fastconv.__file__).parent
#: what makes steps of the kernels
FOLDERS = ("implementations", "plan")


def literals(path):
    """The names to which a module assigns literals."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign):
            try:
                ast.literal_eval(node.value)
            except ValueError:
                continue
            yield from (n.id for target in node.targets for n in ast.walk(target) if isinstance(n, ast.Name))


def test_no_module_defines_a_constant_of_the_kernels_again():
    modules = (_constants, *(getattr(kernels.load(), name) for name in kernels.built()[ISAS[0]]))
    names = set().union(*map(constants_of, modules))
    assert {"AXES", "CLIP", "ADD", "GAP", "ROW_WIDTHS", "STREAMS", "WHOLE"} <= names
    for path in [path for folder in FOLDERS for path in (PACKAGE / folder).glob("*.py")]:
        assert names.isdisjoint(literals(path)), path
