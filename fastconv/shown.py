"""How results are shown: as text in a REPL, as HTML in a notebook."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence


class Shown:
    """An object that a REPL shows by its str(), and a notebook as preformatted text."""

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f'<pre style="white-space: pre">{escape(str(self))}</pre>'


def html_table(header: Sequence[str], rows: Iterable[Sequence[str]], left: int) -> str:
    """An HTML table; the first `left` columns are aligned to the left, the others to the right."""

    def row(tag: str, cells: Sequence[str]) -> str:
        sides = ("left" if i < left else "right" for i in range(len(cells)))
        cells = [f'<{tag} style="text-align: {s}">{escape(c)}</{tag}>' for s, c in zip(sides, cells, strict=True)]
        return f"<tr>{''.join(cells)}</tr>"

    return f"<table><thead>{row('th', header)}</thead><tbody>{''.join(row('td', r) for r in rows)}</tbody></table>"


def escape(text: str) -> str:
    """Text escaped for HTML: a file may give its values any names."""
    return html.escape(text)


__all__ = ["Shown", "escape", "html_table"]
