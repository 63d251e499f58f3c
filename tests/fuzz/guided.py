"""One target in one process, guided by coverage: python -m tests.fuzz.guided TARGET FOLDER [libFuzzer's options and corpora].

Findings go to the folder and do not end the run. What ends it (a crash, a hang) is written by libFuzzer.
"""

import sys
from pathlib import Path

import atheris

from .. import conftest  # noqa: F401  (the installed package, where the checkout is not compiled)


def main(name, folder, *options):
    """Run a target for as long as libFuzzer's options say."""
    with atheris.instrument_imports(include=["fastconv"]):
        from .check import Finding, write_finding
        from .targets import TARGETS

        target = TARGETS[name]

        def one_input(data):
            try:
                target(data)
            except Finding as e:
                write_finding(Path(folder), name, e)

        atheris.Setup([sys.argv[0], *options], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
