"""How results are shown: as text in a REPL, as HTML in a notebook."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

#: the replacements of html.escape; importing html would add 1.3 ms to each first load
ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"})


class Shown:
    """An object that a REPL shows by its str(), and a notebook as preformatted text."""

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f'<pre style="white-space: pre">{escape(str(self))}</pre>'


def html_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], left: int, notes: Sequence[Sequence[str]] | None = None
) -> str:
    """An HTML table, the first `left` columns to the left, the others to the right; `notes`: the lines below each row."""

    def row(tag: str, cells: Sequence[str]) -> str:
        sides = ("left" if i < left else "right" for i in range(len(cells)))
        cells = [f'<{tag} style="text-align: {s}">{escape(c)}</{tag}>' for s, c in zip(sides, cells, strict=True)]
        return f"<tr>{''.join(cells)}</tr>"

    def note(lines: Sequence[str]) -> str:
        style = "text-align: left; padding-left: 3em; opacity: 0.8"
        return f'<tr><td colspan="{len(header)}" style="{style}">{html_lines(lines)}</td></tr>' if lines else ""

    body = [row("td", r) + note(lines) for r, lines in zip(rows, notes or [()] * len(rows), strict=True)]
    # each row with its notes is a group: notebooks shade every other row of a group
    groups = body if notes else ["".join(body)]
    return f"<table><thead>{row('th', header)}</thead>{''.join(f'<tbody>{group}</tbody>' for group in groups)}</table>"


def html_lines(lines: Iterable[str]) -> str:
    """Lines of text, escaped."""
    return "<br>".join(map(escape, lines))


def number(value: float) -> float | str:
    """The number, but NaN and infinities as text: JSON has none."""
    return value if math.isfinite(value) else str(value)


def escape(text: str) -> str:
    """Text escaped for HTML: a file may give its values any names."""
    return text.translate(ESCAPES)


__all__ = ["Shown", "escape", "html_lines", "html_table", "number"]
