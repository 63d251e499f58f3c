"""Markdown tables from a file that pytest-benchmark saved; fastconv/bench/tables.py makes them and explains the columns.

pytest bench --benchmark-only --benchmark-json saved.json
python bench/report.py saved.json                       one line a layer and algorithm, then a summary of each algorithm
python bench/report.py saved.json --group network       one line a network and algorithm
python bench/report.py saved.json --write               keep those lines in bench/results, for docs/performance.md
"""

import argparse
import datetime
import json
from pathlib import Path

from fastconv import InputError
from fastconv.bench import tables
from fastconv.config import cpu


def machine() -> str:
    """What a table was measured on and when: "AMD EPYC, 2026-11-22"."""
    return f"{cpu()}, {datetime.date.today()}"


def replace_table(path: Path, name: str, text: str) -> None:
    """Put `text` between the lines `<!-- table: name -->` and `<!-- end -->` of a file; SystemExit where there are none."""
    page = path.read_text(encoding="utf-8")
    begin = f"<!-- table: {name} -->\n"
    before, found, rest = page.partition(begin)
    _, end, after = rest.partition("<!-- end -->")
    if not found or not end:
        raise SystemExit(f"{path}: there is no {begin.strip()} … <!-- end -->")
    path.write_text(f"{before}{begin}{text}\n{end}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("saved", type=Path, help="a file that pytest-benchmark wrote")
    parser.add_argument("--group", choices=("layer", "network"), default="layer")
    parser.add_argument("--stat", choices=("min", "median"), default="min", help="which time of a benchmark; default: min")
    parser.add_argument("--write", action="store_true", help="save the lines of --group network in bench/results")
    args = parser.parse_args()
    saved = json.loads(args.saved.read_text(encoding="utf-8"))
    try:
        print(tables.report(saved, args.stat, args.group))
    except InputError as error:
        raise SystemExit(str(error)) from None
    if args.write:
        import performance  # here, as it imports this module

        performance.save_layers(saved, args.stat)
        performance.write()


if __name__ == "__main__":
    main()
