"""The page docs/operators.md: every operator, and what runs it.

python docs/operators.py             print the page
python docs/operators.py --write     write it
"""

import argparse
from pathlib import Path

from fastconv.implementations import IMPLEMENTATIONS
from fastconv.ops import REGISTRY

PAGE = Path(__file__).with_name("operators.md")
HEAD = """# Operators

What fastconv runs of ONNX's operators, in every form since opset 6. Those of the table have kernels, most for float32 alone:
their implementations, best first. Where all refuse a node (`fastconv dump model.json --after plan` says why), and for all
others, the operator's reference runs it: a few lines of NumPy, outside the plan's fast part. Passes write some operators as
others before: a BatchNormalization goes into the convolution before it, or becomes a Mul and an Add; a QLinearConv and its
like, with those of ONNX Runtime (com.microsoft), become operators on floats. Made by `python docs/operators.py --write`.
"""


def page() -> str:
    """The whole page."""
    fast = {name: [i.name for i in IMPLEMENTATIONS[op]] for name, op in sorted(REGISTRY.items()) if op in IMPLEMENTATIONS}
    rows = "\n".join(f"| {name} | {', '.join(names)} |" for name, names in fast.items())
    rest = ", ".join(name for name in sorted(REGISTRY) if name not in fast)
    return f"{HEAD}\n| operator | implementations |\n| --- | --- |\n{rows}\n\nBy reference: {rest}.\n"


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
