"""Tables: aligned columns of text, and the tables of layers that `summary` and `profile` give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

from .errors import printable
from .shown import Shown, html_lines, html_table


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

    @property
    def in_floats(self) -> str:
        """Why it computes floats where a quantized network has integers; empty if it does not."""
        ...


def text_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], left: int, notes: Sequence[Sequence[str]] | None = None
) -> str:
    """Aligned columns, the first `left` to the left, the others to the right; `notes`: lines `what: text` below each row."""
    return "\n".join(line for lines in table_lines(header, rows, left, notes) for line in lines)


def table_lines(
    header: Sequence[str], rows: Sequence[Sequence[str]], left: int, notes: Sequence[Sequence[str]] | None = None
) -> list[list[str]]:
    """The lines of the header, then those of each row: its cells, and the notes below."""
    widths = [max(len(r[i]) for r in (header, *rows)) for i in range(len(header))]
    head, *lines = (
        "  ".join(c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths, strict=True))).rstrip()
        for r in (header, *rows)
    )
    notes = notes or [()] * len(rows)
    width = max((note.find(": ") for under in notes for note in under), default=0) + 2
    body = [[line, *(_aligned(note, width) for note in under)] for line, under in zip(lines, notes, strict=True)]
    return [[head, "-" * max(map(len, (head, *lines)))], *body]


def _aligned(note: str, width: int) -> str:
    """A line `what: text` below a row, its text `width` characters after the indentation."""
    what, colon, text = note.partition(": ")
    return f"    {(what + colon).ljust(width)}{text}"


def marked(row: Row) -> str:
    """The implementation that runs it; a reference is marked, and floats where there were integers."""
    return row.implementation + " *" * bool(row.reason) + " †" * bool(row.in_floats)


def scaled(number: float, unit: str) -> str:
    """A number with a unit and its prefix.

    >>> scaled(62_378_344, "B"), scaled(1_135_256_096, "MAC"), scaled(650, "B")
    ('62.38 MB', '1.14 GMAC', '650 B')
    """
    for size, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.2f} {prefix}{unit}"
    return f"{number:.0f} {unit}"


def shorten(name: str, width: int = 32) -> str:
    """A name that fits a table's column, its end kept; control characters escaped."""
    name = printable(name)
    return name if len(name) <= width else "…" + name[1 - width :]


class LayerTable(Shown):
    """A table, a line of totals, and lines about layers that run by reference, and in floats."""

    def _head(self) -> str:
        """The line above the table, or ""."""
        return ""

    def _table(self) -> tuple[Sequence[str], Sequence[Sequence[str]], int]:
        """The header, the rows, and the number of columns of words."""
        raise NotImplementedError

    def _notes(self) -> Sequence[Sequence[str]] | None:
        """The lines below each row; None if no row has any."""
        return None

    def _total(self) -> str:
        """The line below the table; there may be more, after line feeds."""
        raise NotImplementedError

    def _entries(self) -> Sequence[Row]:
        """The layers that the rows show."""
        raise NotImplementedError

    def _marks(self) -> Sequence[str]:
        """What the marks at implementations mean, with the number of layers that have one and the reasons."""
        return (
            self._mark("*", "by reference", [x.reason for x in self._entries()]),
            self._mark("†", "in floats between integers", [x.in_floats for x in self._entries()]),
        )

    def _mark(self, mark: str, meaning: str, given: Sequence[str]) -> str:
        """A mark, what it means, and the reasons given; empty if there is none."""
        reasons = Counter(filter(None, given))
        if not reasons:
            return ""
        count, total = reasons.total(), sum(x.op != "reorder" for x in self._entries())
        return f"{mark} {count} of {total} layers {meaning} ({', '.join(reason for reason, _ in reasons.most_common())})"

    def _below(self) -> Sequence[str]:
        """The lines below the table; an empty one is left out."""
        return self._total(), *self._marks()

    def as_dict(self) -> dict[str, object]:
        """The table as a document for JSON."""
        raise NotImplementedError

    def text(self, table: Callable[..., str]) -> str:
        """All lines; `table` makes those of the rows, as `text_table` does."""
        rows = table(*self._table(), self._notes())
        return "\n".join(filter(None, [self._head(), rows, *self._below()]))

    def __str__(self) -> str:
        return self.text(text_table)

    def _repr_html_(self) -> str:
        head, *below = (f"<p>{html_lines(t.splitlines())}</p>" if t else "" for t in (self._head(), *self._below()))
        return head + html_table(*self._table(), self._notes()) + "".join(below)


__all__ = ["LayerTable", "Row", "marked", "scaled", "shorten", "table_lines", "text_table"]
