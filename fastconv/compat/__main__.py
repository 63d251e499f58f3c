"""`python -m fastconv.compat script.py [args]` or `-m module [args]`: run a program with fastconv in onnxruntime's place."""

import os
import runpy
import sys
from typing import NoReturn

from . import install

USAGE = "usage: python -m fastconv.compat (script.py | -m module) [arguments]"


def main() -> None:
    """Run the program that the command line names."""
    arguments = sys.argv[1:]
    as_module = arguments[:1] == ["-m"]
    sys.argv = arguments[as_module:]
    if not sys.argv or sys.argv[0].startswith("-"):
        _refuse(USAGE)
    install()
    if as_module:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        return
    if not os.path.exists(sys.argv[0]):
        _refuse(f"no such file: {sys.argv[0]}")
    if not sys.flags.safe_path:  # in place of the current folder, which -m puts there
        sys.path[0] = os.path.dirname(os.path.abspath(sys.argv[0]))
    runpy.run_path(sys.argv[0], run_name="__main__")


def _refuse(message: str) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
