"""Try every fault point: `python -m tests.faults [MODEL ...]`; default: a small network and the digits."""

import argparse
import tempfile
from pathlib import Path

import fastconv

from .support import build, phases, save


def main():
    """Print what happens at every allocation of each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", metavar="MODEL")
    parser.add_argument("--most", default=str(1 << 62), help="points of a phase, evenly spread; default: all")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        library = build(Path(folder))
        for model in args.models or [save(Path(folder)), fastconv.data.DIGITS]:
            for options in ((), ("--lasting",)):
                for f in phases(library, model, "--most", args.most, *options):
                    what = ", ".join(f"{count} {outcome}" for outcome, count in f["outcomes"].items())
                    print(
                        f"{Path(model).name} {' '.join(options)} {f['phase']}: {f['points']} of {f['allocations']}: {what}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
