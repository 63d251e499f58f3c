"""The soak: runs with changing shapes, and by how much memory, objects and references grow with each.

    PYTHONMALLOC=malloc python -m tests.lives --runs 100000        about ten minutes; exit 1 if it grows by 1 KB a run

With PYTHONMALLOC, what malloc has given includes Python's objects.
"""

import argparse
import sys
import time

from .soak import WARM_UP, Soak


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.lives", description="Runs with changing shapes, and what is left.")
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="end earlier than the runs")
    options = parser.parse_args()
    soak, began = Soak(), time.monotonic()
    while len(soak.samples) < WARM_UP + 2 or (soak.runs < options.runs and time.monotonic() < began + 60 * options.minutes):
        soak.round()
    slopes, (first, before), (last, after) = soak.slopes(), soak.samples[WARM_UP], soak.samples[-1]
    print(f"{soak.runs:,} runs, {time.monotonic() - began:.0f} s; slopes over the last {last - first:,}")
    print(f"{'':12}{'first':>14}{'last':>14}{'a run':>10}")
    for name, slope in slopes.items():
        print(f"{name:12}{getattr(before, name):14,}{getattr(after, name):14,}{slope:10.3f}")
    sys.exit(max(slopes["resident"], slopes["allocated"]) >= 1024)


if __name__ == "__main__":
    main()
