"""The page docs/operators.md: every operator, and what runs it.

python docs/operators.py             print the page
python docs/operators.py --write     write it
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from fastconv.implementations import IMPLEMENTATIONS
from fastconv.implementations.move import MOVABLE
from fastconv.ops import REGISTRY
from fastconv.plan.implementation import Implementation

PAGE = Path(__file__).with_name("operators.md")
HEAD = """# Operators

The ONNX operators that fastconv runs, in every form since opset 6. Those of the table have kernels: their implementations, best
first, and the element types that one of them takes. If all refuse a node (`fastconv dump model.json --after plan` prints why),
and for all other operators, the reference runs it in NumPy, between the compiled parts of the plan. Passes rewrite some
operators: a BatchNormalization is folded into the convolution before it, or becomes a Mul and an Add; a QLinearConv and the
like, with those of ONNX Runtime (com.microsoft), become operators on floats. `python docs/operators.py --write` makes this
page.
"""


def page() -> str:
    """The whole page."""
    fast = {name: IMPLEMENTATIONS[op] for name, op in sorted(REGISTRY.items()) if op in IMPLEMENTATIONS}
    rows = "\n".join(f"| {name} | {', '.join(i.name for i in ways)} | {element_types(ways)} |" for name, ways in fast.items())
    rest = ", ".join(name for name in sorted(REGISTRY) if name not in fast)
    return f"{HEAD}\n| operator | implementations | element types |\n| --- | --- | --- |\n{rows}\n\nBy reference: {rest}.\n"


def element_types(ways: Sequence[Implementation]) -> str:
    """The element types that one of these implementations takes."""
    if any(way.dtypes is None or way.dtypes >= MOVABLE for way in ways):
        return "any"
    return ", ".join(sorted(set().union(*(way.dtypes or () for way in ways))))


def main() -> None:
    """Print or write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the page")
    if parser.parse_args().write:
        PAGE.write_text(page(), encoding="utf-8")
    else:
        print(page(), end="")


if __name__ == "__main__":
    main()
