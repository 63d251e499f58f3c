"""Tables: aligned columns of text, and the tables of layers that `summary` and `profile` give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from .shown import Shown, escape, html_table


class Row(Protocol):
    """What every row of a table of layers has."""

    @property
    def op(self) -> str:
        """The operators, or "reorder"."""
        ...

    @property
    def implementation(self) -> str:
        """The implementation that runs it."""
        ...

    @property
    def reason(self) -> str:
        """Why it runs by reference; empty if it runs on a kernel."""
        ...


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """Aligned columns, the first `left` of them to the left, the others to the right."""
    widths = [max(len(r[i]) for r in (header, *rows)) for i in range(len(header))]
    lines = [
        "  ".join(c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths, strict=True))).rstrip()
        for r in (header, *rows)
    ]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def marked(row: Row) -> str:
    """The implementation that runs it; a reference is marked."""
    return f"{row.implementation} *" if row.reason else row.implementation


def shorten(name: str, width: int = 32) -> str:
    """A name that fits a table's column, its end kept; control characters escaped."""
    name = name if name.isprintable() else repr(name)[1:-1]
    return name if len(name) <= width else "…" + name[1 - width :]


class LayerTable(Shown):
    """A table, a line of totals, and a line about layers that run by reference."""

    def _head(self) -> str:
        """The line above the table, or ""."""
        return ""

    def _table(self) -> tuple[Sequence[str], Sequence[Sequence[str]], int]:
        """The header, the rows, and the number of columns of words."""
        raise NotImplementedError

    def _total(self) -> str:
        """The line below the table."""
        raise NotImplementedError

    def _entries(self) -> Sequence[Row]:
        """The layers that the rows show."""
        raise NotImplementedError

    def _by_reference(self) -> str:
        """The number of layers that run by reference, and the reasons."""
        reasons = Counter(x.reason for x in self._entries() if x.reason)
        if not reasons:
            return ""
        count, total = reasons.total(), sum(x.op != "reorder" for x in self._entries())
        return f"* {count} of {total} layers by reference ({', '.join(reason for reason, _ in reasons.most_common())})"

    def as_dict(self) -> dict[str, object]:
        """The table as a document for JSON."""
        raise NotImplementedError

    def __str__(self) -> str:
        return "\n".join(filter(None, [self._head(), text_table(*self._table()), self._total(), self._by_reference()]))

    def _repr_html_(self) -> str:
        lines = (self._head(), self._total(), self._by_reference())
        head, total, last = (f"<p>{escape(line)}</p>" if line else "" for line in lines)
        return head + html_table(*self._table()) + total + last


__all__ = ["LayerTable", "Row", "marked", "shorten", "text_table"]
